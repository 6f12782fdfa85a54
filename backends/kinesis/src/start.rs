//! Where a consumer begins (C7).

use crate::{
    checkpoint::Resume,
    error::HUB,
    fetch::{self, Origin, SKEW},
    group::{descendants, kept_parents},
    locate::{self, side_by_side},
    reader::Begin,
    shards::Shard,
    shared::Shared,
};
use anyhub_core::{Error, ErrorKind, Partition, Point, Position, Result, driver::Sequence};
use anyhub_leases::{Lease, NewPartition};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

/// The rows that a group has to have and has not.
///
/// Where it has none at all, it begins at the consumer's start. Where it has some, shards that came
/// from these are added, at their beginning. What is neither ancestor nor descendant of any was left
/// out by a member that died while it made the beginning, and begins at the consumer's start, too; but
/// where retention has taken a shard with a row, what lay between may be gone as well, and all that is
/// left comes from there.
pub(crate) async fn of_group(
    shared: &Shared,
    operation: &'static str,
    listed: &[Shard],
    rows: &HashMap<Arc<str>, Arc<Lease>>,
) -> Result<Vec<NewPartition>> {
    let known: HashSet<Arc<str>> = rows.keys().cloned().collect();
    let mut new = descendants(listed, &known);
    let is_kept = |id: &Arc<str>| listed.iter().any(|shard| shard.id == *id);
    for partition in &mut new {
        // A parent that is gone and has a row is finished by its owner, who first tells what is missing.
        let shard = listed.iter().find(|shard| shard.id == partition.partition);
        let parents = shard.map_or(&[][..], |shard| &shard.parents);
        let unfinished = |id: &&Arc<str>| rows.get(*id).is_some_and(|row| !row.checkpoint.finished);
        let gone = parents.iter().filter(|id| !is_kept(id)).filter(unfinished);
        partition.parents.extend(gone.cloned());
    }
    let covered: HashSet<_> = new.iter().map(|new| new.partition.clone()).collect();
    let ancestors = ancestors(listed, &known);
    let left_out = |shard: &&Shard| {
        let id = &shard.id;
        !known.contains(id) && !covered.contains(id) && !ancestors.contains(id)
    };
    let left_out: Vec<Shard> = listed.iter().filter(left_out).cloned().collect();
    if left_out.is_empty() {
        return Ok(new);
    }
    let begun = if known.iter().all(is_kept) {
        beginning(shared, operation, &left_out).await?
    } else {
        let all = left_out.into_iter();
        all.map(|shard| (shard, Resume::Start)).collect()
    };
    for (shard, resume) in &begun {
        let of_begun = |parent: &Arc<str>| begun.iter().any(|(begun, _)| begun.id == *parent);
        let parents = kept_parents(listed, shard).into_iter().filter(of_begun);
        let mut partition = NewPartition::new(shard.id.clone()).parents(parents);
        partition.position = resume.text();
        new.push(partition);
    }
    Ok(new)
}

/// The shards that those of `known` came from.
fn ancestors(listed: &[Shard], known: &HashSet<Arc<str>>) -> HashSet<Arc<str>> {
    let mut found = HashSet::new();
    for shard in listed.iter().rev() {
        if known.contains(&shard.id) || found.contains(&shard.id) {
            found.extend(shard.parents.iter().cloned());
        }
    }
    found
}

/// Where each of these shards is begun; those that lie wholly before the start are left out.
async fn beginning(
    shared: &Shared,
    operation: &'static str,
    shards: &[Shard],
) -> Result<Vec<(Shard, Resume)>> {
    let all = || shards.iter().cloned();
    Ok(match concrete(&shared.options.start) {
        Point::End => {
            let open: Vec<_> = all().filter(|shard| shard.open).collect();
            let ends = ends(shared, operation, &open).await?;
            open.into_iter().zip(ends).collect()
        }
        Point::Time(time) if time > SystemTime::now() => {
            let all: Vec<_> = all().collect();
            let places = from_time(shared, operation, &all, time).await?;
            let begun = |shard: &Shard, place: &Sequence| shard.open || *place != shard.start;
            let places = all.into_iter().zip(places);
            let begun = places.filter(|(shard, place)| begun(shard, place));
            begun.map(|(shard, place)| (shard, place.into())).collect()
        }
        Point::Time(time) => all().map(|shard| (shard, Resume::Time(time))).collect(),
        Point::Positions(named) => {
            let named = kept(shared, operation, shards, &named).await?;
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
async fn ends(shared: &Shared, operation: &'static str, shards: &[Shard]) -> Result<Vec<Resume>> {
    let mut ends = Vec::with_capacity(shards.len());
    for shard in shards {
        ends.push(locate::end(&shared.link, operation, &shared.stream, shard));
    }
    let ends = side_by_side(ends);
    Ok(ends.await?.into_iter().map(Resume::from).collect())
}

/// Where each of these shards goes on at a time that has perhaps not come yet: at the first event from
/// then on by Kinesis' clock, or at the end as it is now. Found now, since a reader that asks for it a
/// moment later gets nothing of that moment.
async fn from_time(
    shared: &Shared,
    operation: &'static str,
    shards: &[Shard],
    time: SystemTime,
) -> Result<Vec<Sequence>> {
    let (link, stream) = (&shared.link, &shared.stream);
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
    shared: &Shared,
    operation: &'static str,
    shards: &[Shard],
    named: &[(Partition, Position)],
) -> Result<Vec<(Shard, Resume)>> {
    let mut places = Vec::with_capacity(named.len());
    for named in named {
        places.push(kept_one(shared, operation, shards, named));
    }
    side_by_side(places).await
}

async fn kept_one(
    shared: &Shared,
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
    locate::kept(&shared.link, operation, &shared.stream, shard, place).await?;
    Ok((shard.clone(), Resume::from(place)))
}

/// Where a seek to `point` takes each of these shards; where it names positions, those that it names.
pub(crate) async fn resolve(
    shared: &Shared,
    owned: &[Shard],
    point: &Point,
) -> Result<Vec<(Shard, Resume)>> {
    let all = || owned.iter().cloned();
    match concrete(point) {
        Point::Start => Ok(all().map(|shard| (shard, Resume::Start)).collect()),
        Point::End => {
            let ends = ends(shared, "seek", owned).await?;
            Ok(all().zip(ends).collect())
        }
        Point::Time(time) if time > SystemTime::now() => {
            let places = from_time(shared, "seek", owned, time).await?;
            Ok(all().zip(places.into_iter().map(Resume::from)).collect())
        }
        Point::Time(time) => Ok(all().map(|shard| (shard, Resume::Time(time))).collect()),
        Point::Positions(named) => kept(shared, "seek", owned, &named).await,
        _ => {
            let message = "there is no such point here";
            Err(Error::new(ErrorKind::Unsupported, HUB, "seek", message))
        }
    }
}

/// Takes up what a private reader begins with.
pub(crate) async fn of_private(shared: &Arc<Shared>, listed: &[Shard]) -> Result<()> {
    if concrete(&shared.options.start) == Point::End && shared.fanout.is_none() {
        // Exact, and cheaper than to look for the last event.
        let open: Vec<&Shard> = listed.iter().filter(|shard| shard.open).collect();
        let client = shared.link.patient("consumer").await?;
        let mut asked = Vec::with_capacity(open.len());
        for shard in &open {
            let (stream, id) = (&shared.stream, &*shard.id);
            asked.push(fetch::iterator(
                client,
                "consumer",
                stream,
                id,
                Origin::Latest,
            ));
        }
        let iterators = side_by_side(asked).await?;
        let closed = listed.iter().filter(|shard| !shard.open);
        shared
            .state()
            .done
            .extend(closed.map(|shard| shard.id.clone()));
        for (shard, iterator) in open.into_iter().zip(iterators) {
            shared.own(shard, None, Begin::latest(iterator));
        }
        return Ok(());
    }
    let begun = beginning(shared, "consumer", listed).await?;
    let resumes = begun.into_iter().map(|(shard, resume)| (shard.id, resume));
    {
        let state = &mut *shared.state();
        state.begun = resumes.collect();
        let before = listed
            .iter()
            .filter(|shard| !state.begun.contains_key(&shard.id));
        state.done = before.map(|shard| shard.id.clone()).collect();
    }
    private_children(shared, listed);
    Ok(())
}

/// Takes up what a private reader may begin: shards whose kept parents are all read to their end.
pub(crate) fn private_children(shared: &Arc<Shared>, listed: &[Shard]) {
    for shard in listed {
        let ready = {
            let state = shared.state();
            let owned = state.slots.iter().any(|slot| slot.shard.id == shard.id);
            let parents = kept_parents(listed, shard);
            let read = parents.iter().all(|parent| state.done.contains(parent));
            !owned && !state.done.contains(&shard.id) && read
        };
        if ready {
            let resume = shared.state().begun.remove(&shard.id);
            let begin = Begin::at(&resume.unwrap_or(Resume::Start), shard);
            shared.own(shard, None, begin);
        }
    }
}
