//! Numbered events, written at a steady rate by one producer.

use crate::{Outcome, TOPIC};
use anyhub_core::{Delivery, Event, Hub, Pending, ProducerOptions};
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
pub const KEYS: u64 = 500;

/// An event of 100 bytes that says which it is.
pub fn event(number: u64) -> Event {
    Event::new(format!("{number:020} {}", "x".repeat(79))).with_key(key(number))
}

fn key(number: u64) -> String {
    format!("user-{}", number % KEYS)
}

/// Which event it is; an error where it is none of these, or has another one's key.
pub fn number(delivery: &Delivery) -> Outcome<u64> {
    let text = std::str::from_utf8(&delivery.event.payload)?;
    let number: u64 = text.get(..20).unwrap_or(text).parse()?;
    let due = key(number);
    match delivery.event.key.as_ref().and_then(|key| key.as_str()) {
        Some(key) if key == due => Ok(number),
        other => Err(format!("event {number} came with the key {other:?}").into()),
    }
}

/// Writes to [`TOPIC`] until it is told to stop.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Outcome<u64>>,
}

/// How often some are written.
const TICKS: u32 = 50;

impl Writer {
    /// Begins to write `rate` events a second, in batches of a fiftieth of that.
    pub async fn start(hub: &dyn Hub, rate: u32) -> Outcome<Self> {
        let options = ProducerOptions::new().linger(Duration::from_millis(5));
        let producer = hub.producer(TOPIC, options).await?;
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let tick = Duration::from_secs(1) / TICKS;
            let each = u64::from(rate / TICKS).max(1);
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

    /// Stops; how many events were written, from 0 on. An error where one was not.
    pub async fn finish(self) -> Outcome<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?
    }
}
