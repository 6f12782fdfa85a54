use crate::client;
use anyhub_kinesis::aggregate::hash_key;
use anyhub_overhead::{Bench, BoxError, InFlight, PARTITIONS, Result, Run, Stopwatch, Ways};
use aws_sdk_kinesis::{Client, primitives::Blob, types::PutRecordsRequestEntry};
use bytes::Bytes;
use std::sync::Arc;
use tokio::{sync::mpsc, task::JoinHandle};

/// Enough to keep every lane's next request full.
const IN_FLIGHT: InFlight = InFlight {
    batches: 200,
    at_once: 1,
};

/// Records of one PutRecords, at most.
const RECORDS: usize = 500;

/// Requests in flight of the SDK alone, without order: more did not help.
const BEST_IN_FLIGHT: usize = 16;

/// Requests that wait for a lane, at most: about what is under way with anyhub.
const WAITING: usize = 8;

/// With the same lanes: a task a shard, one request in flight in each, and events that come from one
/// place and go to the lane of their key, as they do in an application.
pub(crate) struct Publish;

/// As fast as each can: the SDK without order, each task with events of its own.
pub(crate) struct Best;

impl Ways for Publish {
    fn raw(&mut self, bench: &Bench) -> Result<Run> {
        let topic = bench.topic()?;
        let client = client(bench)?;
        let run = bench.runtime.block_on(async {
            let (mut lanes, mut tasks) = (Vec::new(), Vec::new());
            let watch = Stopwatch::start();
            for _ in 0..PARTITIONS {
                let (lane, mut requests) = mpsc::channel::<Vec<_>>(WAITING);
                lanes.push((lane, Vec::with_capacity(RECORDS)));
                let (client, topic) = (client.clone(), topic.clone());
                tasks.push(tokio::spawn(async move {
                    let mut written = 0_u64;
                    while let Some(entries) = requests.recv().await {
                        written += request(&client, &topic, entries).await?;
                    }
                    Ok::<_, BoxError>(written)
                }));
            }
            for key in bench.keys.iter().cycle() {
                // The shards of a new stream are even.
                let lane = hash_key(key.as_bytes()) / (u128::MAX / u128::from(PARTITIONS) + 1);
                let (lane, next) = &mut lanes[lane as usize];
                next.push(entry(key, &bench.payload)?);
                if next.len() == RECORDS {
                    let full = std::mem::replace(next, Vec::with_capacity(RECORDS));
                    // A lane that failed says why when it is joined.
                    if lane.send(full).await.is_err() || watch.elapsed() >= bench.time {
                        break;
                    }
                }
            }
            for (lane, rest) in lanes {
                if !rest.is_empty() {
                    lane.send(rest).await.ok();
                }
            }
            Ok::<_, BoxError>(watch.stop(written(tasks).await?))
        })?;
        bench.delete(&topic)?;
        Ok(run)
    }

    fn ours(&mut self, bench: &Bench) -> Result<Run> {
        bench.publish(IN_FLIGHT)
    }
}

impl Ways for Best {
    fn raw(&mut self, bench: &Bench) -> Result<Run> {
        let topic = bench.topic()?;
        let client = client(bench)?;
        let run = bench.runtime.block_on(async {
            let watch = Arc::new(Stopwatch::start());
            let mut tasks = Vec::new();
            for _ in 0..BEST_IN_FLIGHT {
                let (client, topic, payload) =
                    (client.clone(), topic.clone(), bench.payload.clone());
                let (watch, time, keys) = (watch.clone(), bench.time, bench.keys.clone());
                tasks.push(tokio::spawn(async move {
                    let mut written = 0_u64;
                    let mut keys = keys.iter().cycle();
                    while watch.elapsed() < time {
                        let some = keys.by_ref().take(RECORDS);
                        let entries: Result<Vec<_>> =
                            some.map(|key| entry(key, &payload)).collect();
                        written += request(&client, &topic, entries?).await?;
                    }
                    Ok::<_, BoxError>(written)
                }));
            }
            Ok::<_, BoxError>(watch.stop(written(tasks).await?))
        })?;
        bench.delete(&topic)?;
        Ok(run)
    }

    fn ours(&mut self, bench: &Bench) -> Result<Run> {
        bench.publish(IN_FLIGHT)
    }
}

/// What the tasks have written together.
async fn written(tasks: Vec<JoinHandle<Result<u64>>>) -> Result<u64> {
    let mut written = 0;
    for task in tasks {
        written += task.await??;
    }
    Ok(written)
}

fn entry(key: &str, payload: &Bytes) -> Result<PutRecordsRequestEntry> {
    let entry = PutRecordsRequestEntry::builder().partition_key(key);
    Ok(entry.data(Blob::new(payload.to_vec())).build()?)
}

/// One PutRecords; how many records it wrote, which is all.
async fn request(
    client: &Client,
    topic: &str,
    entries: Vec<PutRecordsRequestEntry>,
) -> Result<u64> {
    let records = entries.len() as u64;
    let request = client.put_records().stream_name(topic);
    let answer = request.set_records(Some(entries)).send().await?;
    match answer.failed_record_count {
        None | Some(0) => Ok(records),
        Some(failed) => Err(format!("{failed} records failed").into()),
    }
}
