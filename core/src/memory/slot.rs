use super::{HUB, group::Group, log::Log, member::Member};
use crate::{Error, ErrorKind, Point, Result, driver::LaneId};
use std::{sync::Arc, time::Instant};

/// A partition in the group's eyes.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) log: Arc<Log>,
    pub(super) owner: Option<(Arc<Member>, LaneId)>,
    /// Who shall own it.
    pub(super) target: Option<u64>,
    /// Since when its owner is asked to give it up.
    pub(super) draining: Option<Instant>,
    pub(super) checkpoint: Option<Checkpoint>,
    /// Whether it has a checkpoint or was begun by a present member: no later start counts (C7).
    pub(super) begun: bool,
}

/// Where a group resumes; within a generation it never goes back (C9).
#[derive(Debug, Clone, Copy)]
pub(super) struct Checkpoint {
    pub(super) generation: u64,
    pub(super) next: i64,
}

impl Slot {
    pub(super) fn is_of(&self, member: &Member) -> bool {
        self.owner
            .as_ref()
            .is_some_and(|(owner, _)| owner.id == member.id)
    }

    pub(super) fn set_checkpoint(&mut self, generation: u64, next: i64) {
        // A commit that came late must not undo a later one.
        let next = match self.checkpoint {
            Some(at) if at.generation == generation => next.max(at.next),
            _ => next,
        };
        self.checkpoint = Some(Checkpoint { generation, next });
        self.begun = true;
    }

    /// Tells the log where the group stands: what all have committed may leave.
    pub(super) fn report(&self, group: &Group) {
        if group.commits() {
            let next = self.checkpoint.map_or(0, |at| at.next);
            self.log
                .set_checkpoint(group.id(), self.begun.then_some(next));
        }
    }
}

/// The place of `point` in each partition; None where it names none. OutOfRange where it is
/// wanted and not kept.
pub(super) fn positions(
    slots: &[Slot],
    point: &Point,
    operation: &'static str,
    wanted: impl Fn(&Slot) -> bool,
) -> Result<Vec<Option<i64>>> {
    let each =
        |place: &dyn Fn(&Log) -> i64| Ok(slots.iter().map(|slot| Some(place(&slot.log))).collect());
    match point {
        Point::Start => each(&|log| log.now().first()),
        Point::End => each(&|log| log.now().next()),
        Point::Time(time) => each(&|log| log.now().offset_at(*time)),
        Point::Positions(named) => {
            let mut places = vec![None; slots.len()];
            for (partition, position) in named {
                let index = partition.as_number().map(|number| number as usize);
                let slot = index.and_then(|index| Some((index, slots.get(index)?)));
                let Some((index, slot)) = slot else {
                    return Err(Error::new(
                        ErrorKind::NotFound,
                        HUB,
                        operation,
                        format!(
                            "there is no partition {partition}: the topic has {}",
                            slots.len()
                        ),
                    ));
                };
                let log = slot.log.now();
                let kept = log.first()..=log.next();
                match position.as_offset() {
                    _ if !wanted(slot) => {}
                    Some(next) if kept.contains(&next) => places[index] = Some(next),
                    _ => {
                        return Err(Error::new(
                            ErrorKind::OutOfRange,
                            HUB,
                            operation,
                            format!(
                                "position {position} of partition {partition} is not kept: \
                                 it holds {} to {}",
                                kept.start(),
                                kept.end()
                            ),
                        ));
                    }
                }
            }
            Ok(places)
        }
    }
}
