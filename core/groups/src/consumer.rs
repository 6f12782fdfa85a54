use crate::{
    Group, Log,
    error::{closed, invalid, of_leases},
    keeper::{checkpoint, keep},
    shared::Shared,
    slot::Task,
    start,
    state::Presence,
};
use anyhub_core::{
    Acks, Batch, Consumer, ConsumerOptions, Error, ErrorKind, OwnedPartition, Point, Result,
};
use async_trait::async_trait;
use futures_util::future::join_all;
use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    task::coop,
    time::{sleep, timeout},
};

/// A consumer whose partitions are read ahead of it, each by a task of its own, and shared with the other
/// members of its group.
#[derive(Debug)]
pub struct GroupedConsumer<L: Log> {
    shared: Arc<Shared<L>>,
    acks: Acks,
    keeper: Task,
}

/// How soon a lease that was not renewed in time is looked at again.
const RENEWED: Duration = Duration::from_millis(10);

impl<L: Log> GroupedConsumer<L> {
    /// A reader of all partitions, or a member of the group, once the others have given it what is its
    /// due, or after ten seconds. Options are taken as checked. Fails as the log and the store of the
    /// leases do.
    pub async fn open(log: L, options: ConsumerOptions, group: Option<Group>) -> Result<Self> {
        let shared = Arc::new(Shared::new(log, options, group));
        if shared.group.is_none() {
            // Before the keeper looks for partitions that were added: these would be all that there are.
            start::of_private(&shared).await?;
        }
        let keeper = tokio::spawn(keep(Arc::downgrade(&shared)));
        let consumer = Self {
            acks: Acks::new(shared.clone()),
            keeper: Task::new(keeper.abort_handle()),
            shared,
        };
        if consumer.shared.group.is_some() {
            consumer.shared.join("consumer").await?;
            consumer.shared.settle("consumer").await?;
        }
        Ok(consumer)
    }

    /// What the hub needs to close it.
    pub fn shared(&self) -> &Arc<Shared<L>> {
        &self.shared
    }
}

#[async_trait]
impl<L: Log> Consumer for GroupedConsumer<L> {
    async fn receive(&mut self, max: usize) -> Result<Batch> {
        coop::consume_budget().await;
        if max == 0 {
            let error = invalid(L::HUB, "receive", "max is 0");
            return Err(error.with_advice("ask for one delivery or more"));
        }
        let shared = self.shared.clone();
        let _receiving = Receiving::new(&shared);
        loop {
            shared.check_open("receive")?;
            shared.come_back("receive");
            let polled = shared.poll(max)?;
            if !polled.batch.is_empty() {
                return Ok(polled.batch);
            }
            let due = shared.lanes.next_due();
            let renewed = polled.held_back.then(|| Instant::now() + RENEWED);
            let until = due.into_iter().chain(renewed).min();
            let pause = until.map(|at| at.saturating_duration_since(Instant::now()));
            tokio::select! {
                () = shared.wake.notified() => {}
                () = shared.lanes.changed() => {}
                () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
        }
    }

    fn acks(&self) -> Acks {
        self.acks.clone()
    }

    async fn commit(&mut self) -> Result<()> {
        self.shared.check_open("commit")?;
        let committed = self.shared.commit().await;
        self.shared.fenced("commit")?;
        committed
    }

    async fn seek(&mut self, to: Point) -> Result<()> {
        self.shared.check_open("seek")?;
        let shared = self.shared.clone();
        let _working = Receiving::new(&self.shared);
        // A task of its own: dropped half-way, it would leave leases and readers apart.
        let seeking = tokio::spawn(async move { shared.seek(&to).await });
        seeking.await.map_err(|_| closed(L::HUB, "seek", "hub"))?
    }

    fn assignment(&self) -> Vec<OwnedPartition> {
        self.shared.lanes.assignment()
    }

    async fn close(&mut self) -> Result<()> {
        self.keeper.0.abort();
        self.shared.close().await
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        self.shared.log.native()
    }
}

impl<L: Log> Drop for GroupedConsumer<L> {
    /// As if it had crashed: its leases run out.
    fn drop(&mut self) {
        let state = &mut *self.shared.state();
        state.presence = Presence::Closed;
        self.shared.revoke_all(state);
    }
}

/// The application is in `receive`, or in `seek`, which is a sign of life, too.
struct Receiving<'a, L: Log>(&'a Shared<L>);

impl<'a, L: Log> Receiving<'a, L> {
    fn new(shared: &'a Shared<L>) -> Self {
        shared.state().away_since = None;
        Self(shared)
    }
}

impl<L: Log> Drop for Receiving<'_, L> {
    fn drop(&mut self) {
        self.0.state().away_since = Some(Instant::now());
    }
}

impl<L: Log> Shared<L> {
    /// Joins the group again, if the consumer has left it meanwhile; true: it does, and has not yet.
    pub(crate) fn come_back(self: &Arc<Self>, operation: &'static str) -> bool {
        let leaving = {
            let state = &mut *self.state();
            let Presence::Away { leaving } = &mut state.presence else {
                return matches!(state.presence, Presence::Joining);
            };
            let leaving = leaving.take();
            state.presence = Presence::Joining;
            leaving
        };
        let shared = self.clone();
        tokio::spawn(async move {
            // What it has not given up yet, it would wait for.
            if let Some(leaving) = leaving {
                let _ = leaving.await;
            }
            shared.join_again(operation).await;
            shared.joined.notify_waiters();
        });
        true
    }

    async fn join_again(self: &Arc<Self>, operation: &'static str) {
        let mut pause = Duration::from_millis(100);
        while matches!(self.state().presence, Presence::Joining) {
            match self.join(operation).await {
                Ok(()) => return,
                Err(error) if error.is_retryable() => {
                    tracing::debug!(%error, "the group is joined again");
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                Err(error) => {
                    let state = &mut *self.state();
                    state.failure.get_or_insert(error);
                    if matches!(state.presence, Presence::Joining) {
                        state.presence = Presence::Away { leaving: None };
                    }
                    self.wake.notify_one();
                    return;
                }
            }
        }
    }

    /// Acks were lost to another owner.
    pub(crate) fn fenced(&self, operation: &'static str) -> Result<()> {
        let Some(group) = &self.group else {
            return Ok(());
        };
        if !self.lanes.take_fenced() {
            return Ok(());
        }
        let failure = self.state().failure.as_ref().map(Error::kind);
        if failure == Some(ErrorKind::NotFound) {
            // The topic is gone, and nobody else has anything of it.
            return Ok(());
        }
        let message = "acknowledged events were lost to another owner of their partitions";
        let mut advice =
            "they come again there; call receive more often than max_processing".to_owned();
        if let Some(shared) = group.where_shared() {
            advice = format!("{advice}; {shared}");
        }
        Err(Error::new(ErrorKind::Fenced, L::HUB, operation, message).with_advice(advice))
    }

    /// Commits, leaves the group and lets go. Again: does nothing, but for one that was dropped
    /// half-way, of which it tells how it went.
    pub async fn close(self: &Arc<Self>) -> Result<()> {
        let shared = self.clone();
        let closing = tokio::spawn(async move {
            let _turn = shared.commits.lock().await;
            if !matches!(shared.state().presence, Presence::Closed) {
                let closed = shared.close_now().await;
                shared.state().outcome = closed.err();
            }
        });
        closing.await.map_err(|_| closed(L::HUB, "close", "hub"))?;
        match self.state().outcome.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// By who holds the turn.
    async fn close_now(&self) -> Result<()> {
        let (presence, finished) = {
            let state = &mut *self.state();
            let presence = std::mem::replace(&mut state.presence, Presence::Closed);
            (presence, self.revoke_all(state))
        };
        let mut left = Ok(());
        if let (Presence::Member { leases, .. }, Some(group)) = (presence, &self.group) {
            let leaving = async {
                let writing = finished.iter();
                let writing = writing.map(|(grant, at)| checkpoint(&leases, grant, *at));
                let written: Result<Vec<()>> = join_all(writing).await.into_iter().collect();
                let left = leases.leave().await;
                written
                    .and(left)
                    .map_err(|error| of_leases(L::HUB, "close", &error))
            };
            // Both wait for one store: once is enough.
            let late = || Err(late(L::HUB, group.deadline));
            left = timeout(group.deadline, leaving)
                .await
                .unwrap_or_else(|_| late());
        }
        self.log.close().await;
        self.fenced("close")?;
        left
    }
}

fn late(hub: &'static str, limit: Duration) -> Error {
    let message = format!("the leases: the store has not answered within {limit:?}");
    Error::new(ErrorKind::Timeout, hub, "close", message)
        .with_advice("its partitions go to others once their leases run out; what is not committed comes again")
        .with_indeterminate()
}
