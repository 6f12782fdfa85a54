//! The Rust SDK as the tests use it: on a current-thread runtime, where its send can't hang.

use std::time::Duration;

use anyhub_local::EventHubs;
use azure_messaging_eventhubs::models::{EventData, ReceivedEventData};
use azure_messaging_eventhubs::{
    ConsumerClient, EventDataBatchOptions, EventReceiver, OpenReceiverOptions, ProducerClient,
    RetryOptions, SendEventOptions, StartLocation, StartPosition,
};
use futures_util::StreamExt;

/// More than anything here takes, but for what never comes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) type Result<T> = azure_messaging_eventhubs::Result<T>;

pub(crate) fn no_retries() -> RetryOptions {
    RetryOptions {
        max_retries: 0,
        ..RetryOptions::default()
    }
}

pub(crate) async fn producer(hubs: &EventHubs, hub: &str) -> ProducerClient {
    try_producer(hubs, &hubs.connection_string(hub))
        .await
        .unwrap()
}

pub(crate) async fn try_producer(
    hubs: &EventHubs,
    connection_string: &str,
) -> Result<ProducerClient> {
    ProducerClient::builder()
        .with_custom_endpoint(hubs.endpoint())
        .with_retry_options(no_retries())
        .open_with_connection_string(connection_string, None)
        .await
}

pub(crate) async fn consumer(hubs: &EventHubs, hub: &str, group: &str) -> ConsumerClient {
    ConsumerClient::builder()
        .with_custom_endpoint(hubs.endpoint())
        .with_consumer_group(group.to_owned())
        .with_retry_options(no_retries())
        .open_with_connection_string(&hubs.connection_string(hub), None)
        .await
        .unwrap()
}

/// Sends one event to a partition.
pub(crate) async fn send(producer: &ProducerClient, partition: &str, text: &str) -> Result<()> {
    let options = SendEventOptions {
        partition_id: Some(partition.to_owned()),
    };
    let sent = producer.send_event(EventData::from(text), Some(options));
    tokio::time::timeout(DEADLINE, sent).await.unwrap()
}

/// Sends a batch by its options.
pub(crate) async fn send_batch(
    producer: &ProducerClient,
    options: EventDataBatchOptions,
    texts: &[&str],
) -> Result<()> {
    let batch = producer.create_batch(Some(options)).await?;
    for text in texts {
        assert!(batch.try_add_event_data(EventData::from(*text), None)?);
    }
    let sent = producer.send_batch(batch, None);
    tokio::time::timeout(DEADLINE, sent).await.unwrap()
}

/// What is read, and from where on.
#[derive(Clone)]
pub(crate) struct From<'a> {
    pub(crate) group: &'a str,
    pub(crate) partition: &'a str,
    pub(crate) location: StartLocation,
    pub(crate) inclusive: bool,
    pub(crate) epoch: Option<i64>,
}

impl<'a> From<'a> {
    /// A partition from its beginning, in the group that is always there.
    pub(crate) fn partition(partition: &'a str) -> Self {
        From {
            group: "$Default",
            partition,
            location: StartLocation::Earliest,
            inclusive: false,
            epoch: None,
        }
    }

    pub(crate) fn at(mut self, location: StartLocation, inclusive: bool) -> Self {
        (self.location, self.inclusive) = (location, inclusive);
        self
    }

    pub(crate) fn group(mut self, group: &'a str) -> Self {
        self.group = group;
        self
    }

    pub(crate) fn epoch(mut self, epoch: i64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// A receiver with a connection of its own: those of one client share a link. It attaches as it is first read from.
    pub(crate) async fn open(self, hubs: &EventHubs, hub: &str) -> EventReceiver {
        let consumer = consumer(hubs, hub, self.group).await;
        let options = OpenReceiverOptions {
            start_position: Some(StartPosition {
                location: self.location,
                inclusive: self.inclusive,
            }),
            owner_level: self.epoch,
            ..OpenReceiverOptions::default()
        };
        let partition = self.partition.to_owned();
        let opened = consumer.open_receiver_on_partition(partition, Some(options));
        opened.await.unwrap()
    }
}

/// The next events.
pub(crate) async fn receive(
    receiver: &EventReceiver,
    count: usize,
) -> Result<Vec<ReceivedEventData>> {
    let mut stream = receiver.stream_events();
    let mut events = Vec::new();
    while events.len() < count {
        let next = tokio::time::timeout(DEADLINE, stream.next()).await;
        events.push(
            next.expect("events come in time")
                .expect("the stream goes on")?,
        );
    }
    Ok(events)
}

pub(crate) fn text(event: &ReceivedEventData) -> String {
    String::from_utf8(event.event_data().body().unwrap().to_vec()).unwrap()
}

pub(crate) fn texts(events: &[ReceivedEventData]) -> Vec<String> {
    events.iter().map(text).collect()
}
