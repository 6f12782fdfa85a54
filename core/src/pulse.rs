use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// Sees that the process stood still, stopped or suspended, for so long that what it holds may have been given to others
/// (C10). Sessions with a server find that out only later.
///
/// ```
/// use anyhub_core::driver::Pulse;
/// use std::time::Duration;
/// let pulse = Pulse::new(Duration::from_secs(30));
/// pulse.beat(); // every Pulse::BEAT, and before something that was held is handed on
/// assert!(!pulse.stood_still());
/// ```
#[derive(Debug)]
pub struct Pulse {
    last: Mutex<(Instant, SystemTime)>,
    limit: Duration,
    stood_still: AtomicBool,
}

impl Pulse {
    /// How often it has to beat.
    pub const BEAT: Duration = Duration::from_millis(500);

    /// A pulse that may be silent for so long.
    pub fn new(limit: Duration) -> Self {
        Self {
            last: Mutex::new((Instant::now(), SystemTime::now())),
            limit,
            stood_still: AtomicBool::new(false),
        }
    }

    /// The process runs.
    pub fn beat(&self) {
        self.beat_at(Instant::now(), SystemTime::now());
    }

    /// The process runs, at these times: for tests of what follows when it stood still.
    pub fn beat_at(&self, now: Instant, date: SystemTime) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // The monotonic clock stands while the machine is suspended; the other one goes on.
        let gap = now
            .saturating_duration_since(last.0)
            .max(date.duration_since(last.1).unwrap_or_default());
        *last = (now, date);
        if gap > self.limit {
            self.stood_still.store(true, Ordering::Release);
        }
    }

    /// Whether it stood still, and it is not known yet what is still its own.
    pub fn stood_still(&self) -> bool {
        self.stood_still.load(Ordering::Acquire)
    }

    /// What is held now is its own.
    pub fn reassured(&self) {
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
            let pulse = Pulse::new(Duration::from_secs(30));
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
