use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// Sees that the process stood still, stopped or suspended, for so long that the group may have
/// given its partitions to others (C10). The group's own heartbeats find out only later.
#[derive(Debug)]
pub(crate) struct Pulse {
    last: Mutex<(Instant, SystemTime)>,
    limit: Duration,
    stood_still: AtomicBool,
}

/// How often it beats.
pub(crate) const BEAT: Duration = Duration::from_millis(500);

impl Pulse {
    /// A pulse that may miss two thirds of a session.
    pub(crate) fn new(session: Duration) -> Self {
        Self {
            last: Mutex::new((Instant::now(), SystemTime::now())),
            limit: session * 2 / 3,
            stood_still: AtomicBool::new(false),
        }
    }

    /// The process runs.
    pub(crate) fn beat(&self) {
        self.beat_at(Instant::now(), SystemTime::now());
    }

    fn beat_at(&self, now: Instant, date: SystemTime) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // The monotonic clock stands while the machine is suspended; the other one goes on.
        let gap = (now - last.0).max(date.duration_since(last.1).unwrap_or_default());
        *last = (now, date);
        if gap > self.limit {
            self.stood_still.store(true, Ordering::Release);
        }
    }

    /// Whether it stood still and nobody has asked the group since.
    pub(crate) fn stood_still(&self) -> bool {
        self.stood_still.load(Ordering::Acquire)
    }

    /// The group still counts us in.
    pub(crate) fn reassured(&self) {
        self.stood_still.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_a_long_pause_by_either_clock() {
        let (now, date) = (Instant::now(), SystemTime::now());
        let (short, long) = (Duration::from_secs(29), Duration::from_secs(31));
        for (gap, date_gap, stood) in [
            (short, short, false),
            (long, short, true),
            (short, long, true),
        ] {
            let pulse = Pulse::new(Duration::from_secs(45));
            pulse.beat_at(now, date);
            pulse.beat_at(now + gap, date + date_gap);
            assert_eq!(pulse.stood_still(), stood, "{gap:?} {date_gap:?}");
            pulse.reassured();
            assert!(!pulse.stood_still());
            // A clock that is set back is no pause.
            pulse.beat_at(now + gap, date - long);
            assert!(!pulse.stood_still());
        }
    }
}
