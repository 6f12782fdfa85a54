//! SubscribeToShard, through the SDK and over HTTP/2 without TLS.

use std::time::Duration;

use anyhub_local::Kinesis;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{
    ConsumerStatus, ShardIteratorType, StartingPosition, SubscribeToShardEventStream,
};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::client::{Shards, client, summary};

const SHARD: &str = "shardId-000000000000";

pub(crate) async fn register(client: &Client, name: &str) -> String {
    let arn = summary(client, "s").await.unwrap().stream_arn;
    let consumer = client
        .register_stream_consumer()
        .stream_arn(arn)
        .consumer_name(name)
        .send()
        .await
        .unwrap();
    let arn = consumer.consumer.unwrap().consumer_arn;
    loop {
        let consumer = client
            .describe_stream_consumer()
            .consumer_arn(&arn)
            .send()
            .await
            .unwrap();
        if consumer.consumer_description.unwrap().consumer_status == ConsumerStatus::Active {
            return arn;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_sdk_is_given_what_is_put_later() {
    let kinesis = Kinesis::builder()
        .subscription(Duration::from_secs(2))
        .start()
        .unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let arn = register(&client, "c").await;
    let latest = StartingPosition::builder()
        .r#type(ShardIteratorType::Latest)
        .build()
        .unwrap();
    let subscribe = client
        .subscribe_to_shard()
        .consumer_arn(arn)
        .shard_id(SHARD)
        .starting_position(latest);
    let mut events = subscribe.send().await.unwrap().event_stream;
    stream.put("k", 0..3).await.unwrap();
    let mut got = Vec::new();
    // It ends after 2 s.
    while let Some(event) = events.recv().await.unwrap() {
        if let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event {
            got.extend(
                event
                    .records
                    .iter()
                    .map(|record| record.data.as_ref().to_vec()),
            );
        }
    }
    assert_eq!(got, [b"0", b"1", b"2"]);
    assert_eq!(kinesis.counts().requests("SubscribeToShard"), 1);
}

#[tokio::test]
async fn a_subscription_at_a_time_begins_there() {
    let kinesis = Kinesis::builder()
        .subscription(Duration::from_secs(1))
        .start()
        .unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let arn = register(&client, "c").await;
    let shard = &stream.list().await[0];
    let put = async |number: usize| {
        stream.put("k", number..number + 1).await.unwrap();
        let iterator = stream.iterator(&shard.shard_id).await;
        let all = stream.read(&iterator).await;
        let last = all.unwrap().records.pop().unwrap();
        last.approximate_arrival_timestamp.unwrap()
    };
    let first = put(0).await;
    // Times of arrival have whole seconds here.
    let mut last = put(1).await;
    let mut number = 1;
    while last == first {
        number += 1;
        last = put(number).await;
    }
    for (time, due) in [(first, 0), (last, number)] {
        let start = StartingPosition::builder()
            .r#type(ShardIteratorType::AtTimestamp)
            .timestamp(time);
        let subscribe = client
            .subscribe_to_shard()
            .consumer_arn(&arn)
            .shard_id(SHARD)
            .starting_position(start.build().unwrap());
        let mut events = subscribe.send().await.unwrap().event_stream;
        let mut got = Vec::new();
        while let Some(event) = events.recv().await.unwrap() {
            if let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event {
                got.extend(event.records);
            }
        }
        assert_eq!(got[0].data.as_ref(), due.to_string().as_bytes());
    }
}

#[tokio::test]
async fn a_subscription_begins_where_it_is_told_and_ends_with_its_shard() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let arn = register(&client, "c").await;
    let put = stream.put("k", 0..500).await.unwrap();
    let number = |nth: usize| put.records[nth].sequence_number.clone().unwrap();
    client
        .split_shard()
        .stream_name("s")
        .shard_to_split(SHARD)
        .new_starting_hash_key((1u128 << 127).to_string())
        .send()
        .await
        .unwrap();
    let at = |kind: ShardIteratorType, number: Option<String>| {
        let start = StartingPosition::builder().r#type(kind);
        start.set_sequence_number(number).build().unwrap()
    };
    let starts = [
        (at(ShardIteratorType::TrimHorizon, None), 0),
        (at(ShardIteratorType::AtSequenceNumber, Some(number(7))), 7),
        (
            at(ShardIteratorType::AfterSequenceNumber, Some(number(7))),
            8,
        ),
        (at(ShardIteratorType::Latest, None), 500),
    ];
    for (start, due) in starts {
        let subscribe = client.subscribe_to_shard().consumer_arn(&arn);
        let subscribe = subscribe.shard_id(SHARD).starting_position(start);
        let mut events = subscribe.send().await.unwrap().event_stream;
        let (mut got, mut children) = (Vec::new(), 0);
        while let Some(event) = events.recv().await.unwrap() {
            if let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event {
                assert_eq!(children, 0, "nothing comes after the end");
                got.extend(event.records);
                children = event.child_shards.unwrap_or_default().len();
            }
        }
        assert_eq!(children, 2);
        assert_eq!(got.len(), 500 - due);
        if let Some(first) = got.first() {
            assert_eq!(first.data.as_ref(), due.to_string().as_bytes());
        }
    }
    let wrong = at(ShardIteratorType::AtSequenceNumber, Some("17".into()));
    let subscribe = client.subscribe_to_shard().consumer_arn(&arn);
    let subscribe = subscribe.shard_id(SHARD).starting_position(wrong);
    assert!(subscribe.send().await.is_err());
}

/// ferrokinesis's subscriptions hold locks across waits: with too few threads they and the puts stop each other for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_beside_each_other_and_puts_get_everything() {
    const SHARDS: i32 = 4;
    const BATCHES: usize = 100;
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", SHARDS).await;
    let mut readers = Vec::new();
    for name in ["a", "b"] {
        let arn = register(&client, name).await;
        let mut subscriptions = Vec::new();
        for shard in stream.list().await {
            let start = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon);
            let subscribe = client
                .subscribe_to_shard()
                .consumer_arn(&arn)
                .shard_id(shard.shard_id);
            let subscribe = subscribe.starting_position(start.build().unwrap());
            subscriptions.push(subscribe.send().await.unwrap().event_stream);
        }
        readers.push(tokio::spawn(async move {
            let mut got = Vec::new();
            let mut next = 0;
            while got.len() < BATCHES * 50 {
                let event = subscriptions[next % 4].recv().await.unwrap().unwrap();
                if let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event {
                    let text =
                        |data: &[u8]| String::from_utf8_lossy(data).parse::<usize>().unwrap();
                    got.extend(
                        event
                            .records
                            .iter()
                            .map(|record| text(record.data.as_ref())),
                    );
                }
                next += 1;
            }
            got.sort_unstable();
            got
        }));
    }
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let stream = stream.clone();
            tokio::spawn(async move {
                for batch in (writer..BATCHES).step_by(4) {
                    let numbers = batch * 50..batch * 50 + 50;
                    stream.put(&format!("key-{batch}"), numbers).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let all: Vec<_> = (0..BATCHES * 50).collect();
    for reader in readers {
        assert!(reader.await.unwrap() == all);
    }
}

#[tokio::test]
async fn events_stream_over_h2c() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let arn = register(&client, "c").await;
    stream.put("k", 0..1).await.unwrap();
    let body = format!(
        r#"{{"ConsumerARN":"{arn}","ShardId":"{SHARD}","StartingPosition":{{"Type":"TRIM_HORIZON"}}}}"#
    );
    let request = request(
        &kinesis,
        "SubscribeToShard",
        "application/x-amz-json-1.1",
        body.as_bytes(),
    );
    let response = send_h2(&kinesis, request).await;
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (200, Version::HTTP_2)
    );
    let mut body = response.into_body();
    let mut seen = Vec::new();
    // "0" in base64. The stream goes on for 5 minutes; this is its beginning.
    while !String::from_utf8_lossy(&seen).contains(r#""Data":"MA==""#) {
        let frame = body.frame().await.unwrap().unwrap();
        seen.extend_from_slice(&frame.into_data().unwrap());
    }
}

fn request(kinesis: &Kinesis, operation: &str, kind: &str, body: &[u8]) -> Request<Full<Bytes>> {
    Request::post(kinesis.endpoint())
        .header("X-Amz-Target", format!("Kinesis_20131202.{operation}"))
        .header("Content-Type", kind)
        .header("X-Amz-Date", "20260101T000000Z")
        .header(
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c",
        )
        .body(Full::new(Bytes::copy_from_slice(body)))
        .unwrap()
}

async fn send_h2(kinesis: &Kinesis, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let address = kinesis.endpoint().replace("http://", "");
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

/// An operation in any content type, over h2c: the status, and the body as text.
pub(crate) async fn raw(
    kinesis: &Kinesis,
    operation: &str,
    kind: &str,
    body: &[u8],
) -> (u16, String) {
    let response = send_h2(kinesis, request(kinesis, operation, kind, body)).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}
