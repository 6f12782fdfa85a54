//! The limits of a shard, as far as they can be seen without a clock; how much a second holds is tested beside the code.

use std::time::Duration;

use anyhub_local::Kinesis;

use super::client::{Shards, client, entry};

const SHARD: &str = "shardId-000000000000";
const OTHER: &str = "shardId-000000000001";

#[tokio::test]
async fn hasty_reads_are_throttled_for_their_shard_alone() {
    let kinesis = Kinesis::builder().limits(true).start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 2).await;
    let iterator = stream.iterator(SHARD).await;
    let mut throttled = 0;
    // As fast as they go: more than five a second, unless one takes 200 ms.
    for _ in 0..100 {
        if let Err(error) = stream.read(&iterator).await {
            let error = error.into_service_error();
            assert!(
                error.is_provisioned_throughput_exceeded_exception(),
                "{error:?}"
            );
            throttled += 1;
        }
    }
    assert!(throttled > 0);
    assert_eq!(kinesis.counts().throttled_reads, throttled);
    let other = stream.iterator(OTHER).await;
    stream.read(&other).await.unwrap();
}

#[tokio::test]
async fn what_is_read_counts_too() {
    let kinesis = Kinesis::builder().limits(true).start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let large = "x".repeat((1 << 20) - 1);
    let put = client
        .put_records()
        .stream_name("s")
        .records(entry("k", &large).build().unwrap());
    assert_eq!(put.send().await.unwrap().failed_record_count(), Some(0));
    let iterator = stream.iterator(SHARD).await;
    // Four calls a second are fewer than five, but they take 4 MiB.
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    for _ in 0..40 {
        tick.tick().await;
        if stream.read(&iterator).await.is_err() {
            assert_eq!(kinesis.counts().throttled_reads, 1);
            return;
        }
    }
    panic!("40 MiB in 10 s were let through");
}

#[tokio::test]
async fn writes_are_throttled_record_by_record() {
    let kinesis = Kinesis::builder().limits(true).start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    // At most 1,000 records a second: of 5,000 some must fail, unless they take 5 s.
    let (mut written, mut failed) = (0, 0);
    for batch in 0..10 {
        let numbers = batch * 500..batch * 500 + 500;
        let answer = stream.put("k", numbers).await.unwrap();
        for record in answer.records() {
            match record.error_code() {
                None => written += 1,
                Some(code) => {
                    assert_eq!(code, "ProvisionedThroughputExceededException");
                    failed += 1;
                }
            }
        }
    }
    assert!(failed > 0);
    let counts = kinesis.counts();
    assert_eq!((counts.records_put, counts.records_failed), (written, 0));
    assert_eq!(stream.data(SHARD).await.len() as u64, written);
}

#[tokio::test]
async fn without_limits_nothing_is_throttled() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let iterator = stream.iterator(SHARD).await;
    for batch in 0..10 {
        let numbers = batch * 500..batch * 500 + 500;
        let answer = stream.put("k", numbers).await.unwrap();
        assert_eq!(answer.failed_record_count(), Some(0));
        stream.read(&iterator).await.unwrap();
    }
}
