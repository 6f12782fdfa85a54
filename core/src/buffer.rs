use crate::{Error, ErrorKind, Event, Limits, ProducerOptions, Result};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

/// The bound on what a producer has admitted and not yet resolved (P1): fair, in order of arrival.
#[derive(Debug)]
pub struct Buffer {
    hub: &'static str,
    bytes: Arc<Semaphore>,
    events: Arc<Semaphore>,
    capacity_bytes: usize,
    capacity_events: usize,
    deadline: Duration,
    /// Held from admission until the batch is handed over, so that batches keep their order.
    turn: Mutex<()>,
    closed: watch::Sender<bool>,
}

/// Room for one batch; dropped when all of its events are resolved.
#[derive(Debug)]
pub struct Room(#[allow(dead_code)] [OwnedSemaphorePermit; 2]);

/// The right to hand the next batch to the SDK; dropped when that is done.
#[derive(Debug)]
pub struct Turn<'a>(#[allow(dead_code)] MutexGuard<'a, ()>);

impl Buffer {
    /// A buffer for a producer of `hub`.
    pub fn new(hub: &'static str, options: &ProducerOptions) -> Self {
        let capacity_bytes = options.buffer_bytes.min(u32::MAX as usize);
        let capacity_events = options.buffer_events.min(u32::MAX as usize);
        Self {
            hub,
            bytes: Arc::new(Semaphore::new(capacity_bytes)),
            events: Arc::new(Semaphore::new(capacity_events)),
            capacity_bytes,
            capacity_events,
            deadline: options.deadline,
            turn: Mutex::new(()),
            closed: watch::Sender::new(false),
        }
    }

    /// Checks the batch against the topic's limits and the whole buffer, then waits for its turn
    /// and for room. TooLarge, Timeout after the deadline, Closed after [`close`](Self::close).
    ///
    /// Cancel-safe: dropped, it holds nothing.
    pub async fn admit(&self, batch: &[Event], limits: &Limits) -> Result<(Turn<'_>, Room)> {
        let mut bytes = 0;
        for event in batch {
            let size = event.size();
            if size > limits.event_bytes {
                return Err(self.too_large(format!(
                    "an event of {size} bytes is above the topic's limit of an event, {}",
                    limits.event_bytes
                )));
            }
            bytes += size;
        }
        let most_events = limits.batch_events.min(self.capacity_events);
        let most_bytes = limits.batch_bytes.min(self.capacity_bytes);
        // The option, where it is what limits.
        let limit = |option: &'static str, capacity: usize, most: usize| match capacity {
            _ if capacity == most => option,
            _ => "the topic's limit of a batch",
        };
        if batch.len() > most_events {
            let limit = limit("buffer_events", self.capacity_events, most_events);
            return Err(self.too_large(format!(
                "a batch of {} events is above {limit}, {most_events}",
                batch.len()
            )));
        }
        if bytes > most_bytes {
            let limit = limit("buffer_bytes", self.capacity_bytes, most_bytes);
            return Err(self.too_large(format!(
                "a batch of {bytes} bytes is above {limit}, {most_bytes}"
            )));
        }
        // The semaphores are never closed, so acquiring fails only by being dropped.
        let admission = async {
            let turn = self.turn.lock().await;
            let events = self.events.clone().acquire_many_owned(batch.len() as u32);
            let events = events.await.map_err(|_| self.closed())?;
            let bytes = self.bytes.clone().acquire_many_owned(bytes as u32);
            let bytes = bytes.await.map_err(|_| self.closed())?;
            Ok((Turn(turn), Room([events, bytes])))
        };
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(self.closed()),
            admitted = timeout(self.deadline, admission) => admitted.unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorKind::Timeout,
                    self.hub,
                    "submit",
                    format!("no room in the buffer within {:?}", self.deadline),
                )
                .with_advice("nothing was sent; raise buffer_bytes, or submit more slowly"))
            }),
        }
    }

    /// Waits until all that was admitted before is resolved, for a flush or a close. Timeout after the deadline.
    ///
    /// Cancel-safe: dropped, it holds nothing.
    pub async fn drained(&self, operation: &'static str) -> Result<()> {
        // Every permit back at once: nothing is in flight, and nothing slipped in between.
        let drained = async {
            let _turn = self.turn.lock().await;
            let all = self.events.acquire_many(self.capacity_events as u32);
            drop(all.await);
        };
        timeout(self.deadline, drained).await.map_err(|_| {
            let (left, deadline) = (self.in_flight(), self.deadline);
            let message = format!("{left} events are not resolved within {deadline:?}");
            Error::new(ErrorKind::Timeout, self.hub, operation, message).with_advice(
                "their outcomes are told all the same; look at the hub and the network",
            )
        })
    }

    /// Refuses new batches from now on, and those that wait.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Events admitted and not yet resolved.
    pub fn in_flight(&self) -> usize {
        self.capacity_events - self.events.available_permits()
    }

    fn too_large(&self, message: String) -> Error {
        Error::new(ErrorKind::TooLarge, self.hub, "submit", message)
            .with_advice("split it; Producer::limits() and the producer's options say what fits")
    }

    fn closed(&self) -> Error {
        Error::new(
            ErrorKind::Closed,
            self.hub,
            "submit",
            "the producer is closed",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_drain_is_told() -> Result<()> {
        let buffer = Buffer::new("test", &ProducerOptions::new());
        let batch = [Event::new("0"), Event::new("1")];
        let limits = Limits::new(1, 2, 2);
        let (turn, room) = buffer.admit(&batch, &limits).await?;
        drop(turn);
        let Err(error) = buffer.drained("flush").await else {
            panic!("it is not drained");
        };
        assert_eq!(
            (error.kind(), error.operation()),
            (ErrorKind::Timeout, "flush")
        );
        assert!(error.message().starts_with("2 events"), "{error}");
        assert!(error.advice().is_some());
        drop(room);
        buffer.drained("flush").await
    }
}
