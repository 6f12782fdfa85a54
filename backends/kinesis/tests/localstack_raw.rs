//! What LocalStack can't serve, shown with the SDK's own client: each is the reason for lines of
//! `localstack.exceptions`, and a test that fails here says that they can go.

#![allow(clippy::unwrap_used)]

use anyhub_local::LocalStack;
use aws_sdk_kinesis::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    primitives::{Blob, DateTime},
    types::{Record, ShardIteratorType},
};
use std::time::Duration;
use tokio::{task::spawn_blocking, time::sleep};

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_are_the_servers() {
    let starting = spawn_blocking(|| LocalStack::builder().start());
    let server = match starting.await.unwrap() {
        Ok(server) => server,
        Err(why) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: no LocalStack here: {why}");
            return;
        }
        Err(why) => panic!("LocalStack is required here but can't be had: {why}"),
    };
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(server.endpoint())
        .credentials_provider(Credentials::new("test", "test", None, None, "static"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let client = Client::from_conf(config);
    a_time_gives_what_came_before_it(&client).await;
    nothing_is_kept_for_less_than_a_day(&client).await;
    spawn_blocking(move || server.stop()).await.unwrap();
}

/// It counts whole seconds: times in two of them are told apart by chance.
async fn a_time_gives_what_came_before_it(client: &Client) {
    let shard = create(client, "times").await;
    let arrived = |record: &Record| record.approximate_arrival_timestamp.unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        for data in ["earlier", "later"] {
            let putting = client.put_record().stream_name("times");
            let putting = putting.partition_key("k").data(Blob::new(data));
            putting.send().await.unwrap();
            // So that times tell them apart.
            sleep(Duration::from_millis(20)).await;
        }
        let all = read(client, "times", &shard, None).await;
        let later = arrived(all.last().unwrap());
        seen = read(client, "times", &shard, Some(later)).await;
        if seen.iter().any(|record| arrived(record) < later) {
            return;
        }
    }
    panic!("AT_TIMESTAMP is right by now: {seen:?}");
}

async fn nothing_is_kept_for_less_than_a_day(client: &Client) {
    create(client, "kept").await;
    for hours in [1, 23] {
        let asked = client.decrease_stream_retention_period();
        let asked = asked.stream_name("kept").retention_period_hours(hours);
        let answer = asked.send().await;
        assert!(answer.is_err(), "{hours} hours can be had by now");
    }
}

/// A stream of one shard.
async fn create(client: &Client, name: &str) -> String {
    let creating = client.create_stream().stream_name(name).shard_count(1);
    creating.send().await.unwrap();
    loop {
        let asked = client.describe_stream_summary().stream_name(name).send();
        let summary = asked.await.unwrap().stream_description_summary.unwrap();
        if summary.stream_status.as_str() == "ACTIVE" {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let listed = client.list_shards().stream_name(name).send().await.unwrap();
    listed.shards()[0].shard_id.clone()
}

/// All records from a time on, or from the start.
async fn read(client: &Client, name: &str, shard: &str, from: Option<DateTime>) -> Vec<Record> {
    let asked = client
        .get_shard_iterator()
        .stream_name(name)
        .shard_id(shard);
    let asked = match from {
        Some(time) => asked
            .shard_iterator_type(ShardIteratorType::AtTimestamp)
            .timestamp(time),
        None => asked.shard_iterator_type(ShardIteratorType::TrimHorizon),
    };
    let mut iterator = asked.send().await.unwrap().shard_iterator;
    let mut records = Vec::new();
    for _ in 0..3 {
        let Some(next) = iterator else { break };
        let page = client
            .get_records()
            .shard_iterator(next)
            .send()
            .await
            .unwrap();
        records.extend(page.records);
        iterator = page.next_shard_iterator;
    }
    records
}
