//! Reads a stream by the raw SDK, parents before children, by KCL's rule: a record with as much as
//! one event outside its shard's range is dropped.

use crate::stream::{STREAM, Stream, end, number, start};
use anyhub_core::{Receipt, Result};
use anyhub_kinesis::aggregate::{Aggregate, HashRange};
use aws_sdk_kinesis::{
    operation::get_records::GetRecordsOutput,
    types::{Record, Shard, ShardIteratorType},
};
use bytes::Bytes;
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// An event as it was read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) shard: String,
    pub(crate) sequence: String,
    pub(crate) index: u32,
    pub(crate) key: String,
    pub(crate) payload: Bytes,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Of each key in the order of the shards' lineage.
    pub(crate) events: Vec<Read>,
    pub(crate) records: usize,
    /// Of their data.
    pub(crate) bytes: usize,
    pub(crate) dropped: usize,
}

pub(crate) async fn log(stream: &Stream) -> Log {
    let mut log = Log::default();
    // Ids rise, so that parents come before their children.
    for shard in stream.shards().await {
        let range = HashRange::new(start(&shard)..=end(&shard));
        for record in records(stream, &shard).await {
            log.records += 1;
            log.bytes += record.data.as_ref().len();
            take(&mut log, &shard, &range, &record);
        }
    }
    log
}

pub(crate) async fn records(stream: &Stream, shard: &Shard) -> Vec<Record> {
    let iterator = stream.client.get_shard_iterator().stream_name(STREAM);
    let iterator = iterator.shard_id(shard.shard_id());
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon);
    let mut next = iterator.send().await.unwrap().shard_iterator;
    let mut records = Vec::new();
    while let Some(iterator) = next {
        let page = page(stream, &iterator).await;
        let is_end = page.millis_behind_latest == Some(0) && page.records.is_empty();
        records.extend(page.records);
        next = page.next_shard_iterator.filter(|_| !is_end);
    }
    records
}

/// With limits on, reads are refused now and then.
async fn page(stream: &Stream, iterator: &str) -> GetRecordsOutput {
    loop {
        let page = stream.client.get_records().shard_iterator(iterator);
        match page.send().await {
            Ok(page) => return page,
            Err(error) => {
                let error = error.into_service_error();
                assert!(
                    error.is_provisioned_throughput_exceeded_exception(),
                    "{error}"
                );
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

fn take(log: &mut Log, shard: &Shard, range: &HashRange, record: &Record) {
    let data = Bytes::copy_from_slice(record.data.as_ref());
    let read = |index, key, payload| Read {
        shard: shard.shard_id().to_owned(),
        sequence: record.sequence_number().to_owned(),
        index,
        key,
        payload,
    };
    match Aggregate::parse(&data) {
        None => log.events.push(read(
            0,
            record.partition_key().unwrap_or_default().to_owned(),
            data,
        )),
        Some(aggregate) if !aggregate.lies_within(range) => log.dropped += 1,
        Some(aggregate) => log.events.extend(aggregate.into_iter().map(|event| {
            let key = String::from_utf8(event.partition_key.to_vec()).unwrap();
            read(event.index, key, event.payload)
        })),
    }
}

/// What was found of events that [`crate::stream::event`] made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) ok: usize,
    /// Ok, and not in the log, or not where the receipt says.
    pub(crate) lost: usize,
    /// Ok, and first in the log before an earlier one of its key.
    pub(crate) out_of_order: usize,
    /// Told as not written, and in the log.
    pub(crate) ghosts: usize,
    /// Events in the log beyond the first of each.
    pub(crate) doubled: usize,
}

/// Holds outcomes, in the order of submission, against the log.
pub(crate) fn judge(log: &Log, outcomes: &[((usize, usize), Result<Receipt>)]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut first = HashMap::new();
    let mut places = HashSet::new();
    for (at, read) in log.events.iter().enumerate() {
        let id = number(&read.payload);
        assert_eq!(read.key, format!("key-{}", id.0));
        if *first.entry(id).or_insert(at) != at {
            verdict.doubled += 1;
        }
        places.insert((
            id,
            read.shard.as_str(),
            format!("{}.{}", read.sequence, read.index),
        ));
    }
    let mut last = HashMap::new();
    for (id, outcome) in outcomes {
        match outcome {
            Ok(receipt) => {
                verdict.ok += 1;
                let shard = receipt.partition.as_ref().unwrap().to_string();
                let at = receipt.position.as_ref().unwrap().to_string();
                if !places.contains(&(*id, &*shard, at)) {
                    verdict.lost += 1;
                    continue;
                }
                let last = last.entry(id.0).or_insert(0);
                if first[id] < *last {
                    verdict.out_of_order += 1;
                }
                *last = first[id];
            }
            Err(error) if !error.is_indeterminate() => {
                verdict.ghosts += usize::from(first.contains_key(id));
            }
            Err(_) => {}
        }
    }
    verdict
}
