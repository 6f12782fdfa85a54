//! What an event of 100 bytes costs in an aggregate, written and read, by ours and by prost, which
//! is the same messages by a general library.
#![allow(clippy::unwrap_used, missing_docs)]

use anyhub_kinesis::aggregate::{Aggregate, Aggregator, HashRange, MAGIC};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use md5::{Digest, Md5};
use prost::Message;
use std::{collections::HashMap, hint::black_box};

#[path = "../tests/aggregate/reference.rs"]
#[allow(dead_code, unreachable_pub)]
mod reference;

const RECORD: usize = 1 << 20;

/// Events of one buffer, as they come from a batch; as many as fill a record of 1 MiB, or 100.
fn events(keys: usize, most: usize) -> Vec<(String, Bytes)> {
    let buffer = Bytes::from(vec![b'x'; 100 * most]);
    let event = |nth| {
        let key = format!("user-{:05}", nth % keys);
        (key, buffer.slice(nth * 100..(nth + 1) * 100))
    };
    (0..most).map(event).collect()
}

fn ours(aggregator: &mut Aggregator, events: &[(String, Bytes)]) -> Vec<u8> {
    for (key, payload) in events {
        if !aggregator.try_push(RECORD, key, None, payload) {
            break;
        }
    }
    aggregator.finish().unwrap().data
}

fn prosts(events: &[(String, Bytes)]) -> Vec<u8> {
    let mut message = reference::AggregatedRecord::default();
    let mut index = HashMap::new();
    for (key, payload) in events {
        let next = index.len() as u64;
        let at = *index.entry(key.as_str()).or_insert_with(|| {
            message.partition_key_table.push(key.clone());
            next
        });
        message.records.push(reference::Record {
            partition_key_index: at,
            data: payload.clone(),
            ..Default::default()
        });
    }
    let mut out = Vec::with_capacity(20 + message.encoded_len());
    out.extend_from_slice(&MAGIC);
    message.encode(&mut out).unwrap();
    let digest = Md5::digest(&out[4..]);
    out.extend_from_slice(&digest);
    out
}

fn read_by_prost(data: &Bytes) -> usize {
    let end = data.len() - 16;
    assert_eq!(Md5::digest(&data[4..end])[..], data[end..]);
    let message = reference::AggregatedRecord::decode(data.slice(4..end)).unwrap();
    let keys: Vec<_> = message
        .partition_key_table
        .into_iter()
        .map(Bytes::from)
        .collect();
    let len = |record: reference::Record| {
        let key = keys[record.partition_key_index as usize].clone();
        black_box((key, record.data)).1.len()
    };
    message.records.into_iter().map(len).sum()
}

fn aggregate(c: &mut Criterion) {
    for (name, keys, most) in [
        ("100 events of one key", 1, 100),
        ("1 MiB of one key", 1, 9_000),
        ("1 MiB of 1000 keys", 1000, 9_000),
    ] {
        let events = events(keys, most);
        let mut aggregator = Aggregator::new();
        let data = Bytes::from(ours(&mut aggregator, &events));
        assert_eq!(data, prosts(&events));

        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(events.len() as u64));
        group.bench_function("write", |b| b.iter(|| ours(&mut aggregator, &events)));
        group.bench_function("write by prost", |b| b.iter(|| prosts(&events)));
        let read = || {
            let records = Aggregate::parse(&data).unwrap().into_iter();
            records
                .map(|record| black_box(record).payload.len())
                .sum::<usize>()
        };
        assert_eq!(read(), 100 * most);
        group.bench_function("read", |b| b.iter(read));
        group.bench_function("read by prost", |b| b.iter(|| read_by_prost(&data)));
        // All but the full range, so that every key is hashed.
        let range = HashRange::new(0..=u128::MAX - 1);
        let aggregate = Aggregate::parse(&data).unwrap();
        group.bench_function("filter", |b| b.iter(|| aggregate.lies_within(&range)));
        group.bench_function("MD5 alone", |b| b.iter(|| Md5::digest(&data)));
        group.finish();
    }
}

criterion_group!(benches, aggregate);
criterion_main!(benches);
