//! Going to another place (C8).

use crate::{
    Log, Part as _,
    error::{invalid, of_leases},
    shared::Shared,
    state::Presence,
};
use anyhub_core::{Error, ErrorKind, Point, Result};
use anyhub_leases::Grant;
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
        for (part, resume) in &moves {
            let mut grant = self.grant(part.id());
            if let (Some(leases), Some(old)) = (self.leases(), &grant) {
                let moved = leases.seek(old, resume.text()).await;
                grant = Some(moved.map_err(|error| of_leases(L::HUB, "seek", &error))?);
            }
            self.moved(part, grant, L::begin_at(part, *resume));
        }
        if self.state().failure.take().is_some() {
            self.read_on();
        }
        Ok(())
    }
}
