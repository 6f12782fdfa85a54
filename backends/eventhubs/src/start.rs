//! Where a consumer begins, and where a seek takes it (C7, C8).

use crate::{admin::partitions, client::Client, describe::Ends, error::HUB, log::Numbered};
use anyhub_core::{Error, ErrorKind, Partition, Point, Position, Result};
use std::time::{Duration, SystemTime};

type Resume = anyhub_groups::Resume<i64>;

/// How far this machine's clock may stand behind Event Hubs'.
const SKEW: Duration = Duration::from_secs(5);

/// Where each of these partitions is begun at `point`; those that it does not name, at their start.
pub(crate) async fn begin(
    client: &Client,
    operation: &'static str,
    parts: &[Numbered],
    point: &Point,
) -> Result<Vec<(Numbered, Resume)>> {
    let named = resolve(client, operation, parts, point).await?;
    let resume = |part: &Numbered| {
        let found = named.iter().find(|(named, _)| named == part);
        found.map_or(Resume::Start, |(_, resume)| *resume)
    };
    let all = parts.iter();
    Ok(all.map(|part| (part.clone(), resume(part))).collect())
}

/// Where `point` is in each of these partitions; where it names positions, in those that it names.
pub(crate) async fn resolve(
    client: &Client,
    operation: &'static str,
    parts: &[Numbered],
    point: &Point,
) -> Result<Vec<(Numbered, Resume)>> {
    let there = partitions(client, operation).await?;
    let places = places(operation, &there, point)?.into_iter();
    let places = places.map(|(number, resume)| (Numbered::from(number), resume));
    Ok(places.filter(|(part, _)| parts.contains(part)).collect())
}

fn places(
    operation: &'static str,
    there: &[(u32, Ends)],
    point: &Point,
) -> Result<Vec<(u32, Resume)>> {
    let all = |resume: &dyn Fn(&Ends) -> Resume| {
        let all = there.iter().map(|(number, ends)| (*number, resume(ends)));
        Ok(all.collect())
    };
    match point {
        Point::Start => all(&|_| Resume::Start),
        Point::End => all(&|ends| Resume::At(ends.next)),
        // A time that has not come yet is the end, as it is now.
        Point::Time(time) if *time > SystemTime::now() + SKEW => all(&|ends| Resume::At(ends.next)),
        Point::Time(time) => all(&|ends| {
            // Nothing that is there came then or later.
            let past = ends.last.is_none_or(|last| last < *time);
            match past {
                true => Resume::At(ends.next),
                false => Resume::Time(*time),
            }
        }),
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
) -> Result<(u32, Resume)> {
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
    Ok((*number, Resume::At(at)))
}
