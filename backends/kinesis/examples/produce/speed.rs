//! The producer beside the raw SDK: the same records, a request of 500 in flight for each shard.

use crate::stream::{self, STREAM, Stream, event};
use anyhub_core::{Event, ProducerOptions};
use anyhub_kinesis::{
    Aggregation,
    aggregate::{HashRange, hash_key},
};
use aws_sdk_kinesis::{primitives::Blob, types::PutRecordsRequestEntry};
use std::time::Instant;

const SHARDS: i32 = 4;
const KEYS: usize = 10_000;
const SIZE: usize = 100;
const PAIRS: usize = 5;

/// Events a second, and microseconds of CPU for each, those of the server included.
struct Speed {
    rate: f64,
    cpu: f64,
}

pub(crate) async fn measure(events: usize) -> bool {
    let (mut rates, mut cpus) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let raw = raw(events).await;
        let ours = ours(events, Aggregation::Off).await;
        println!(
            "pair {pair}: raw {:.0}/s, {:.2} us; ours {:.0}/s, {:.2} us",
            raw.rate, raw.cpu, ours.rate, ours.cpu
        );
        rates.push(ours.rate / raw.rate);
        cpus.push(ours.cpu - raw.cpu);
    }
    rates.sort_by(f64::total_cmp);
    cpus.sort_by(f64::total_cmp);
    let middle = PAIRS / 2;
    println!(
        "ours to raw: {:.3}; more CPU: {:.2} us an event",
        rates[middle], cpus[middle]
    );
    for aggregate in [Aggregation::Key, Aggregation::Shard] {
        let ours = ours(events, aggregate).await;
        println!(
            "aggregate={aggregate:?}: {:.0}/s, {:.2} us",
            ours.rate, ours.cpu
        );
    }
    true
}

async fn ours(events: usize, aggregate: Aggregation) -> Speed {
    let stream = Stream::new(SHARDS).await;
    let config = stream.config().aggregate(aggregate);
    let producer = stream.producer_as(config, ProducerOptions::new()).await;
    let made: Vec<Event> = (0..events)
        .map(|n| event(n % KEYS, n / KEYS, SIZE))
        .collect();
    let clock = Clock::start();
    let mut pending = Vec::new();
    let mut made = made.into_iter();
    loop {
        let batch: Vec<Event> = made.by_ref().take(500).collect();
        if batch.is_empty() {
            break;
        }
        pending.push(producer.submit(batch).await.unwrap());
    }
    for pending in pending {
        assert!(pending.await.iter().all(Result::is_ok));
    }
    let speed = clock.speed(events);
    producer.close().await.unwrap();
    speed
}

async fn raw(events: usize) -> Speed {
    let stream = Stream::new(SHARDS).await;
    let ranges: Vec<_> = stream.open_shards().await.iter().map(range).collect();
    let mut made: Vec<Vec<Event>> = ranges.iter().map(|_| Vec::new()).collect();
    for n in 0..events {
        let event = event(n % KEYS, n / KEYS, SIZE);
        let hash = hash_key(event.key.as_ref().unwrap().as_bytes());
        let shard = ranges
            .iter()
            .position(|range| range.contains(hash))
            .unwrap();
        made[shard].push(event);
    }
    let clock = Clock::start();
    let senders = made.into_iter().map(|events| {
        let client = stream.client.clone();
        tokio::spawn(async move {
            for batch in events.chunks(500) {
                let record = |event: &Event| {
                    PutRecordsRequestEntry::builder()
                        .partition_key(event.key.as_ref().unwrap().as_str().unwrap())
                        .data(Blob::new(event.payload.to_vec()))
                        .build()
                        .unwrap()
                };
                send(&client, batch.iter().map(record).collect()).await;
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    clock.speed(events)
}

struct Clock(Instant, f64);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), cpu())
    }

    fn speed(&self, events: usize) -> Speed {
        Speed {
            rate: events as f64 / self.0.elapsed().as_secs_f64(),
            cpu: (cpu() - self.1) / events as f64 * 1e6,
        }
    }
}

/// Seconds of CPU that this process has used; 0 where there is no /proc.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind_name.split_whitespace().skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap_or_default())
        .sum::<f64>()
        / 100.0
}

async fn send(client: &aws_sdk_kinesis::Client, batch: Vec<PutRecordsRequestEntry>) {
    let put = client
        .put_records()
        .stream_name(STREAM)
        .set_records(Some(batch));
    assert_eq!(put.send().await.unwrap().failed_record_count, Some(0));
}

fn range(shard: &aws_sdk_kinesis::types::Shard) -> HashRange {
    HashRange::new(stream::start(shard)..=stream::end(shard))
}
