use super::{Ids, KeyLane};
use crate::keys::entry::{Entry, State};
use std::time::{Duration, Instant};

impl KeyLane {
    /// Whether something was given up because its time has passed, and whether acks were among it. It keeps its place, as
    /// after a nack: what is behind it would overtake it.
    pub(in crate::keys) fn lapse(&mut self, lease: Duration, now: Instant) -> (bool, bool) {
        let lapsed = |entry: &Entry| entry.has_lapsed(lease, now);
        let Some(first) = self.entries.iter().position(lapsed) else {
            return (false, false);
        };
        let acked = |entry: &Entry| matches!(entry.state, State::Acked | State::Acking);
        let acked = self.entries.range(first..).any(acked);
        self.hold(first, now);
        for entry in self.entries.range_mut(first..) {
            entry.leased = None;
        }
        if first <= self.prefix {
            self.waits = None;
        }
        self.prefix = self.prefix.min(first);
        (true, acked)
    }

    /// Forgets what waits to come again, once all of it has since `since`.
    pub(in crate::keys) fn forget_due(&mut self, since: Instant, ids: &mut Ids) {
        let mut due = self.entries.range(self.queued..);
        if due.len() > 0 && due.all(|entry| entry.is_due_since(since)) {
            self.truncate(self.queued, ids);
        }
    }
}
