//! Where ferrokinesis by itself differs from AWS in what a client goes by, and this server doesn't.

use std::time::{Duration, SystemTime};

use anyhub_local::Kinesis;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{ShardIteratorType, StreamMode, StreamModeDetails, StreamStatus};

use super::client::{Shards, client, start, summary};

const SHARD: &str = "shardId-000000000000";

#[tokio::test]
async fn a_change_of_the_shard_count_keeps_the_lineage() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 2).await;
    for count in [4_i32, 3, 6, 5, 10, 5] {
        let answer = stream.resize(count).await.unwrap();
        assert_eq!(answer.target_shard_count(), Some(count));
        let open = stream.open().await;
        assert_eq!(open.len(), usize::try_from(count).unwrap());
        // Even ranges without a gap.
        let width = u128::MAX / u128::try_from(count).unwrap();
        for (shard, next) in open.iter().zip(&open[1..]) {
            let end: u128 = shard
                .hash_key_range
                .as_ref()
                .unwrap()
                .ending_hash_key
                .parse()
                .unwrap();
            assert_eq!(end + 1, start(next));
            assert!((end - start(shard)).abs_diff(width) < 1 << 21, "{shard:?}");
        }
    }
    let all = stream.list().await;
    let roots = all.iter().filter(|shard| shard.parent_shard_id.is_none());
    assert_eq!(roots.count(), 2, "all others descend from the first two");
    let refused = stream.resize(11).await.unwrap_err();
    assert!(refused.into_service_error().is_invalid_argument_exception());
}

#[tokio::test]
async fn a_start_at_a_time_after_the_last_record_is_at_the_tip() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let put = |numbers| stream.put("k", numbers);
    let seconds = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    put(0..3).await.unwrap();
    let before = SystemTime::now();
    // Times of arrival have whole seconds here.
    while seconds(SystemTime::now()) == seconds(before) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let read_from = |time: SystemTime| {
        let client = client.clone();
        async move {
            let ask = client.get_shard_iterator().stream_name("s").shard_id(SHARD);
            let ask = ask
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from(time));
            let iterator = ask.send().await.unwrap().shard_iterator;
            client
                .get_records()
                .set_shard_iterator(iterator)
                .send()
                .await
                .unwrap()
                .records
                .len()
        }
    };
    assert_eq!(read_from(SystemTime::now()).await, 0);
    assert_eq!(read_from(before).await, 3);
    // A time within the second of the arrival doesn't pass over it.
    let between = SystemTime::now();
    put(3..5).await.unwrap();
    assert_eq!(read_from(between).await, 2);
    assert_eq!(read_from(before).await, 5);
}

#[tokio::test]
async fn streams_are_found_by_arn_and_not_by_that_of_another_account() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    drop(stream);
    let arn = summary(&client, "s").await.unwrap().stream_arn;
    let shards = client.list_shards().stream_arn(&arn).send().await.unwrap();
    assert_eq!(shards.shards().len(), 1);
    let ask = client.get_shard_iterator().stream_arn(&arn).shard_id(SHARD);
    ask.shard_iterator_type(ShardIteratorType::Latest)
        .send()
        .await
        .unwrap();

    let other = arn.replace("000000000000", "123456789012");
    assert_ne!(other, arn);
    let refused = client
        .describe_stream_summary()
        .stream_arn(other)
        .send()
        .await
        .unwrap_err();
    assert!(refused.into_service_error().is_access_denied_exception());
}

#[tokio::test]
async fn on_demand_streams_begin_with_four_shards() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let mode = StreamModeDetails::builder()
        .stream_mode(StreamMode::OnDemand)
        .build()
        .unwrap();
    client
        .create_stream()
        .stream_name("s")
        .stream_mode_details(mode.clone())
        .send()
        .await
        .unwrap();
    let summary = summary(&client, "s").await.unwrap();
    assert_eq!(
        (summary.open_shard_count, summary.stream_mode_details),
        (4, Some(mode))
    );
}

#[tokio::test]
async fn streams_take_their_time_where_told() {
    let kinesis = Kinesis::builder()
        .transition(Duration::from_millis(300))
        .start()
        .unwrap();
    let client = client(&kinesis);
    client
        .create_stream()
        .stream_name("s")
        .shard_count(1)
        .send()
        .await
        .unwrap();
    let status = || async { summary(&client, "s").await.map(|it| it.stream_status) };
    assert_eq!(status().await.unwrap(), StreamStatus::Creating);
    while status().await.unwrap() != StreamStatus::Active {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client
        .delete_stream()
        .stream_name("s")
        .send()
        .await
        .unwrap();
    assert_eq!(status().await.unwrap(), StreamStatus::Deleting);
    while status().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
