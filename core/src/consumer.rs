use crate::{
    AckToken, Acks, BoxError, Event, Partition, Point, Position, Result, keyed::for_each_keyed,
};
use async_trait::async_trait;
use futures_util::{Stream, stream};
use std::{any::Any, fmt, future::Future, num::NonZeroU32, time::SystemTime};

/// Reads one topic, alone or as a member of a group. See [`ConsumerExt`] for the everyday calls.
#[async_trait]
pub trait Consumer: fmt::Debug + Send + 'static {
    /// Waits for something to say: changes of the assignment, at most `max` deliveries, or both,
    /// the changes first (C1). It retries what is retryable; an Err is final until seek or close, but
    /// for a `max` of 0, which is Invalid and changes nothing.
    ///
    /// Cancel-safe: dropped before it resolves, nothing is lost.
    async fn receive(&mut self, max: usize) -> Result<Batch>;

    /// The handle that acknowledges, for any task or thread (C3).
    fn acks(&self) -> Acks;

    /// Makes durable what was acknowledged so far (C3). Fenced if acknowledged events were lost to
    /// another owner and will come again there.
    async fn commit(&mut self) -> Result<()>;

    /// Moves to `to` and makes that durable; every token of what it moves is stale (C8).
    /// OutOfRange if the place is no longer kept.
    async fn seek(&mut self, to: Point) -> Result<()>;

    /// The partitions that this consumer owns now.
    fn assignment(&self) -> Vec<OwnedPartition>;

    /// Commits, leaves the group and lets go. Later calls are Closed; closing again does nothing.
    async fn close(&mut self) -> Result<()>;

    /// The SDK's own consumer, for what the trait leaves out. Outside the promise of versions.
    fn native(&self) -> &(dyn Any + Send + Sync);
}

/// Everyday calls on every [`Consumer`]. You must not implement this yourself.
pub trait ConsumerExt: Consumer {
    /// The batches of up to `max` deliveries as a stream; it ends after an Err.
    fn batches(&mut self, max: usize) -> impl Stream<Item = Result<Batch>> + Send {
        stream::try_unfold(self, move |consumer| async move {
            let batch = consumer.receive(max).await?;
            Ok(Some((batch, consumer)))
        })
    }

    /// Runs `handler` on every delivery, up to `concurrency` keys side by side and each key in
    /// order, until `stop` resolves; then it drains what runs and commits.
    ///
    /// Ok acknowledges; Err nacks, so that the key comes again from that event on (C5), and is warned of by
    /// tracing at an event's attempts 1, 2, 4, 8 and so on. When it
    /// stops, what was fetched and not begun is nacked, so that a later `receive` sees it again. A
    /// handler that takes longer than the consumer's `max_processing` while 256 events wait behind it
    /// costs the consumer its partitions (C2).
    ///
    /// An Err of the consumer ends it at once, with handlers still running; dropped, it is the same:
    /// what was not acknowledged comes again to the next owner, or after a seek.
    fn for_each_keyed<H, F, S>(
        &mut self,
        concurrency: usize,
        stop: S,
        handler: H,
    ) -> impl Future<Output = Result<()>> + Send
    where
        H: Fn(Delivery) -> F + Send + Sync,
        F: Future<Output = Result<(), BoxError>> + Send,
        S: Future<Output = ()> + Send,
    {
        for_each_keyed(self, concurrency, stop, handler)
    }
}

impl<C: Consumer + ?Sized> ConsumerExt for C {}

/// What one [`receive`](Consumer::receive) tells: never wholly empty.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Batch {
    /// What changed before the deliveries of this batch.
    pub changes: Vec<Change>,
    /// The deliveries, in order.
    pub deliveries: Vec<Delivery>,
}

impl Batch {
    /// An empty batch, to be filled by a backend.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to tell yet.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.deliveries.is_empty()
    }

    /// The tokens of all deliveries, for [`Acks::ack`].
    pub fn tokens(&self) -> Vec<AckToken> {
        self.deliveries
            .iter()
            .map(|delivery| delivery.token)
            .collect()
    }
}

/// A change that a consumer is told of before the deliveries that it affects (C1).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// These partitions are now this consumer's.
    Assigned(Vec<Partition>),
    /// These were given up in good order: what was acknowledged is committed.
    Revoked(Vec<Partition>),
    /// These were taken: what was not committed comes again to their new owner.
    Lost(Vec<Partition>),
    /// Retention removed events before they were read (C14): reading goes on at `to`.
    Overtaken {
        /// Where it happened.
        partition: Partition,
        /// The position that was due.
        from: Position,
        /// The oldest one still kept; of a partition that has ended, a place behind all of it.
        to: Position,
    },
}

/// One event as it was delivered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// The partition it stands in.
    pub partition: Partition,
    /// Its position there.
    pub position: Position,
    /// When it was published, by the hub's clock (E4), where the hub tells.
    pub published: Option<SystemTime>,
    /// 1 at the first delivery to this owner, one more at each redelivery after a nack (C5).
    pub attempt: NonZeroU32,
    /// What acknowledges it.
    pub token: AckToken,
}

impl Delivery {
    /// A delivery by a backend.
    pub fn new(
        event: Event,
        partition: Partition,
        position: Position,
        published: Option<SystemTime>,
        attempt: NonZeroU32,
        token: AckToken,
    ) -> Self {
        Self {
            event,
            partition,
            position,
            published,
            attempt,
            token,
        }
    }
}

/// A partition that a consumer owns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedPartition {
    /// Which one.
    pub partition: Partition,
    /// The oldest event delivered and not acknowledged: what the checkpoint waits for (C4).
    pub oldest_unacked: Option<Position>,
    /// Events delivered beyond the finished prefix.
    pub unfinished: usize,
}

impl OwnedPartition {
    /// What a backend owns.
    pub fn new(partition: Partition, oldest_unacked: Option<Position>, unfinished: usize) -> Self {
        Self {
            partition,
            oldest_unacked,
            unfinished,
        }
    }
}
