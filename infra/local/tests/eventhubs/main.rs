//! The local Event Hubs as the Rust SDK sees it: what it does, what it limits, what it makes go wrong, and what it counts.
#![allow(clippy::unwrap_used, missing_docs)]

mod access;
mod bounds;
mod client;
mod events;
mod faults;
mod hostile;
mod limits;
mod protocol;
mod raw;
mod readers;
mod tls;

use anyhub_local::EventHubs;
use azure_messaging_eventhubs::EventDataBatchOptions;

use client::{From, producer, receive, send, send_batch, text, texts};

#[tokio::test]
async fn what_is_sent_is_received_and_counted() {
    let hubs = EventHubs::builder().hub("tweets", 4).start().unwrap();
    let producer = producer(&hubs, "tweets").await;
    send(&producer, "2", "one").await.unwrap();
    let to = EventDataBatchOptions {
        partition_id: Some("2".into()),
        ..EventDataBatchOptions::default()
    };
    send_batch(&producer, to, &["two", "three"]).await.unwrap();

    let reader = From::partition("2").open(&hubs, "tweets").await;
    let events = receive(&reader, 3).await.unwrap();
    assert_eq!(texts(&events), ["one", "two", "three"]);
    let numbers: Vec<_> = events
        .iter()
        .map(|e| e.sequence_number().unwrap())
        .collect();
    assert_eq!(numbers, [0, 1, 2]);
    assert!(events.iter().all(|e| e.enqueued_time().is_some()));
    assert_eq!(text(&events[0]), "one");
    let counts = hubs.counts();
    assert_eq!(
        (counts.messages_in, counts.events_in, counts.events_out),
        (2, 3, 3)
    );
    // Dropped in async code.
}
