use crate::client;
use anyhub_overhead::{Bench, BoxError, Clock, Filled, Result, Run, Stopwatch, Ways};
use aws_sdk_kinesis::types::ShardIteratorType;
use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Bytes in the stream: enough for some seconds, little enough for memory.
const FILL: usize = 300 << 20;

/// A stream that is read again and again, each time by a new group.
pub(crate) struct Receive(Filled);

impl Receive {
    pub(crate) fn fill(bench: &Bench) -> Result<Self> {
        let events = (FILL / (bench.payload.len() + 150)).min(1_200_000);
        Ok(Self(Filled::new(bench, events, 200)?))
    }
}

impl Ways for Receive {
    fn raw(&mut self, bench: &Bench) -> Result<Run> {
        let client = client(bench)?;
        self.0.passes(bench, || {
            bench.runtime.block_on(async {
                let listed = client
                    .list_shards()
                    .stream_name(&self.0.topic)
                    .send()
                    .await?;
                let came = Arc::new(AtomicU64::new(0));
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
                let watch = Stopwatch::start();
                let mut tasks = Vec::new();
                for mut iterator in iterators {
                    let (client, came, events) = (client.clone(), came.clone(), self.0.events);
                    tasks.push(tokio::spawn(async move {
                        while came.load(Ordering::Relaxed) < events {
                            let Some(next) = iterator.take() else {
                                break;
                            };
                            let asked = client.get_records().shard_iterator(next).limit(10_000);
                            let page = asked.send().await?;
                            for record in &page.records {
                                let arrived = record.approximate_arrival_timestamp;
                                black_box((&record.partition_key, &record.data, arrived));
                            }
                            if page.records.is_empty() {
                                // This shard is at its end.
                                break;
                            }
                            came.fetch_add(page.records.len() as u64, Ordering::Relaxed);
                            iterator = page.next_shard_iterator;
                        }
                        Ok::<_, BoxError>(())
                    }));
                }
                for task in tasks {
                    task.await??;
                }
                let came = came.load(Ordering::Relaxed);
                if came < self.0.events {
                    return Err(format!("the SDK read {came} of {}", self.0.events).into());
                }
                Ok(watch.stop(came))
            })
        })
    }

    fn ours(&mut self, bench: &Bench) -> Result<Run> {
        self.0.receive(bench, Clock::Opening)
    }
}
