use anyhub_overhead::{Bench, Clock, Filled, Result, Run, STALL, Stopwatch, Ways};
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer, StreamConsumer},
};
use std::{hint::black_box, time::Instant};

/// Bytes in the topic: enough for some seconds, little enough for memory.
const FILL: usize = 600 << 20;

/// A topic that is read again and again, each time by a new group.
pub(crate) struct Receive<'a> {
    filled: Filled,
    bootstrap: &'a str,
}

impl<'a> Receive<'a> {
    pub(crate) fn fill(bench: &Bench, bootstrap: &'a str) -> Result<Self> {
        let events = (FILL / (bench.payload.len() + 30)).min(4_000_000);
        let filled = Filled::new(bench, events, 1_500)?;
        Ok(Self { filled, bootstrap })
    }

    /// The settings that anyhub's consumer has by default.
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap)
            .set("group.id", format!("raw-{:?}", Instant::now()))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("fetch.queue.backoff.ms", "2")
            .set("queued.min.messages", "100000")
            .set("queued.max.messages.kbytes", "65536");
        config
    }
}

impl Ways for Receive<'_> {
    fn raw(&mut self, bench: &Bench) -> Result<Run> {
        self.filled.passes(bench, || {
            let consumer: BaseConsumer = self.config().create()?;
            consumer.subscribe(&[&self.filled.topic])?;
            let mut watch = Stopwatch::start();
            let mut came = 0;
            while came < self.filled.events {
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

    fn ours(&mut self, bench: &Bench) -> Result<Run> {
        self.filled.receive(bench, Clock::FirstBatch)
    }

    fn today(&mut self, bench: &Bench) -> Result<Option<(&'static str, Run)>> {
        bench.runtime.block_on(async {
            let mut config = ClientConfig::new();
            config
                .set("bootstrap.servers", self.bootstrap)
                .set("group.id", format!("today-{:?}", Instant::now()))
                .set("auto.offset.reset", "earliest");
            let consumer: StreamConsumer = config.create()?;
            consumer.subscribe(&[&self.filled.topic])?;
            let mut watch = Stopwatch::start();
            let mut came = 0;
            while came < self.filled.events && watch.elapsed() < bench.time.max(STALL) {
                let message = tokio::time::timeout(STALL, consumer.recv()).await??;
                if came == 0 {
                    watch = Stopwatch::start();
                }
                came += 1;
                black_box((message.key(), message.payload(), message.timestamp()));
            }
            let run = watch.stop(came.max(2) - 1);
            Ok(Some(("StreamConsumer with its default settings", run)))
        })
    }
}
