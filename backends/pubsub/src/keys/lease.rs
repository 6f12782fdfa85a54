//! For how long deliveries are this consumer's: more time for them, and what becomes of those whose time is over.

use super::{Finished, Keys, LOOSE, Ref, entry::Entry};
use std::time::Instant;

/// So many leases, and the longest delay of a nack, is waited for what was nacked.
const WAITS: u32 = 3;

impl Keys {
    /// Deliveries whose time was last prolonged before `since`.
    pub(crate) fn to_prolong(&self, since: Instant) -> Finished {
        let mut found = Finished::default();
        let mut each = |lane, entry: &Entry, seq| {
            if entry.leased.is_some_and(|leased| leased <= since) {
                found
                    .refs
                    .push(entry.reference(lane, self.epoch_of(lane), seq));
                found.ack_ids.push(entry.ack_id.clone());
            }
        };
        self.loose.each(|entry, seq| each(LOOSE, entry, seq));
        for lane in self.keys.values() {
            self.lanes[*lane as usize].each(|entry, seq| each(*lane, entry, seq));
        }
        found
    }

    fn epoch_of(&self, lane: u32) -> u32 {
        match lane {
            LOOSE => self.epoch,
            _ => self.lanes[lane as usize].epoch(),
        }
    }

    /// Notes that these are this consumer's since `from` anew, unless their time is over by `now`: they may have been
    /// found stale.
    pub(crate) fn prolonged(&mut self, of: &[Ref], from: Instant, now: Instant) {
        for of in of {
            let lease = self.lease;
            let entry = self.entry(*of);
            let entry = entry.filter(|entry| !entry.has_lapsed(lease, now));
            if let Some(leased) = entry.and_then(|entry| entry.leased.as_mut()) {
                *leased = (*leased).max(from);
            }
        }
    }

    pub(super) fn entry(&mut self, of: Ref) -> Option<&mut Entry> {
        match of.lane {
            LOOSE => self.loose.get_mut(of),
            lane => self.lanes[lane as usize].get_mut(of),
        }
    }

    /// Gives up deliveries whose time has passed, of a key with what is behind them: somebody else may have them. They are
    /// nacked at the service, if it still counts them as this consumer's, and keep their place until they come again. True
    /// if there were some.
    pub(crate) fn lapse(&mut self, now: Instant) -> bool {
        let lease = self.lease;
        let mut lapsed = self.loose.lapse(lease, now);
        let mut lost = self.loose.take_lost();
        for lane in self.keys.values() {
            let of = &mut self.lanes[*lane as usize];
            let listed = of.has_unsent_nack();
            let some = of.lapse(lease, now);
            lost.extend(of.take_lost());
            if some && !listed {
                self.nacked.push(*lane);
            }
            lapsed |= some;
        }
        self.owe(lost);
        self.unpark(LOOSE);
        self.forget_due(now);
        lapsed
    }

    /// Forgets what was nacked and has not come again for so long that it comes to somebody else, or to nobody: nothing
    /// that was under way then is still.
    fn forget_due(&mut self, now: Instant) {
        let (_, longest) = self.nack_delay;
        let Some(since) = now.checked_sub(longest.saturating_add(self.lease * WAITS)) else {
            return;
        };
        self.loose.forget_due(Some(since));
        let lanes: Vec<_> = self.keys.values().copied().collect();
        for lane in lanes {
            self.lanes[lane as usize].forget_due(since, &mut self.ids);
            self.let_go(lane);
        }
    }
}
