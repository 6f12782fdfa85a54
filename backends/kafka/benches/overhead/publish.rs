use crate::{
    BATCH, Bench, KEYS, Result, Ways,
    pairs::{Run, Stopwatch},
};
use anyhub_core::{Event, Hub, Key, Pending, ProducerOptions};
use futures_util::{StreamExt, stream::FuturesUnordered};
use rdkafka::{
    ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{
        BaseRecord, FutureProducer, FutureRecord, Producer, ProducerContext, ThreadedProducer,
    },
};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::sleep,
    time::Duration,
};

/// Batches under way, at most: as many events as the raw client's queue holds.
const IN_FLIGHT: usize = 1_990;

/// Batches awaited together.
const AT_ONCE: usize = 200;

/// A topic of its own each time, for as long as was asked, until all is written.
pub(crate) struct Publish;

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
    fn raw(&mut self, bench: &Bench<'_>) -> Result<Run> {
        let topic = bench.topic()?;
        let written = Arc::new(AtomicU64::new(0));
        let context = Count(written.clone());
        let producer: ThreadedProducer<_> = bench.producer_config().create_with_context(context)?;
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

    fn ours(&mut self, bench: &Bench<'_>) -> Result<Run> {
        let topic = bench.topic()?;
        let keys: Vec<Key> = bench
            .keys
            .iter()
            .map(|key| Key::from(key.clone()))
            .collect();
        let run = bench.runtime.block_on(async {
            let producer = bench.hub.producer(&topic, ProducerOptions::new()).await?;
            let mut under_way: VecDeque<Pending> = VecDeque::new();
            let (mut sent, mut written) = (0_u64, 0_u64);
            let watch = Stopwatch::start();
            let count = async |pending: Pending| {
                pending.await.iter().filter(|it| it.is_ok()).count() as u64
            };
            while watch.elapsed() < bench.time {
                let batch = (0..BATCH as u64)
                    .map(|nth| {
                        let key = keys[(sent + nth) as usize % KEYS].clone();
                        Event::new(bench.payload.clone()).with_key(key)
                    })
                    .collect();
                under_way.push_back(producer.submit(batch).await?);
                sent += BATCH as u64;
                if under_way.len() > IN_FLIGHT {
                    // The youngest first: once it is written the others are, so this wakes once.
                    for pending in under_way.drain(..AT_ONCE).rev() {
                        written += count(pending).await;
                    }
                }
            }
            for pending in under_way {
                written += count(pending).await;
            }
            let run = watch.stop(sent);
            if written < sent {
                return Err(format!("anyhub wrote {written} of {sent}").into());
            }
            producer.close().await?;
            Ok::<_, crate::BoxError>(run)
        })?;
        bench.delete(&topic)?;
        Ok(run)
    }

    fn today(&mut self, bench: &Bench<'_>) -> Result<Run> {
        let topic = bench.topic()?;
        let producer: FutureProducer = bench.producer_config().create()?;
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
        run.ok_or_else(|| "FutureProducer did not write everything".into())
    }

    fn name_of_today(&self) -> &'static str {
        "FutureProducer, a future an event"
    }
}
