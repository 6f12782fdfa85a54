use super::{
    HUB,
    hub::{CAPABILITIES, Counters},
    log::{ENTRY_BYTES, Log},
    topic::Topic,
};
use crate::{
    Error, ErrorKind, Event, Limits, Pending, Producer, ProducerOptions, Result,
    driver::{Buffer, check, murmur2},
};
use async_trait::async_trait;
use std::{
    any::Any,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::{sync::watch, time};

#[derive(Debug)]
pub(super) struct MemoryProducer {
    topic: Arc<Topic>,
    counters: Arc<Counters>,
    buffer: Buffer,
    deadline: Duration,
    closed: watch::Sender<bool>,
    /// Where the next keyless event goes.
    turn: AtomicU32,
}

/// A batch on its way into the log.
struct Writing {
    batch: Vec<Event>,
    logs: Arc<[Arc<Log>]>,
    /// The partition of each event.
    partitions: Vec<u32>,
    /// The bytes that each partition needs.
    needs: Vec<u64>,
    bytes: u64,
}

/// The first partition that has no room for its part of a batch.
struct Blocked {
    partition: usize,
    until: Option<SystemTime>,
}

impl MemoryProducer {
    pub(super) fn new(
        topic: Arc<Topic>,
        counters: Arc<Counters>,
        options: &ProducerOptions,
    ) -> Self {
        Self {
            topic,
            counters,
            buffer: Buffer::new(HUB, options),
            deadline: options.deadline,
            closed: watch::Sender::new(false),
            turn: AtomicU32::new(0),
        }
    }

    pub(super) fn close_now(&self) {
        self.buffer.close();
        self.closed.send_replace(true);
    }

    fn prepare(&self, batch: Vec<Event>) -> Writing {
        let logs = self.topic.logs();
        let count = logs.len() as u32;
        let mut needs = vec![0; logs.len()];
        let mut bytes = 0;
        let mut turn = self.turn.load(Ordering::Relaxed);
        let partitions = batch.iter().map(|event| {
            let partition = match &event.key {
                Some(key) => (murmur2(key.as_bytes()) & 0x7fff_ffff) as u32 % count,
                None => {
                    turn = turn.wrapping_add(1);
                    turn % count
                }
            };
            let size = event.size() as u64;
            needs[partition as usize] += size + ENTRY_BYTES;
            bytes += size;
            partition
        });
        let partitions = partitions.collect();
        self.turn.store(turn, Ordering::Relaxed);
        Writing {
            batch,
            logs,
            partitions,
            needs,
            bytes,
        }
    }

    /// Waits until `blocked` may have room. Err: it never will in time.
    async fn wait(&self, writing: &Writing, blocked: Blocked, begun: Instant) -> Result<()> {
        let log = &writing.logs[blocked.partition];
        let mut room = pin!(log.room.notified());
        room.as_mut().enable();
        let _waits = self.topic.wait_for_room();
        // Looked at again: room may have come before we waited for it.
        if log
            .lock()
            .make_room(writing.needs[blocked.partition])
            .is_ok()
        {
            return Ok(());
        }
        let left = self.deadline.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(self.no_room(blocked.partition));
        }
        let expiry = blocked.until.map(|until| {
            let wait = until.duration_since(SystemTime::now()).unwrap_or_default();
            wait.max(Duration::from_millis(1))
        });
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(self.is_closed()),
            () = room => Ok(()),
            () = time::sleep(expiry.unwrap_or(left).min(left)) => Ok(()),
        }
    }

    fn no_room(&self, partition: usize) -> Error {
        let (topic, deadline) = (&self.topic.name, self.deadline);
        Error::new(
            ErrorKind::Timeout,
            HUB,
            "submit",
            format!("partition {partition} of '{topic}' was full for {deadline:?}"),
        )
        .with_advice(
            "nothing was sent; set a retention (retention=consumed lets go of what all groups have \
             committed), or raise capacity_bytes",
        )
    }

    fn is_closed(&self) -> Error {
        Error::new(ErrorKind::Closed, HUB, "submit", "the producer is closed")
    }
}

impl Writing {
    /// Writes the whole batch, or nothing where a partition has no room for it.
    fn write(&mut self) -> Result<Pending, Blocked> {
        // Always in rising order, so that producers can't wait for one another in a circle.
        let mut logs = Vec::with_capacity(self.logs.len());
        for (partition, need) in self.needs.iter().enumerate() {
            logs.push(if *need == 0 {
                None
            } else {
                let mut log = self.logs[partition].lock();
                log.make_room(*need).map_err(|full| Blocked {
                    partition,
                    until: full.until,
                })?;
                Some(log)
            });
        }
        // Read under the locks: the order of times is the order of offsets.
        let now = SystemTime::now();
        logs.iter_mut().flatten().for_each(|log| log.tick(now));
        let (completer, pending) = Pending::new(self.batch.len());
        for (index, (event, &partition)) in self.batch.drain(..).zip(&self.partitions).enumerate() {
            if let Some(log) = &mut logs[partition as usize] {
                completer.set_offset(index, partition, log.append(event));
            }
        }
        let mut waiting = Vec::new();
        for mut log in logs.into_iter().flatten() {
            waiting.append(&mut log.appended());
        }
        for consumer in waiting {
            if let Some(consumer) = consumer.upgrade() {
                consumer.notify_one();
            }
        }
        Ok(pending)
    }
}

#[async_trait]
impl Producer for MemoryProducer {
    async fn submit(&self, batch: Vec<Event>) -> Result<Pending> {
        let begun = Instant::now();
        for event in &batch {
            check(event, HUB, &CAPABILITIES)?;
        }
        let _admitted = self.buffer.admit(&batch, &self.topic.limits).await?;
        let mut writing = self.prepare(batch);
        loop {
            self.topic.check("submit")?;
            match writing.write() {
                Ok(pending) => {
                    let events = writing.partitions.len() as u64;
                    self.counters.written(events, writing.bytes);
                    return Ok(pending);
                }
                Err(blocked) => self.wait(&writing, blocked, begun).await?,
            }
        }
    }

    fn limits(&self) -> Limits {
        self.topic.limits
    }

    async fn flush(&self) -> Result<()> {
        // What was admitted is written before `submit` returns.
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.close_now();
        Ok(())
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}
