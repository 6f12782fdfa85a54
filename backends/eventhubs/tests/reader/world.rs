//! The stand-in, a hub on it, and what comes.

use anyhub_core::{
    Change, Consumer, ConsumerOptions, Delivery, Event, Hub, Point, Producer, ProducerExt,
    ProducerOptions,
};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub};
use anyhub_local::eventhubs::EventHubs;
use azure_messaging_eventhubs::{
    ConsumerClient, OpenReceiverOptions, StartLocation, StartPosition,
};
use futures_util::StreamExt;
use std::{sync::Arc, thread, time::Duration};
use tokio::{sync::oneshot, time::timeout};

/// More than anything here takes, but for what never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) server: EventHubs,
    pub(crate) hub: EventHubsHub,
    pub(crate) producer: Arc<dyn Producer>,
}

impl World {
    pub(crate) async fn new(partitions: u32) -> Self {
        Self::on(EventHubs::builder().hub("t", partitions).start().unwrap()).await
    }

    pub(crate) async fn on(server: EventHubs) -> Self {
        println!("seed {}", server.seed());
        let hub = EventHubsHub::new(config(&server)).unwrap();
        let producer = within(hub.producer("t", ProducerOptions::new()))
            .await
            .unwrap();
        Self {
            server,
            hub,
            producer,
        }
    }

    /// Events of these numbers, each under a key of its own.
    pub(crate) async fn publish(&self, numbers: std::ops::Range<usize>) {
        let event =
            |number: usize| Event::new(number.to_string()).with_key(format!("key-{}", number % 7));
        let outcomes = within(self.producer.publish(numbers.map(event).collect())).await;
        assert!(outcomes.unwrap().iter().all(Result::is_ok));
    }

    pub(crate) async fn reader(&self, start: Point) -> Box<dyn Consumer> {
        let options = ConsumerOptions::new().start(start);
        within(self.hub.consumer("t", options)).await.unwrap()
    }
}

pub(crate) fn config(server: &EventHubs) -> EventHubsConfig {
    EventHubsConfig::new()
        .namespace("localhost")
        .endpoint(server.endpoint())
}

/// A reader of Microsoft's that has partition 0, with an epoch, until it is dropped.
pub(crate) struct Other {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Other {
    /// Returns once it has read an event.
    pub(crate) async fn new(world: &World, group: &str, epoch: i64) -> Self {
        let (stop, mut stopped) = oneshot::channel::<()>();
        let (tell, reads) = oneshot::channel();
        let (endpoint, text) = (world.server.endpoint(), world.server.connection_string("t"));
        let group = group.to_owned();
        let reading = async move {
            let client = ConsumerClient::builder().with_custom_endpoint(endpoint);
            let client = client
                .with_consumer_group(group)
                .open_with_connection_string(&text, None);
            let client = client.await.unwrap();
            let options = OpenReceiverOptions {
                owner_level: Some(epoch),
                start_position: Some(StartPosition {
                    location: StartLocation::Earliest,
                    ..StartPosition::default()
                }),
                ..OpenReceiverOptions::default()
            };
            let receiver = client.open_receiver_on_partition("0".into(), Some(options));
            let receiver = receiver.await.unwrap();
            let mut events = receiver.stream_events();
            events.next().await.unwrap().unwrap();
            let _ = tell.send(());
            while let Ok(Some(Ok(_))) = tokio::select! {
                event = events.next() => Ok(event),
                stopped = &mut stopped => Err(stopped),
            } {}
        };
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            { runtime }.enable_all().build().unwrap().block_on(reading);
        });
        within(reads).await.unwrap();
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking());
        }
    }
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it is done in time")
}

/// The next deliveries, and the changes on the way.
pub(crate) async fn take(
    consumer: &mut dyn Consumer,
    count: usize,
) -> (Vec<Delivery>, Vec<Change>) {
    let (mut deliveries, mut changes) = (Vec::new(), Vec::new());
    while deliveries.len() < count {
        let batch = within(consumer.receive(count - deliveries.len()))
            .await
            .unwrap();
        deliveries.extend(batch.deliveries);
        changes.extend(batch.changes);
    }
    (deliveries, changes)
}

pub(crate) fn number(delivery: &Delivery) -> usize {
    std::str::from_utf8(&delivery.event.payload)
        .unwrap()
        .parse()
        .unwrap()
}

/// Every number once, and those of a key in order.
pub(crate) fn once_in_order(deliveries: &[Delivery], numbers: std::ops::Range<usize>) {
    let mut seen: Vec<_> = deliveries.iter().map(number).collect();
    for key in 0..7 {
        let of_key = seen.iter().filter(|number| *number % 7 == key);
        assert!(of_key.is_sorted(), "key {key}");
    }
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(numbers), "{seen:?}");
}
