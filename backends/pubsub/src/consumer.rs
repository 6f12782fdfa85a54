use crate::{
    api::from_duration,
    client::Client,
    error::{HUB, invalid},
    hub::PARTITION,
    keeper,
    keys::{Handed, Keys},
    native::NativeSubscription,
    shared::{Phase, Shared},
    stream::Reader,
    subscription::{Start, Subscription, of_partition},
};
use anyhub_core::{
    Acks, Batch, Change, Consumer, ConsumerOptions, Delivery, ErrorKind, OwnedPartition, Point,
    Position, Result, driver::check_consumer,
};
use async_trait::async_trait;
use std::{any::Any, fmt, num::NonZeroU32, sync::Arc, time::Instant};

/// A consumer: what an application calls.
pub(crate) struct PubSubConsumer {
    shared: Arc<Shared>,
    native: NativeSubscription,
}

impl PubSubConsumer {
    /// Opens a consumer on a topic that is there. Its subscription is, too, when this resolves: later events come.
    pub(crate) async fn open(
        client: &Client,
        topic: &str,
        options: ConsumerOptions,
    ) -> Result<Self> {
        check_consumer(&options, HUB)?;
        let line = client.line()?;
        let subscription = Subscription::open(&line, topic, &options).await?;
        let native = NativeSubscription::new(client.clone(), subscription.name.clone());
        let shared = Arc::new(Shared::new(line, subscription, options));
        // From here on, dropped, it parts.
        let this = Self { shared, native };
        tokio::spawn(keeper::run(this.shared.clone()));
        *this.shared.moving.lock().await = Some(Reader::start(&this.shared));
        Ok(this)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Has a stream read, where none is: after the application was away, or a call was dropped.
    async fn read(&self) -> Result<()> {
        let shared = &self.shared;
        let mut reader = shared.moving.lock().await;
        match shared.phase() {
            Phase::Closing => return shared.check_open("receive"),
            Phase::Failed(error) | Phase::Away(Some(error)) => return Err(error),
            Phase::Away(None) => self.rejoin(),
            Phase::Reading => {}
        }
        if reader.is_none() {
            *reader = Some(Reader::start(shared));
        }
        Ok(())
    }

    fn rejoin(&self) {
        if self.shared.set_phase(Phase::Reading) {
            self.shared.tell(Change::Assigned(vec![PARTITION]));
        }
    }

    /// What there is to say now.
    fn batch(&self, max: usize) -> Batch {
        let mut batch = Batch::new();
        batch.changes = self.shared.changes();
        if !self.shared.is_awake() {
            return batch;
        }
        let handed = self.shared.keys().take(max, Instant::now());
        if !handed.is_empty() {
            self.shared.subscription.watch.came();
        }
        batch.deliveries = handed.into_iter().map(delivery).collect();
        batch
    }
}

fn delivery(handed: Handed) -> Delivery {
    let attempt = NonZeroU32::new(handed.attempt).unwrap_or(NonZeroU32::MIN);
    let position = Position::from(handed.at);
    let published = Some(handed.published);
    Delivery::new(
        handed.event,
        PARTITION,
        position,
        published,
        attempt,
        handed.token,
    )
}

#[async_trait]
impl Consumer for PubSubConsumer {
    async fn receive(&mut self, max: usize) -> Result<Batch> {
        if max == 0 {
            return Err(invalid("receive", "a receive of 0 events would never end"));
        }
        let shared = &self.shared;
        let _call = shared.call();
        loop {
            self.read().await?;
            let batch = self.batch(max);
            if !batch.is_empty() {
                return Ok(batch);
            }
            shared.arrived.notified().await;
        }
    }

    fn acks(&self) -> Acks {
        Acks::new(self.shared.clone())
    }

    async fn commit(&mut self) -> Result<()> {
        self.shared.check_open("commit")?;
        self.shared.commit().await
    }

    async fn seek(&mut self, to: Point) -> Result<()> {
        let shared = &self.shared;
        let _call = shared.call();
        shared.check_open("seek")?;
        if let Point::Positions(positions) = &to
            && of_partition(positions).is_none()
        {
            return Ok(());
        }
        let (line, subscription) = (&shared.line, &shared.subscription);
        // A topic of the same name may have been made anew: it is not the subscription's.
        let found = line.get_subscription("seek", &subscription.name).await;
        let kept = match found {
            Ok(found) => {
                subscription.check(&found, "seek")?;
                from_duration(found.topic_message_retention_duration)
            }
            // Who may seek may not always look.
            Err(error) if error.kind() == ErrorKind::Denied => None,
            Err(error) => return Err(error),
        };
        let kept = match kept {
            // Emulators may tell it of the topic alone, and who may seek may not look at that.
            None if !matches!(to, Point::End) => {
                let topic = line.get_topic("seek", &subscription.topic).await?;
                from_duration(topic.message_retention_duration)
            }
            kept => kept,
        };
        let start = Start::of(&to, kept, "seek")?;
        let mut reader = shared.moving.lock().await;
        shared.check_open("seek")?;
        if let Some(reader) = reader.take() {
            reader.stop().await;
        }
        if let Err(error) = shared.settle(Keys::clear).await {
            tracing::warn!(%error, "acks could not be committed before a seek");
        }
        let sought = shared
            .line
            .seek("seek", &shared.subscription.name, start.sought())
            .await;
        let phase = shared.phase();
        if sought.is_ok() || matches!(phase, Phase::Reading | Phase::Away(None)) {
            match phase {
                Phase::Away(_) => self.rejoin(),
                _ => _ = shared.set_phase(Phase::Reading),
            }
            shared.subscription.watch.came();
            *reader = Some(Reader::start(shared));
        }
        sought
    }

    fn assignment(&self) -> Vec<OwnedPartition> {
        self.shared.assignment()
    }

    async fn close(&mut self) -> Result<()> {
        self.shared.close().await
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.native
    }
}

impl Drop for PubSubConsumer {
    fn drop(&mut self) {
        // Without a commit: what it held comes again, and at once.
        self.shared.begin_close(false);
    }
}

impl fmt::Debug for PubSubConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PubSubConsumer({:?})", self.shared)
    }
}
