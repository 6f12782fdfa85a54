//! The receiving side: one task for each consumer, from the first phase of a run to the last.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Relaxed, Release},
    },
};

use anyhub_core::{Assignment, Batch, Change, Consumer, Delivery, Point, Result};
use tokio_util::sync::CancellationToken;

use super::{
    clock::Clock,
    phase::{Kind, Phase, Receiving},
    spool::Spill,
};
use crate::{
    keys::KeySpace,
    payload::{self, Damage},
    sentiment::Scorer,
    verify::{Ownership, Seen},
};

/// What the consumers of one run share.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) keys: Arc<KeySpace>,
    pub(super) clock: Clock,
    /// All phases so far; the last one is running.
    phases: RwLock<Vec<Arc<Phase>>>,
    ownership: Ownership,
    assignment: Assignment,
    /// Partitions of each consumer, as far as it was told.
    owned: Box<[AtomicUsize]>,
    /// Where the topic was there before, others may write to it: their events are counted, not
    /// judged.
    shared_topic: bool,
    foreign: AtomicU64,
    overtaken: AtomicU64,
    /// Consumers that have moved to the end.
    at_end: AtomicUsize,
}

impl Reading {
    pub(super) fn new(
        keys: Arc<KeySpace>,
        clock: Clock,
        consumers: usize,
        assignment: Assignment,
        shared_topic: bool,
    ) -> Self {
        Self {
            keys,
            clock,
            phases: RwLock::default(),
            ownership: Ownership::new(),
            assignment,
            owned: (0..consumers).map(|_| AtomicUsize::new(0)).collect(),
            shared_topic,
            foreign: AtomicU64::new(0),
            overtaken: AtomicU64::new(0),
            at_end: AtomicUsize::new(0),
        }
    }

    /// A phase begins: what comes from now on is most likely its.
    pub(super) fn begin(&self, phase: Arc<Phase>) {
        self.phases
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(phase);
    }

    /// The phases so far that are judged and not measured.
    pub(super) fn unmeasured(&self) -> Vec<Arc<Phase>> {
        let phases = self.phases.read().unwrap_or_else(PoisonError::into_inner);
        let unmeasured = phases.iter().filter(|phase| !phase.kind.is_measured());
        unmeasured.cloned().collect()
    }

    fn current(&self) -> Option<Arc<Phase>> {
        self.phases
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .last()
            .cloned()
    }

    fn of_run(&self, run: u64) -> Option<Arc<Phase>> {
        let phases = self.phases.read().unwrap_or_else(PoisonError::into_inner);
        phases
            .iter()
            .find(|phase| phase.ledger.run() == run)
            .cloned()
    }

    /// Times that a consumer was handed events of a partition that was not its own.
    pub(super) fn overlaps(&self) -> u64 {
        self.ownership.overlaps()
    }

    /// Events of others on a topic that is not ours alone.
    pub(super) fn foreign(&self) -> u64 {
        self.foreign.load(Relaxed)
    }

    /// Times that retention overtook a consumer.
    pub(super) fn overtaken(&self) -> u64 {
        self.overtaken.load(Relaxed)
    }

    /// How many consumers have moved to the end.
    pub(super) fn at_end(&self) -> usize {
        self.at_end.load(Relaxed)
    }

    /// Whether every partition has an owner, and none is to move on to another.
    pub(super) fn is_assigned(&self, partitions: usize) -> bool {
        let owned = self.owned.iter().map(|owned| owned.load(Relaxed)).collect();
        self.assignment == Assignment::Shared || is_shared_out(owned, partitions)
    }
}

/// Whether so many partitions are spread evenly over consumers that own so many: as long as one has
/// two more than another, one will move, and stand still meanwhile.
fn is_shared_out(owned: Vec<usize>, partitions: usize) -> bool {
    let most = owned.iter().max().copied().unwrap_or_default();
    let least = owned.iter().min().copied().unwrap_or_default();
    owned.iter().sum::<usize>() >= partitions && most - least <= 1
}

/// One consumer.
pub(super) struct Reader {
    pub(super) number: usize,
    pub(super) consumer: Box<dyn Consumer>,
    pub(super) shared: Arc<Reading>,
    /// Deliveries in one call, at most.
    pub(super) batch: usize,
    /// When it moves to the end of the topic, once; None: it begins there.
    pub(super) to_end: Option<CancellationToken>,
    pub(super) close: CancellationToken,
}

impl Reader {
    /// Reads until it is told to close; an error is the consumer's.
    pub(super) async fn run(mut self) -> Result<()> {
        let acks = self.consumer.acks();
        let scorer = Scorer::new();
        loop {
            let batch = tokio::select! {
                biased;
                () = self.close.cancelled() => break,
                () = told(self.to_end.as_ref()) => {
                    self.to_end = None;
                    self.consumer.seek(Point::End).await?;
                    self.shared.at_end.fetch_add(1, Relaxed);
                    continue;
                }
                batch = self.consumer.receive(self.batch) => batch?,
            };
            // The moment from which the consumer has the events in hand.
            let now = self.shared.clock.now_ns();
            self.changes(&batch);
            if batch.deliveries.is_empty() {
                continue;
            }
            if let Some(spill) = self.take(&batch.deliveries, now, &scorer) {
                spill.go().await;
            }
            acks.ack(&batch.tokens());
        }
        self.consumer.commit().await?;
        self.consumer.close().await
    }

    fn changes(&self, batch: &Batch) {
        for change in &batch.changes {
            let owned = &self.shared.owned[self.number];
            match change {
                Change::Assigned(partitions) => {
                    owned.fetch_add(partitions.len(), Relaxed);
                }
                Change::Revoked(partitions) | Change::Lost(partitions) => {
                    let left = owned.load(Relaxed).saturating_sub(partitions.len());
                    owned.store(left, Relaxed);
                }
                Change::Overtaken { .. } => {
                    self.shared.overtaken.fetch_add(1, Relaxed);
                }
                _ => {}
            }
            self.shared.ownership.told(self.number, change);
        }
    }

    /// Verifies and records a batch, and scores it in the latency phase.
    fn take(&self, deliveries: &[Delivery], now: u64, scorer: &Scorer) -> Option<Spill> {
        // An event before any phase is somebody else's.
        let Some(phase) = self.shared.current() else {
            self.shared
                .foreign
                .fetch_add(deliveries.len() as u64, Relaxed);
            return None;
        };
        let mut receiving = phase.receiving(self.number);
        let (mut seen, mut bytes, mut foreign) = (0, 0, 0);
        let mut last = None;
        for delivery in deliveries {
            let partition = &delivery.partition;
            if self.shared.assignment == Assignment::Exclusive && last != Some(partition) {
                self.shared.ownership.handed(self.number, partition);
                last = Some(partition);
            }
            match payload::decode(&delivery.event, &self.shared.keys) {
                Ok(decoded) if decoded.header.run == phase.ledger.run() => {
                    let header = &decoded.header;
                    if phase
                        .ledger
                        .delivered(header, partition, &delivery.position)
                        == Seen::First
                    {
                        seen += 1;
                        bytes += delivery.event.payload.len() as u64;
                        first(&phase, &mut receiving, delivery, &decoded, now, scorer);
                    }
                }
                Ok(decoded) => foreign += self.other(&decoded.header, &phase, delivery),
                Err((Damage::Foreign, _)) if self.shared.shared_topic => foreign += 1,
                Err((damage, header)) => {
                    phase
                        .ledger
                        .damaged(damage, header.as_ref(), partition, &delivery.position);
                }
            }
        }
        let spill = receiving.spool.spill();
        drop(receiving);
        let counters = &phase.counters;
        if seen > 0 {
            counters.seen.fetch_add(seen, Relaxed);
            counters.seen_bytes.fetch_add(bytes, Relaxed);
            counters.last_seen_ns.fetch_max(now, Relaxed);
        }
        if foreign > 0 {
            self.shared.foreign.fetch_add(foreign, Relaxed);
        }
        // Last: whoever reads this count sees the rest too.
        counters
            .deliveries
            .fetch_add(deliveries.len() as u64 - foreign, Release);
        spill
    }

    /// An event that is not of the running phase: a straggler of an earlier one, or of nobody's.
    /// How many of others it makes: 1 or 0.
    #[cold]
    fn other(&self, header: &payload::Header, phase: &Phase, delivery: &Delivery) -> u64 {
        match self.shared.of_run(header.run) {
            Some(earlier) => {
                if earlier
                    .ledger
                    .delivered(header, &delivery.partition, &delivery.position)
                    == Seen::First
                {
                    earlier.counters.seen.fetch_add(1, Relaxed);
                }
                0
            }
            None if self.shared.shared_topic => 1,
            None => {
                phase
                    .ledger
                    .delivered(header, &delivery.partition, &delivery.position);
                0
            }
        }
    }
}

/// Resolves when the token, if there is one, is cancelled.
async fn told(token: Option<&CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

#[inline]
fn first(
    phase: &Phase,
    receiving: &mut Receiving,
    delivery: &Delivery,
    decoded: &payload::Decoded<'_>,
    now: u64,
    scorer: &Scorer,
) {
    let header = &decoded.header;
    receiving
        .positions
        .first(&delivery.partition, &delivery.position);
    receiving.lately.record_ns(header.intended_ns, now);
    match phase.kind {
        Kind::WarmUp | Kind::LeadIn => {}
        Kind::Latency => {
            receiving.end_to_end.record_ns(header.intended_ns, now);
            receiving
                .tally
                .add(scorer.score(&String::from_utf8_lossy(decoded.text)));
        }
        Kind::Throughput => {
            if let Some(index) = phase.ledger.index(header.key, header.sequence) {
                receiving.spool.add(index, decoded.text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_shared_out;

    #[test]
    fn a_group_has_settled_when_no_partition_is_to_move() {
        assert!(is_shared_out(vec![2, 2, 2], 6));
        assert!(is_shared_out(vec![2, 1, 1], 4));
        assert!(is_shared_out(vec![0, 1, 1], 2));
        assert!(!is_shared_out(vec![2, 3, 1], 6), "one is still to move");
        assert!(!is_shared_out(vec![2, 1, 2], 6), "one has no owner yet");
        assert!(!is_shared_out(vec![4, 0], 4));
    }
}
