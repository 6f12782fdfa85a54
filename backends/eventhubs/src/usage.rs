use anyhub_core::Usage;
use std::sync::atomic::{AtomicU64, Ordering};

/// What Event Hubs bills, counted as it is sent; and what was read, which is free.
///
/// An ingress event is 64 KB of one event, rounded up (Event Hubs pricing, 2026-09).
#[derive(Debug, Default)]
pub(crate) struct Counters {
    ingress_events: AtomicU64,
    bytes_in: AtomicU64,
    events_out: AtomicU64,
    bytes_out: AtomicU64,
}

/// Bytes of an ingress event.
const UNIT: u64 = 64 * 1024;

impl Counters {
    /// An event of so many bytes, as it is encoded, was written.
    pub(crate) fn wrote(&self, bytes: usize) {
        let bytes = bytes as u64;
        add(&self.ingress_events, bytes.div_ceil(UNIT).max(1));
        add(&self.bytes_in, bytes);
    }

    /// An event of so many bytes was read.
    pub(crate) fn read(&self, bytes: usize) {
        add(&self.events_out, 1);
        add(&self.bytes_out, bytes as u64);
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        let all = [
            ("ingress_events", &self.ingress_events),
            ("bytes_in", &self.bytes_in),
            ("events_out", &self.events_out),
            ("bytes_out", &self.bytes_out),
        ];
        for (unit, amount) in all {
            usage.add(unit, amount.load(Ordering::Relaxed));
        }
        usage
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Microsoft's pricing page: 8 KB is one, 96 KB are two.
    #[test]
    fn an_ingress_event_is_64_kilobytes() {
        for (size, units) in [(0, 1), (8 << 10, 1), (64 << 10, 1), (96 << 10, 2)] {
            let counters = Counters::default();
            counters.wrote(size);
            assert_eq!(counters.usage().get("ingress_events"), units, "{size}");
        }
    }
}
