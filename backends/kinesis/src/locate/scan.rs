use crate::{
    aggregate::Aggregate,
    client::{Link, Stream},
    fetch::{self, Origin, Page},
    shards::Shard,
};
use anyhub_core::{ErrorKind, Result, driver::Sequence};
use aws_sdk_kinesis::types::Record;
use bytes::Bytes;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::sleep;

/// Records of a look at some place.
pub(super) const LOOK: i32 = 100;
/// Records of a page where many have to be read: the most that GetRecords gives.
pub(super) const MOST: i32 = 10_000;

/// By how much Kinesis' clock may be ahead of this machine's, where a shard is too busy to be read to
/// its tip: beyond that, its end is seen too early.
const TOLERANCE: Duration = Duration::from_secs(5);

/// How long a shard may refuse reads before that is the answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Before the next try, after the SDK's own.
const PAUSE: Duration = Duration::from_millis(500);

/// One question to one shard, which may take several scans.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    link: &'a Link,
    operation: &'static str,
    stream: &'a Stream,
    shard: &'a Shard,
    begun: SystemTime,
}

/// Reading a shard from some place on.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    reader: Reader<'a>,
    /// Where to begin again should the iterator expire.
    origin: Origin,
    /// The last record that was read.
    last: Option<Sequence>,
    iterator: Option<String>,
}

/// The events of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Events {
    pub(super) first: Sequence,
    pub(super) last: Sequence,
    pub(super) arrived: Option<SystemTime>,
}

/// What one page gave.
#[derive(Debug)]
pub(super) struct Step {
    /// The first record that has events, and the last one.
    pub(super) ends: Option<(Events, Events)>,
    /// Nothing is left that was there when the question was asked.
    pub(super) done: bool,
    /// How old what comes next is, by Kinesis' clock.
    pub(super) behind: Duration,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        link: &'a Link,
        operation: &'static str,
        stream: &'a Stream,
        shard: &'a Shard,
    ) -> Self {
        Self {
            link,
            operation,
            stream,
            shard,
            begun: SystemTime::now(),
        }
    }

    pub(super) fn scan(self, origin: Origin) -> Scan<'a> {
        Scan {
            reader: self,
            origin,
            last: None,
            iterator: None,
        }
    }

    /// The events of a record; None for an aggregate that readers drop, or that has none.
    fn events(self, record: Record) -> Result<Option<Events>> {
        let first = fetch::place(self.operation, &record)?;
        let arrived = record.approximate_arrival_timestamp;
        let arrived = arrived.and_then(|time| SystemTime::try_from(time).ok());
        let last = match Aggregate::parse(&Bytes::from(record.data.into_inner())) {
            None => Some(0),
            Some(aggregate) if !aggregate.lies_within(&self.shard.range) => None,
            Some(aggregate) => aggregate.len().checked_sub(1),
        };
        let last = last.and_then(|last| u32::try_from(last).ok());
        Ok(last.map(|last| Events {
            first,
            last: first.with_index(last),
            arrived,
        }))
    }
}

impl Scan<'_> {
    /// The first record with events that fit; None: there is none.
    pub(super) async fn find(
        &mut self,
        mut fits: impl FnMut(&Events) -> bool,
    ) -> Result<Option<Events>> {
        // Most often the first record will do.
        let mut limit = 1;
        loop {
            let (page, done) = self.page(limit).await?;
            for record in page.records {
                if let Some(found) = self.reader.events(record)?.filter(|found| fits(found)) {
                    return Ok(Some(found));
                }
            }
            if done {
                return Ok(None);
            }
            limit = LOOK;
        }
    }

    /// The events of the next record, whether or not it has some.
    pub(super) async fn record(&mut self) -> Result<Option<Events>> {
        loop {
            let (page, done) = self.page(1).await?;
            match page.records.into_iter().next() {
                Some(record) => return self.reader.events(record),
                None if done => return Ok(None),
                None => {}
            }
        }
    }

    /// A page with events, or what is left if there are none.
    pub(super) async fn look(&mut self, limit: i32) -> Result<Step> {
        loop {
            let (page, done) = self.page(limit).await?;
            let mut ends: Option<(Events, Events)> = None;
            for record in page.records {
                if let Some(events) = self.reader.events(record)? {
                    ends = Some((ends.map_or(events, |ends| ends.0), events));
                }
            }
            if done || ends.is_some() {
                return Ok(Step {
                    ends,
                    done,
                    behind: page.behind,
                });
            }
        }
    }

    /// The last event of all that is left; None: there is none.
    pub(super) async fn newest(&mut self) -> Result<Option<Sequence>> {
        let mut newest = None;
        loop {
            let step = self.look(MOST).await?;
            newest = step.ends.map(|(_, last)| last.last).or(newest);
            if step.done {
                return Ok(newest);
            }
        }
    }

    /// The next page, and whether it is the last one: at the shard's end, at the tip, or where all
    /// that follows arrived after the question was asked, so that a busy shard has an end too.
    ///
    /// How far behind the tip a page is, servers count differently: LocalStack says 0 between two
    /// records of one millisecond. So a full page is not the last one.
    async fn page(&mut self, limit: i32) -> Result<(Page, bool)> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self.ask(limit).await {
                Ok(Some(mut page)) => {
                    let full = page.records.len() >= limit.max(1) as usize;
                    let later = page
                        .records
                        .last()
                        .is_some_and(|record| self.is_later(record));
                    self.read(&mut page)?;
                    self.iterator.clone_from(&page.next);
                    let at_tip = page.behind.is_zero() && !full;
                    return Ok((page, self.iterator.is_none() || at_tip || later));
                }
                // It expired: another one, from where it was.
                Ok(None) => self.iterator = None,
                Err(error) if error.kind() == ErrorKind::Throttled => {
                    if Instant::now() >= give_up {
                        return Err(error);
                    }
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a record arrived after the question was asked, whatever the clocks say.
    fn is_later(&self, record: &Record) -> bool {
        let arrived = record.approximate_arrival_timestamp;
        let arrived = arrived.and_then(|time| SystemTime::try_from(time).ok());
        arrived.is_some_and(|arrived| arrived > self.reader.begun + TOLERANCE)
    }

    /// Takes out what was read before, and notes what was read now.
    fn read(&mut self, page: &mut Page) -> Result<()> {
        let operation = self.reader.operation;
        let Some(record) = page.records.last() else {
            return Ok(());
        };
        let newest = fetch::place(operation, record)?;
        if let Some(last) = self.last {
            let is_new = |record: &Record| fetch::place(operation, record).ok() > Some(last);
            page.records.retain(is_new);
        }
        self.last = self.last.max(Some(newest));
        self.origin = Origin::Record(newest);
        Ok(())
    }

    async fn ask(&mut self, limit: i32) -> Result<Option<Page>> {
        let Reader {
            link,
            operation,
            stream,
            shard,
            ..
        } = self.reader;
        let client = link.patient(operation).await?;
        let iterator = match &self.iterator {
            Some(iterator) => iterator.clone(),
            None => {
                let iterator = fetch::iterator(client, operation, stream, &shard.id, self.origin);
                match iterator.await {
                    // Kinesis' clock is behind this machine's, and for it the time is to come.
                    Err(error)
                        if error.kind() == ErrorKind::Invalid
                            && matches!(self.origin, Origin::Time(_)) =>
                    {
                        fetch::iterator(client, operation, stream, &shard.id, Origin::Latest)
                            .await?
                    }
                    iterator => iterator?,
                }
            }
        };
        self.iterator = Some(iterator.clone());
        fetch::page(client, operation, stream, &iterator, limit).await
    }
}
