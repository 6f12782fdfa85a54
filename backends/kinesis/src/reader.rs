//! One shard read by GetRecords, ahead of `receive`.

use crate::{
    checkpoint::Resume,
    decode::{Decoder, Page},
    fanout,
    fetch::{self, Origin},
    pace::Pace,
    shards::Shard,
    shared::{Room, Shared, SlotId},
};
use anyhub_core::{Error, ErrorKind, Result, driver::Sequence};
use aws_sdk_kinesis::types::Record;
use std::{sync::Weak, time::SystemTime};
use tokio::time::Instant;

/// Where the reading of a shard begins.
#[derive(Debug, Clone)]
pub(crate) struct Begin {
    pub(crate) origin: Origin,
    /// What comes before this is not wanted.
    pub(crate) from: Option<Sequence>,
    /// An iterator that is there already.
    pub(crate) iterator: Option<String>,
    /// Why there is no place to begin at, until a seek gives one.
    pub(crate) refused: Option<Error>,
}

impl Begin {
    /// To go on with a shard at `resume`.
    pub(crate) fn at(resume: &Resume, shard: &Shard) -> Self {
        let (origin, from) = match *resume {
            Resume::Start => (Origin::Horizon, None),
            Resume::Time(time) => (Origin::Time(time), None),
            // Where a shard begins there is no record.
            Resume::At(at) | Resume::After(at) if at == shard.start => (Origin::Horizon, None),
            Resume::At(at) => (Origin::Record(at), Some(at)),
            Resume::After(at) => (Origin::Record(at), Some(at.after())),
        };
        Self {
            origin,
            from,
            iterator: None,
            refused: None,
        }
    }

    /// Nowhere, for this reason.
    pub(crate) fn refused(error: Error) -> Self {
        Self {
            origin: Origin::Horizon,
            from: None,
            iterator: None,
            refused: Some(error),
        }
    }

    /// With what comes from now on, seen through this iterator.
    pub(crate) fn latest(iterator: String) -> Self {
        Self {
            // Should the iterator expire before anything has come.
            origin: Origin::Time(SystemTime::now()),
            from: None,
            iterator: Some(iterator),
            refused: None,
        }
    }
}

/// Reads a shard for as long as its slot is there.
pub(crate) async fn read(shared: Weak<Shared>, slot: SlotId, shard: Shard, begin: Begin) {
    let Some(first) = shared.upgrade() else {
        return;
    };
    if let Some(error) = begin.refused {
        first.fail(slot, error);
        return;
    }
    let mut reading = Reading {
        decoder: Decoder {
            range: shard.range,
            envelope: first.link.config().envelope,
        },
        pace: Pace::new(first.link.config().read_share),
        begin,
        continuation: None,
        fresh: true,
        record_bytes: LARGEST,
        shard,
        slot,
    };
    let fanout = first.fanout.clone();
    drop(first);
    let done = match fanout {
        Some(consumer) => fanout::follow(&shared, &mut reading, &consumer).await,
        None => poll(&shared, &mut reading).await,
    };
    if let (Err(error), Some(shared)) = (done, shared.upgrade()) {
        shared.fail(slot, error);
    }
}

async fn poll(shared: &Weak<Shared>, reading: &mut Reading) -> Result<()> {
    loop {
        let Some(strong) = shared.upgrade() else {
            return Ok(());
        };
        let Some(room) = strong.room(reading.slot).await else {
            return Ok(());
        };
        // Without the consumer: it may be dropped while nothing comes.
        drop(strong);
        reading.pace.wait().await;
        let Some(strong) = shared.upgrade() else {
            return Ok(());
        };
        match reading.next(&strong, room).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if error.is_retryable() => {
                tracing::debug!(shard = %reading.shard.id, %error, "a read is tried again");
                reading.pace.refused(rand::random::<f64>());
            }
            Err(error) => return Err(error),
        }
    }
}

/// What a reader brings.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Retention was faster: what stood between these places is gone.
    pub(crate) gap: Option<(Sequence, Sequence)>,
    pub(crate) page: Page,
}

/// How far the reading of a shard has come.
pub(crate) struct Reading {
    pub(crate) slot: SlotId,
    pub(crate) shard: Shard,
    decoder: Decoder,
    pace: Pace,
    pub(crate) begin: Begin,
    /// Where the next subscription goes on, which moves even where no records come.
    pub(crate) continuation: Option<String>,
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
    async fn next(&mut self, shared: &Shared, room: Room) -> Result<bool> {
        let client = shared.link.once("receive").await?;
        let began = Instant::now();
        let iterator = match self.begin.iterator.take() {
            Some(iterator) => iterator,
            None => {
                let (stream, origin) = (&shared.stream, self.begin.origin);
                let asked = fetch::iterator(client, "receive", stream, &self.shard.id, origin);
                match asked.await {
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        return self.gone(shared, error).await;
                    }
                    Err(error) if error.kind() == ErrorKind::Invalid => {
                        return Err(error.with_advice(
                            "if the stream was deleted and made again, delete the group, too",
                        ));
                    }
                    iterator => iterator?,
                }
            }
        };
        let fit = room.bytes.div_ceil(self.record_bytes).min(room.events);
        let limit = fit.clamp(1, MOST) as i32;
        let page = fetch::page(client, "receive", &shared.stream, &iterator, limit).await;
        let page = match page {
            Ok(None) => {
                // Asked for again, at the last record: it may be gone by now.
                self.fresh = true;
                return Ok(true);
            }
            Ok(Some(page)) => page,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return self.gone(shared, error).await;
            }
            Err(error) => {
                self.begin.iterator = Some(iterator);
                return Err(error);
            }
        };
        shared.counters.got(page.bytes);
        if let Some(average) = page.bytes.checked_div(page.records.len()) {
            self.record_bytes = average.max(1);
        }
        let more = !page.behind.is_zero();
        self.pace.read(began, page.bytes, more);
        self.take(shared, page)
    }

    /// Hands a page on.
    fn take(&mut self, shared: &Shared, page: fetch::Page) -> Result<bool> {
        self.begin.iterator = page.next;
        let ended = self.begin.iterator.is_none();
        let arrived = self.arrived(page.records)?;
        Ok(shared.came(self.slot, arrived, ended) && !ended)
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
    pub(crate) async fn gone(&mut self, shared: &Shared, error: Error) -> Result<bool> {
        let listed = shared.list("receive").await?;
        if listed.iter().any(|shard| shard.id == self.shard.id) {
            return Err(error);
        }
        tracing::warn!(shard = %self.shard.id, "retention has removed the shard");
        shared.came(self.slot, Arrived::default(), true);
        Ok(false)
    }
}
