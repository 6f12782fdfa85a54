//! A producer and a consumer at full rate.

use crate::Outcome;
use anyhub_core::{
    Change, Consumer, ConsumerOptions, Event, Hub, Pending, Producer, ProducerOptions,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::sleep,
};

/// The topic that is written and read.
pub const TOPIC: &str = "tweets";
/// The payload of an event.
pub const BYTES: usize = 100;
const BATCH: u64 = 500;
const KEYS: u64 = 1_000;
/// Events that the producer may be ahead of the consumer: fewer than the server keeps.
const AHEAD: u64 = 50_000;
/// How long the consumer rests at first: what waits for it is then as much as it gets, in both processes.
const REST: Duration = Duration::from_secs(10);

pub(crate) struct Load {
    pub(crate) done: Arc<Done>,
    tasks: [JoinHandle<Outcome>; 3],
}

/// What the application has done so far.
#[derive(Default)]
pub(crate) struct Done {
    failed: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) overtaken: AtomicU64,
    /// Told when more has been received.
    more: Notify,
}

impl Load {
    pub(crate) async fn start(hub: &dyn Hub, reads: ConsumerOptions) -> Outcome<Self> {
        let producer = hub.producer(TOPIC, ProducerOptions::new()).await?;
        let consumer = hub.consumer(TOPIC, reads).await?;
        let done = Arc::new(Done::default());
        // Some are under way while one is waited for; the producer's buffer bounds them besides.
        let (tell, told) = mpsc::channel(64);
        let tasks = [
            tokio::spawn(publish(producer, tell, done.clone())),
            tokio::spawn(resolve(told, done.clone())),
            tokio::spawn(receive(consumer, done.clone())),
        ];
        Ok(Self { done, tasks })
    }

    /// How many events have failed, or were overtaken. An error where one of the two has ended by itself.
    pub(crate) async fn stop(self) -> Outcome<u64> {
        for task in self.tasks {
            task.abort();
            if let Ok(ended) = task.await {
                ended?;
            }
        }
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Ok(count(&self.done.failed) + count(&self.done.overtaken))
    }
}

async fn publish(
    producer: Arc<dyn Producer>,
    tell: mpsc::Sender<Pending>,
    done: Arc<Done>,
) -> Outcome {
    let payload = bytes::Bytes::from(vec![b'x'; BYTES]);
    let mut number = 0;
    loop {
        let event =
            |number: u64| Event::new(payload.clone()).with_key(format!("key-{}", number % KEYS));
        let batch = (number..number + BATCH).map(event).collect();
        number += BATCH;
        while number > done.received.load(Ordering::Relaxed) + AHEAD {
            done.more.notified().await;
        }
        tell.send(producer.submit(batch).await?).await?;
    }
}

async fn resolve(mut told: mpsc::Receiver<Pending>, done: Arc<Done>) -> Outcome {
    while let Some(pending) = told.recv().await {
        for error in pending.await.into_iter().filter_map(Result::err) {
            if done.failed.fetch_add(1, Ordering::Relaxed) == 0 {
                println!("{error}");
            }
        }
    }
    Ok(())
}

async fn receive(mut consumer: Box<dyn Consumer>, done: Arc<Done>) -> Outcome {
    let acks = consumer.acks();
    sleep(REST).await;
    loop {
        let batch = consumer.receive(1_000).await?;
        acks.ack(&batch.tokens());
        let is_overtaken = |change: &&Change| matches!(change, Change::Overtaken { .. });
        let overtaken = batch.changes.iter().filter(is_overtaken).count();
        done.overtaken
            .fetch_add(overtaken as u64, Ordering::Relaxed);
        let count = batch.deliveries.len() as u64;
        done.received.fetch_add(count, Ordering::Relaxed);
        done.more.notify_one();
    }
}
