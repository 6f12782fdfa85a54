//! How fast the local Kinesis takes records, without faults: `cargo run --release -p anyhub-local --example kinesis_speed`.
//!
//! Each of some connections sends the same PutRecords again and again: 500 records, with as many keys, over 4 shards.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use anyhub_local::Kinesis;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

const RECORDS: usize = 500;
const FOR: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() {
    for (size, connections) in [(100_usize, 1), (100, 4), (100, 16), (1_000, 4)] {
        let kinesis = Kinesis::builder().start().unwrap();
        call(
            &kinesis,
            "CreateStream",
            &json!({ "StreamName": "s", "ShardCount": 4 }).to_string(),
        )
        .await;
        // Base64 of nothing but zero bytes.
        let data = "A".repeat(size.div_ceil(3) * 4);
        let records: Vec<_> = (0..RECORDS)
            .map(|n| json!({ "PartitionKey": format!("key-{n}"), "Data": data }))
            .collect();
        let body = Bytes::from(json!({ "StreamName": "s", "Records": records }).to_string());
        let start = Instant::now();
        let senders: Vec<_> = (0..connections)
            .map(|_| tokio::spawn(send(kinesis.endpoint(), body.clone(), start)))
            .collect();
        for sender in senders {
            sender.await.unwrap();
        }
        let records = kinesis.counts().records_put;
        println!(
            "{size:>5} B, {connections:>2} connections: {:>7.0} records/s",
            records as f64 / start.elapsed().as_secs_f64()
        );
    }
}

async fn send(endpoint: String, body: Bytes, start: Instant) {
    let mut sender = connect(&endpoint).await;
    while start.elapsed() < FOR {
        let response = sender
            .send_request(request(&endpoint, "PutRecords", body.clone()))
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
    }
}

async fn call(kinesis: &Kinesis, operation: &str, body: &str) {
    let endpoint = kinesis.endpoint();
    let mut sender = connect(&endpoint).await;
    let request = request(
        &endpoint,
        operation,
        Bytes::copy_from_slice(body.as_bytes()),
    );
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}

async fn connect(endpoint: &str) -> http1::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(endpoint.trim_start_matches("http://"))
        .await
        .unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(endpoint: &str, operation: &str, body: Bytes) -> Request<Full<Bytes>> {
    Request::post(endpoint)
        .header("Host", "localhost")
        .header("X-Amz-Target", format!("Kinesis_20131202.{operation}"))
        .header("Content-Type", "application/x-amz-json-1.1")
        .header("X-Amz-Date", "20260101T000000Z")
        .header(
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c",
        )
        .body(Full::new(body))
        .unwrap()
}
