//! The stand-in, a hub on it, and its log as the SDK's own client reads it.

use anyhub_core::{Event, Hub, Producer, ProducerOptions, Receipt, Result};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub};
use anyhub_local::eventhubs::{EventHubs, Fault};
use azure_messaging_eventhubs::{
    ConsumerClient, OpenReceiverOptions, RetryOptions, StartLocation, StartPosition,
    models::AmqpSimpleValue,
};
use futures_util::StreamExt;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::timeout;

/// More than anything here takes, but for what never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn server(partitions: u32) -> EventHubs {
    EventHubs::builder().hub("t", partitions).start().unwrap()
}

pub(crate) fn config(server: &EventHubs) -> EventHubsConfig {
    EventHubsConfig::new()
        .namespace("localhost")
        .endpoint(server.endpoint())
}

pub(crate) fn hub(server: &EventHubs) -> EventHubsHub {
    EventHubsHub::new(config(server)).unwrap()
}

pub(crate) async fn producer(hub: &EventHubsHub) -> Arc<dyn Producer> {
    with(hub, ProducerOptions::new()).await
}

pub(crate) async fn with(hub: &EventHubsHub, options: ProducerOptions) -> Arc<dyn Producer> {
    within(hub.producer("t", options)).await.unwrap()
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it is done in time")
}

/// Publishes, and expects nothing but receipts.
pub(crate) async fn publish(producer: &dyn Producer, events: Vec<Event>) -> Vec<Receipt> {
    let pending = within(producer.submit(events)).await.unwrap();
    let outcomes: Result<Vec<_>> = within(pending).await.into_iter().collect();
    outcomes.unwrap()
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) partition: u32,
    pub(crate) sequence: i64,
    pub(crate) key: Option<String>,
    pub(crate) payload: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// All that is in the log, partition by partition.
pub(crate) async fn read(server: &EventHubs, hub: &str) -> Vec<Logged> {
    // The SDK's client hangs now and then on a runtime of many threads.
    let (endpoint, text) = (server.endpoint(), server.connection_string(hub));
    let reading = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(read_all(endpoint, text))
    });
    tokio::task::spawn_blocking(move || reading.join().unwrap())
        .await
        .unwrap()
}

async fn read_all(endpoint: String, text: String) -> Vec<Logged> {
    let consumer = || async {
        let retries = RetryOptions {
            max_retries: 0,
            ..RetryOptions::default()
        };
        ConsumerClient::builder()
            .with_custom_endpoint(endpoint.clone())
            .with_retry_options(retries)
            .open_with_connection_string(&text, None)
            .await
            .unwrap()
    };
    let mut log = Vec::new();
    let asked = consumer().await;
    let ids = asked.get_eventhub_properties().await.unwrap().partition_ids;
    for id in ids {
        let ends = asked.get_partition_properties(&id).await.unwrap();
        if ends.is_empty {
            continue;
        }
        let reader = consumer().await;
        let options = OpenReceiverOptions {
            start_position: Some(StartPosition {
                location: StartLocation::Earliest,
                inclusive: false,
            }),
            ..OpenReceiverOptions::default()
        };
        let opened = reader.open_receiver_on_partition(id.clone(), Some(options));
        let receiver = opened.await.unwrap();
        let mut events = receiver.stream_events();
        loop {
            let event = timeout(PATIENCE, events.next()).await.unwrap();
            let event = event.unwrap().unwrap();
            let sequence = event.sequence_number().unwrap();
            let properties = event.event_data().properties();
            let mut headers: Vec<_> = properties
                .into_iter()
                .flatten()
                .map(|(name, value)| match value {
                    AmqpSimpleValue::String(text) => (name.clone(), text.clone()),
                    other => (name.clone(), format!("{other:?}")),
                })
                .collect();
            headers.sort();
            let body = event.event_data().body().unwrap().to_vec();
            log.push(Logged {
                partition: id.parse().unwrap(),
                sequence,
                key: event.partition_key().clone(),
                payload: String::from_utf8(body).unwrap(),
                headers,
            });
            if sequence >= ends.last_enqueued_sequence_number {
                break;
            }
        }
    }
    log
}

/// Events `key`/`number` in turns, so that their order can be seen.
pub(crate) fn numbered(keys: usize, from: usize, count: usize) -> Vec<Event> {
    let event =
        |number: usize| Event::new(number.to_string()).with_key(format!("key-{}", number % keys));
    (from..from + count).map(event).collect()
}

/// What the log says of events by [`numbered`]: how often each stands in it, once checked that
/// first occurrences of each key are in order.
pub(crate) fn occurrences(log: &[Logged], keys: usize) -> HashMap<usize, usize> {
    let mut seen: HashMap<usize, usize> = HashMap::new();
    let mut last: HashMap<String, usize> = HashMap::new();
    for event in log {
        let number: usize = event.payload.parse().unwrap();
        let key = event.key.clone().unwrap();
        assert_eq!(key, format!("key-{}", number % keys));
        let times = seen.entry(number).or_default();
        *times += 1;
        if *times == 1
            && let Some(before) = last.insert(key.clone(), number)
        {
            assert!(before < number, "{key}: {number} stands behind {before}");
        }
    }
    seen
}

/// How often a fault struck.
pub(crate) fn struck(server: &EventHubs, fault: Fault) -> u64 {
    server.counts().strikes(fault).times
}
