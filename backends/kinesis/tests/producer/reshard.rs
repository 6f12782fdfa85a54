//! Splits and merges under load.

use crate::{
    read::{self, judge},
    stream::{Stream, end, publish, start},
};
use anyhub_core::{ErrorKind, ProducerExt, ProducerOptions};
use anyhub_kinesis::Aggregation;
use anyhub_local::kinesis::{Faults, Kinesis, Rate};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

const EVENTS: usize = 60_000;

async fn reshards(aggregate: Aggregation, seed: u64) {
    println!("the seed is {seed}");
    let some = Faults::none().failing_records(Rate::share(0.05));
    let stream = Stream::on(Kinesis::builder().seed(seed).faults(some), 2).await;
    let config = stream.config().aggregate(aggregate);
    let producer = stream
        .producer_as(config, ProducerOptions::new().buffer_events(1_000))
        .await;
    let done = AtomicBool::new(false);
    let publishing = async {
        let outcomes = publish(&*producer, 500, EVENTS, 40).await;
        done.store(true, Ordering::Release);
        outcomes
    };
    let changing = async {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut changes = 0;
        while !done.load(Ordering::Acquire) && changes < 40 {
            change(&stream, &mut rng).await;
            changes += 1;
            // Some of what follows goes to the new shards.
            let requests = || stream.kinesis.counts().requests("PutRecords");
            let enough = requests() + 8;
            while requests() < enough && !done.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        changes
    };
    let (outcomes, changes) = tokio::join!(publishing, changing);
    producer.close().await.unwrap();
    let log = read::log(&stream).await;
    let verdict = judge(&log, &outcomes);
    println!(
        "{aggregate:?}: {changes} changes, {} records, {} of them dropped; {verdict:?}",
        log.records, log.dropped
    );
    assert!(changes > 3);
    assert_eq!((verdict.ok, verdict.lost), (EVENTS, 0));
    assert_eq!((verdict.out_of_order, verdict.doubled), (0, 0));
    assert_eq!(log.dropped > 0, aggregate == Aggregation::Shard);
}

async fn change(stream: &Stream, rng: &mut StdRng) {
    let open = stream.open_shards().await;
    if open.len() > 1 && rng.random_bool(0.5) {
        let left = rng.random_range(0..open.len() - 1);
        stream.merge(&open[left], &open[left + 1]).await;
    } else {
        let shard = &open[rng.random_range(0..open.len())];
        let at = rng.random_range(start(shard) + 1..end(shard));
        stream.split(shard, at).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_keep_their_order_through_splits_and_merges() {
    reshards(Aggregation::Key, 21).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_many_keys_that_are_parted_are_sent_again() {
    reshards(Aggregation::Shard, 22).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lone_events_keep_their_order_through_splits_and_merges() {
    reshards(Aggregation::Off, 23).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_meanwhile_is_told() {
    let stream = Stream::new(2).await;
    let producer = stream.producer().await;
    let name = crate::stream::STREAM;
    producer.send(crate::stream::event(1, 0, 10)).await.unwrap();
    stream
        .client
        .delete_stream()
        .stream_name(name)
        .send()
        .await
        .unwrap();
    let outcomes = publish(&*producer, 10, 1_000, 40).await;
    assert!(outcomes.iter().all(|(_, outcome)| {
        outcome
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }));
}
