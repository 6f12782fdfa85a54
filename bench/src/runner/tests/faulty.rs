//! The memory hub behind a wrapper that breaks one thing.

use std::{
    any::Any,
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhub_core::{
    Acks, Admin, Batch, Capabilities, Consumer, ConsumerOptions, Delivery, Error, ErrorKind, Event,
    Hub, Limits, OwnedPartition, Pending, Point, Position, Producer, ProducerOptions, Result,
    Usage, memory::MemoryHub,
};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::timeout;

/// What the wrapper does wrong, about once in 400 events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defect {
    None,
    Drop,
    CopyInLog,
    /// The receipt names the second copy, which comes a second later than all else.
    LateCopy,
    SamePositionAgain,
    Swap,
    FlipBit,
    OtherKey,
    OtherPosition,
    FailThoughWritten,
    Indeterminate,
    Vanish,
    BreakConsumer,
}

#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) inner: MemoryHub,
    pub(super) defect: Defect,
}

#[derive(Debug)]
pub(super) struct FaultyProducer {
    inner: Arc<dyn Producer>,
    defect: Defect,
    batches: AtomicU64,
}

#[derive(Debug)]
pub(super) struct FaultyConsumer {
    inner: Box<dyn Consumer>,
    defect: Defect,
    count: u64,
    held: VecDeque<Delivery>,
    seen: HashSet<Bytes>,
}

#[async_trait]
impl Hub for Faulty {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn producer(&self, topic: &str, options: ProducerOptions) -> Result<Arc<dyn Producer>> {
        let inner = self.inner.producer(topic, options).await?;
        Ok(Arc::new(FaultyProducer {
            inner,
            defect: self.defect,
            batches: AtomicU64::new(0),
        }))
    }

    async fn consumer(&self, topic: &str, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        // The private reader that looks for lost events sees the log as it is.
        let defect = if options.group.is_some() {
            self.defect
        } else {
            Defect::None
        };
        let inner = self.inner.consumer(topic, options).await?;
        Ok(Box::new(FaultyConsumer {
            inner,
            defect,
            count: 0,
            held: VecDeque::new(),
            seen: HashSet::new(),
        }))
    }

    fn admin(&self) -> &dyn Admin {
        self.inner.admin()
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        self.inner.native()
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, "memory", "submit", what)
}

#[async_trait]
impl Producer for FaultyProducer {
    async fn submit(&self, batch: Vec<Event>) -> Result<Pending> {
        let number = self.batches.fetch_add(1, Relaxed);
        match self.defect {
            Defect::Vanish if number >= 20 => return Err(refused("the hub is gone")),
            Defect::CopyInLog | Defect::LateCopy if number % 10 == 3 => {
                drop(self.inner.submit(batch.clone()).await?);
            }
            Defect::FailThoughWritten | Defect::Indeterminate if number % 10 == 3 => {
                let count = batch.len();
                self.inner.submit(batch).await?.await;
                let (completer, pending) = Pending::new(count);
                for index in 0..count {
                    let error = refused("no answer");
                    let indeterminate = self.defect == Defect::Indeterminate;
                    completer.set(
                        index,
                        Err(if indeterminate {
                            error.with_indeterminate()
                        } else {
                            error
                        }),
                    );
                }
                return Ok(pending);
            }
            _ => {}
        }
        self.inner.submit(batch).await
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        self.inner.native()
    }
}

#[async_trait]
impl Consumer for FaultyConsumer {
    async fn receive(&mut self, max: usize) -> Result<Batch> {
        let mut batch = if self.defect == Defect::LateCopy && !self.held.is_empty() {
            match timeout(Duration::from_secs(1), self.inner.receive(max)).await {
                Ok(batch) => batch?,
                Err(_) => {
                    let mut late = Batch::default();
                    late.deliveries = self.held.drain(..).collect();
                    return Ok(late);
                }
            }
        } else {
            self.inner.receive(max).await?
        };
        let mut out = Vec::new();
        for mut delivery in std::mem::take(&mut batch.deliveries) {
            self.count += 1;
            // The last ones stay, so that a held one always finds a later one of its key.
            let now = self.count % 400 == 200 && self.count < 4_500;
            match self.defect {
                Defect::Drop if now => continue,
                Defect::SamePositionAgain if now => out.push(delivery.clone()),
                Defect::FlipBit if now => {
                    let mut bytes = delivery.event.payload.to_vec();
                    let last = bytes.len() - 1;
                    bytes[last] ^= 1;
                    delivery.event.payload = bytes.into();
                }
                Defect::OtherKey if now => {
                    delivery.event = delivery.event.clone().with_key("user-nobody")
                }
                Defect::OtherPosition if now => {
                    delivery.position = Position::offset(1 << 40 | self.count as i64)
                }
                Defect::LateCopy if !self.seen.insert(delivery.event.payload.clone()) => {
                    self.held.push_back(delivery);
                    continue;
                }
                Defect::Swap if self.held.is_empty() && now => {
                    self.held.push_back(delivery);
                    continue;
                }
                Defect::BreakConsumer if self.count > 3_000 => {
                    return Err(refused("the consumer broke"));
                }
                _ => {}
            }
            // What was held back comes after the next event of its key.
            let held = self.defect == Defect::Swap
                && self
                    .held
                    .front()
                    .is_some_and(|held| held.event.key == delivery.event.key);
            out.push(delivery);
            if held {
                out.extend(self.held.pop_front());
            }
        }
        batch.deliveries = out;
        Ok(batch)
    }

    fn acks(&self) -> Acks {
        self.inner.acks()
    }

    async fn commit(&mut self) -> Result<()> {
        self.inner.commit().await
    }

    async fn seek(&mut self, to: Point) -> Result<()> {
        self.inner.seek(to).await
    }

    fn assignment(&self) -> Vec<OwnedPartition> {
        self.inner.assignment()
    }

    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        self.inner.native()
    }
}
