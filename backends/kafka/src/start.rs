//! Where a consumer begins (C7), and what retention has taken since (C14).

use crate::{
    admin::millis,
    control::{Ask, Asker, Places},
    error::HUB,
};
use anyhub_core::{Error, ErrorKind, Partition, Point, Position, Result};

/// Where partitions are read from, and of which the group was overtaken: due, and oldest kept.
#[derive(Debug, Default)]
pub(crate) struct Beginning {
    pub(crate) places: Places,
    pub(crate) overtaken: Vec<(u32, i64, i64)>,
    /// What the group has not committed and should, since its start is not the topic's.
    pub(crate) to_commit: Places,
}

/// Where a group's member reads these partitions of a topic of `count` from.
///
/// What is committed counts. Where the group has committed nothing on the topic, `start` does, for
/// all partitions at once, so that members which come later find the same one; where it has,
/// partitions without a checkpoint have appeared since, and begin at their beginning.
pub(crate) fn begin<A: Ask>(
    asker: &Asker<'_, A>,
    topic: &str,
    count: u32,
    partitions: &[u32],
    start: &Point,
) -> Result<Beginning> {
    let most = partitions
        .iter()
        .map(|partition| partition + 1)
        .max()
        .unwrap_or(0);
    let all: Vec<u32> = (0..count.max(most)).collect();
    let committed = asker.committed(topic, &all)?;
    let fresh = committed.iter().all(|(_, offset)| offset.is_none());
    let first = asker.first(topic, partitions)?;
    let mut beginning = Beginning::default();
    let chosen = if fresh && *start != Point::Start {
        let chosen = resolve(asker, topic, &all, start, "consumer")?;
        beginning.to_commit.clone_from(&chosen);
        chosen
    } else {
        Vec::new()
    };
    for (partition, oldest) in first {
        let of = |list: &Places| {
            list.iter()
                .find(|place| place.0 == partition)
                .map(|place| place.1)
        };
        let checkpoint = committed
            .iter()
            .find(|place| place.0 == partition)
            .and_then(|place| place.1);
        let next = match checkpoint {
            Some(due) if due < oldest => {
                beginning.overtaken.push((partition, due, oldest));
                oldest
            }
            Some(due) => due,
            None => of(&chosen).unwrap_or(oldest),
        };
        beginning.places.push((partition, next));
    }
    Ok(beginning)
}

/// The offset of `point` in each of these partitions; where it names positions, in those it names,
/// and for a start in the others their beginning.
pub(crate) fn resolve<A: Ask>(
    asker: &Asker<'_, A>,
    topic: &str,
    partitions: &[u32],
    point: &Point,
    operation: &'static str,
) -> Result<Places> {
    match point {
        Point::Start => asker.first(topic, partitions),
        Point::End => asker.next(topic, partitions),
        Point::Time(time) => asker.at(topic, partitions, millis(*time)),
        Point::Positions(named) => {
            let places = check_kept(asker, topic, partitions, named, operation)?;
            if operation == "seek" {
                return Ok(places);
            }
            let mut all = asker.first(topic, partitions)?;
            for (partition, offset) in &mut all {
                if let Some(place) = places.iter().find(|place| place.0 == *partition) {
                    *offset = place.1;
                }
            }
            Ok(all)
        }
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            HUB,
            operation,
            "there is no such point here",
        )),
    }
}

fn check_kept<A: Ask>(
    asker: &Asker<'_, A>,
    topic: &str,
    partitions: &[u32],
    named: &[(Partition, Position)],
    operation: &'static str,
) -> Result<Places> {
    let mut places = Vec::with_capacity(named.len());
    for (partition, position) in named {
        let number = partition
            .as_number()
            .filter(|number| partitions.contains(number));
        let (Some(number), Some(offset)) = (number, position.as_offset()) else {
            return Err(Error::new(
                ErrorKind::NotFound,
                HUB,
                operation,
                format!(
                    "there is no partition {partition}: the topic has {}",
                    partitions.len()
                ),
            ));
        };
        places.push((number, offset));
    }
    let numbers: Vec<u32> = places.iter().map(|place| place.0).collect();
    let (first, next) = (asker.first(topic, &numbers)?, asker.next(topic, &numbers)?);
    let of = |list: &Places, partition| {
        list.iter()
            .find(|place| place.0 == partition)
            .map_or(0, |place| place.1)
    };
    for &(partition, offset) in &places {
        let kept = of(&first, partition)..=of(&next, partition);
        if !kept.contains(&offset) {
            return Err(Error::new(
                ErrorKind::OutOfRange,
                HUB,
                operation,
                format!(
                    "position {offset} of partition {partition} is not kept: it holds {} to {}",
                    kept.start(),
                    kept.end()
                ),
            ));
        }
    }
    Ok(places)
}
