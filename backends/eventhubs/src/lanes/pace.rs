//! When a lane tries again.

use anyhub_core::{Error, ErrorKind};
use rand::{Rng, RngExt};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Not earlier than this.
    pub(super) rests_until: Option<Instant>,
    /// Messages that came to nothing, one after the other.
    in_vain: u32,
}

/// How long after the first failure, and where the doubling ends.
const SOON: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_secs(2);
/// How long Event Hubs asks to be left alone when it is busy (Event Hubs documentation, "Exceptions",
/// ServerBusyException, 2026-11). Without it, what is refused would be refused again.
const BUSY: Duration = Duration::from_secs(4);

impl Pace {
    pub(super) fn written(&mut self) {
        *self = Self::default();
    }

    /// With jitter, so that lanes and producers don't come all at once.
    pub(super) fn failed(&mut self, error: &Error, now: Instant, rng: &mut impl Rng) {
        self.in_vain = (self.in_vain + 1).min(16);
        let doubled = SOON * (1 << (self.in_vain - 1).min(8));
        let mut wait = doubled.min(LATEST).mul_f64(rng.random_range(0.75..1.25));
        if error.kind() == ErrorKind::Throttled {
            wait = BUSY.mul_f64(rng.random_range(1.0..1.25));
        }
        self.rests_until = Some(now + wait);
    }
}
