//! One phase of one run: the ledger, the counters and what each client recorded.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{clock::Clock, spool::Spool};
use crate::{
    histogram::Histogram,
    sentiment::Tally,
    verify::{Findings, Ledger, Positions},
};

/// Which phase; the number stands in every payload and seeds the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// At full speed, not measured.
    WarmUp = 0,
    Latency = 1,
    Throughput = 2,
    /// At the latency phase's rate and right before it, not measured: some hubs are looked at less
    /// often while nothing comes, and nothing came while the end of the warm-up was awaited.
    LeadIn = 3,
}

impl Kind {
    pub(super) fn is_measured(self) -> bool {
        matches!(self, Self::Latency | Self::Throughput)
    }
}

#[derive(Debug)]
pub(super) struct Phase {
    pub(super) kind: Kind,
    pub(super) clock: Clock,
    pub(super) ledger: Ledger,
    pub(super) counters: Counters,
    producers: Box<[Mutex<Sending>]>,
    consumers: Box<[Mutex<Receiving>]>,
    /// The first send that did not end well, in words.
    trouble: Mutex<Option<String>>,
}

/// Written once for each batch.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) acked: AtomicU64,
    /// Failed and indeterminate.
    pub(super) unacked: AtomicU64,
    /// Of these, certainly not written.
    pub(super) failed: AtomicU64,
    /// Distinct events received, and their payload bytes.
    pub(super) seen: AtomicU64,
    pub(super) seen_bytes: AtomicU64,
    /// Deliveries of any kind, for the watch over stalls.
    pub(super) deliveries: AtomicU64,
    pub(super) first_submit_ns: AtomicU64,
    pub(super) last_submit_ns: AtomicU64,
    pub(super) last_ack_ns: AtomicU64,
    pub(super) last_seen_ns: AtomicU64,
}

/// What one producer recorded.
#[derive(Debug, Default)]
pub(super) struct Sending {
    pub(super) publish: Histogram,
    pub(super) delay: Histogram,
}

/// What one consumer recorded.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    pub(super) end_to_end: Histogram,
    /// The same since the last point of the series.
    pub(super) lately: Histogram,
    pub(super) positions: Positions,
    pub(super) tally: Tally,
    pub(super) spool: Spool,
}

impl Phase {
    pub(super) fn new(
        kind: Kind,
        clock: Clock,
        ledger: Ledger,
        producers: usize,
        consumers: usize,
    ) -> Self {
        let counters = Counters::default();
        counters.first_submit_ns.store(u64::MAX, Relaxed);
        Self {
            kind,
            clock,
            ledger,
            counters,
            producers: (0..producers).map(|_| Mutex::default()).collect(),
            consumers: (0..consumers).map(|_| Mutex::default()).collect(),
            trouble: Mutex::new(None),
        }
    }

    pub(super) fn sending(&self, producer: usize) -> MutexGuard<'_, Sending> {
        lock(&self.producers[producer])
    }

    pub(super) fn receiving(&self, consumer: usize) -> MutexGuard<'_, Receiving> {
        lock(&self.consumers[consumer])
    }

    pub(super) fn trouble(&self, what: impl FnOnce() -> String) {
        lock(&self.trouble).get_or_insert_with(what);
    }

    pub(super) fn first_trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// Sent and neither received nor known not to be written.
    pub(super) fn backlog(&self) -> u64 {
        let counters = &self.counters;
        let expected = counters
            .sent
            .load(Relaxed)
            .saturating_sub(counters.unacked.load(Relaxed));
        expected.saturating_sub(counters.seen.load(Relaxed))
    }

    /// The 99th percentile of the end-to-end latency since this was last asked.
    pub(super) fn p99_lately(&self) -> Option<u64> {
        let mut all: Option<Histogram> = None;
        for consumer in &self.consumers {
            let mut receiving = lock(consumer);
            if receiving.lately.count() == 0 {
                continue;
            }
            match &mut all {
                None => all = Some(receiving.lately.clone()),
                Some(all) => all.merge(&receiving.lately),
            }
            receiving.lately.clear();
        }
        all.and_then(|all| all.p99())
    }

    /// The publish latency and schedule delay of all producers.
    pub(super) fn sending_times(&self) -> (Histogram, Histogram) {
        let (mut publish, mut delay) = (Histogram::new(), Histogram::new());
        for producer in &self.producers {
            let sending = lock(producer);
            publish.merge(&sending.publish);
            delay.merge(&sending.delay);
        }
        (publish, delay)
    }

    /// The end-to-end latency of all consumers.
    pub(super) fn end_to_end(&self) -> Histogram {
        let mut all = Histogram::new();
        self.consumers
            .iter()
            .for_each(|consumer| all.merge(&lock(consumer).end_to_end));
        all
    }

    /// The scores of what arrived, by all consumers.
    pub(super) fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.consumers
            .iter()
            .for_each(|consumer| all.merge(&lock(consumer).tally));
        all
    }

    /// The texts that were kept, by all consumers.
    pub(super) fn take_spools(&self) -> Vec<Spool> {
        self.consumers
            .iter()
            .map(|consumer| std::mem::take(&mut lock(consumer).spool))
            .collect()
    }

    /// What was found, once nobody writes any more.
    pub(super) fn finish(&self, name: impl Fn(u32) -> String) -> Findings {
        let mut findings = self.ledger.finish(name);
        let mut positions: Vec<Positions> = self
            .consumers
            .iter()
            .map(|consumer| std::mem::take(&mut lock(consumer).positions))
            .collect();
        findings.position_violations += Positions::shared(&mut positions);
        findings
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
