use crate::client;
use anyhub_kinesis::aggregate::hash_key;
use anyhub_overhead::{Bench, BoxError, InFlight, PARTITIONS, Result, Run, Stopwatch, Ways};
use aws_sdk_kinesis::{Client, primitives::Blob, types::PutRecordsRequestEntry};
use bytes::Bytes;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Enough to keep every lane's next request full.
const IN_FLIGHT: InFlight = InFlight {
    batches: 200,
    at_once: 1,
};

/// Records of one PutRecords, at most.
const RECORDS: usize = 500;

/// Requests in flight of the SDK alone, without order: more did not help.
const BEST_IN_FLIGHT: usize = 16;

/// With the same lanes: a task a shard, one request in flight in each.
pub(crate) struct Publish;

/// As fast as each can.
pub(crate) struct Best;

impl Ways for Publish {
    fn raw(&mut self, bench: &Bench) -> Result<Run> {
        let mut lanes = vec![Vec::new(); PARTITIONS as usize];
        for key in &bench.keys {
            // The shards of a new stream are even.
            let lane = hash_key(key.as_bytes()) / (u128::MAX / u128::from(PARTITIONS) + 1);
            lanes[lane as usize].push(key.clone());
        }
        put(bench, lanes)
    }

    fn ours(&mut self, bench: &Bench) -> Result<Run> {
        bench.publish(IN_FLIGHT)
    }
}

impl Ways for Best {
    fn raw(&mut self, bench: &Bench) -> Result<Run> {
        put(bench, vec![bench.keys.clone(); BEST_IN_FLIGHT])
    }

    fn ours(&mut self, bench: &Bench) -> Result<Run> {
        bench.publish(IN_FLIGHT)
    }
}

/// Puts with the SDK: a task for each list of keys, one request in flight in each.
fn put(bench: &Bench, lanes: Vec<Vec<String>>) -> Result<Run> {
    let topic = bench.topic()?;
    let client = client(bench)?;
    let run = bench.runtime.block_on(async {
        let watch = Arc::new(Stopwatch::start());
        let put = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for keys in lanes {
            let (client, topic, payload) = (client.clone(), topic.clone(), bench.payload.clone());
            let (watch, put, time) = (watch.clone(), put.clone(), bench.time);
            tasks.push(tokio::spawn(async move {
                let mut keys = keys.iter().cycle();
                while watch.elapsed() < time {
                    let some = keys.by_ref().take(RECORDS);
                    put.fetch_add(
                        request(&client, &topic, some, &payload).await?,
                        Ordering::Relaxed,
                    );
                }
                Ok::<_, BoxError>(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        Ok::<_, BoxError>(watch.stop(put.load(Ordering::Relaxed) as u64))
    })?;
    bench.delete(&topic)?;
    Ok(run)
}

async fn request(
    client: &Client,
    topic: &str,
    keys: impl Iterator<Item = &String>,
    payload: &Bytes,
) -> Result<usize> {
    let entries: std::result::Result<Vec<_>, _> = keys
        .map(|key| {
            PutRecordsRequestEntry::builder()
                .partition_key(key)
                .data(Blob::new(payload.to_vec()))
                .build()
        })
        .collect();
    let entries = entries?;
    let records = entries.len();
    let request = client.put_records().stream_name(topic);
    let answer = request.set_records(Some(entries)).send().await?;
    match answer.failed_record_count {
        None | Some(0) => Ok(records),
        Some(failed) => Err(format!("{failed} records failed").into()),
    }
}
