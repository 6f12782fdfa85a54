//! Positions by what they mean: hubs that count tell where the next event will stand, others know
//! only what is behind it.

use crate::{Context, Failure, Outcome, failure::ensure, reading::read_back};
use anyhub_core::{ErrorKind, Partition, Position, Receipt};
use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

/// Expects that reading from `at` on begins with the event at `next`, which follows that at `last`:
/// past the one and not past the other. On hubs that count that is one position.
pub(crate) fn ensure_between(
    at: Option<&Position>,
    last: &Position,
    next: &Position,
    what: &str,
) -> Outcome {
    let between =
        at.is_some_and(|at| at.cmp_in_partition(last).is_gt() && at.cmp_in_partition(next).is_le());
    ensure!(
        between,
        "{what}: {at:?}, expected past {last} and not past {next}"
    );
    Ok(())
}

/// The places of what was published last: as the receipts tell, where the hub declares that they do, or
/// else as they are read back; then with those of a partition in order.
pub(crate) async fn places(
    ctx: &Context,
    topic: &str,
    receipts: Vec<Receipt>,
) -> Outcome<Vec<(Partition, Position)>> {
    if !ctx.hub().capabilities().receipts {
        let read = read_back(ctx, topic).await?;
        let before = read.len().saturating_sub(receipts.len());
        let last = read.into_iter().skip(before);
        return Ok(last.map(|it| (it.partition, it.position)).collect());
    }
    let told = receipts.into_iter().map(|receipt| {
        let place = receipt.partition.zip(receipt.position);
        place.ok_or_else(|| Failure::new("a receipt tells no place"))
    });
    told.collect()
}

/// Where the partitions of a topic end, and which of them a reader has not reached.
#[derive(Debug)]
pub(crate) struct Ends {
    left: HashMap<Partition, Position>,
    told: bool,
}

impl Ends {
    /// The ends as they are now.
    pub(crate) async fn of(ctx: &Context, topic: &str) -> Outcome<Self> {
        let admin = ctx.hub().admin();
        let described = admin.describe_topic(topic);
        let info = ctx.within("the topic to be described", described).await??;
        if info.partitions.iter().all(|info| info.next.is_some()) {
            let holding = info
                .partitions
                .into_iter()
                .filter(|info| info.first != info.next);
            let left = holding.filter_map(|info| Some((info.partition, info.next?)));
            return Ok(Self {
                left: left.collect(),
                told: true,
            });
        }
        // Then the end is what a time to come begins with: right behind the newest event.
        let later = SystemTime::now() + Duration::from_secs(3_600);
        let found = ctx
            .within("the ends", admin.positions_at(topic, later))
            .await?;
        match found {
            Ok(found) => {
                let left = found.into_iter().filter(|(_, end)| is_behind_an_event(end));
                Ok(Self {
                    left: left.collect(),
                    told: true,
                })
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Self {
                left: HashMap::new(),
                told: false,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes note of where a reader is.
    pub(crate) fn reached(&mut self, partition: &Partition, position: &Position) {
        // The last position may be one that is delivered no more: compare, don't match.
        let behind = position.after();
        let end = self.left.get(partition);
        if end.is_some_and(|end| behind.cmp_in_partition(end).is_ge()) {
            self.left.remove(partition);
        }
    }

    /// Whether the ends are known at all.
    pub(crate) fn are_told(&self) -> bool {
        self.told
    }

    /// Whether the reader is certainly at the end of all.
    pub(crate) fn all_reached(&self) -> bool {
        self.told && self.left.is_empty()
    }
}

/// Whether there ever was an event that a reader can reach this end by.
fn is_behind_an_event(end: &Position) -> bool {
    match end.as_sequence() {
        Some(sequence) => sequence.is_after(),
        None => end.as_offset() != Some(0),
    }
}
