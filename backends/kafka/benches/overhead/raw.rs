//! rdkafka as one would write it for speed, with the settings that ours has.

use crate::{Setting, Watch, statistics::Sample};
use rdkafka::{
    ClientConfig, ClientContext, Message,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[derive(Clone)]
struct Count(Arc<AtomicUsize>);

impl ClientContext for Count {}

impl ProducerContext for Count {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(crate) fn publish(setting: &Setting, topic: &str, events: usize) -> Result<Sample, Box<dyn Error>> {
    let written = Count(Arc::default());
    let producer: ThreadedProducer<Count> = ClientConfig::new()
        .set("bootstrap.servers", &setting.bootstrap)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "5")
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", "201000")
        .set("queue.buffering.max.kbytes", "141072")
        .create_with_context(written.clone())?;
    producer.client().fetch_metadata(Some(topic), Duration::from_secs(10))?;
    let watch = Watch::start();
    for n in 0..events {
        let mut record = BaseRecord::to(topic)
            .payload(&setting.payload[..])
            .key(&setting.keys[n % setting.keys.len()][..]);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    thread::sleep(Duration::from_micros(200));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    producer.flush(Duration::from_secs(60))?;
    while written.0.load(Ordering::Relaxed) < events {
        thread::sleep(Duration::from_micros(200));
    }
    Ok(watch.stop(events))
}

pub(crate) fn receive(setting: &Setting, topic: &str, events: usize) -> Result<Sample, Box<dyn Error>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &setting.bootstrap)
        .set("group.id", group("raw"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "1")
        .set("queued.min.messages", "100000")
        .set("queued.max.messages.kbytes", "65536")
        .create()?;
    consumer.subscribe(&[topic])?;
    let mut watch = Watch::start();
    let (mut read, mut bytes) = (0, 0);
    while read < events {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            let message = message?;
            if read == 0 {
                watch = Watch::start();
            }
            read += 1;
            bytes += message.payload().map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len);
        }
    }
    std::hint::black_box(bytes);
    Ok(watch.stop(events))
}

/// A name that no group had before.
pub(crate) fn group(side: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{side}-{}", now.as_nanos())
}
