use crate::client;
use anyhub_overhead::{Bench, BoxError, Clock, Filled, PARTITIONS, Result, Run, Stopwatch, Ways};
use aws_sdk_kinesis::types::ShardIteratorType;
use std::hint::black_box;
use tokio::sync::mpsc;

/// Bytes in the stream: enough for some seconds, little enough for memory.
const FILL: usize = 600 << 20;

/// Pages that wait for the application, at most: two of each shard.
const WAITING: usize = 2 * PARTITIONS as usize;

/// A stream that is read again and again, each time by a new group.
pub(crate) struct Receive(Filled);

impl Receive {
    pub(crate) fn fill(bench: &Bench) -> Result<Self> {
        let events = (FILL / (bench.payload.len() + 150)).min(2_400_000);
        Ok(Self(Filled::new(bench, events, 200)?))
    }
}

impl Ways for Receive {
    fn raw(&mut self, bench: &Bench) -> Result<Run> {
        let client = client(bench)?;
        self.0.passes(bench, || {
            bench.runtime.block_on(async {
                let watch = Stopwatch::start();
                let listed = client
                    .list_shards()
                    .stream_name(&self.0.topic)
                    .send()
                    .await?;
                let mut iterators = Vec::new();
                for shard in listed.shards.unwrap_or_default() {
                    let asked = client
                        .get_shard_iterator()
                        .stream_name(&self.0.topic)
                        .shard_id(shard.shard_id)
                        .shard_iterator_type(ShardIteratorType::TrimHorizon)
                        .send()
                        .await?;
                    iterators.push(asked.shard_iterator);
                }
                let (pages, mut arrived) = mpsc::channel(WAITING);
                let mut tasks = Vec::new();
                for mut iterator in iterators {
                    let (client, pages) = (client.clone(), pages.clone());
                    tasks.push(tokio::spawn(async move {
                        while let Some(next) = iterator.take() {
                            let asked = client.get_records().shard_iterator(next).limit(10_000);
                            let page = asked.send().await?;
                            iterator = page.next_shard_iterator;
                            // This shard is at its end, or all have come.
                            if page.records.is_empty() || pages.send(page.records).await.is_err() {
                                break;
                            }
                        }
                        Ok::<_, BoxError>(())
                    }));
                }
                drop(pages);
                let mut came = 0;
                while let Some(page) = arrived.recv().await {
                    for record in &page {
                        let arrived = record.approximate_arrival_timestamp;
                        black_box((&record.partition_key, &record.data, arrived));
                    }
                    came += page.len() as u64;
                    if came >= self.0.events {
                        break;
                    }
                }
                let run = watch.stop(came);
                drop(arrived);
                for task in tasks {
                    task.await??;
                }
                if came < self.0.events {
                    return Err(format!("the SDK read {came} of {}", self.0.events).into());
                }
                Ok(run)
            })
        })
    }

    fn ours(&mut self, bench: &Bench) -> Result<Run> {
        self.0.receive(bench, Clock::Opening)
    }
}
