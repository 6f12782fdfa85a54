use super::scan::Reader;
use crate::{
    client::{Link, Stream},
    error::HUB,
    fetch::Origin,
    shards::Shard,
};
use anyhub_core::{Error, ErrorKind, Result, driver::Sequence};
use anyhub_groups::Resume;
use std::time::{Duration, SystemTime};

/// How old the oldest event is that is left to who resumes at `from`; zero: none is left.
///
/// By this machine's clock or by Kinesis', whichever says more: Kinesis' own word is 0 at the newest
/// record, and LocalStack's is how much older a record is than that one. OutOfRange where `from` is
/// no place of this stream.
pub(crate) async fn behind(
    link: &Link,
    operation: &'static str,
    stream: &Stream,
    shard: &Shard,
    from: Resume<Sequence>,
) -> Result<Duration> {
    let origin = match from {
        Resume::Start => Origin::Horizon,
        Resume::Time(time) => Origin::Time(time),
        // Before the first record, and the number of none.
        Resume::At(place) if place == shard.start => Origin::Horizon,
        Resume::At(place) => Origin::Record(place),
    };
    let mut scan = Reader::new(link, operation, stream, shard).scan(origin);
    loop {
        let step = match scan.look(1).await {
            Err(error) if error.kind() == ErrorKind::Invalid && from.place().is_some() => {
                let message = format!("the checkpoint of {} is of another stream", shard.id);
                return Err(Error::new(ErrorKind::OutOfRange, HUB, operation, message)
                    .with_advice("the stream was made anew: delete the group by Admin::delete_group, or seek")
                    .with_source(error));
            }
            step => step?,
        };
        let is_left = |last| from.place().is_none_or(|place| place <= last);
        match step.ends {
            Some((_, record)) if is_left(record.last) => {
                let age = record
                    .arrived
                    .and_then(|time| SystemTime::now().duration_since(time).ok());
                let age = age.unwrap_or_default().max(step.behind);
                return Ok(age.max(Duration::from_millis(1)));
            }
            _ if step.done => return Ok(Duration::ZERO),
            _ => {}
        }
    }
}
