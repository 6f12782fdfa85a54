use std::time::{Duration, Instant, SystemTime};

/// Nanoseconds since the run began, on one monotonic clock for both ends of every event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    epoch: Instant,
    wall: SystemTime,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            epoch: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    #[inline]
    pub(super) fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    pub(super) fn instant(&self, ns: u64) -> Instant {
        self.epoch + Duration::from_nanos(ns)
    }

    /// The time of day, for the logs of histograms.
    pub(super) fn wall(&self, ns: u64) -> SystemTime {
        self.wall + Duration::from_nanos(ns)
    }
}

/// Nanoseconds as seconds.
pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
