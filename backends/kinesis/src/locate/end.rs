use super::{
    SKEW,
    scan::{LOOK, Reader},
};
use crate::{
    client::{Link, Stream},
    fetch::Origin,
    shards::Shard,
};
use anyhub_core::{Result, driver::Sequence};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first look back.
const STEP: Duration = Duration::from_secs(2);
/// A window that is not narrowed further: a shard takes 1 MiB in it.
const NARROW: Duration = Duration::from_secs(1);

/// Right behind the newest event; the shard's start where it holds none.
///
/// It is the end as it was at some moment of the call, so no event that was there before is beyond
/// it. A look back in time, twice as far each time, finds a window that the newest event is in; that
/// is halved until little of it is left to be read.
///
/// The times are this machine's, and Kinesis' clock may differ: then a look begins earlier or later
/// than it was meant to, and more calls are needed. What a look sees Kinesis alone decides, so the
/// answer is right whatever the clocks say; but for a shard so busy that its tip is never reached,
/// they may differ by some seconds at most.
pub(crate) async fn end(
    link: &Link,
    operation: &'static str,
    stream: &Stream,
    shard: &Shard,
) -> Result<Sequence> {
    let reader = Reader::new(link, operation, stream, shard);
    let newest = newest(reader, SystemTime::now()).await?;
    Ok(newest.map_or(shard.start, Sequence::after))
}

/// The newest event, where this machine's clock says `now`.
pub(super) async fn newest(reader: Reader<'_>, now: SystemTime) -> Result<Option<Sequence>> {
    let oldest = reader.scan(Origin::Horizon).look(LOOK).await?;
    let Some((first, last)) = oldest.ends else {
        return Ok(None);
    };
    if oldest.done {
        return Ok(Some(last.last));
    }
    let age = first.arrived.and_then(|time| now.duration_since(time).ok());
    let found = search(reader, now, age.unwrap_or_default() + SKEW).await?;
    // All of it may be gone by now.
    Ok(found.or(Some(last.last)))
}

/// The newest of the events that arrived since `age` before `now`; None: there are none.
pub(super) async fn search(
    reader: Reader<'_>,
    now: SystemTime,
    age: Duration,
) -> Result<Option<Sequence>> {
    let before = |back| Origin::Time(now.checked_sub(back).unwrap_or(UNIX_EPOCH));
    // Something came since `from`, nothing since `empty`.
    let (mut from, mut empty) = (STEP.min(age), Duration::ZERO);
    loop {
        let seen = reader.scan(before(from)).look(LOOK).await?;
        match seen.ends {
            Some((_, last)) if seen.done => return Ok(Some(last.last)),
            Some(_) => break,
            None if from == age => return Ok(None),
            None => (from, empty) = ((from * 2).min(age), from),
        }
    }
    while from - empty > NARROW {
        let middle = (from + empty) / 2;
        let seen = reader.scan(before(middle)).look(LOOK).await?;
        match seen.ends {
            Some((_, last)) if seen.done => return Ok(Some(last.last)),
            Some(_) => from = middle,
            None => empty = middle,
        }
    }
    reader.scan(before(from)).newest().await
}
