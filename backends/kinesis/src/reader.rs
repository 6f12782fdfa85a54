//! One shard read by GetRecords, ahead of `receive`.

use crate::{
    decode::{Decoder, Page},
    fanout,
    fetch::{self, Origin},
    log::KinesisLog,
    pace::Pace,
    shards::{self, Shard},
};
use anyhub_core::{Error, ErrorKind, Result, driver::Sequence};
use anyhub_groups::{Arrivals, Log as _, Resume, Room};
use aws_sdk_kinesis::types::Record;
use std::{sync::Arc, time::SystemTime};
use tokio::time::Instant;

/// What a reader brings.
pub(crate) type Arrived = anyhub_groups::Arrived<Page>;

/// Where the reading of a shard begins.
#[derive(Debug, Clone)]
pub(crate) struct Begin {
    pub(crate) origin: Origin,
    /// What comes before this is not wanted.
    pub(crate) from: Option<Sequence>,
    /// An iterator that is there already.
    pub(crate) iterator: Option<String>,
}

impl Begin {
    /// To go on with a shard at `resume`.
    pub(crate) fn at(resume: Resume<Sequence>, shard: &Shard) -> Self {
        let (origin, from) = match resume {
            Resume::Start => (Origin::Horizon, None),
            Resume::Time(time) => (Origin::Time(time), None),
            // Where a shard begins there is no record.
            Resume::At(at) if at == shard.start || at == shard.start.after() => {
                (Origin::Horizon, None)
            }
            Resume::At(at) => (Origin::Record(at), Some(at)),
        };
        Self {
            origin,
            from,
            iterator: None,
        }
    }

    /// With what comes from now on, seen through this iterator.
    pub(crate) fn latest(iterator: String) -> Self {
        Self {
            // Should the iterator expire before anything has come.
            origin: Origin::Time(SystemTime::now()),
            from: None,
            iterator: Some(iterator),
        }
    }
}

/// Reads a shard for as long as somebody wants it.
pub(crate) async fn read(
    log: Arc<KinesisLog>,
    shard: Shard,
    begin: Begin,
    arrivals: Arrivals<KinesisLog>,
) {
    let mut reading = Reading {
        decoder: Decoder {
            range: shard.range,
            envelope: log.link.config().envelope,
        },
        pace: Pace::new(log.link.config().read_share),
        begin,
        continuation: None,
        subscribed: SystemTime::now(),
        fresh: true,
        record_bytes: LARGEST,
        shard,
        arrivals,
    };
    let done = match &log.fanout {
        Some(consumer) => fanout::follow(&log, &mut reading, consumer).await,
        None => poll(&log, &mut reading).await,
    };
    if let Err(error) = done {
        reading.arrivals.fail(error);
    }
}

async fn poll(log: &KinesisLog, reading: &mut Reading) -> Result<()> {
    loop {
        let Some(room) = reading.arrivals.room().await else {
            return Ok(());
        };
        reading.pace.wait().await;
        match reading.next(log, room).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if error.is_retryable() => {
                tracing::debug!(shard = %reading.shard.id, %error, "a read is tried again");
                reading.arrivals.failing(&error);
                reading.pace.refused(rand::random::<f64>());
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sequence numbers tell of which stream they are: Kinesis refuses those of an earlier one of its name
/// ("it did not come from this stream", as users quote it: amazon-kinesis-connectors #8).
pub(crate) fn of_another_stream(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Invalid => error.with_advice(
            "if the stream was deleted and made again, delete the group by Admin::delete_group, or seek",
        ),
        _ => error,
    }
}

/// How far the reading of a shard has come.
pub(crate) struct Reading {
    pub(crate) arrivals: Arrivals<KinesisLog>,
    pub(crate) shard: Shard,
    decoder: Decoder,
    pace: Pace,
    pub(crate) begin: Begin,
    /// Where the next subscription goes on, which moves even where no records come.
    pub(crate) continuation: Option<String>,
    /// When the last subscription began.
    pub(crate) subscribed: SystemTime,
    /// Nothing was read yet since `begin`: a record that is gone is seen now.
    fresh: bool,
    /// Of the last page's records, on average.
    record_bytes: usize,
}

/// A record's usual limit: until some are read, each may be as large.
const LARGEST: usize = 1 << 20;
/// GetRecords gives no more at once.
const MOST: usize = 10_000;

impl Reading {
    /// Reads the next page; false at the end of the shard, or when nobody wants it any more.
    async fn next(&mut self, log: &KinesisLog, room: Room) -> Result<bool> {
        let client = log.link.once("receive").await?;
        let began = Instant::now();
        let iterator = match self.begin.iterator.take() {
            Some(iterator) => iterator,
            None => {
                let (stream, origin) = (&log.stream, self.begin.origin);
                let asked = fetch::iterator(client, "receive", stream, &self.shard.id, origin);
                match asked.await {
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        return self.gone(log, error).await;
                    }
                    iterator => iterator.map_err(of_another_stream)?,
                }
            }
        };
        let fit = room.bytes.div_ceil(self.record_bytes).min(room.events);
        let limit = fit.clamp(1, MOST) as i32;
        let page = fetch::page(client, "receive", &log.stream, &iterator, limit).await;
        let page = match page {
            Ok(None) => {
                // Asked for again, at the last record: it may be gone by now.
                self.begin_anew();
                return Ok(true);
            }
            Ok(Some(page)) => page,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return self.gone(log, error).await;
            }
            Err(error) => {
                self.begin.iterator = Some(iterator);
                return Err(error);
            }
        };
        log.counters.got(page.bytes);
        if let Some(average) = page.bytes.checked_div(page.records.len()) {
            self.record_bytes = average.max(1);
        }
        let more = !page.behind.is_zero();
        self.pace.read(began, page.bytes, more);
        self.take(log, page).await
    }

    /// Hands a page on.
    async fn take(&mut self, log: &KinesisLog, page: fetch::Page) -> Result<bool> {
        let mut arrived = self.arrived(page.records)?;
        let ended = page.next.is_none();
        if ended {
            self.missing_at_end(log, &mut arrived).await?;
        }
        self.begin.iterator = page.next;
        Ok(self.arrivals.came(arrived, ended) && !ended)
    }

    /// The shard is read to its end, and nothing has come from where it was begun, not even the event
    /// before: what there was is gone.
    pub(crate) async fn missing_at_end(
        &self,
        log: &KinesisLog,
        arrived: &mut Arrived,
    ) -> Result<()> {
        if let (true, Some(from)) = (self.fresh, self.begin.from) {
            let listed = log.list("receive").await?;
            arrived.gap = Some((from, shards::behind(&listed, &self.shard.id, from)));
        }
        Ok(())
    }

    /// What comes next is looked at for a gap: the last event that was read has to be there still.
    pub(crate) fn begin_anew(&mut self) {
        self.continuation = None;
        self.fresh = true;
    }

    /// The events of these records, and what is missing before them.
    pub(crate) fn arrived(&mut self, records: Vec<Record>) -> Result<Arrived> {
        let place = |record| fetch::place("receive", record);
        let first = records.first().map(place).transpose()?;
        let last = records.last().map(place).transpose()?;
        let from = self.begin.from;
        let page = self.decoder.read(records, from)?;
        let mut gap = None;
        if let (Some(first), true) = (first, self.fresh) {
            match (from, page.first()) {
                (Some(from), Some(next)) if first > from => {
                    gap = Some((from, next));
                    self.fresh = false;
                }
                // What is missing is known with the first event that is not.
                (Some(from), None) if first > from => {}
                _ => self.fresh = false,
            }
        }
        if let (Some(last), false) = (last, self.fresh) {
            self.begin.origin = Origin::Record(last);
            let read = page.last().map(Sequence::after);
            self.begin.from = Some(last.after()).max(read);
        }
        Ok(Arrived { gap, page })
    }

    /// The shard was not found: trimmed away, or its whole stream is.
    pub(crate) async fn gone(&mut self, log: &KinesisLog, error: Error) -> Result<bool> {
        let listed = log.list("receive").await?;
        if listed.iter().any(|shard| shard.id == self.shard.id) {
            return Err(error);
        }
        tracing::warn!(shard = %self.shard.id, "retention has removed the shard before its end was read");
        let from = self.begin.from.unwrap_or(self.shard.start);
        let arrived = Arrived {
            gap: Some((from, shards::behind(&listed, &self.shard.id, from))),
            page: Page::default(),
        };
        self.arrivals.came(arrived, true);
        Ok(false)
    }
}
