use crate::{
    client::{Client, Namespace},
    error::{HUB, closed, invalid},
    native::NativeClient,
    shared::Shared,
    start,
    usage::Counters,
};
use anyhub_core::{
    Acks, Batch, Consumer, ConsumerOptions, Error, ErrorKind, OwnedPartition, Point, Result,
    driver::check_consumer,
};
use async_trait::async_trait;
use std::{any::Any, sync::Arc, time::Instant};
use tokio::{task::coop, time::sleep};

/// A consumer whose partitions are read ahead of it, each by a task of its own.
#[derive(Debug)]
pub(crate) struct EventHubsConsumer {
    shared: Arc<Shared>,
    acks: Acks,
    native: NativeClient,
}

impl EventHubsConsumer {
    /// What the hub needs to close it.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) async fn open(
        namespace: &Namespace,
        topic: &str,
        options: ConsumerOptions,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        check_consumer(&options, HUB)?;
        let client = Client::new(namespace, "consumer", topic)?;
        if options.group.is_some() {
            let message = "consumer groups are not there yet";
            return Err(Error::new(ErrorKind::Unsupported, HUB, "consumer", message)
                .with_advice("leave the group out to read all partitions"));
        }
        let begun = start::begin(&client, &options.start).await?;
        let native = NativeClient(client.clone());
        let group = namespace.config().reader_group.clone();
        let shared = Arc::new(Shared::new(client, group, options, counters));
        shared.own(begun);
        Ok(Self {
            acks: Acks::new(shared.clone()),
            native,
            shared,
        })
    }
}

#[async_trait]
impl Consumer for EventHubsConsumer {
    async fn receive(&mut self, max: usize) -> Result<Batch> {
        coop::consume_budget().await;
        if max == 0 {
            let error = invalid("receive", "max is 0");
            return Err(error.with_advice("ask for one delivery or more"));
        }
        let shared = &self.shared;
        loop {
            shared.check_open("receive")?;
            let batch = shared.poll(max)?;
            if !batch.is_empty() {
                return Ok(batch);
            }
            let due = shared.lanes.next_due();
            let pause = due.map(|at| at.saturating_duration_since(Instant::now()));
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
        self.shared.check_open("commit")
    }

    async fn seek(&mut self, to: Point) -> Result<()> {
        self.shared.check_open("seek")?;
        let shared = self.shared.clone();
        // A task of its own: dropped half-way, it would move some and not others.
        let seeking = tokio::spawn(async move {
            for (partition, origin) in start::sought(&shared.client, &to).await? {
                shared.moved(partition, origin);
            }
            shared.read_on();
            Ok(())
        });
        seeking.await.map_err(|_| closed("seek", "hub"))?
    }

    fn assignment(&self) -> Vec<OwnedPartition> {
        self.shared.lanes.assignment()
    }

    async fn close(&mut self) -> Result<()> {
        self.shared.close().await
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.native
    }
}

impl Drop for EventHubsConsumer {
    fn drop(&mut self) {
        self.shared.let_go();
    }
}
