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

use super::client::{Shards, client, numbered};

const SHARD: &str = "shardId-000000000000";

async fn register(client: &Client) -> String {
    let summary = client
        .describe_stream_summary()
        .stream_name("s")
        .send()
        .await
        .unwrap();
    let arn = summary.stream_description_summary.unwrap().stream_arn;
    let consumer = client
        .register_stream_consumer()
        .stream_arn(arn)
        .consumer_name("c")
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
    let _stream = Shards::create(&client, "s", 1).await;
    let arn = register(&client).await;
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
    client
        .put_records()
        .stream_name("s")
        .set_records(Some(numbered("k", 0..3)))
        .send()
        .await
        .unwrap();
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
async fn events_stream_over_h2c() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let _stream = Shards::create(&client, "s", 1).await;
    let arn = register(&client).await;
    client
        .put_records()
        .stream_name("s")
        .set_records(Some(numbered("k", 0..1)))
        .send()
        .await
        .unwrap();
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
