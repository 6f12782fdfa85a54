use crate::{
    BATCH, Bench, BoxError, KEYS, Result, Ways,
    pairs::{Run, Stopwatch},
};
use anyhub_core::{ConsumerOptions, Event, Hub, ProducerOptions};
use aws_sdk_kinesis::types::ShardIteratorType;
use std::{
    collections::VecDeque,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Bytes in the stream: enough for some seconds, little enough for memory.
const FILL: usize = 300 << 20;

/// A stream that is read again and again, each time by a new group.
pub(crate) struct Receive {
    topic: String,
    events: u64,
}

impl Receive {
    pub(crate) fn fill(bench: &Bench<'_>) -> Result<Self> {
        let topic = bench.topic()?;
        let events = (FILL / (bench.payload.len() + 150)).min(1_200_000) / BATCH * BATCH;
        bench.runtime.block_on(async {
            let producer = bench.hub.producer(&topic, ProducerOptions::new()).await?;
            let mut under_way = VecDeque::new();
            for first in (0..events).step_by(BATCH) {
                let batch = (first..first + BATCH)
                    .map(|nth| {
                        Event::new(bench.payload.clone()).with_key(bench.keys[nth % KEYS].clone())
                    })
                    .collect();
                under_way.push_back(producer.submit(batch).await?);
                if under_way.len() > 200
                    && let Some(oldest) = under_way.pop_front()
                {
                    let written: anyhub_core::Result<Vec<_>> = oldest.await.into_iter().collect();
                    written?;
                }
            }
            for pending in under_way {
                let written: anyhub_core::Result<Vec<_>> = pending.await.into_iter().collect();
                written?;
            }
            producer.close().await
        })?;
        Ok(Self {
            topic,
            events: events as u64,
        })
    }

    /// Reads the whole stream again until there is time enough.
    fn passes(&self, bench: &Bench<'_>, mut pass: impl FnMut() -> Result<Run>) -> Result<Run> {
        let mut all = pass()?;
        while all.elapsed < bench.time {
            all = all.and(pass()?);
        }
        Ok(all)
    }
}

/// So long the next event may take.
const STALL: Duration = Duration::from_secs(30);

impl Ways for Receive {
    fn raw(&mut self, bench: &Bench<'_>) -> Result<Run> {
        let client = bench.client()?;
        self.passes(bench, || {
            bench.runtime.block_on(async {
                let listed = client.list_shards().stream_name(&self.topic).send().await?;
                let came = Arc::new(AtomicU64::new(0));
                let mut iterators = Vec::new();
                for shard in listed.shards.unwrap_or_default() {
                    let asked = client
                        .get_shard_iterator()
                        .stream_name(&self.topic)
                        .shard_id(shard.shard_id)
                        .shard_iterator_type(ShardIteratorType::TrimHorizon)
                        .send()
                        .await?;
                    iterators.push(asked.shard_iterator);
                }
                let watch = Stopwatch::start();
                let mut tasks = Vec::new();
                for mut iterator in iterators {
                    let (client, came, events) = (client.clone(), came.clone(), self.events);
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
                if came < self.events {
                    return Err(format!("the SDK read {came} of {}", self.events).into());
                }
                Ok(watch.stop(came))
            })
        })
    }

    fn ours(&mut self, bench: &Bench<'_>) -> Result<Run> {
        self.passes(bench, || {
            bench.runtime.block_on(async {
                let group = format!("ours-{:?}", Instant::now());
                let watch = Stopwatch::start();
                let options = ConsumerOptions::new().group(group);
                let mut consumer = bench.hub.consumer(&self.topic, options).await?;
                let acks = consumer.acks();
                let mut came = 0;
                while came < self.events {
                    let batch = tokio::time::timeout(STALL, consumer.receive(BATCH * 5)).await??;
                    came += batch.deliveries.len() as u64;
                    for delivery in &batch.deliveries {
                        let event = &delivery.event;
                        black_box((&event.key, &event.payload, delivery.published));
                    }
                    acks.ack(&batch.tokens());
                }
                let run = watch.stop(came);
                consumer.close().await?;
                Ok(run)
            })
        })
    }
}
