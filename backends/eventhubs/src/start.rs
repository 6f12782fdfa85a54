//! Where a consumer begins, and where a seek takes it (C7, C8).

use crate::{admin::partitions, client::Client, describe::Ends, error::HUB, receiver::Origin};
use anyhub_core::{Error, ErrorKind, Partition, Point, Position, Result};
use std::time::{Duration, SystemTime};

/// How far this machine's clock may stand behind Event Hubs'.
const SKEW: Duration = Duration::from_secs(5);

/// Where reading of each partition begins at `point`; partitions that it does not name begin at their
/// start.
pub(crate) async fn begin(client: &Client, point: &Point) -> Result<Vec<(u32, Origin)>> {
    let there = partitions(client, "consumer").await?;
    let named = resolve("consumer", &there, point)?;
    let origin = |number: u32| {
        let found = named.iter().find(|(named, _)| *named == number);
        found.map_or(Origin::Start, |(_, origin)| *origin)
    };
    Ok(there
        .iter()
        .map(|(number, _)| (*number, origin(*number)))
        .collect())
}

/// Where a seek to `point` takes each partition; where it names positions, those that it names.
pub(crate) async fn sought(client: &Client, point: &Point) -> Result<Vec<(u32, Origin)>> {
    let there = partitions(client, "seek").await?;
    resolve("seek", &there, point)
}

fn resolve(
    operation: &'static str,
    there: &[(u32, Ends)],
    point: &Point,
) -> Result<Vec<(u32, Origin)>> {
    let all = |origin: fn(&Ends) -> Origin| {
        let all = there.iter().map(|(number, ends)| (*number, origin(ends)));
        Ok(all.collect())
    };
    match point {
        Point::Start => all(|_| Origin::Start),
        Point::End => all(|ends| Origin::Sequence(ends.next)),
        // A time that has not come yet is the end, as it is now.
        Point::Time(time) if *time > SystemTime::now() + SKEW => {
            all(|ends| Origin::Sequence(ends.next))
        }
        Point::Time(time) => {
            let at = |(number, ends): &(u32, Ends)| {
                // Nothing that is there came then or later.
                let past = ends.last.is_none_or(|last| last < *time);
                let origin = match past {
                    true => Origin::Sequence(ends.next),
                    false => Origin::Time(*time),
                };
                (*number, origin)
            };
            Ok(there.iter().map(at).collect())
        }
        Point::Positions(named) => {
            let kept = named.iter().map(|named| kept(operation, there, named));
            kept.collect()
        }
        _ => {
            let message = "there is no such point here";
            Err(Error::new(ErrorKind::Unsupported, HUB, operation, message))
        }
    }
}

/// The place that a position names. NotFound for a partition that is not there, OutOfRange for a place
/// that is not kept.
fn kept(
    operation: &'static str,
    there: &[(u32, Ends)],
    (partition, position): &(Partition, Position),
) -> Result<(u32, Origin)> {
    let named = partition.as_number();
    let found = there.iter().find(|(number, _)| Some(*number) == named);
    let (Some((number, ends)), Some(at)) = (found, position.as_offset()) else {
        let message = format!("there is no position {position} of a partition {partition}");
        return Err(Error::new(ErrorKind::NotFound, HUB, operation, message));
    };
    if at < ends.first || at > ends.next {
        let (first, next) = (ends.first, ends.next);
        let message = format!("partition {number} keeps {first} to {next}, and not {at}");
        return Err(Error::new(ErrorKind::OutOfRange, HUB, operation, message));
    }
    Ok((*number, Origin::Sequence(at)))
}
