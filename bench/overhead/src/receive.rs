use crate::{BATCH, Bench, Result, Run, Stopwatch, bench::fresh_name};
use anyhub_core::{ConsumerOptions, Event, Pending, ProducerOptions};
use std::{collections::VecDeque, hint::black_box, time::Duration};

/// So long the next event may take.
pub const STALL: Duration = Duration::from_secs(30);

/// When the clock of a reader begins to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// With the first batch, which is not counted.
    FirstBatch,
    /// With the opening of the consumer, where that is quick.
    Opening,
}

/// A topic that is read again and again, each time by a new group.
#[derive(Debug)]
pub struct Filled {
    /// Its name.
    pub topic: String,
    /// How many events it holds.
    pub events: u64,
}

impl Filled {
    /// Fills a topic with `events`, rounded down to whole batches, of which `batches` are under way.
    pub fn new(bench: &Bench, events: usize, batches: usize) -> Result<Self> {
        let topic = bench.topic()?;
        let events = events / BATCH * BATCH;
        bench.runtime.block_on(async {
            let producer = bench.hub.producer(&topic, ProducerOptions::new()).await?;
            let mut under_way = VecDeque::new();
            for first in (0..events).step_by(BATCH) {
                let batch = (first..first + BATCH)
                    .map(|nth| {
                        let key = bench.keys[nth % bench.keys.len()].clone();
                        Event::new(bench.payload.clone()).with_key(key)
                    })
                    .collect();
                under_way.push_back(producer.submit(batch).await?);
                if under_way.len() > batches
                    && let Some(oldest) = under_way.pop_front()
                {
                    written(oldest).await?;
                }
            }
            for pending in under_way {
                written(pending).await?;
            }
            producer.close().await
        })?;
        Ok(Self {
            topic,
            events: events as u64,
        })
    }

    /// Reads the whole topic again until there is time enough.
    pub fn passes(&self, bench: &Bench, mut pass: impl FnMut() -> Result<Run>) -> Result<Run> {
        let mut all = pass()?;
        while all.elapsed < bench.time {
            all = all.and(pass()?);
        }
        Ok(all)
    }

    /// Reads and acknowledges through the traits.
    pub fn receive(&self, bench: &Bench, clock: Clock) -> Result<Run> {
        self.passes(bench, || bench.runtime.block_on(self.pass(bench, clock)))
    }

    async fn pass(&self, bench: &Bench, clock: Clock) -> Result<Run> {
        let mut watch = Stopwatch::start();
        let options = ConsumerOptions::new().group(fresh_name()?);
        let mut consumer = bench.hub.consumer(&self.topic, options).await?;
        let acks = consumer.acks();
        let (mut came, mut first) = (0, 0);
        while came < self.events {
            let batch = tokio::time::timeout(STALL, consumer.receive(BATCH * 5)).await??;
            if clock == Clock::FirstBatch && came == 0 && !batch.deliveries.is_empty() {
                watch = Stopwatch::start();
                first = batch.deliveries.len() as u64;
            }
            came += batch.deliveries.len() as u64;
            for delivery in &batch.deliveries {
                let event = &delivery.event;
                black_box((&event.key, &event.payload, delivery.published));
            }
            acks.ack(&batch.tokens());
        }
        let run = watch.stop(came - first);
        consumer.close().await?;
        Ok(run)
    }
}

async fn written(pending: Pending) -> anyhub_core::Result<()> {
    for outcome in pending.await {
        outcome?;
    }
    Ok(())
}
