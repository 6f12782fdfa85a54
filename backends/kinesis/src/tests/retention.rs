//! What retention takes before it was read (C14).

use super::*;
use anyhub_core::{Partition, Position};
use tokio::time::sleep;

impl Bench {
    /// Waits until retention has taken the closed shard itself.
    async fn without_parent(&self) {
        let gone = async {
            loop {
                let listed = self.client().await.list_shards().stream_name(STREAM);
                if listed.send().await.unwrap().shards().len() == 2 {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, gone).await.unwrap();
    }

    /// Waits until retention has taken all records.
    async fn without_records(&self) {
        let gone = async {
            loop {
                let client = self.client().await;
                let iterator = client.get_shard_iterator().stream_name(STREAM);
                let iterator = iterator
                    .shard_id("shardId-000000000000")
                    .shard_iterator_type(aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon);
                let iterator = iterator.send().await.unwrap().shard_iterator.unwrap();
                let page = client.get_records().shard_iterator(iterator);
                if page.send().await.unwrap().records().is_empty() {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, gone).await.unwrap();
    }
}

/// Which gaps were told before the first delivery, that of an event `later`.
async fn told_before_later(consumer: &mut KinesisConsumer) -> Vec<(Partition, Position, Position)> {
    let mut told = Vec::new();
    loop {
        let batch = receive(consumer).await;
        for change in batch.changes {
            if let Change::Overtaken {
                partition,
                from,
                to,
            } = change
            {
                told.push((partition, from, to));
            }
        }
        if let Some(first) = batch.deliveries.first() {
            assert_eq!(text(first), "later");
            return told;
        }
    }
}

/// A member that has finished 5 events, and what it has to read after these.
async fn half_read(bench: &Bench) -> Position {
    bench.put(numbered(1, 10)).await;
    let mut consumer = bench.consumer(member().max_unfinished(5)).await;
    let came = take(&mut consumer, 5, true).await;
    consumer.close().await.unwrap();
    came[4].position.after()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_shard_that_is_gone_before_its_end_was_read() {
    let bench = Bench::new(1).await;
    let due = half_read(&bench).await;
    bench.resize(2).await;
    bench.kinesis.keep(STREAM, Duration::from_secs(1));
    bench.without_parent().await;
    let mut consumer = bench.consumer(member()).await;
    bench.put([("k".into(), "later".into())]).await;
    let told = told_before_later(&mut consumer).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let (partition, from, to) = &told[0];
    assert_eq!(partition.as_name(), Some("shardId-000000000000"));
    assert_eq!(*from, due);
    assert!(to.cmp_in_partition(from).is_gt(), "{told:?}");
    consumer.close().await.unwrap();
    // Once, and not again to the next owner.
    let mut consumer = bench.consumer(member()).await;
    bench.put([("k".into(), "later".into())]).await;
    assert_eq!(told_before_later(&mut consumer).await, []);
    consumer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unread_records_of_a_closed_shard_that_is_still_listed() {
    closed_and_empty(Bench::new(1).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unread_records_of_a_closed_shard_that_is_pushed() {
    closed_and_empty(Bench::pushing(1, Duration::from_secs(300)).await).await;
}

async fn closed_and_empty(bench: Bench) {
    let due = half_read(&bench).await;
    bench.kinesis.keep(STREAM, Duration::from_secs(1));
    bench.without_records().await;
    // Closed only now, it stays for a day.
    bench.kinesis.keep(STREAM, Duration::from_secs(24 * 3_600));
    bench.resize(2).await;
    bench.put([("k".into(), "later".into())]).await;
    let mut consumer = bench.consumer(member()).await;
    let told = told_before_later(&mut consumer).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].1, due);
    consumer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_shard_that_is_begun_where_nothing_is_left() {
    let bench = Bench::pushing(1, Duration::from_secs(300)).await;
    let due = half_read(&bench).await;
    bench.kinesis.keep(STREAM, Duration::from_secs(1));
    bench.without_records().await;
    let mut consumer = bench.consumer(member()).await;
    bench.put([("k".into(), "later".into())]).await;
    let told = told_before_later(&mut consumer).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].1, due);
    consumer.close().await.unwrap();
}

/// Nobody receives, so nothing more is taken from the subscription, for longer than the records live.
#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_shard_whose_reader_had_no_room_for_too_long() {
    let bench = Bench::pushing(1, Duration::from_secs(1)).await;
    bench.put(numbered(1, 10)).await;
    let options = ConsumerOptions::new().prefetch_events(5);
    let mut consumer = bench.consumer(options).await;
    let came = take(&mut consumer, 10, true).await;
    // One event that is read ahead, and fills the room.
    bench.put(numbered(1, 5)).await;
    let filled = async {
        while bench.kinesis.counts().requests.get("SubscribeToShard") < Some(&2) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = timeout(Duration::from_secs(3), filled).await;
    bench.put(numbered(1, 10)).await;
    bench.kinesis.keep(STREAM, Duration::from_secs(1));
    bench.without_records().await;
    bench.put([("k".into(), "later".into())]).await;
    let mut told = 0;
    let mut all = came;
    while all.last().map(text).as_deref() != Some("later") {
        let batch = receive(&mut consumer).await;
        told += batch
            .changes
            .iter()
            .filter(|change| matches!(change, Change::Overtaken { .. }))
            .count();
        consumer.acks().ack(&batch.tokens());
        all.extend(batch.deliveries);
    }
    println!("{} of 26 events came", all.len());
    assert_eq!(told, usize::from(all.len() < 26), "{} came", all.len());
}
