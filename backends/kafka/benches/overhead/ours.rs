//! The traits, as an application calls them: boxed, batches of 100, every outcome looked at.

use crate::{Setting, Watch, raw::group, statistics::Sample};
use anyhub_core::{
    ConsumerOptions, Event, Hub, Key, Pending, ProducerOptions, Result,
};
use std::collections::VecDeque;

const BATCH: usize = 100;
/// Batches in flight before the oldest outcome is awaited; the producer's buffer bounds them first.
const IN_FLIGHT: usize = 2_000;

pub(crate) async fn publish(hub: &dyn Hub, setting: &Setting, topic: &str, events: usize) -> Result<Sample> {
    let producer = hub.producer(topic, ProducerOptions::new()).await?;
    let watch = Watch::start();
    let mut pending: VecDeque<Pending> = VecDeque::new();
    let mut sent = 0;
    while sent < events {
        let batch = (sent..events.min(sent + BATCH))
            .map(|n| {
                let key = setting.keys[n % setting.keys.len()].clone();
                Event::new(setting.payload.clone()).with_key(Key::from(key))
            })
            .collect();
        sent = events.min(sent + BATCH);
        pending.push_back(producer.submit(batch).await?);
        if pending.len() > IN_FLIGHT
            && let Some(oldest) = pending.pop_front()
        {
            outcomes(oldest).await?;
        }
    }
    for last in pending {
        outcomes(last).await?;
    }
    let sample = watch.stop(events);
    producer.close().await?;
    Ok(sample)
}

async fn outcomes(pending: Pending) -> Result<()> {
    pending.await.into_iter().try_for_each(|outcome| outcome.map(|_| ()))
}

pub(crate) async fn receive(hub: &dyn Hub, topic: &str, events: usize) -> Result<Sample> {
    let options = ConsumerOptions::new().group(group("ours"));
    let mut consumer = hub.consumer(topic, options).await?;
    let acks = consumer.acks();
    let mut watch = Watch::start();
    let (mut read, mut bytes) = (0, 0);
    while read < events {
        let batch = consumer.receive(500).await?;
        if read == 0 {
            watch = Watch::start();
        }
        read += batch.deliveries.len();
        for delivery in &batch.deliveries {
            bytes += delivery.event.size();
        }
        acks.ack(&batch.tokens());
    }
    std::hint::black_box(bytes);
    let sample = watch.stop(events);
    consumer.close().await?;
    Ok(sample)
}
