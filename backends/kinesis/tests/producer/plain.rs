//! What is written when nothing goes wrong, and what is refused.

use crate::{
    read::{self, judge},
    stream::{self, STREAM, Stream, event, publish},
};
use anyhub_core::{ErrorKind, Event, Producer, ProducerExt, ProducerOptions};
use anyhub_kinesis::{Aggregation, NativeClient, aggregate};
use std::{collections::HashSet, sync::Arc, time::Duration};

async fn of(aggregate: Aggregation) -> (usize, usize) {
    let stream = Stream::new(3).await;
    let config = stream.config().aggregate(aggregate);
    let producer = stream.producer_as(config, ProducerOptions::new()).await;
    let outcomes = publish(&*producer, 30, 9_000, 60).await;
    producer.close().await.unwrap();
    let log = read::log(&stream).await;
    let verdict = judge(&log, &outcomes);
    assert_eq!((verdict.ok, verdict.lost), (9_000, 0));
    assert_eq!((verdict.out_of_order, verdict.doubled), (0, 0));
    assert_eq!(stream.kinesis.counts().records_put, log.records as u64);
    (
        log.records,
        stream.kinesis.counts().requests("PutRecords") as usize,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn events_share_records_as_they_are_told_to() {
    let (key, _) = of(Aggregation::Key).await;
    let (shard, _) = of(Aggregation::Shard).await;
    let (off, requests) = of(Aggregation::Off).await;
    println!("records: {key} by key, {shard} by shard, {off} alone, in {requests} requests");
    assert!(shard < key && key < 4_500);
    assert_eq!(off, 9_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn keyless_events_spread_over_the_shards_and_share_records() {
    for aggregate in [Aggregation::Key, Aggregation::Shard, Aggregation::Off] {
        let stream = Stream::new(4).await;
        let config = stream.config().aggregate(aggregate);
        let producer = stream.producer_as(config, ProducerOptions::new()).await;
        let events = |n: usize| (0..n).map(|nth| Event::new(format!("{nth:0100}")));
        let mut payloads = HashSet::new();
        for outcome in producer.publish(events(5_000).collect()).await.unwrap() {
            outcome.unwrap();
        }
        let log = read::log(&stream).await;
        let shards: HashSet<_> = log.events.iter().map(|read| read.shard.as_str()).collect();
        for read in &log.events {
            assert!(read.key.starts_with("anyhub.keyless."), "{}", read.key);
            payloads.insert(read.payload.clone());
        }
        println!("{aggregate:?}: {} records", log.records);
        assert_eq!(
            (log.events.len(), payloads.len(), shards.len()),
            (5_000, 5_000, 4)
        );
        assert_eq!(log.dropped, 0);
        assert_eq!(log.records == 5_000, aggregate == Aggregation::Off);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_travel_in_an_envelope_if_at_all() {
    let stream = Stream::new(1).await;
    let producer = stream.producer().await;
    let with_header = || event(0, 0, 10).with_header("lang", "en");
    let error = producer.submit(vec![with_header()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let config = stream.config().envelope(true);
    let producer = stream.producer_as(config, ProducerOptions::new()).await;
    producer.send(with_header()).await.unwrap();
    let log = read::log(&stream).await;
    let payload = &log.events[0].payload;
    assert!(payload.starts_with(b"\xffanyhub\0") && payload.ends_with(&event(0, 0, 10).payload));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_begins_as_an_aggregate_comes_back() {
    let stream = Stream::new(2).await;
    let producer = stream.producer().await;
    let payload = [&aggregate::MAGIC[..], b"and more"].concat();
    let events = vec![
        Event::new(payload.clone()).with_key("k"),
        Event::new(payload.clone()),
    ];
    for outcome in producer.publish(events).await.unwrap() {
        outcome.unwrap();
    }
    let log = read::log(&stream).await;
    assert_eq!((log.events.len(), log.dropped), (2, 0));
    assert!(log.events.iter().all(|read| read.payload == payload));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused() {
    let stream = Stream::new(1).await;
    let open = |topic: &'static str, options| stream::open(stream.config(), topic, options);
    let error = open("nowhere", ProducerOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for options in [
        ProducerOptions::new().buffer_events(0),
        ProducerOptions::new().deadline(Duration::from_millis(1)),
        ProducerOptions::new().linger(Duration::from_secs(60)),
    ] {
        let error = open(STREAM, options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
    let producer = stream.producer().await;
    for key in ["", "anyhub.keyless.mine"] {
        let event = Event::new("x").with_key(key);
        let error = producer.submit(vec![event]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert!(producer.native().downcast_ref::<NativeClient>().is_some());
    producer.close().await.unwrap();
    let error = producer.submit(vec![event(0, 0, 9)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    producer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_being_made_is_waited_for() {
    use anyhub_local::kinesis::Kinesis;
    let slow = Kinesis::builder().transition(Duration::from_millis(700));
    let stream = Stream::on(slow, 1).await;
    let producer = stream.producer().await;
    producer.send(event(0, 0, 10)).await.unwrap();
    stream
        .client
        .delete_stream()
        .stream_name(STREAM)
        .send()
        .await
        .unwrap();
    let open = stream::open(stream.config(), STREAM, ProducerOptions::new());
    assert_eq!(open.await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_admitted_is_sent_though_the_producer_is_dropped() {
    let stream = Stream::new(2).await;
    let options = ProducerOptions::new().linger(Duration::from_secs(20));
    let producer = stream.producer_as(stream.config(), options).await;
    let pending = producer
        .submit((0..100).map(|nth| event(nth, 0, 20)).collect())
        .await
        .unwrap();
    drop(producer);
    assert!(pending.await.into_iter().all(|outcome| outcome.is_ok()));
    assert_eq!(read::log(&stream).await.events.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_does_not_linger() {
    let stream = Stream::new(2).await;
    let options = ProducerOptions::new()
        .deadline(Duration::from_secs(600))
        .linger(Duration::from_secs(500));
    let producer: Arc<dyn Producer> = stream.producer_as(stream.config(), options).await;
    let pending = producer
        .submit(vec![event(0, 0, 20), event(1, 0, 20)])
        .await
        .unwrap();
    producer.flush().await.unwrap();
    assert!(pending.await.into_iter().all(|outcome| outcome.is_ok()));
}
