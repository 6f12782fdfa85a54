use super::{Ids, KeyLane, Nack};
use crate::keys::entry::Entry;
use std::time::{Duration, Instant};

impl KeyLane {
    /// Whether something was given up because its time has passed. It keeps its place, as after a nack: what is behind it
    /// would overtake it.
    pub(in crate::keys) fn lapse(&mut self, lease: Duration, now: Instant) -> bool {
        let lapsed = |entry: &Entry| entry.has_lapsed(lease, now);
        let Some(first) = self.entries.iter().position(lapsed) else {
            return false;
        };
        let acked = self.entries.range(first..).filter_map(Entry::acked);
        self.lost.extend(acked);
        self.hold(first, now);
        for entry in self.entries.range_mut(first..) {
            entry.leased = None;
        }
        if first <= self.prefix {
            self.waits = None;
        }
        self.prefix = self.prefix.min(first);
        true
    }

    /// How many wait to come again, of which the service knows that.
    pub(in crate::keys) fn told(&self) -> usize {
        match self.nack {
            Some(Nack::Told) => self.entries.len() - self.queued,
            _ => 0,
        }
    }

    /// Forgets them.
    pub(in crate::keys) fn forget_told(&mut self, ids: &mut Ids) {
        if self.told() > 0 {
            self.truncate(self.queued, ids);
        }
    }

    /// Forgets what waits to come again, once all of it has since `since`.
    pub(in crate::keys) fn forget_due(&mut self, since: Instant, ids: &mut Ids) {
        let mut due = self.entries.range(self.queued..);
        if due.len() > 0 && due.all(|entry| entry.is_due_since(since)) {
            self.truncate(self.queued, ids);
        }
    }
}
