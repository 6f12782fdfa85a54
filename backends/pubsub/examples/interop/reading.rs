//! Reading a topic through the traits.

use anyhub_core::{Acks, Consumer, ConsumerOptions, Delivery, Event, Hub, Point};
use anyhub_interop::{Left, Told};
use anyhub_pubsub::{NativeSubscription, PubSubHub};
use std::{
    fmt::Display,
    time::{Duration, UNIX_EPOCH},
};
use tokio::time::timeout;

/// For what has to come; nothing waits for as long where all is well.
const DEADLINE: Duration = Duration::from_secs(60);

/// A consumer from the start of a topic.
pub(crate) struct Reading {
    consumer: Box<dyn Consumer>,
}

impl Reading {
    /// For itself.
    pub(crate) async fn private(hub: &PubSubHub, topic: &str) -> Told<Self> {
        Self::open(hub, topic, ConsumerOptions::new()).await
    }

    /// A group is a subscription, and that is of one topic.
    pub(crate) async fn of_group(hub: &PubSubHub, topic: &str, what: &str) -> Told<Self> {
        let group = format!("{topic}-anyhub-{what}");
        Self::open(hub, topic, ConsumerOptions::new().group(group)).await
    }

    async fn open(hub: &PubSubHub, topic: &str, options: ConsumerOptions) -> Told<Self> {
        let consumer = told(hub.consumer(topic, options.start(Point::Start)).await)?;
        Ok(Self { consumer })
    }

    /// What the service says of the subscription.
    pub(crate) async fn is_exactly_once(&self) -> Told<bool> {
        let native = self.consumer.native().downcast_ref::<NativeSubscription>();
        let native = native.ok_or("no subscription")?;
        let admin = told(native.hub().subscription_admin().await)?;
        let asked = admin.get_subscription().set_subscription(native.name());
        Ok(told(asked.send().await)?.enable_exactly_once_delivery)
    }

    pub(crate) fn acks(&self) -> Acks {
        self.consumer.acks()
    }

    /// What comes next. Err, which says what was waited for, where nothing does.
    pub(crate) async fn next(&mut self, what: impl Fn() -> String) -> Told<Vec<Delivery>> {
        let batch = timeout(DEADLINE, self.consumer.receive(1_000)).await;
        let batch = batch.map_err(|_| format!("nothing comes any more: waited for {}", what()))?;
        Ok(told(batch)?.deliveries)
    }

    /// All events of these numbers, acknowledged: when each was published, in microseconds since 1970, by its number; 0 for
    /// others.
    pub(crate) async fn all(
        &mut self,
        expected: &[Event],
        numbers: impl IntoIterator<Item = usize>,
    ) -> Told<Vec<u64>> {
        let mut left = Left::new(expected, numbers);
        let mut times = vec![0; expected.len()];
        while left.count() > 0 {
            let wanted = left.count();
            for delivery in self.next(|| format!("{wanted} events")).await? {
                let nth = left.take(&delivery.event, &delivery.position)?;
                let since = delivery
                    .published
                    .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                times[nth] = since.ok_or("an event has no time")?.as_micros() as u64;
                self.acks().ack(&[delivery.token]);
            }
        }
        Ok(times)
    }

    /// Goes to a time, in microseconds since 1970.
    pub(crate) async fn seek(&mut self, time: u64) -> Told<()> {
        let time = UNIX_EPOCH + Duration::from_micros(time);
        told(self.consumer.seek(Point::Time(time)).await)
    }

    pub(crate) async fn commit(&mut self) -> Told<()> {
        told(self.consumer.commit().await)
    }

    pub(crate) async fn close(mut self) -> Told<()> {
        told(self.consumer.close().await)
    }
}

pub(crate) fn told<T>(result: Result<T, impl Display>) -> Told<T> {
    result.map_err(|error| error.to_string())
}
