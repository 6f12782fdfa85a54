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
        let stands = self.loose.stands(time, now);
        self.loose.each(|entry, _| add(entry, stands));
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
    /// nacked at the service, by which all of it comes again once the key goes on. What has no key comes again at once, but
    /// not before everything else: so the others have their turn.
    pub(crate) fn shed(&mut self, time: Duration, now: Instant) -> Vec<String> {
        let loose = match self.loose.stands(time, now) {
            true => self.loose.shed(),
            false => Vec::new(),
        };
        let (lanes, ids) = (&mut self.lanes, &mut self.ids);
        let shed = self.keys.values().filter_map(|lane| {
            let lane = &mut lanes[*lane as usize];
            lane.stands(time, now).then(|| lane.shed(ids)).flatten()
        });
        shed.chain(loose).collect()
    }

    /// How many keys have stood still for `time`, of which that was not told; what has no key is one.
    pub(crate) fn standing(&mut self, time: Duration, now: Instant) -> usize {
        let (keys, lanes) = (self.keys.values(), &mut self.lanes);
        let keys = keys.filter(|lane| lanes[**lane as usize].is_news(time, now));
        keys.count() + usize::from(self.loose.is_news(time, now))
    }

    /// Whether so much was nacked and has not come again that it should be forgotten: the service may give everything else
    /// first, and each of that may be nacked, too.
    pub(crate) fn waits_for_much(&self, bounds: Size) -> bool {
        let lanes = self.keys.values();
        let told = lanes.map(|lane| self.lanes[*lane as usize].told());
        told.sum::<usize>() + self.loose.due_len() >= bounds.events.saturating_mul(MOST)
    }

    /// Forgets what was nacked, as the service knows, and has not come again; how often it was handed on is counted anew.
    /// Where no stream is: what was under way when it was nacked is gone with the stream, and so the service gives each key
    /// from there on.
    pub(crate) fn forget_nacked(&mut self) {
        self.loose.forget_due(None);
        let lanes: Vec<_> = self.keys.values().copied().collect();
        for lane in lanes {
            self.lanes[lane as usize].forget_told(&mut self.ids);
            self.let_go(lane);
        }
    }
}
