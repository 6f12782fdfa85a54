//! Going to another place (C8).

use crate::{
    Log, Part as _, Resume, Resumes,
    error::{invalid, of_leases},
    shared::Shared,
    state::Presence,
};
use anyhub_core::{Error, ErrorKind, Point, Result};
use anyhub_leases::Grant;
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a seek waits for a member that has left to be one again.
const REJOIN: Duration = Duration::from_secs(60);

impl<L: Log> Shared<L> {
    /// A member that has left the group has nothing to move before it has joined again.
    async fn be_member(self: &Arc<Self>) -> Result<()> {
        if !self.come_back("seek") {
            return Ok(());
        }
        let joining = async {
            loop {
                let joined = self.joined.notified();
                if !matches!(self.state().presence, Presence::Joining) {
                    return;
                }
                joined.await;
            }
        };
        if timeout(REJOIN, joining).await.is_err() {
            let message = format!("the group could not be joined again within {REJOIN:?}");
            return Err(Error::new(ErrorKind::Timeout, L::HUB, "seek", message));
        }
        {
            let state = self.state();
            if let (Presence::Away { .. }, Some(error)) = (&state.presence, &state.failure) {
                return Err(error.clone());
            }
        }
        self.check_open("seek")?;
        self.settle("seek").await
    }

    fn grant(&self, id: &str) -> Option<Grant> {
        let state = self.state();
        let slot = state.slots.iter().find(|slot| slot.is(id))?;
        slot.grant.clone()
    }

    pub(crate) async fn seek(self: &Arc<Self>, to: &Point) -> Result<()> {
        self.be_member().await?;
        let listed = self.list("seek").await?;
        let owned = |part: &L::Part| self.state().slots.iter().any(|slot| slot.is(part.id()));
        if let Point::Positions(named) = to {
            for (partition, _) in named {
                let there = listed.iter().find(|part| part.partition() == *partition);
                if there.is_some_and(|part| !owned(part)) {
                    let message = format!("{} {partition} is not this consumer's", L::PART);
                    return Err(invalid(L::HUB, "seek", message)
                        .with_advice("Consumer::assignment() says which are"));
                }
            }
        }
        let own: Vec<_> = listed.into_iter().filter(|part| owned(part)).collect();
        let moves = self.log.resolve(&own, to).await?;
        let _turn = self.commits.lock().await;
        self.move_all(&moves).await?;
        if self.state().failure.take().is_some() {
            self.read_on();
        }
        Ok(())
    }

    /// Moves them side by side: a store that does not answer is waited for once. An Err is that of one
    /// that was not moved, and says which were.
    async fn move_all(self: &Arc<Self>, moves: &Resumes<L>) -> Result<()> {
        let moving = moves.iter().map(|(part, resume)| self.go(part, *resume));
        let went = join_all(moving).await;
        let parts = moves.iter().map(|(part, _)| part);
        let unmoved = parts.zip(went).filter_map(|(part, went)| {
            let error = went.err()?;
            Some((part.partition().to_string(), error))
        });
        let (unmoved, errors): (Vec<_>, Vec<_>) = unmoved.unzip();
        // What may have been done is the worst that can be said.
        let worst = errors.iter().find(|error| error.is_indeterminate());
        let Some(error) = worst.or(errors.first()) else {
            return Ok(());
        };
        let moved = match unmoved.len() {
            count if count < moves.len() => format!("all but {} were moved", unmoved.join(", ")),
            _ if error.is_indeterminate() => return Err(error.clone()),
            _ => "nothing was moved".to_owned(),
        };
        let message = format!("{}; {moved}", error.message());
        let mut told = Error::new(error.kind(), L::HUB, "seek", message).with_source(error.clone());
        if error.is_indeterminate() {
            told = told.with_indeterminate();
        }
        match error.advice() {
            Some(advice) => Err(told.with_advice(advice)),
            None => Err(told),
        }
    }

    async fn go(self: &Arc<Self>, part: &L::Part, to: Resume<L::At>) -> Result<()> {
        let begin = L::begin_at(part, to);
        if self.group.is_none() {
            self.moved(part, None, None, begin);
            return Ok(());
        }
        let (Some(leases), Some(old)) = (self.leases(), self.grant(part.id())) else {
            self.check_open("seek")?;
            let message = format!("{} {} has left this consumer", L::PART, part.partition());
            return Err(Error::new(ErrorKind::Fenced, L::HUB, "seek", message)
                .with_advice("seek again: Consumer::assignment() says which are left"));
        };
        match leases.seek(&old, to.text()).await {
            Ok(new) => {
                if !self.moved(part, Some(&old), Some(new.clone()), begin) {
                    // It went while the store was asked, which leaves its lease to nobody.
                    self.release(&leases, new, None);
                }
                Ok(())
            }
            Err(error) => {
                // The leases have given it up, too.
                self.lose_grant(&old);
                Err(of_leases(L::HUB, "seek", &error))
            }
        }
    }
}
