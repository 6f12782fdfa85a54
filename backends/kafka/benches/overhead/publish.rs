use anyhub_overhead::{BATCH, Bench, InFlight, KEYS, Result, Run, Stopwatch, Ways};
use futures_util::{StreamExt, stream::FuturesUnordered};
use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{
        BaseRecord, FutureProducer, FutureRecord, Producer, ProducerContext, ThreadedProducer,
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::sleep,
    time::Duration,
};

/// As many events as the raw client's queue holds.
const IN_FLIGHT: InFlight = InFlight {
    batches: 1_990,
    at_once: 200,
};

/// A topic of its own each time, for as long as was asked, until all is written.
pub(crate) struct Publish {
    config: ClientConfig,
}

impl Publish {
    /// With the settings that anyhub's producer has by default.
    pub(crate) fn new(bootstrap: &str) -> Self {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "5")
            .set("message.max.bytes", "1048588")
            .set("queue.buffering.max.messages", "200000");
        Self { config }
    }
}

/// Counts what was written.
struct Count(Arc<AtomicU64>);

impl ClientContext for Count {}

impl ProducerContext for Count {
    type DeliveryOpaque = ();

    fn delivery(&self, report: &DeliveryResult<'_>, (): ()) {
        if report.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Ways for Publish {
    fn raw(&mut self, bench: &Bench) -> Result<Run> {
        let topic = bench.topic()?;
        let written = Arc::new(AtomicU64::new(0));
        let context = Count(written.clone());
        let producer: ThreadedProducer<_> = self.config.create_with_context(context)?;
        producer
            .client()
            .fetch_metadata(Some(&topic), Duration::from_secs(10))?;
        let watch = Stopwatch::start();
        let mut sent = 0;
        while watch.elapsed() < bench.time {
            for _ in 0..BATCH {
                let key = &bench.keys[sent as usize % KEYS];
                let mut record = BaseRecord::to(&topic)
                    .payload(&bench.payload[..])
                    .key(key.as_str());
                while let Err((error, back)) = producer.send(record) {
                    if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                        return Err(error.into());
                    }
                    record = back;
                    sleep(Duration::from_micros(200));
                }
                sent += 1;
            }
        }
        while written.load(Ordering::Relaxed) < sent {
            if watch.elapsed() > bench.time + Duration::from_secs(60) {
                return Err("raw rdkafka did not write everything".into());
            }
            sleep(Duration::from_millis(1));
        }
        let run = watch.stop(sent);
        drop(producer);
        bench.delete(&topic)?;
        Ok(run)
    }

    fn ours(&mut self, bench: &Bench) -> Result<Run> {
        bench.publish(IN_FLIGHT)
    }

    fn today(&mut self, bench: &Bench) -> Result<Option<(&'static str, Run)>> {
        let topic = bench.topic()?;
        let producer: FutureProducer = self.config.create()?;
        producer
            .client()
            .fetch_metadata(Some(&topic), Duration::from_secs(10))?;
        let run = bench.runtime.block_on(async {
            let mut under_way = FuturesUnordered::new();
            let (mut sent, mut written) = (0_u64, 0_u64);
            let watch = Stopwatch::start();
            while watch.elapsed() < bench.time {
                let key = &bench.keys[sent as usize % KEYS];
                let record = FutureRecord::to(&topic)
                    .payload(&bench.payload[..])
                    .key(key.as_str());
                under_way.push(producer.send(record, Duration::from_secs(60)));
                sent += 1;
                if under_way.len() >= 100_000
                    && let Some(outcome) = under_way.next().await
                {
                    written += u64::from(outcome.is_ok());
                }
            }
            while let Some(outcome) = under_way.next().await {
                written += u64::from(outcome.is_ok());
            }
            (written == sent).then(|| watch.stop(sent))
        });
        drop(producer);
        bench.delete(&topic)?;
        let run = run.ok_or("FutureProducer did not write everything")?;
        Ok(Some(("FutureProducer, a future an event", run)))
    }
}
