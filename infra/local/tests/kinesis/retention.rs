//! What is past retention is gone, and nothing else.

use std::time::{Duration, Instant, SystemTime};

use anyhub_local::Kinesis;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition};

use super::client::{Shards, client};
use super::subscribe::register;

const SHARD: &str = "shardId-000000000000";
/// A stream keeps its records for 24 hours unless told otherwise.
const HOUR: Duration = Duration::from_millis(50);
/// The most hours that can be told here.
const LONGEST: i32 = 168;

async fn put_numbers(stream: &Shards, numbers: std::ops::Range<usize>) -> Vec<String> {
    let answer = stream.put("k", numbers).await.unwrap();
    assert_eq!(answer.failed_record_count(), Some(0));
    let numbers = answer
        .records()
        .iter()
        .map(|record| record.sequence_number().unwrap().to_owned());
    numbers.collect()
}

/// What a single GetRecords gives.
async fn read(stream: &Shards, iterator: &str) -> Vec<String> {
    let answer = stream.read(iterator).await.unwrap();
    let data = answer
        .records()
        .iter()
        .map(|record| record.data.as_ref().to_vec());
    data.map(|data| String::from_utf8(data).unwrap()).collect()
}

/// Asks again and again until the answer is yes, which takes 2 s or 3.
async fn until(what: &str, ask: impl AsyncFn() -> bool) {
    let asking = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), asking).await;
    assert!(in_time.is_ok(), "waited 60 s for {what}");
}

async fn until_gone(stream: &Shards) {
    let gone = async || stream.data(SHARD).await.is_empty();
    until("the records to go", gone).await;
}

async fn retain(client: &Client, hours: i32) {
    let longer = client.increase_stream_retention_period().stream_name("s");
    longer.retention_period_hours(hours).send().await.unwrap();
}

#[tokio::test]
async fn records_past_retention_are_gone_for_every_reader() {
    let kinesis = Kinesis::builder().hour(HOUR).start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let before = SystemTime::now();
    let old = stream.iterator(SHARD).await;
    let started = Instant::now();
    let gone = put_numbers(&stream, 0..3).await;
    until_gone(&stream).await;
    assert!(
        started.elapsed() >= 24 * HOUR,
        "gone after {:?}",
        started.elapsed()
    );

    // Seven days of such hours: what is put now stays, and what is gone does not come back.
    retain(&client, LONGEST).await;
    put_numbers(&stream, 3..5).await;
    let due = ["3", "4"];
    assert_eq!(stream.data(SHARD).await, due);
    assert_eq!(read(&stream, &old).await, due);
    for (kind, number) in [
        (ShardIteratorType::AtSequenceNumber, Some(&gone[0])),
        (ShardIteratorType::AtSequenceNumber, Some(&gone[2])),
        (ShardIteratorType::AfterSequenceNumber, Some(&gone[0])),
        (ShardIteratorType::AtTimestamp, None),
    ] {
        let ask = client.get_shard_iterator().stream_name("s").shard_id(SHARD);
        let ask = ask.shard_iterator_type(kind.clone());
        let ask = match number {
            Some(number) => ask.starting_sequence_number(number),
            None => ask.timestamp(DateTime::from(before)),
        };
        let iterator = ask.send().await.unwrap().shard_iterator.unwrap();
        assert_eq!(read(&stream, &iterator).await, due, "{kind:?}");
    }

    let shorter = client.decrease_stream_retention_period().stream_name("s");
    shorter.retention_period_hours(24).send().await.unwrap();
    until_gone(&stream).await;
}

#[tokio::test]
async fn a_stream_may_keep_less_than_the_others() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let other = Shards::create(&client, "other", 1).await;
    other.put("k", 0..3).await.unwrap();
    kinesis.keep("s", Duration::from_millis(100));
    let stream = Shards::create(&client, "s", 1).await;
    put_numbers(&stream, 0..3).await;
    until_gone(&stream).await;
    assert_eq!(other.data(SHARD).await, ["0", "1", "2"]);
}

#[tokio::test]
async fn a_stream_that_is_made_again_keeps_what_is_new() {
    let kinesis = Kinesis::builder().hour(HOUR).start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    put_numbers(&stream, 0..3).await;
    until_gone(&stream).await;
    client
        .delete_stream()
        .stream_name("s")
        .send()
        .await
        .unwrap();
    let stream = Shards::create(&client, "s", 1).await;
    retain(&client, LONGEST).await;
    put_numbers(&stream, 3..5).await;
    assert_eq!(stream.data(SHARD).await, ["3", "4"]);
}

#[tokio::test]
async fn a_closed_shard_goes_with_its_records() {
    let kinesis = Kinesis::builder().hour(HOUR).start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let consumer = register(&client, "c").await;
    put_numbers(&stream, 0..3).await;
    let iterator = stream.iterator(SHARD).await;
    stream.resize(2).await.unwrap();
    let started = Instant::now();
    let two_are_left = async || stream.list().await.len() == 2;
    until("the closed shard to go", two_are_left).await;
    assert!(started.elapsed() + Duration::from_secs(1) >= 24 * HOUR);
    let left = stream.list().await;
    assert_eq!(left, stream.open().await);
    for shard in &left {
        assert_eq!(
            shard.parent_shard_id(),
            Some(SHARD),
            "its parent is still told"
        );
    }
    let described = client
        .describe_stream()
        .stream_name("s")
        .send()
        .await
        .unwrap();
    let described = described.stream_description.unwrap();
    assert_eq!(described.shards, left);

    let ask = client.get_shard_iterator().stream_name("s").shard_id(SHARD);
    let ask = ask.shard_iterator_type(ShardIteratorType::TrimHorizon);
    let error = ask.send().await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
    let error = stream.read(&iterator).await;
    let error = error.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
    let start = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon);
    let subscribe = client
        .subscribe_to_shard()
        .consumer_arn(consumer)
        .shard_id(SHARD);
    let subscribe = subscribe.starting_position(start.build().unwrap());
    let error = subscribe.send().await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");

    // The others go on as they were.
    retain(&client, LONGEST).await;
    put_numbers(&stream, 3..5).await;
    let mut data = Vec::new();
    for shard in &left {
        data.extend(stream.data(shard.shard_id()).await);
    }
    assert_eq!(data, ["3", "4"]);
}
