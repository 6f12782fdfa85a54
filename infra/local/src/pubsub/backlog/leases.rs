//! Deliveries that are under way, and when they have to be acknowledged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::FEW;

/// A delivery that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) delivery: u64,
    pub(super) reader: u64,
    pub(super) until: Instant,
    /// When it is looked at: by then or sooner. Other times that were set for it don't count.
    pub(super) look: Instant,
}

/// A time to look at a delivery, as it was when it was set: by then it may be over, extended, or looked at sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) message: u64,
    pub(super) delivery: u64,
}

/// The times to look at deliveries. One time for each delivery that is under way, and as many again that don't count any more:
/// to take each out as it ends would cost more than to pass over it.
#[derive(Debug, Default)]
pub(super) struct Leases {
    looks: BinaryHeap<Reverse<Look>>,
    live: usize,
}

impl Leases {
    /// Deliveries that are under way.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    #[cfg(test)]
    pub(super) fn looks(&self) -> usize {
        self.looks.len()
    }

    pub(super) fn add(&mut self, message: u64, lease: Lease) {
        self.live += 1;
        self.look(message, lease);
    }

    /// One ended; its time stays until it comes, or until there are too many of its kind.
    pub(super) fn drop_one(&mut self) {
        self.live -= 1;
    }

    /// Looks at it when it says.
    pub(super) fn look(&mut self, message: u64, lease: Lease) {
        self.looks.push(Reverse(Look {
            at: lease.look,
            message,
            delivery: lease.delivery,
        }));
    }

    /// The next time that has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<Look> {
        let Reverse(look) = self.looks.peek()?;
        if look.at > now {
            return None;
        }
        self.looks.pop().map(|Reverse(look)| look)
    }

    /// True if most times don't count any more.
    pub(super) fn is_stale(&self) -> bool {
        self.looks.len() > 2 * self.live + FEW
    }

    pub(super) fn retain(&mut self, lives: impl Fn(&Look) -> bool) {
        self.looks.retain(|Reverse(look)| lives(look));
    }
}
