//! When a lane sends next, and how much at once.
//!
//! What a namespace takes in a second is for all lanes and all producers, and nothing tells a lane what is
//! left for it. To be refused costs seconds. So a lane that was refused reckons what it had been let send, stays a
//! little below that, and asks for more bit by bit.

use anyhub_core::{Error, ErrorKind};
use rand::{Rng, RngExt};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Not earlier than this.
    pub(super) rests_until: Option<Instant>,
    /// Messages that came to nothing, one after the other.
    in_vain: u32,
    /// Since when it has had something to send and was let, and how much it was.
    run: Option<(Instant, Units)>,
    /// None: as fast as it goes.
    share: Option<Share>,
}

/// What a throughput unit takes in a second: 1,000 events or 1 MB, whichever comes first (Event Hubs
/// documentation, "Scaling with Event Hubs", 2026-11).
#[derive(Debug, Default, Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Units(pub(super) f64);

impl Units {
    pub(super) fn of(events: usize, bytes: usize) -> Self {
        Self((events as f64 / 1_000.0).max(bytes as f64 / 1_048_576.0))
    }
}

/// What a lane takes of the namespace's units.
#[derive(Debug)]
struct Share {
    /// Units a second.
    rate: f64,
    /// It is a first guess, from a few messages.
    guessed: bool,
    /// When it was last refused, and since when it has not grown.
    refused: Instant,
    grown: Instant,
    /// When what was sent is made up for.
    free: Instant,
}

/// How long after the first failure, and where the doubling ends.
const SOON: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_secs(2);
/// How long Event Hubs asks to be left alone when it is busy (Event Hubs documentation, "Exceptions",
/// ServerBusyException, 2026-11). Without it, what is refused would be refused again.
const BUSY: Duration = Duration::from_secs(4);
/// What may come at once after a rest is taken for a second's worth.
const AT_ONCE: f64 = 1.0;
/// How far below what it was let send, or had; how far back at most; and how far where it was let send nothing.
const BELOW: f64 = 0.95;
const BACK: f64 = 0.85;
const BACK_IN_VAIN: f64 = 0.5;
/// Seconds' worth of a share in a message: more at once would find the units of others used up.
const MESSAGE: f64 = 0.25;
/// How much of a late start is made up for.
const LATE: Duration = Duration::from_millis(250);
/// How a share grows in a second: little, since it costs so much to be refused; faster from this time without
/// a refusal on, since units may have been added.
const GROWTH: f64 = 0.003;
const GROWTH_OF_GUESS: f64 = 0.05;
const LONG: f64 = 60.0;

impl Pace {
    /// What a message may hold.
    pub(super) fn most(&self) -> Units {
        let share = self.share.as_ref();
        Units(share.map_or(f64::INFINITY, |share| share.rate * MESSAGE))
    }

    /// A message was written.
    pub(super) fn written(&mut self, units: Units, now: Instant) {
        (self.rests_until, self.in_vain) = (None, 0);
        let (_, sent) = self.run.get_or_insert((now, Units(0.0)));
        sent.0 += units.0;
        if let Some(share) = &mut self.share {
            share.spend(units, now);
            self.rests_until = (share.free > now).then_some(share.free);
        }
    }

    /// There is nothing more to send.
    pub(super) fn idle(&mut self) {
        self.run = None;
    }

    /// A message of so many units was not. With jitter, so that lanes and producers don't come all at once.
    pub(super) fn failed(&mut self, units: Units, error: &Error, now: Instant, rng: &mut impl Rng) {
        self.in_vain = (self.in_vain + 1).min(16);
        let doubled = SOON * (1 << (self.in_vain - 1).min(8));
        let mut wait = doubled.min(LATEST).mul_f64(rng.random_range(0.75..1.25));
        if error.kind() == ErrorKind::Throttled {
            wait = BUSY.mul_f64(rng.random_range(1.0..1.25));
            self.refused(units, now, now + wait);
        }
        self.rests_until = Some(now + wait);
    }

    fn refused(&mut self, units: Units, now: Instant, until: Instant) {
        // What it had been let send since it began, less what a rest had put by.
        let let_through = self.run.take().map(|(since, Units(sent))| {
            let seconds = now.saturating_duration_since(since).as_secs_f64();
            sent / (AT_ONCE + seconds) * BELOW
        });
        let is_in_vain = let_through.is_none();
        let rate = match (&self.share, let_through) {
            (Some(share), Some(rate)) => rate.clamp(share.rate * BACK, share.rate * BELOW),
            (Some(share), None) => share.rate * BACK_IN_VAIN,
            (None, Some(rate)) => rate,
            (None, None) => units.0,
        };
        self.share = Some(Share {
            rate,
            guessed: self.share.is_none() || is_in_vain,
            refused: now,
            grown: until,
            free: until,
        });
    }
}

impl Share {
    fn spend(&mut self, units: Units, now: Instant) {
        let seconds = |since: Instant| now.saturating_duration_since(since).as_secs_f64();
        let calm = seconds(self.refused) / LONG;
        // Nothing is learned from a time without events.
        let growth = match self.guessed {
            true => GROWTH_OF_GUESS,
            false => GROWTH * (1.0 + calm * calm),
        };
        self.rate *= 1.0 + growth * seconds(self.grown).min(1.0);
        self.grown = now;
        let late = now
            .checked_sub(LATE)
            .map_or(now, |late| self.free.max(late));
        self.free = late + Duration::from_secs_f64(units.0 / self.rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::HUB;
    use rand::{SeedableRng as _, rngs::StdRng};

    /// A namespace that holds a second's worth, as the stand-in has it, and lanes that always want to send.
    struct Namespace {
        units: f64,
        left: f64,
        filled: Instant,
    }

    impl Namespace {
        fn admit(&mut self, Units(units): Units, now: Instant) -> bool {
            let since = now.saturating_duration_since(self.filled).as_secs_f64();
            self.left = (self.left + since * self.units).min(self.units);
            self.filled = now;
            let open = self.left >= units.min(self.units);
            if open {
                self.left -= units;
            }
            open
        }
    }

    /// Units that were written by lanes with these parts of the work, for so many seconds.
    fn run(
        namespace: &mut Namespace,
        lanes: &mut [(Pace, Instant)],
        seconds: u64,
        seed: u64,
    ) -> f64 {
        let begin = namespace.filled;
        let end = begin + Duration::from_secs(seconds);
        let mut rng = StdRng::seed_from_u64(seed);
        let busy = Error::new(ErrorKind::Throttled, HUB, "submit", "busy");
        let mut written = 0.0;
        while let Some((pace, next)) = lanes.iter_mut().min_by_key(|(_, next)| *next) {
            let now = *next;
            if now >= end {
                break;
            }
            // A message of 1 MB holds 7,000 small events.
            let units = Units(pace.most().0.min(7.0));
            match namespace.admit(units, now) {
                true => {
                    written += units.0;
                    pace.written(units, now);
                }
                false => pace.failed(units, &busy, now, &mut rng),
            }
            let trip = now + Duration::from_millis(2);
            *next = pace.rests_until.map_or(trip, |rest| rest.max(trip));
        }
        written
    }

    fn lanes(count: usize, now: Instant) -> Vec<(Pace, Instant)> {
        (0..count).map(|_| (Pace::default(), now)).collect()
    }

    #[test]
    fn lanes_that_want_more_get_most_of_what_there_is() {
        for (seed, units, count) in [(1, 40.0, 4), (2, 1.0, 4), (3, 4.0, 32), (4, 10.0, 1)] {
            let now = Instant::now();
            let (mut namespace, mut lanes) = (
                Namespace {
                    units,
                    left: units,
                    filled: now,
                },
                lanes(count, now),
            );
            let written = run(&mut namespace, &mut lanes, 120, seed) / (120.0 * units);
            assert!(
                written > 0.8,
                "{written:.2} of {units} units by {count} lanes, seed {seed}"
            );
        }
    }

    #[test]
    fn units_that_are_added_are_found() {
        let now = Instant::now();
        let mut namespace = Namespace {
            units: 10.0,
            left: 10.0,
            filled: now,
        };
        let mut lanes = lanes(4, now);
        run(&mut namespace, &mut lanes, 60, 5);
        namespace.units = 20.0;
        run(&mut namespace, &mut lanes, 240, 6);
        let written = run(&mut namespace, &mut lanes, 60, 7) / (60.0 * 20.0);
        assert!(written > 0.7, "{written:.2} of what there is");
    }
}
