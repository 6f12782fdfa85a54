use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// What one run did.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Events that went through.
    pub events: u64,
    /// How long that took.
    pub elapsed: Duration,
    /// CPU time of the whole process meanwhile.
    pub cpu: Duration,
}

impl Run {
    /// Events per second.
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }

    /// CPU time of an event, in nanoseconds.
    pub fn cpu_ns(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.events as f64
    }

    /// Both runs as one.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            elapsed: self.elapsed + other.elapsed,
            cpu: self.cpu + other.cpu,
        }
    }
}

/// A clock of time and of CPU time.
#[derive(Debug)]
pub struct Stopwatch {
    began: Instant,
    cpu: Duration,
}

impl Stopwatch {
    /// Runs from now on.
    pub fn start() -> Self {
        Self {
            began: Instant::now(),
            cpu: cpu(),
        }
    }

    /// How long it has run.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// What was done until now.
    pub fn stop(&self, events: u64) -> Run {
        Run {
            events,
            elapsed: self.began.elapsed(),
            cpu: cpu() - self.cpu,
        }
    }
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
