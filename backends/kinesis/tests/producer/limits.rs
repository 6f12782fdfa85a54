//! Sizes, and a shard that takes no more.

use crate::{
    read::{self, judge},
    stream::{Stream, publish},
};
use anyhub_core::{ErrorKind, Event, ProducerExt, ProducerOptions};
use anyhub_kinesis::{Aggregation, aggregate};
use anyhub_local::kinesis::Kinesis;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_event_fits_and_one_byte_more_does_not() {
    let stream = Stream::new(2).await;
    for envelope in [false, true] {
        let config = stream.config().envelope(envelope);
        let producer = stream.producer_as(config, ProducerOptions::new()).await;
        let most = producer.limits().event_bytes;
        let key = "k".repeat(128);
        for begin in [&b""[..], &aggregate::MAGIC] {
            let of = |size: usize| {
                let mut payload = begin.to_vec();
                payload.resize(size, b'.');
                Event::new(payload)
            };
            let keyed = |size: usize| of(size - key.len()).with_key(key.clone());
            producer.send(of(most)).await.unwrap();
            producer.send(keyed(most)).await.unwrap();
            for event in [of(most + 1), keyed(most + 1)] {
                let error = producer.submit(vec![event]).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TooLarge);
            }
            // A key of 256 bytes stands twice where the payload has to be wrapped.
            let long = of(most - 256).with_key("💡".repeat(64));
            match producer.submit(vec![long]).await {
                Ok(pending) => {
                    assert!(begin.is_empty());
                    pending.await.remove(0).unwrap();
                }
                Err(error) => {
                    assert!(!begin.is_empty());
                    assert_eq!(error.kind(), ErrorKind::TooLarge);
                }
            }
        }
        producer.close().await.unwrap();
    }
    let log = read::log(&stream).await;
    assert_eq!(log.events.len(), 10);
}

/// One hot key on one shard with its limits; prints how much of them is used.
async fn hot_key(aggregate: Aggregation, events: usize) {
    let stream = Stream::on(Kinesis::builder().limits(true), 1).await;
    let config = stream.config().aggregate(aggregate);
    let producer = stream.producer_as(config, ProducerOptions::new()).await;
    let start = Instant::now();
    let outcomes = publish(&*producer, 1, events, 100).await;
    let elapsed = start.elapsed();
    let log = read::log(&stream).await;
    let verdict = judge(&log, &outcomes);
    println!(
        "{aggregate:?}: {events} events in {} records in {elapsed:?}",
        log.records
    );
    assert_eq!((verdict.ok, verdict.lost), (events, 0));
    assert_eq!((verdict.out_of_order, verdict.doubled), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_key_goes_on_in_order_when_its_shard_is_full() {
    hot_key(Aggregation::Key, 25_000).await;
    hot_key(Aggregation::Off, 2_500).await;
}
