//! How fast the local Pub/Sub takes, gives and settles messages of 100 B with and without ordering keys, without faults and limits:
//! `cargo run --release -p anyhub-local --example pubsub_speed [SECONDS]`.
//!
//! A publisher has requests of one key under way, one for each key at a time, as order asks for; a stream beside it receives
//! what is published, checks the order of each key, and acknowledges. All share one process and its cores. Beside it the
//! processor time of the server's threads, and the memory of the whole process after a quarter of the time, and as it ends.
#![allow(clippy::unwrap_used)]

#[path = "../tests/pubsub/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "../tests/pubsub/raw.rs"]
#[allow(dead_code)]
mod raw;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhub_local::PubSub;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{PublishRequest, Subscription};
use tokio::sync::mpsc;

use client::TOPIC;
use raw::{Raw, first};

/// What a subscription and its topic keep for a seek: full within seconds.
const KEPT: usize = 32 * 1024 * 1024;
/// Published and not yet acknowledged, at most: a publisher that runs ahead is no measure of both.
const AHEAD: u64 = 50_000;
/// As the clients of Google's send them.
const ACKS: usize = 2_500;

#[tokio::main]
async fn main() {
    let seconds = std::env::args()
        .nth(1)
        .map_or(5, |arg| arg.parse().unwrap());
    let time = Duration::from_secs(seconds);
    for (keys, batch, under_way) in [
        (0, 500, 16),
        (16, 500, 16),
        (16, 100, 16),
        (10_000, 1, 64),
        (10_000, 5, 64),
    ] {
        run(keys, batch, under_way, time).await;
    }
}

async fn run(keys: usize, batch: usize, under_way: usize, time: Duration) {
    let pubsub = PubSub::builder().retained_bytes(KEPT).start().unwrap();
    let retained = |config| Subscription {
        retain_acked_messages: true,
        ..config
    };
    let raw = raw::begin(&pubsub, retained).await;
    let settled = Arc::new(AtomicU64::new(0));
    let reader = tokio::spawn(receive(raw::connect(&pubsub).await, Arc::clone(&settled)));
    let start = Instant::now();
    // Each task has keys of its own, one after the other.
    let published = Arc::new(AtomicU64::new(0));
    let publishers: Vec<_> = (0..under_way)
        .map(|first| {
            let publisher = raw.publisher.clone();
            let (published, settled) = (Arc::clone(&published), Arc::clone(&settled));
            tokio::spawn(async move {
                let mut numbers = vec![0_u64; keys.div_ceil(under_way).max(1)];
                for round in 0.. {
                    if start.elapsed() >= time {
                        return;
                    }
                    while published.load(Ordering::Relaxed)
                        > settled.load(Ordering::Relaxed) + AHEAD
                    {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    let own = round % numbers.len();
                    let key = match keys {
                        0 => String::new(),
                        _ => format!("key-{}", own * under_way + first),
                    };
                    let request = request(&key, &mut numbers[own], batch);
                    publisher.clone().publish(request).await.unwrap();
                    published.fetch_add(batch as u64, Ordering::Relaxed);
                }
            })
        })
        .collect();
    tokio::time::sleep(time / 4).await;
    let early = memory();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let count = published.load(Ordering::Relaxed);
    client::until(|| pubsub.counts().acked >= count).await;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = pubsub.cpu().unwrap_or_default().as_secs_f64();
    println!(
        "{keys:>6} keys, {batch:>3} a request: {:>8.0} messages/s, {:>5.1} us of the server's each; again {}; memory {early} MiB, then {} MiB",
        count as f64 / seconds,
        cpu * 1e6 / count as f64,
        pubsub.counts().messages_again,
        memory(),
    );
    reader.abort();
}

fn request(key: &str, number: &mut u64, batch: usize) -> PublishRequest {
    let messages = (0..batch).map(|_| {
        *number += 1;
        raw::message(key, &format!("{:0100}", *number))
    });
    PublishRequest {
        topic: TOPIC.into(),
        messages: messages.collect(),
    }
}

/// Receives for ever, and acknowledges beside.
async fn receive(mut raw: Raw, settled: Arc<AtomicU64>) {
    let (acks, mut to_ack) = mpsc::unbounded_channel::<Vec<String>>();
    let mut stream = raw.stream(first());
    tokio::spawn(async move {
        while let Some(mut ids) = to_ack.recv().await {
            while ids.len() < ACKS
                && let Ok(more) = to_ack.try_recv()
            {
                ids.extend(more);
            }
            for ids in ids.chunks(ACKS) {
                raw.ack(ids.to_vec()).await.unwrap();
                settled.fetch_add(ids.len() as u64, Ordering::Relaxed);
            }
        }
    });
    let mut last = std::collections::HashMap::<String, u64>::new();
    while let Ok(Some(response)) = stream.response().await {
        let messages = response.received_messages;
        let mut ids = Vec::with_capacity(messages.len());
        for got in messages {
            let message = got.message.unwrap();
            let number: u64 = std::str::from_utf8(&message.data).unwrap().parse().unwrap();
            ids.push(got.ack_id);
            if message.ordering_key.is_empty() {
                continue;
            }
            let before = last.entry(message.ordering_key).or_default();
            assert_eq!(number, *before + 1, "in order, none lost and none twice");
            *before = number;
        }
        if !ids.is_empty() {
            acks.send(ids).unwrap();
        }
    }
}

/// What the process has in memory, in MiB; 0 where the system doesn't tell.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
