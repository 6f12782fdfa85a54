//! Where a consumer begins, and where a seek takes it (C7, C8).

use crate::{
    error::HUB,
    fetch::{self, Origin, SKEW},
    locate::{self, side_by_side},
    log::KinesisLog,
    reader::Begin,
    shards::Shard,
};
use anyhub_core::{Error, ErrorKind, Partition, Point, Position, Result, driver::Sequence};
use std::time::SystemTime;

type Resume = anyhub_groups::Resume<Sequence>;

/// Where each of these shards is begun; those that lie wholly before the start are left out.
pub(crate) async fn begin(
    log: &KinesisLog,
    operation: &'static str,
    shards: &[Shard],
    start: &Point,
) -> Result<Vec<(Shard, Resume)>> {
    let all = || shards.iter().cloned();
    Ok(match concrete(start) {
        Point::End => {
            let open: Vec<_> = all().filter(|shard| shard.open).collect();
            let ends = ends(log, operation, &open).await?;
            open.into_iter().zip(ends).collect()
        }
        Point::Time(time) if time > SystemTime::now() => {
            let all: Vec<_> = all().collect();
            let places = from_time(log, operation, &all, time).await?;
            let begun = |shard: &Shard, place: &Sequence| shard.open || *place != shard.start;
            let places = all.into_iter().zip(places);
            let begun = places.filter(|(shard, place)| begun(shard, place));
            begun
                .map(|(shard, place)| (shard, Resume::At(place)))
                .collect()
        }
        Point::Time(time) => all().map(|shard| (shard, Resume::Time(time))).collect(),
        Point::Positions(named) => {
            let named = kept(log, operation, shards, &named).await?;
            let of = |shard: &Shard| named.iter().find(|(named, _)| named.id == shard.id);
            all()
                .map(|shard| {
                    let resume = of(&shard).map_or(Resume::Start, |(_, resume)| *resume);
                    (shard, resume)
                })
                .collect()
        }
        _ => all().map(|shard| (shard, Resume::Start)).collect(),
    })
}

/// A time that has not come yet, whatever the clocks say, is the end, as it is now.
fn concrete(point: &Point) -> Point {
    match point {
        Point::Time(time) if *time > SystemTime::now() + SKEW => Point::End,
        point => point.clone(),
    }
}

/// The ends of these shards, as places in the log.
async fn ends(log: &KinesisLog, operation: &'static str, shards: &[Shard]) -> Result<Vec<Resume>> {
    let mut ends = Vec::with_capacity(shards.len());
    for shard in shards {
        ends.push(locate::end(&log.link, operation, &log.stream, shard));
    }
    let ends = side_by_side(ends);
    Ok(ends.await?.into_iter().map(Resume::At).collect())
}

/// Where each of these shards goes on at a time that has perhaps not come yet: at the first event from
/// then on by Kinesis' clock, or at the end as it is now. Found now, since a reader that asks for it a
/// moment later gets nothing of that moment.
async fn from_time(
    log: &KinesisLog,
    operation: &'static str,
    shards: &[Shard],
    time: SystemTime,
) -> Result<Vec<Sequence>> {
    let (link, stream) = (&log.link, &log.stream);
    let place = async |shard: &Shard| match locate::at(link, operation, stream, shard, time).await?
    {
        Some(place) => Ok(place),
        None => locate::end(link, operation, stream, shard).await,
    };
    side_by_side(shards.iter().map(place)).await
}

/// The shards and places that these positions name. NotFound for a shard that is not there,
/// OutOfRange for a place that is not kept.
async fn kept(
    log: &KinesisLog,
    operation: &'static str,
    shards: &[Shard],
    named: &[(Partition, Position)],
) -> Result<Vec<(Shard, Resume)>> {
    let mut places = Vec::with_capacity(named.len());
    for named in named {
        places.push(kept_one(log, operation, shards, named));
    }
    side_by_side(places).await
}

async fn kept_one(
    log: &KinesisLog,
    operation: &'static str,
    shards: &[Shard],
    (partition, position): &(Partition, Position),
) -> Result<(Shard, Resume)> {
    let not_there = |message: String| Error::new(ErrorKind::NotFound, HUB, operation, message);
    let shard = partition.as_name();
    let Some(shard) = shards.iter().find(|listed| Some(&*listed.id) == shard) else {
        let message = format!("the stream has no shard '{partition}' now");
        return Err(not_there(message).with_advice(
            "Admin::describe_topic names those that are open, as shardId-000000000000",
        ));
    };
    let Some(place) = position.as_sequence() else {
        let message = format!("{} has no position {position}", shard.id);
        return Err(not_there(message).with_advice(
            "those of Kinesis are as NUMBER.INDEX: take a delivery's or a receipt's",
        ));
    };
    locate::kept(&log.link, operation, &log.stream, shard, place).await?;
    Ok((shard.clone(), Resume::At(place)))
}

/// Where a seek to `point` takes each of these shards; where it names positions, those that it names.
pub(crate) async fn resolve(
    log: &KinesisLog,
    owned: &[Shard],
    point: &Point,
) -> Result<Vec<(Shard, Resume)>> {
    let all = || owned.iter().cloned();
    match concrete(point) {
        Point::Start => Ok(all().map(|shard| (shard, Resume::Start)).collect()),
        Point::End => {
            let ends = ends(log, "seek", owned).await?;
            Ok(all().zip(ends).collect())
        }
        Point::Time(time) if time > SystemTime::now() => {
            let places = from_time(log, "seek", owned, time).await?;
            Ok(all().zip(places.into_iter().map(Resume::At)).collect())
        }
        Point::Time(time) => Ok(all().map(|shard| (shard, Resume::Time(time))).collect()),
        Point::Positions(named) => kept(log, "seek", owned, &named).await,
        _ => {
            let message = "there is no such point here";
            Err(Error::new(ErrorKind::Unsupported, HUB, "seek", message))
        }
    }
}

/// Where a reader without a group begins each of these shards.
pub(crate) async fn begin_alone(
    log: &KinesisLog,
    listed: &[Shard],
    start: &Point,
) -> Result<Vec<(Shard, Begin)>> {
    if concrete(start) != Point::End || log.fanout.is_some() {
        let begun = begin(log, "consumer", listed, start).await?.into_iter();
        let at = |(shard, resume)| (Begin::at(resume, &shard), shard);
        return Ok(begun.map(at).map(|(begin, shard)| (shard, begin)).collect());
    }
    // Exact, and cheaper than to look for the last event.
    let open = listed.iter().filter(|shard| shard.open);
    let client = log.link.patient("consumer").await?;
    let latest = async |shard: &Shard| {
        let (stream, id) = (&log.stream, &*shard.id);
        let iterator = fetch::iterator(client, "consumer", stream, id, Origin::Latest);
        Ok((shard.clone(), Begin::latest(iterator.await?)))
    };
    side_by_side(open.map(latest)).await
}
