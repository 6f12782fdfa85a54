use crate::{Arrivals, Resume, Task};
use anyhub_core::{Event, Partition, Point, Position, Result, driver::Sequence};
use anyhub_leases::Grant;
use std::{
    any::Any,
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A topic whose partitions a group may share: what a backend says of it, and how it is read.
///
/// All of it is dispatched statically: a backend has one, and a delivery goes through it.
pub trait Log: fmt::Debug + Send + Sync + Sized + 'static {
    /// The hub's name in errors.
    const HUB: &'static str;
    /// What one of its partitions is called in errors: `shard`, `partition`.
    const PART: &'static str;
    /// How often it is looked for partitions that were added; None where those that come later have
    /// parents, and are found at the end of these.
    const GROWS: Option<Duration>;
    /// A place in a partition.
    type At: Place;
    /// A partition.
    type Part: Part;
    /// Events that were read together.
    type Page: Page<At = Self::At>;
    /// Where the reading of a partition begins.
    type Begin: Clone + fmt::Debug + Send + 'static;

    /// The topic's name.
    fn topic(&self) -> &str;

    /// The SDK's own client, for [`Consumer::native`](anyhub_core::Consumer::native).
    fn native(&self) -> &(dyn Any + Send + Sync);

    /// Whether the whole hub was closed.
    fn is_closed(&self) -> bool;

    /// The partitions that are there now, a parent before its children.
    fn list(&self, operation: &'static str)
    -> impl Future<Output = Result<Vec<Self::Part>>> + Send;

    /// Whether the topic can be read. NotFound once it is gone.
    fn look(&self, operation: &'static str) -> impl Future<Output = Result<()>> + Send;

    /// Where a group begins each of these partitions at `start`; those that lie wholly before it are left
    /// out (C7).
    fn begin(
        &self,
        operation: &'static str,
        parts: &[Self::Part],
        start: &Point,
    ) -> impl Future<Output = Result<Resumes<Self>>> + Send;

    /// The same, for a reader without a group.
    fn begin_alone(
        &self,
        parts: &[Self::Part],
        start: &Point,
    ) -> impl Future<Output = Result<Vec<(Self::Part, Self::Begin)>>> + Send;

    /// Where a seek to `point` takes each of these partitions; where it names positions, those that it
    /// names. NotFound and OutOfRange for positions that are not there.
    fn resolve(
        &self,
        parts: &[Self::Part],
        point: &Point,
    ) -> impl Future<Output = Result<Resumes<Self>>> + Send;

    /// Where reading begins, to go on with a partition at `resume`.
    fn begin_at(part: &Self::Part, resume: Resume<Self::At>) -> Self::Begin;

    /// Reads a partition, as whose grant's owner if the reader is a member of a group, for as long as
    /// the task lives. What comes goes to `arrivals`; not from within this call.
    fn start(
        self: &Arc<Self>,
        part: Self::Part,
        begin: Self::Begin,
        grant: Option<&Grant>,
        arrivals: Arrivals<Self>,
    ) -> Task;

    /// Takes leave of the hub: the consumer was closed, and nothing is read any more.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// Where each of some partitions is resumed.
pub type Resumes<L> = Vec<(<L as Log>::Part, Resume<<L as Log>::At>)>;

/// A partition, as its log lists it.
pub trait Part: Clone + fmt::Debug + Send + Sync + 'static {
    /// What names it in a lease.
    fn id(&self) -> &Arc<str>;

    /// What names it to applications.
    fn partition(&self) -> Partition;

    /// Those that it came from, of which some may be gone: they are finished first (C11).
    fn parents(&self) -> &[Arc<str>];

    /// One that is no longer kept, and of which nothing is known but that it was there.
    fn gone(id: Arc<str>) -> Self;
}

/// Events of one partition that were read together, in their order. They are made when they are handed
/// out.
pub trait Page: fmt::Debug + Send + 'static {
    /// A place in the partition.
    type At;

    /// How many events it has.
    fn len(&self) -> usize;

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that it holds on to, about: the sum of [`size_of`](Self::size_of).
    fn size(&self) -> usize;

    /// Those of one event.
    fn size_of(&self, index: usize) -> usize;

    /// Where an event stands.
    fn at(&self, index: usize) -> Option<Self::At>;

    /// Where the last one stands.
    fn last(&self) -> Option<Self::At> {
        self.len().checked_sub(1).and_then(|last| self.at(last))
    }

    /// The first event that stands there or later.
    fn index_of(&self, at: Self::At) -> usize;

    /// An event, and when it was published.
    fn event(&self, index: usize) -> Option<(Event, Option<SystemTime>)>;
}

/// A place in a partition, in the order of its events.
pub trait Place:
    Copy + Ord + fmt::Debug + fmt::Display + Into<Position> + Send + Sync + 'static
{
    /// Back from its text.
    fn parse(text: &str) -> Option<Self>;

    /// Right behind the event that stands here.
    fn after(self) -> Self;
}

impl Place for Sequence {
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn after(self) -> Self {
        Self::after(self)
    }
}

/// Of hubs that count their events.
impl Place for i64 {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    }

    fn after(self) -> Self {
        self.saturating_add(1)
    }
}
