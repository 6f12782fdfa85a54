//! Keys that stand still, since an event of theirs is not acknowledged: what is behind it must not take all the room that
//! there is for others.

use super::{Keys, entry::Entry};
use std::{
    ops::{AddAssign, Mul},
    time::{Duration, Instant},
};

/// How much something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
    }
}

impl Mul<usize> for Size {
    type Output = Self;

    fn mul(self, times: usize) -> Self {
        Self {
            events: self.events.saturating_mul(times),
            bytes: self.bytes.saturating_mul(times),
        }
    }
}

impl Size {
    pub(crate) fn is_below(self, other: Self) -> bool {
        self.events < other.events && self.bytes < other.bytes
    }
}

/// A stream begins while less than so many times its bounds is held: with what it gives, four times as much at most.
const MOST: usize = 3;

impl Keys {
    /// Notes that another stream begins: what is held counts in its bounds no more.
    pub(crate) fn begin_stream(&mut self) {
        self.loose.set_aside();
        for lane in self.keys.values() {
            self.lanes[*lane as usize].set_aside();
        }
    }

    /// Whether so much is held that no stream with these bounds may begin.
    pub(crate) fn is_overfull(&self, bounds: Size) -> bool {
        let mut memory = Size::default();
        let mut add = |entry: &Entry, _| memory += entry.sizes().1;
        self.loose.each(&mut add);
        for lane in self.keys.values() {
            self.lanes[*lane as usize].each(&mut add);
        }
        !memory.is_below(bounds * MOST)
    }

    /// Whether a stream with these bounds may give nothing more because of keys that have stood still for `time`: they
    /// have most of its room, and there is nothing to hand on.
    pub(crate) fn is_held_up(&self, bounds: Size, time: Duration, now: Instant) -> bool {
        if !self.ready.is_empty() {
            return false;
        }
        let (mut all, mut still, mut memory) = (Size::default(), Size::default(), Size::default());
        let mut add = |entry: &Entry, stands: bool| {
            let (counts, holds) = entry.sizes();
            all += counts;
            memory += holds;
            if stands {
                still += counts;
            }
        };
        self.loose.each(|entry, _| add(entry, false));
        for lane in self.keys.values() {
            let lane = &self.lanes[*lane as usize];
            let stands = lane.stands(time, now);
            lane.each(|entry, _| add(entry, stands));
        }
        // A bound may be reached with a message that is larger than what is left.
        let full = |has: usize, most: usize| has >= most - most / 4;
        let events = full(all.events, bounds.events) && still.events * 2 >= all.events;
        let bytes = full(all.bytes, bounds.bytes) && still.bytes * 2 >= all.bytes;
        (events || bytes) && memory.is_below(bounds * MOST)
    }

    /// Forgets what is behind the events that keys have stood still at for `time`; of each key the first of it, to be
    /// nacked at the service, by which all of it comes again once the key goes on.
    pub(crate) fn shed(&mut self, time: Duration, now: Instant) -> Vec<String> {
        let (lanes, ids) = (&mut self.lanes, &mut self.ids);
        let shed = self.keys.values().filter_map(|lane| {
            let lane = &mut lanes[*lane as usize];
            lane.stands(time, now).then(|| lane.shed(ids)).flatten()
        });
        shed.collect()
    }

    /// How many keys have stood still for `time`, of which that was not told.
    pub(crate) fn standing(&mut self, time: Duration, now: Instant) -> usize {
        let (keys, lanes) = (self.keys.values(), &mut self.lanes);
        keys.filter(|lane| lanes[**lane as usize].is_news(time, now))
            .count()
    }
}
