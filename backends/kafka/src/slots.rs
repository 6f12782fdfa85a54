use anyhub_core::{Partition, driver::LaneId};
use std::time::{Duration, Instant};

/// The partitions of the topic, by number, and what this consumer does with each.
#[derive(Debug, Default)]
pub(crate) struct Slots(Vec<Option<Slot>>);

/// A partition that this consumer owns.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) lane: LaneId,
    /// The offset to be read next.
    pub(crate) next: i64,
    pub(crate) mode: Mode,
    /// librdkafka was told to fetch no more of it.
    pub(crate) paused: bool,
    /// Where the group would resume, as far as we know: what a check of our membership commits.
    pub(crate) checkpoint: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Events come.
    Reading,
    /// Its window is full since then: what comes is dropped, and read again later.
    Full(Instant),
    /// librdkafka is to read from `next`: what comes before that is dropped.
    Moving,
    /// It is to be given up: what comes is dropped.
    Leaving,
    /// Its lane was taken for want of a `receive`, and the group may not know yet.
    Forfeited,
}

/// How long reading stays paused before a little room is enough to go on: each time, what was
/// fetched ahead is fetched again.
const REST: Duration = Duration::from_millis(20);

impl Slots {
    pub(crate) fn get(&mut self, partition: u32) -> Option<&mut Slot> {
        self.0.get_mut(partition as usize)?.as_mut()
    }

    pub(crate) fn take_up(&mut self, partition: u32, lane: LaneId, next: i64) {
        let index = partition as usize;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        self.0[index] = Some(Slot {
            lane,
            next,
            mode: Mode::Reading,
            paused: false,
            checkpoint: next,
        });
    }

    pub(crate) fn give_up(&mut self, partition: u32) -> Option<Slot> {
        self.0.get_mut(partition as usize)?.take()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        let slots = self.0.iter().enumerate();
        slots.filter_map(|(index, slot)| Some((index as u32, slot.as_ref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Slot)> {
        let slots = self.0.iter_mut().enumerate();
        slots.filter_map(|(index, slot)| Some((index as u32, slot.as_mut()?)))
    }

    pub(crate) fn partitions(&self) -> Vec<u32> {
        self.iter().map(|(partition, _)| partition).collect()
    }

    pub(crate) fn of_lane(&mut self, lane: LaneId) -> Option<&mut Slot> {
        self.iter_mut()
            .map(|(_, slot)| slot)
            .find(|slot| slot.lane == lane)
    }

    /// Whether librdkafka has to be told to pause or to read elsewhere.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.iter().any(|(_, slot)| match slot.mode {
            Mode::Moving => true,
            Mode::Full(_) => !slot.paused,
            _ => false,
        })
    }
}

impl Slot {
    /// Lets a full lane be read again, if it has room and a rest was taken.
    pub(crate) fn resume(&mut self, now: Instant, is_full: bool) {
        if let Mode::Full(since) = self.mode
            && !is_full
            && now >= since + REST
        {
            self.mode = Mode::Moving;
        }
    }

    /// When a full lane may be looked at again.
    pub(crate) fn rested_at(&self) -> Option<Instant> {
        match self.mode {
            Mode::Full(since) => Some(since + REST),
            _ => None,
        }
    }
}

/// Partitions as the application knows them.
pub(crate) fn named(partitions: &[u32]) -> Vec<Partition> {
    partitions
        .iter()
        .map(|partition| Partition::number(*partition))
        .collect()
}
