use crate::{
    BATCH, Bench, KEYS, Result, Ways,
    pairs::{Run, Stopwatch},
};
use anyhub_core::{ConsumerOptions, Event, Hub, ProducerOptions};
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer, StreamConsumer},
};
use std::{
    collections::VecDeque,
    hint::black_box,
    time::{Duration, Instant},
};

/// Bytes in the topic: enough for some seconds, little enough for memory.
const FILL: usize = 600 << 20;

/// A topic that is read again and again, each time by a new group.
pub(crate) struct Receive {
    topic: String,
    events: u64,
}

impl Receive {
    pub(crate) fn fill(bench: &Bench<'_>) -> Result<Self> {
        let topic = bench.topic()?;
        let events = (FILL / (bench.payload.len() + 30)).min(4_000_000) / BATCH * BATCH;
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
                if under_way.len() > 1_500
                    && let Some(oldest) = under_way.pop_front()
                {
                    oldest
                        .await
                        .into_iter()
                        .collect::<anyhub_core::Result<Vec<_>>>()?;
                }
            }
            for pending in under_way {
                pending
                    .await
                    .into_iter()
                    .collect::<anyhub_core::Result<Vec<_>>>()?;
            }
            producer.close().await
        })?;
        Ok(Self {
            topic,
            events: events as u64,
        })
    }

    /// Reads the whole topic again until there is time enough.
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
        self.passes(bench, || {
            let consumer: BaseConsumer = bench.consumer_config().create()?;
            consumer.subscribe(&[&self.topic])?;
            let mut watch = Stopwatch::start();
            let mut came = 0;
            while came < self.events {
                match consumer.poll(STALL) {
                    Some(Ok(message)) => {
                        if came == 0 {
                            watch = Stopwatch::start();
                        }
                        came += 1;
                        black_box((message.key(), message.payload(), message.timestamp()));
                    }
                    Some(Err(error)) => return Err(error.into()),
                    None => {}
                }
                if watch.elapsed() > STALL + bench.time {
                    return Err("raw rdkafka stalled".into());
                }
            }
            Ok(watch.stop(came - 1))
        })
    }

    fn ours(&mut self, bench: &Bench<'_>) -> Result<Run> {
        self.passes(bench, || {
            bench.runtime.block_on(async {
                let options = ConsumerOptions::new().group(format!("ours-{:?}", Instant::now()));
                let mut consumer = bench.hub.consumer(&self.topic, options).await?;
                let acks = consumer.acks();
                let mut watch = Stopwatch::start();
                let (mut came, mut first) = (0, 0);
                while came < self.events {
                    let batch = tokio::time::timeout(STALL, consumer.receive(BATCH * 5)).await??;
                    if came == 0 && !batch.deliveries.is_empty() {
                        watch = Stopwatch::start();
                        first = batch.deliveries.len() as u64;
                    }
                    came += batch.deliveries.len() as u64;
                    for delivery in &batch.deliveries {
                        black_box((
                            &delivery.event.key,
                            &delivery.event.payload,
                            delivery.published,
                        ));
                    }
                    acks.ack(&batch.tokens());
                }
                let run = watch.stop(came - first);
                consumer.close().await?;
                Ok(run)
            })
        })
    }

    fn today(&mut self, bench: &Bench<'_>) -> Result<Run> {
        bench.runtime.block_on(async {
            let mut config = ClientConfig::new();
            config
                .set("bootstrap.servers", bench.bootstrap)
                .set("group.id", format!("today-{:?}", Instant::now()))
                .set("auto.offset.reset", "earliest");
            let consumer: StreamConsumer = config.create()?;
            consumer.subscribe(&[&self.topic])?;
            let mut watch = Stopwatch::start();
            let mut came = 0;
            while came < self.events && watch.elapsed() < bench.time.max(STALL) {
                let message = tokio::time::timeout(STALL, consumer.recv()).await??;
                if came == 0 {
                    watch = Stopwatch::start();
                }
                came += 1;
                black_box((message.key(), message.payload(), message.timestamp()));
            }
            Ok(watch.stop(came.max(2) - 1))
        })
    }

    fn name_of_today(&self) -> &'static str {
        "StreamConsumer with its default settings"
    }
}
