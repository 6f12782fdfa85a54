//! What people write today: a FutureProducer for each message, a StreamConsumer, default settings.

use crate::{Setting, Watch, raw::group, statistics::Sample};
use futures_util::{StreamExt, stream};
use rdkafka::{
    ClientConfig, Message,
    consumer::{Consumer, StreamConsumer},
    producer::{FutureProducer, FutureRecord, Producer},
};
use std::{error::Error, time::Duration};

/// Sends awaited side by side.
const SIDE_BY_SIDE: usize = 1_000;

pub(crate) async fn publish(setting: &Setting, topic: &str, events: usize) -> Result<Sample, Box<dyn Error>> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &setting.bootstrap)
        .create()?;
    producer.client().fetch_metadata(Some(topic), Duration::from_secs(10))?;
    let watch = Watch::start();
    let mut sends = stream::iter(0..events)
        .map(|n| {
            let record = FutureRecord::to(topic)
                .payload(&setting.payload[..])
                .key(&setting.keys[n % setting.keys.len()][..]);
            producer.send(record, Duration::from_secs(30))
        })
        .buffer_unordered(SIDE_BY_SIDE);
    while let Some(sent) = sends.next().await {
        sent.map_err(|(error, _)| error)?;
    }
    Ok(watch.stop(events))
}

pub(crate) async fn receive(setting: &Setting, topic: &str, events: usize) -> Result<Sample, Box<dyn Error>> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &setting.bootstrap)
        .set("group.id", group("today"))
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[topic])?;
    let mut watch = Watch::start();
    let mut bytes = 0;
    for read in 0..events {
        let message = consumer.recv().await?;
        if read == 0 {
            watch = Watch::start();
        }
        bytes += message.payload().map_or(0, <[u8]>::len);
    }
    std::hint::black_box(bytes);
    Ok(watch.stop(events))
}
