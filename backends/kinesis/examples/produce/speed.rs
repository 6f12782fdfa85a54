//! The producer beside the raw SDK: the same records, a request of 500 in flight for each shard.

use crate::stream::{self, STREAM, Stream};
use anyhub_core::ProducerOptions;
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

pub(crate) async fn measure(events: usize) -> bool {
    let mut shares = Vec::new();
    for pair in 0..PAIRS {
        let raw = raw(events).await;
        let ours = ours(events, Aggregation::Off).await;
        println!(
            "pair {pair}: raw {raw:.0}/s, ours {ours:.0}/s: {:.3}",
            ours / raw
        );
        shares.push(ours / raw);
    }
    shares.sort_by(f64::total_cmp);
    println!("the middle one of {PAIRS}: {:.3}", shares[PAIRS / 2]);
    for aggregate in [Aggregation::Key, Aggregation::Shard] {
        println!(
            "aggregate={aggregate:?}: {:.0}/s",
            ours(events, aggregate).await
        );
    }
    true
}

async fn ours(events: usize, aggregate: Aggregation) -> f64 {
    let stream = Stream::new(SHARDS).await;
    let config = stream.config().aggregate(aggregate);
    let producer = stream.producer_as(config, ProducerOptions::new()).await;
    let start = Instant::now();
    let outcomes = stream::publish(&*producer, KEYS, events, SIZE).await;
    let elapsed = start.elapsed().as_secs_f64();
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    producer.close().await.unwrap();
    events as f64 / elapsed
}

async fn raw(events: usize) -> f64 {
    let stream = Stream::new(SHARDS).await;
    let ranges: Vec<_> = stream.open_shards().await.iter().map(range).collect();
    let start = Instant::now();
    let senders: Vec<_> = ranges
        .into_iter()
        .map(|range| {
            let client = stream.client.clone();
            tokio::spawn(async move {
                let mut batch: Vec<PutRecordsRequestEntry> = Vec::with_capacity(500);
                for n in 0..events {
                    let event = stream::event(n % KEYS, n / KEYS, SIZE);
                    let key = event.key.as_ref().unwrap().as_str().unwrap();
                    if !range.contains(hash_key(key.as_bytes())) {
                        continue;
                    }
                    let record = PutRecordsRequestEntry::builder()
                        .partition_key(key)
                        .data(Blob::new(event.payload.to_vec()));
                    batch.push(record.build().unwrap());
                    if batch.len() == 500 {
                        send(&client, std::mem::take(&mut batch)).await;
                    }
                }
                if !batch.is_empty() {
                    send(&client, batch).await;
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    events as f64 / start.elapsed().as_secs_f64()
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
