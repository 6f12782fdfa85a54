//! What is particular to the memory hub; what every hub keeps is tried by the conformance suite.
#![allow(clippy::unwrap_used)]

mod groups;
mod retention;

use super::MemoryHub;
use crate::*;
use futures_util::FutureExt;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(if cfg!(miri) { 600 } else { 10 });

fn hub(options: &str) -> MemoryHub {
    let url = format!("memory:/t?{options}").parse().unwrap();
    MemoryHub::from_url(&url).unwrap()
}

async fn producer(hub: &MemoryHub) -> Arc<dyn Producer> {
    hub.producer("t", ProducerOptions::new()).await.unwrap()
}

async fn member(hub: &MemoryHub, options: ConsumerOptions) -> Box<dyn Consumer> {
    hub.consumer("t", options.group("g")).await.unwrap()
}

/// What a future says at once. Unconstrained: waiting for its turn in the runtime does not count.
fn now<F: Future + Unpin>(future: F) -> Option<F::Output> {
    tokio::task::unconstrained(future).now_or_never()
}

fn event(number: usize) -> Event {
    Event::new(format!("{number:04}")).with_key(format!("key-{}", number % 16))
}

async fn publish(producer: &dyn Producer, numbers: std::ops::Range<usize>) {
    for outcome in producer
        .publish(numbers.map(event).collect())
        .await
        .unwrap()
    {
        outcome.unwrap();
    }
}

/// Receives until there are so many deliveries; with the changes told meanwhile.
async fn receive(consumer: &mut dyn Consumer, events: usize) -> Batch {
    let mut all = Batch::new();
    while all.deliveries.len() < events {
        let batch = timeout(SOON, consumer.receive(events))
            .await
            .unwrap()
            .unwrap();
        all.changes.extend(batch.changes);
        all.deliveries.extend(batch.deliveries);
    }
    all
}

/// Receives until a change is told.
async fn change(consumer: &mut dyn Consumer) -> Vec<Change> {
    loop {
        let batch = timeout(SOON, consumer.receive(100)).await.unwrap().unwrap();
        if !batch.changes.is_empty() {
            return batch.changes;
        }
    }
}

fn partitions(owned: &[OwnedPartition]) -> Vec<u32> {
    let owned = owned.iter();
    owned
        .filter_map(|owned| owned.partition.as_number())
        .collect()
}

fn payloads(deliveries: &[Delivery]) -> BTreeSet<String> {
    let texts = deliveries.iter().map(|delivery| &delivery.event.payload);
    texts
        .map(|text| String::from_utf8(text.to_vec()).unwrap())
        .collect()
}

async fn committed(hub: &MemoryHub) -> u64 {
    let lag = hub.admin().lag("t", "g").await.unwrap();
    let positions = lag
        .iter()
        .filter_map(|lag| lag.committed.as_ref()?.as_offset());
    positions.sum::<i64>() as u64
}

fn payloads_of(numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    numbers.map(|number| format!("{number:04}")).collect()
}

#[tokio::test]
async fn seeking_is_durable_and_stales_tokens() {
    let hub = hub("partitions=1");
    let writer = producer(&hub).await;
    publish(&*writer, 0..10).await;
    let mut reader = member(&hub, ConsumerOptions::new()).await;
    let batch = receive(&mut *reader, 10).await;
    reader.acks().ack(&batch.tokens()[..5]);
    reader.commit().await.unwrap();
    let to = vec![(Partition::number(0), Position::offset(2))];
    reader.seek(Point::Positions(to)).await.unwrap();
    assert_eq!(committed(&hub).await, 2, "back, in a new generation");
    assert_eq!(reader.acks().ack(&batch.tokens()), 0);
    let again = receive(&mut *reader, 8).await;
    assert_eq!(again.deliveries[0].position, Position::offset(2));
    reader
        .seek(Point::Time(SystemTime::now() + SOON))
        .await
        .unwrap();
    assert!(now(reader.receive(1)).is_none());
    let elsewhere = vec![(Partition::number(7), Position::offset(0))];
    let error = reader.seek(Point::Positions(elsewhere)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    drop(reader);
    assert_eq!(committed(&hub).await, 10);
}

#[tokio::test]
async fn a_window_is_bounded_and_a_nack_still_comes_again() {
    let hub = hub("partitions=1");
    publish(&*producer(&hub).await, 0..100).await;
    let options = ConsumerOptions::new()
        .max_unfinished(10)
        .nack_delay(Duration::from_millis(1), SOON);
    let mut reader = member(&hub, options).await;
    let batch = receive(&mut *reader, 10).await;
    assert!(now(reader.receive(100)).is_none(), "the lane stops");
    reader.acks().ack(&batch.tokens()[1..]);
    reader.acks().nack(&batch.tokens()[..1]);
    let again = receive(&mut *reader, 1).await;
    assert_eq!(again.deliveries[0].event, event(0));
    assert_eq!(again.deliveries[0].attempt.get(), 2);
    reader.acks().ack(&again.tokens());
    receive(&mut *reader, 10).await;
}

#[tokio::test]
async fn what_is_gone_says_so() {
    let hub = hub("partitions=1");
    let admin = hub.admin();
    let writer = producer(&hub).await;
    let mut reader = member(&hub, ConsumerOptions::new()).await;
    change(&mut *reader).await;
    let error = hub
        .producer("tt", ProducerOptions::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("did you mean 't'?"), "{error}");
    assert_eq!(
        admin.delete_group("g").await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(
        admin.lag("t", "h").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let (received, deleted) = tokio::join!(reader.receive(1), admin.delete_topic("t"));
    deleted.unwrap();
    assert_eq!(received.unwrap_err().kind(), ErrorKind::NotFound);
    let error = writer.submit(vec![event(0)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    reader.close().await.unwrap();
    assert_eq!(
        reader.receive(1).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_secret_for_a_name_is_not_printed() {
    let hub = hub("");
    let secret = "amqps://me:hunter2@h.example.com";
    let admin = hub.admin();
    for error in [
        hub.producer(secret, ProducerOptions::new())
            .await
            .unwrap_err(),
        admin
            .create_topic(&TopicConfig::new(secret))
            .await
            .unwrap_err(),
        admin.describe_topic(secret).await.unwrap_err(),
        admin.delete_group(secret).await.unwrap_err(),
        admin.lag("t", secret).await.unwrap_err(),
    ] {
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn closing_the_hub_closes_and_commits_all() {
    let hub = hub("partitions=1");
    let writer = producer(&hub).await;
    publish(&*writer, 0..1).await;
    let mut reader = member(&hub, ConsumerOptions::new()).await;
    let batch = receive(&mut *reader, 1).await;
    reader.acks().ack(&batch.tokens());
    let (received, closed) = tokio::join!(reader.receive(1), hub.close());
    closed.unwrap();
    assert_eq!(received.unwrap_err().kind(), ErrorKind::Closed);
    let closed = [
        writer.submit(vec![event(0)]).await.unwrap_err(),
        hub.admin().list_topics().await.unwrap_err(),
        hub.consumer("t", ConsumerOptions::new()).await.unwrap_err(),
    ];
    assert!(closed.iter().all(|error| error.kind() == ErrorKind::Closed));
    hub.close().await.unwrap();
    let usage = hub.usage();
    assert_eq!((usage.get("events_in"), usage.get("events_out")), (1, 1));
    assert_eq!(usage.get("bytes_in"), event(0).size() as u64);
}

#[tokio::test]
async fn refuses_topics_that_can_not_be() {
    let hub = MemoryHub::new();
    let create = async |topic: TopicConfig| hub.admin().create_topic(&topic).await;
    for (topic, kind) in [
        (TopicConfig::new("t").partitions(0), ErrorKind::Invalid),
        (TopicConfig::new("a b"), ErrorKind::Invalid),
        (TopicConfig::new(""), ErrorKind::Invalid),
        (TopicConfig::new("t").replication(3), ErrorKind::Invalid),
        (
            TopicConfig::new("t").property("retain", "all"),
            ErrorKind::Config,
        ),
        (
            TopicConfig::new("t").retention(Retention::new().bytes(0)),
            ErrorKind::Invalid,
        ),
    ] {
        assert_eq!(
            create(topic.clone()).await.unwrap_err().kind(),
            kind,
            "{topic:?}"
        );
    }
    create(TopicConfig::new("t").property("retention", "consumed"))
        .await
        .unwrap();
    let again = create(TopicConfig::new("t")).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
}
