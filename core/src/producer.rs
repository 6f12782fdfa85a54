use crate::{Event, Partition, Pending, Position, Result};
use async_trait::async_trait;
use std::{any::Any, fmt, future::Future};

/// Writes events to one topic. See [`ProducerExt`] for the everyday calls.
#[async_trait]
pub trait Producer: fmt::Debug + Send + Sync + 'static {
    /// Admits a batch whole or not at all (P1): waits for room in the buffer, fair and in order of
    /// arrival, and returns the outcome to come. An Err means that nothing of it was sent:
    /// Invalid, TooLarge or Unsupported for what the hub can't carry, Closed, or Timeout when no
    /// room was to be had within the deadline.
    ///
    /// Cancel-safe: dropped before it resolves, nothing was sent.
    async fn submit(&self, batch: Vec<Event>) -> Result<Pending>;

    /// The largest event and batch that the topic takes (E5).
    fn limits(&self) -> Limits;

    /// Waits until all that was admitted before is resolved, within the deadline.
    async fn flush(&self) -> Result<()>;

    /// Refuses new events, resolves the admitted ones, and lets go (P5). Calling it again does
    /// nothing.
    async fn close(&self) -> Result<()>;

    /// The SDK's own producer, for what the trait leaves out. Outside the promise of versions.
    fn native(&self) -> &(dyn Any + Send + Sync);
}

/// Everyday calls on every [`Producer`]. You must not implement this yourself.
pub trait ProducerExt: Producer {
    /// Submits a batch and waits for the outcome of each event, in the order of the batch.
    fn publish(
        &self,
        batch: Vec<Event>,
    ) -> impl Future<Output = Result<Vec<Result<Receipt>>>> + Send {
        async move { Ok(self.submit(batch).await?.await) }
    }

    /// Submits one event and waits for its receipt.
    fn send(&self, event: Event) -> impl Future<Output = Result<Receipt>> + Send {
        async move {
            let mut outcomes = self.submit(vec![event]).await?.await;
            outcomes.swap_remove(0)
        }
    }
}

impl<P: Producer + ?Sized> ProducerExt for P {}

/// Where an event was written (P4), as far as the hub tells; it equals what a consumer sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Receipt {
    /// The partition.
    pub partition: Option<Partition>,
    /// The position in it.
    pub position: Option<Position>,
}

impl Receipt {
    /// A receipt from a hub that tells both.
    pub fn at(partition: Partition, position: Position) -> Self {
        Self {
            partition: Some(partition),
            position: Some(position),
        }
    }
}

/// What a topic takes (E5). One byte more is TooLarge, before anything is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one event: key, payload and headers together, as [`Event::size`] counts them.
    pub event_bytes: usize,
    /// Events of one batch.
    pub batch_events: usize,
    /// Bytes of one batch.
    pub batch_bytes: usize,
}

impl Limits {
    /// These limits.
    pub fn new(event_bytes: usize, batch_events: usize, batch_bytes: usize) -> Self {
        Self {
            event_bytes,
            batch_events,
            batch_bytes,
        }
    }
}
