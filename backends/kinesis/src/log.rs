//! A stream as a log that groups share.

use crate::{
    client::{Link, Stream},
    consumer::NativeConsumer,
    decode::Page,
    error::HUB,
    reader::{self, Begin},
    shards::{self, Shard},
    start, status,
    usage::Counters,
};
use anyhub_core::{Event, Partition, Point, Result, driver::Sequence};
use anyhub_groups::{Arrivals, Log, Part, Resume, Task};
use anyhub_leases::Grant;
use std::{
    any::Any,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub(crate) struct KinesisLog {
    pub(crate) link: Link,
    pub(crate) stream: Stream,
    pub(crate) counters: Arc<Counters>,
    /// The ARN of the registered consumer to read as; None: by GetRecords.
    pub(crate) fanout: Option<Arc<str>>,
    pub(crate) native: NativeConsumer,
}

impl Log for KinesisLog {
    const HUB: &'static str = HUB;
    const PART: &'static str = "shard";
    const GROWS: Option<Duration> = None;
    type At = Sequence;
    type Part = Shard;
    type Page = Page;
    type Begin = Begin;

    fn topic(&self) -> &str {
        self.stream.topic()
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.native
    }

    fn is_closed(&self) -> bool {
        self.link.is_closed()
    }

    async fn list(&self, operation: &'static str) -> Result<Vec<Shard>> {
        shards::list(&self.link, operation, &self.stream).await
    }

    async fn look(&self, operation: &'static str) -> Result<()> {
        let summary = status::usable(&self.link, operation, &self.stream).await;
        summary.map(drop)
    }

    async fn begin(
        &self,
        operation: &'static str,
        shards: &[Shard],
        start: &Point,
    ) -> Result<Vec<(Shard, Resume<Sequence>)>> {
        start::begin(self, operation, shards, start).await
    }

    async fn begin_alone(&self, shards: &[Shard], start: &Point) -> Result<Vec<(Shard, Begin)>> {
        start::begin_alone(self, shards, start).await
    }

    async fn resolve(
        &self,
        shards: &[Shard],
        point: &Point,
    ) -> Result<Vec<(Shard, Resume<Sequence>)>> {
        start::resolve(self, shards, point).await
    }

    fn begin_at(shard: &Shard, resume: Resume<Sequence>) -> Begin {
        Begin::at(resume, shard)
    }

    fn start(
        self: &Arc<Self>,
        shard: Shard,
        begin: Begin,
        _: Option<&Grant>,
        arrivals: Arrivals<Self>,
    ) -> Task {
        let reading = reader::read(self.clone(), shard, begin, arrivals);
        Task::new(tokio::spawn(reading).abort_handle())
    }

    async fn close(&self) {}
}

impl fmt::Debug for KinesisLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KinesisLog({})", self.stream.topic())
    }
}

impl Part for Shard {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn partition(&self) -> Partition {
        self.partition()
    }

    fn parents(&self) -> &[Arc<str>] {
        &self.parents
    }

    fn gone(id: Arc<str>) -> Self {
        Self::gone(id)
    }
}

impl anyhub_groups::Page for Page {
    type At = Sequence;

    fn len(&self) -> usize {
        self.len()
    }

    fn size(&self) -> usize {
        self.size()
    }

    fn size_of(&self, index: usize) -> usize {
        self.size_of(index)
    }

    fn at(&self, index: usize) -> Option<Sequence> {
        self.at(index)
    }

    fn index_of(&self, at: Sequence) -> usize {
        self.index_of(at)
    }

    fn event(&self, index: usize) -> Option<(Event, Option<SystemTime>)> {
        self.event(index)
    }
}
