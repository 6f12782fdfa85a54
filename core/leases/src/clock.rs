use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// A monotonic clock: the time since some moment that stays the same for the life of the clock.
/// It must run through a suspend of the machine (C10): an owner that slept past its lease must know.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The reading now.
    fn now(&self) -> Duration;

    /// The time of day, in seconds since 1970: it only seeds the take counters of new rows.
    fn unix_seconds(&self) -> u64;
}

/// The machine's clock that runs through suspend: `CLOCK_BOOTTIME` on Linux and Android
/// (clock_gettime(2)), `CLOCK_MONOTONIC` on Apple's systems, which counts sleep there. Elsewhere it
/// is [`std::time::Instant`], and whether that runs through suspend is the system's choice: where it
/// does not, a machine that sleeps while it owns a lease may deliver past its end.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    origin: std::time::Instant,
}

impl SystemClock {
    /// The clock.
    pub fn new() -> Self {
        Self {
            #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
            origin: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
impl Clock for SystemClock {
    fn now(&self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const CLOCK: ClockId = ClockId::Boottime;
        #[cfg(target_vendor = "apple")]
        const CLOCK: ClockId = ClockId::Monotonic;
        let now = clock_gettime(CLOCK);
        // Neither is negative on a clock that counts from the start of the machine.
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }

    fn unix_seconds(&self) -> u64 {
        unix_seconds()
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn unix_seconds(&self) -> u64 {
        unix_seconds()
    }
}

/// 0 on a machine whose clock stands before 1970.
fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on() {
        let clock = SystemClock::new();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
