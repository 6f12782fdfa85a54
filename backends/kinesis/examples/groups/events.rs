//! Numbered events, written at a steady rate by one producer.

use crate::{Outcome, STREAM};
use anyhub_core::{Delivery, Event, Hub, Pending, ProducerOptions};
use anyhub_kinesis::KinesisHub;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// Keys take turns, so that event `n` is the `n / KEYS`th of its key.
pub(crate) const KEYS: u64 = 500;

/// An event that says which it is.
pub(crate) fn event(number: u64) -> Event {
    Event::new(format!("{number:020} {}", "x".repeat(79))).with_key(key(number))
}

fn key(number: u64) -> String {
    format!("user-{}", number % KEYS)
}

/// Which event it is; an error where it is none of ours, or has another one's key.
pub(crate) fn number(delivery: &Delivery) -> Outcome<u64> {
    let text = std::str::from_utf8(&delivery.event.payload)?;
    let number: u64 = text.get(..20).unwrap_or(text).parse()?;
    let due = key(number);
    match delivery.event.key.as_ref().and_then(|key| key.as_str()) {
        Some(key) if key == due => Ok(number),
        other => Err(format!("event {number} came with the key {other:?}").into()),
    }
}

/// Writes until it is told to stop.
pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Outcome<u64>>,
}

impl Writer {
    pub(crate) async fn start(hub: &KinesisHub, rate: u32) -> Outcome<Self> {
        let options = ProducerOptions::new().linger(Duration::from_millis(5));
        let producer = hub.producer(STREAM, options).await?;
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let tick = Duration::from_millis(20);
            let each = u64::from(rate) / 50;
            let mut next = Instant::now();
            let mut pending: Vec<Pending> = Vec::new();
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                sleep_until(next).await;
                next += tick;
                let batch = (sent..sent + each).map(event).collect();
                pending.push(producer.submit(batch).await?);
                sent += each;
            }
            for outcomes in pending {
                for outcome in outcomes.await {
                    outcome?;
                }
            }
            producer.close().await?;
            Ok(sent)
        });
        Ok(Self { stop, task })
    }

    /// Stops; how many events were written, each with its receipt.
    pub(crate) async fn finish(self) -> Outcome<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?
    }
}
