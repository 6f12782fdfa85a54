//! Finding places in a shard: its first event, the first at a time, its end, whether an event is still
//! kept, and how old the next one is.
//!
//! Kinesis tells no positions, so all of it is read by GetRecords. A shard gives five of those and
//! 2 MiB a second, to all readers together: who is told to slow down waits here and goes on.

mod behind;
mod end;
mod scan;
#[cfg(test)]
mod tests;

pub(crate) use anyhub_groups::side_by_side;
pub(crate) use behind::behind;
pub(crate) use end::end;

use crate::{
    client::{Link, Stream},
    error::HUB,
    fetch::{Origin, SKEW},
    shards::Shard,
};
use anyhub_core::{Error, ErrorKind, Result, driver::Sequence};
use scan::Reader;
use std::time::SystemTime;

/// The oldest event that is kept; None: nothing is kept now.
pub(crate) async fn first(
    link: &Link,
    operation: &'static str,
    stream: &Stream,
    shard: &Shard,
) -> Result<Option<Sequence>> {
    let reader = Reader::new(link, operation, stream, shard);
    let mut scan = reader.scan(Origin::Horizon);
    Ok(scan.find(|_| true).await?.map(|found| found.first))
}

/// The first event that arrived at `time` or later; None: there is none yet.
///
/// The time is Kinesis' own, also where this machine's clock is a few seconds slow and `time` seems
/// to be to come.
pub(crate) async fn at(
    link: &Link,
    operation: &'static str,
    stream: &Stream,
    shard: &Shard,
    time: SystemTime,
) -> Result<Option<Sequence>> {
    let now = SystemTime::now();
    if time > now + SKEW {
        return Ok(None);
    }
    let reader = Reader::new(link, operation, stream, shard);
    let mut scan = reader.scan(Origin::Time(time.min(now)));
    let found = scan.find(|found| time <= now || found.arrived >= Some(time));
    Ok(found.await?.map(|found| found.first))
}

/// OutOfRange unless the event at `at`, or the one that `at` is right behind, is still kept. The
/// shard's start always is.
pub(crate) async fn kept(
    link: &Link,
    operation: &'static str,
    stream: &Stream,
    shard: &Shard,
    at: Sequence,
) -> Result<()> {
    if at == shard.start {
        return Ok(());
    }
    let is_kept = if at < shard.start {
        // Kinesis has no one answer to numbers that are none.
        false
    } else {
        let reader = Reader::new(link, operation, stream, shard);
        let mut scan = reader.scan(Origin::Record(at));
        match scan.record().await {
            Ok(found) => found.is_some_and(|found| {
                found.first.same_record(at) && at.index() <= found.last.index()
            }),
            // No number of this stream, or of this shard; whether these are there is asked below.
            Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound) => false,
            Err(error) => return Err(error),
        }
    };
    if is_kept {
        return Ok(());
    }
    let holds = match first(link, operation, stream, shard).await? {
        Some(first) => format!("it holds events from {first} on"),
        None => "it holds no events".to_owned(),
    };
    let message = format!("{} has no event at {at}: {holds}", shard.id);
    Err(Error::new(ErrorKind::OutOfRange, HUB, operation, message))
}
