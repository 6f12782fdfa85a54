//! Shards that close, and what is left of them.

use super::*;
use anyhub_leases::{LeaseStore, MemoryLeases, Row, Stored};
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn a_private_reader_that_is_pushed_begins_at_the_end_of_closed_shards_too() {
    let bench = Bench::pushing(1, Duration::from_secs(300)).await;
    bench.put(numbered(20, 50)).await;
    bench.resize(2).await;
    let options = ConsumerOptions::new().start(Point::End);
    let mut reader = bench.consumer(options).await;
    bench.put([("k".into(), "later".into())]).await;
    let came = until(&mut reader, "later", |came| !came.is_empty()).await;
    assert_eq!(came.iter().map(text).collect::<Vec<_>>(), ["later"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_whose_end_fails_is_tried_again_soon() {
    let bench = Bench::new(1).await;
    bench.put(numbered(20, 20)).await;
    let hour = Duration::from_secs(3_600);
    let mut consumer = bench.consumer(member().commit_interval(hour)).await;
    take(&mut consumer, 20, true).await;
    // More than the SDK tries.
    let faults = Faults::none().server_errors("ListShards", Rate::next(4));
    bench.kinesis.set_faults(faults).unwrap();
    bench.resize(2).await;
    bench.put([("k".into(), "later".into())]).await;
    until(&mut consumer, "of a child", |came| !came.is_empty()).await;
    consumer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_takes_from_a_closed_shard_does_not_hold_up_its_children() {
    let bench = Bench::new(1).await;
    bench.put(numbered(10, 100)).await;
    let options = member().prefetch_bytes(100);
    let mut consumer = bench.consumer(options).await;
    let came = take(&mut consumer, 100, false).await;
    bench.resize(2).await;
    bench.put([("k".into(), "later".into())]).await;
    let tokens: Vec<_> = came.iter().map(|it| it.token).collect();
    consumer.acks().ack(&tokens[..99]);
    bench.kinesis.keep(STREAM, Duration::from_secs(2));
    let gone = async {
        // Gone from the log, whether or not the shard is.
        loop {
            let client = bench.client().await;
            let list = client
                .list_shards()
                .stream_name(STREAM)
                .send()
                .await
                .unwrap();
            if !list
                .shards()
                .iter()
                .any(|it| it.shard_id() == "shardId-000000000000")
            {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    bench.put([("k".into(), "latest".into())]).await;
    assert_eq!(consumer.acks().nack(&tokens[99..]), 1);
    until(&mut consumer, "of a child", |came| {
        came.iter().any(|it| text(it) == "latest")
    })
    .await;
    consumer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_slept_through_two_reshards_reads_what_came_since() {
    let store = Arc::new(MemoryLeases::new());
    let own = store.clone();
    let bench = Bench::with(1, Kinesis::builder(), |config| config.store(own)).await;
    let late = member().start(Point::End);
    let mut consumer = bench.consumer(late.clone()).await;
    consumer.close().await.unwrap();
    bench.kinesis.keep(STREAM, Duration::from_secs(2));
    bench.resize(2).await;
    bench.resize(4).await;
    let closed = async {
        loop {
            let listed = bench.client().await.list_shards().stream_name(STREAM);
            if listed.send().await.unwrap().shards().len() == 4 {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, closed).await.unwrap();
    let mut consumer = bench.consumer(late).await;
    let scope = store.scopes().await.unwrap().remove(0);
    let mut open = 0;
    for Stored { row, .. } in store.list(&scope).await.unwrap() {
        if let Row::Lease(lease) = row
            && &*lease.partition > "shardId-000000000002"
        {
            open += 1;
            assert_eq!(lease.checkpoint.position, None, "from its beginning");
        }
    }
    assert_eq!(open, 4);
    consumer.close().await.unwrap();
}
