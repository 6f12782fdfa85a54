use crate::{
    client::{Link, Stream},
    error::{HUB, closed, invalid, of_leases},
    group::Group,
    keeper::{checkpoint, keep},
    leasing::Leasing,
    reader::Begin,
    shards,
    shared::{Presence, Shared},
    slot::Task,
    start, status,
    streams::Streams,
    usage::Counters,
};
use anyhub_core::{
    Acks, Batch, Consumer, ConsumerOptions, Error, ErrorKind, OwnedPartition, Point, Result,
    driver::check_consumer,
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

/// A consumer whose shards are read ahead of it, each by a task of its own.
#[derive(Debug)]
pub(crate) struct KinesisConsumer {
    shared: Arc<Shared>,
    acks: Acks,
    native: NativeConsumer,
    keeper: Task,
}

/// The SDK's client, as [`Consumer::native`] hands it out.
#[derive(Debug, Clone)]
pub struct NativeConsumer(aws_sdk_kinesis::Client);

impl NativeConsumer {
    /// The client.
    pub fn client(&self) -> &aws_sdk_kinesis::Client {
        &self.0
    }
}

/// How long a seek waits for a member that has left to be one again.
const REJOIN: Duration = Duration::from_secs(60);

/// How soon a lease that was not renewed in time is looked at again.
const RENEWED: Duration = Duration::from_millis(10);

impl KinesisConsumer {
    /// What the hub needs to close it.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) async fn open(
        link: Link,
        leasing: &Leasing,
        topic: &str,
        options: ConsumerOptions,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        check_consumer(&options, HUB)?;
        let stream = Stream::new("consumer", topic)?;
        let summary = status::usable(&link, "consumer", &stream).await?;
        let listed = shards::list(&link, "consumer", &stream).await?;
        let native = NativeConsumer(link.patient("consumer").await?.clone());
        let group = match &options.group {
            Some(name) => Some(Group::open(leasing, &link, &summary.arn, name).await?),
            None => None,
        };
        let fanout = match &link.config().fanout {
            Some(name) => {
                let streams = Streams::new(link.clone());
                Some(streams.fanout_arn("consumer", &stream, name).await?.into())
            }
            None => None,
        };
        let shared = Arc::new(Shared::new(link, stream, options, counters, group, fanout));
        let consumer = Self {
            acks: Acks::new(shared.clone()),
            keeper: Task(tokio::spawn(keep(Arc::downgrade(&shared))).abort_handle()),
            native,
            shared,
        };
        if consumer.shared.group.is_some() {
            consumer.shared.join("consumer").await?;
            consumer.shared.settle("consumer").await?;
        } else {
            start::of_private(&consumer.shared, &listed).await?;
        }
        Ok(consumer)
    }
}

#[async_trait]
impl Consumer for KinesisConsumer {
    async fn receive(&mut self, max: usize) -> Result<Batch> {
        coop::consume_budget().await;
        if max == 0 {
            let error = invalid("receive", "max is 0");
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
        seeking.await.map_err(|_| closed("seek", "hub"))?
    }

    fn assignment(&self) -> Vec<OwnedPartition> {
        self.shared.lanes.assignment()
    }

    async fn close(&mut self) -> Result<()> {
        self.keeper.0.abort();
        self.shared.close().await
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.native
    }
}

impl Drop for KinesisConsumer {
    /// As if it had crashed: its leases run out.
    fn drop(&mut self) {
        let state = &mut *self.shared.state();
        state.presence = Presence::Closed;
        self.shared.revoke_all(state);
    }
}

/// The application is in `receive`, or in `seek`, which is a sign of life, too.
struct Receiving<'a>(&'a Shared);

impl<'a> Receiving<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.state().away_since = None;
        Self(shared)
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.state().away_since = Some(Instant::now());
    }
}

impl Shared {
    /// Joins the group again, if the consumer has left it meanwhile; true: it does, and has not yet.
    fn come_back(self: &Arc<Self>, operation: &'static str) -> bool {
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
            return Err(Error::new(ErrorKind::Timeout, HUB, "seek", message));
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

    fn grant(&self, id: &str) -> Option<anyhub_leases::Grant> {
        let state = self.state();
        let slot = state.slots.iter().find(|slot| &*slot.shard.id == id)?;
        slot.grant.clone()
    }

    async fn seek(self: &Arc<Self>, to: &Point) -> Result<()> {
        self.be_member().await?;
        let listed = self.list("seek").await?;
        let owned = |id: &str| self.state().slots.iter().any(|slot| &*slot.shard.id == id);
        if let Point::Positions(named) = to {
            for (partition, _) in named {
                let name = partition.as_name().unwrap_or_default();
                if listed.iter().any(|shard| &*shard.id == name) && !owned(name) {
                    let message = format!("shard {partition} is not this consumer's");
                    return Err(invalid("seek", message)
                        .with_advice("Consumer::assignment() says which are"));
                }
            }
        }
        let own: Vec<_> = listed
            .into_iter()
            .filter(|shard| owned(&shard.id))
            .collect();
        let moves = start::resolve(self, &own, to).await?;
        let _turn = self.commits.lock().await;
        for (shard, resume) in &moves {
            let mut grant = self.grant(&shard.id);
            if let (Some(leases), Some(old)) = (self.leases(), &grant) {
                let moved = leases.seek(old, resume.text()).await;
                grant = Some(moved.map_err(|error| of_leases("seek", &error))?);
            }
            self.moved(shard, grant, Begin::at(resume, shard));
        }
        if self.state().failure.take().is_some() {
            self.read_on();
        }
        Ok(())
    }

    /// Acks were lost to another owner.
    pub(crate) fn fenced(&self, operation: &'static str) -> Result<()> {
        if self.group.is_none() || !self.lanes.take_fenced() {
            return Ok(());
        }
        let failure = self.state().failure.as_ref().map(Error::kind);
        if failure == Some(ErrorKind::NotFound) {
            // The stream is gone, and nobody else has anything of it.
            return Ok(());
        }
        let message = "acknowledged events were lost to another owner of their shards";
        Err(Error::new(ErrorKind::Fenced, HUB, operation, message)
            .with_advice("they come again there; call receive more often than max_processing"))
    }

    /// Commits, leaves the group and lets go. Again: does nothing, but for one that was dropped
    /// half-way, of which it tells how it went.
    pub(crate) async fn close(self: &Arc<Self>) -> Result<()> {
        let shared = self.clone();
        let closing = tokio::spawn(async move {
            let _turn = shared.commits.lock().await;
            if !matches!(shared.state().presence, Presence::Closed) {
                let closed = shared.close_now().await;
                shared.state().outcome = closed.err();
            }
        });
        closing.await.map_err(|_| closed("close", "hub"))?;
        match self.state().outcome.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// By who holds the turn.
    async fn close_now(&self) -> Result<()> {
        let committed = self.commit_now().await;
        let (presence, finished) = {
            let state = &mut *self.state();
            let presence = std::mem::replace(&mut state.presence, Presence::Closed);
            (presence, self.revoke_all(state))
        };
        let mut left = Ok(());
        if let Presence::Member { leases, .. } = presence {
            // Acknowledged since that commit began.
            let writing = finished.iter();
            let writing = writing.map(|(grant, at)| checkpoint(&leases, grant, *at));
            let written: Result<Vec<()>> = join_all(writing).await.into_iter().collect();
            left = written.and(leases.leave().await);
        }
        self.fenced("close")?;
        committed.and(left.map_err(|error| of_leases("close", &error)))
    }
}
