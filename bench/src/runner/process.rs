//! What this process spends: processor time and memory.

use std::time::Duration;

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};

use crate::hubs::Running;

/// The processor time of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    /// Without the server's, where that is known.
    pub(super) cpu: Duration,
    /// The hub's server's, where it runs in this process; None where it does and its share is not known.
    pub(super) server: Option<Duration>,
}

impl Default for Spent {
    /// Nothing.
    fn default() -> Self {
        Self {
            cpu: Duration::ZERO,
            server: Some(Duration::ZERO),
        }
    }
}

impl Spent {
    pub(super) fn so_far(server: Option<&Running>) -> Self {
        let server = server.map_or(Some(Duration::ZERO), Running::server_cpu);
        let cpu = cpu().unwrap_or_default();
        Self {
            cpu: cpu.saturating_sub(server.unwrap_or_default()),
            server,
        }
    }

    /// What was added to `begun`.
    pub(super) fn since(self, begun: &Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(begun.cpu),
            server: self
                .server
                .zip(begun.server)
                .map(|(now, begun)| now.saturating_sub(begun)),
        }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.cpu += more.cpu;
        self.server = self.server.zip(more.server).map(|(one, other)| one + other);
    }
}

/// Processor time of all threads so far; None where the system does not tell.
pub(super) fn cpu() -> Option<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let span = |time: TimeVal| {
        Duration::from_secs(time.tv_sec().max(0) as u64)
            + Duration::from_micros(time.tv_usec().max(0) as u64)
    };
    Some(span(usage.user_time()) + span(usage.system_time()))
}

/// Memory that is resident now; where the system tells only the largest so far, that.
pub(super) fn resident_bytes() -> Option<u64> {
    if cfg!(target_os = "linux") {
        // Pages: whole, resident, ...
        let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
        let resident: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
        return Some(resident * page_bytes());
    }
    let largest = getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss().max(0) as u64;
    // Bytes on macOS, KiB elsewhere (getrusage(2)).
    Some(if cfg!(target_os = "macos") {
        largest
    } else {
        largest << 10
    })
}

fn page_bytes() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .map_or(4_096, |bytes| bytes as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_grow_with_work() {
        let before = cpu().unwrap();
        let memory = resident_bytes().unwrap();
        let mut block = vec![1u8; 64 << 20];
        while cpu().unwrap() - before < Duration::from_millis(20) {
            block
                .iter_mut()
                .for_each(|byte| *byte = byte.wrapping_mul(3));
        }
        assert!(
            resident_bytes().unwrap() >= memory + (48 << 20),
            "{}",
            block[7]
        );
    }
}
