//! An event hub as a log that groups share.

use crate::{
    client::{Client, Namespace},
    connection::Connection,
    describe,
    error::HUB,
    message::Read,
    native::NativeClient,
    reader::Reading,
    receiver::Origin,
    start,
    usage::Counters,
};
use anyhub_core::{Event, Partition, Point, Result};
use anyhub_groups::{Arrivals, Log, Page, Part, Resume, Task};
use anyhub_leases::Grant;
use std::{
    any::Any,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub(crate) struct EventHubsLog {
    pub(crate) namespace: Namespace,
    pub(crate) client: Client,
    pub(crate) native: NativeClient,
    /// The consumer group of Event Hubs.
    pub(crate) group: Arc<str>,
    pub(crate) counters: Arc<Counters>,
}

/// A partition, by its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbered {
    id: Arc<str>,
    pub(crate) number: u32,
}

impl From<u32> for Numbered {
    fn from(number: u32) -> Self {
        Self {
            id: number.to_string().into(),
            number,
        }
    }
}

impl Log for EventHubsLog {
    const HUB: &'static str = HUB;
    const PART: &'static str = "partition";
    /// In the tiers that let partitions be added; as often as JavaScript's client looks (2026-11).
    const GROWS: Option<Duration> = Some(Duration::from_secs(10));
    type At = i64;
    type Part = Numbered;
    type Page = Reads;
    type Begin = Origin;

    fn topic(&self) -> &str {
        self.client.topic()
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.native
    }

    fn is_closed(&self) -> bool {
        self.namespace.check_open("receive").is_err()
    }

    async fn list(&self, operation: &'static str) -> Result<Vec<Numbered>> {
        let question = move |connection: Arc<Connection>| async move {
            describe::partitions(&connection, operation).await
        };
        let numbers = self.client.ask(operation, question).await?;
        Ok(numbers.into_iter().map(Numbered::from).collect())
    }

    async fn look(&self, operation: &'static str) -> Result<()> {
        self.list(operation).await.map(drop)
    }

    async fn begin(
        &self,
        operation: &'static str,
        parts: &[Numbered],
        start: &Point,
    ) -> Result<Vec<(Numbered, Resume<i64>)>> {
        start::begin(&self.client, operation, parts, start).await
    }

    async fn begin_alone(
        &self,
        parts: &[Numbered],
        start: &Point,
    ) -> Result<Vec<(Numbered, Origin)>> {
        let begun = start::begin(&self.client, "consumer", parts, start).await?;
        let begun = begun.into_iter();
        Ok(begun.map(|(part, resume)| (part, resume.into())).collect())
    }

    async fn resolve(
        &self,
        parts: &[Numbered],
        point: &Point,
    ) -> Result<Vec<(Numbered, Resume<i64>)>> {
        start::resolve(&self.client, "seek", parts, point).await
    }

    fn begin_at(_: &Numbered, resume: Resume<i64>) -> Origin {
        resume.into()
    }

    /// The take counter is the epoch: the service lets no earlier owner read on.
    fn start(
        self: &Arc<Self>,
        part: Numbered,
        begin: Origin,
        grant: Option<&Grant>,
        arrivals: Arrivals<Self>,
    ) -> Task {
        let epoch = grant.map(|grant| i64::try_from(grant.takes).unwrap_or(i64::MAX));
        let reading = Reading::new(self.clone(), part.number, begin, epoch, arrivals);
        let reader = self.client.io().spawn(reading.run());
        Task::new(reader.abort_handle())
    }

    async fn close(&self) {
        self.client.close().await;
    }
}

impl fmt::Debug for EventHubsLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventHubsLog({})", self.client.topic())
    }
}

impl From<Resume<i64>> for Origin {
    fn from(resume: Resume<i64>) -> Self {
        match resume {
            Resume::Start => Self::Start,
            Resume::Time(time) => Self::Time(time),
            Resume::At(number) => Self::Sequence(number),
        }
    }
}

impl Part for Numbered {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn partition(&self) -> Partition {
        Partition::named(&self.id)
    }

    fn parents(&self) -> &[Arc<str>] {
        &[]
    }

    fn gone(id: Arc<str>) -> Self {
        // One that is no number was never there, nor is the last.
        let number = id.parse().unwrap_or(u32::MAX);
        Self { id, number }
    }
}

/// Events that were read together.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    reads: Vec<Read>,
    bytes: usize,
}

impl Reads {
    pub(crate) fn push(&mut self, read: Read) {
        self.bytes += read.size();
        self.reads.push(read);
    }
}

impl Page for Reads {
    type At = i64;

    fn len(&self) -> usize {
        self.reads.len()
    }

    fn size(&self) -> usize {
        self.bytes
    }

    fn size_of(&self, index: usize) -> usize {
        self.reads.get(index).map_or(0, Read::size)
    }

    fn at(&self, index: usize) -> Option<i64> {
        self.reads.get(index).map(|read| read.at)
    }

    fn index_of(&self, at: i64) -> usize {
        self.reads.partition_point(|read| read.at < at)
    }

    fn event(&self, index: usize) -> Option<(Event, Option<SystemTime>)> {
        let read = self.reads.get(index)?;
        Some((read.event.clone(), read.published))
    }
}
