//! The sending side of a phase: one task for each producer, one more that awaits its outcomes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use anyhub_core::{Error, ErrorKind, Pending, Producer, Receipt, Result};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    phase::{Kind, Phase},
    source::Source,
};
use crate::{
    keys::KeySpace,
    pacing::Schedule,
    payload::{Encoder, Header},
    verify::{Outcome, Place},
};

/// Batches whose outcomes are awaited, beyond which a producer waits: more than any producer's own
/// buffer holds, so that the buffer is what pushes back.
const AWAITED: usize = 8_192;

/// One producer in one phase.
pub(super) struct Sender {
    pub(super) number: u16,
    pub(super) producer: Arc<dyn Producer>,
    pub(super) source: Source,
    pub(super) phase: Arc<Phase>,
    pub(super) keys: Arc<KeySpace>,
    /// Payloads are padded to its length.
    pub(super) padding: Arc<[u8]>,
    pub(super) batch: usize,
    /// Stops the sending; what was submitted is still awaited.
    pub(super) halt: CancellationToken,
}

/// One submitted event.
#[derive(Debug, Clone, Copy)]
struct Sent {
    key: u32,
    sequence: u64,
    intended_ns: u64,
}

struct Submitted {
    pending: Pending,
    events: Vec<Sent>,
}

impl Sender {
    /// Sends all that is planned: at `rate` events per second from `start_ns` on, or without one
    /// as fast as the producer takes it. Resolves once every outcome is known. An error means that
    /// the hub took no more.
    pub(super) async fn run(mut self, rate: Option<f64>, start_ns: u64) -> Result<()> {
        let (submitted, waiting) = mpsc::channel(AWAITED);
        let outcomes = tokio::spawn(settle_all(self.phase.clone(), self.number, waiting));
        let sent = match rate {
            Some(rate) => self.on_schedule(rate, start_ns, &submitted).await,
            None => self.at_full_speed(&submitted).await,
        };
        drop(submitted);
        let flushed = if sent.is_ok() {
            self.producer.flush().await
        } else {
            Ok(())
        };
        if outcomes.await.is_err() {
            self.phase
                .trouble(|| "the task that awaits outcomes broke off".into());
        }
        // A flush that fails says no more than the outcomes, except where it alone failed.
        if let Err(error) = flushed {
            self.phase.trouble(|| error.to_string());
        }
        sent
    }

    async fn on_schedule(
        &mut self,
        rate: f64,
        start_ns: u64,
        submitted: &mpsc::Sender<Submitted>,
    ) -> Result<()> {
        let clock = self.phase.clock;
        let start = Instant::from_std(clock.instant(start_ns));
        let schedule = Schedule::new(start, rate, self.source.total());
        let mut schedule = schedule.precise().map_err(|error| {
            let what = format!("no thread for the schedule: {error}");
            Error::new(ErrorKind::Unexpected, "anyhub-bench", "schedule", what)
        })?;
        let mut encoder = Encoder::default();
        loop {
            let due = tokio::select! {
                biased;
                () = self.halt.cancelled() => return Ok(()),
                due = schedule.next(self.batch as u64) => due,
            };
            let Some(due) = due else { return Ok(()) };
            let now = clock.now_ns();
            let mut events = Vec::with_capacity(due.count as usize);
            for number in due.first..due.first + due.count {
                let intended_ns = start_ns + schedule.due_after(number).as_nanos() as u64;
                self.make(&mut encoder, &mut events, intended_ns, now);
            }
            {
                let mut sending = self.phase.sending(self.number.into());
                events
                    .iter()
                    .for_each(|event| sending.delay.record_ns(event.intended_ns, now));
            }
            if !self.submit(&mut encoder, events, submitted).await? {
                return Ok(());
            }
        }
    }

    async fn at_full_speed(&mut self, submitted: &mpsc::Sender<Submitted>) -> Result<()> {
        let mut encoder = Encoder::default();
        while !self.halt.is_cancelled() {
            let now = self.phase.clock.now_ns();
            let mut events = Vec::with_capacity(self.batch);
            while events.len() < self.batch && self.make(&mut encoder, &mut events, now, now) {}
            if events.is_empty() || !self.submit(&mut encoder, events, submitted).await? {
                break;
            }
        }
        Ok(())
    }

    /// Adds the next event to the batch; false when there is none.
    fn make(
        &mut self,
        encoder: &mut Encoder,
        events: &mut Vec<Sent>,
        intended_ns: u64,
        actual_ns: u64,
    ) -> bool {
        let Some(drawn) = self.source.draw() else {
            return false;
        };
        let header = Header {
            run: self.phase.ledger.run(),
            key: drawn.key,
            producer: self.number,
            incarnation: 0,
            phase: self.phase.kind as u8,
            sequence: drawn.sequence,
            intended_ns,
            actual_ns,
        };
        let name = self.keys.name(drawn.key).unwrap_or_default();
        encoder.add(&header, name, drawn.text, self.padding.len(), &self.padding);
        events.push(Sent {
            key: drawn.key,
            sequence: drawn.sequence,
            intended_ns,
        });
        true
    }

    /// Hands the batch over; false when the phase was halted while it waited for room.
    async fn submit(
        &self,
        encoder: &mut Encoder,
        events: Vec<Sent>,
        submitted: &mpsc::Sender<Submitted>,
    ) -> Result<bool> {
        let Phase {
            ledger,
            counters,
            clock,
            ..
        } = &*self.phase;
        events
            .iter()
            .for_each(|event| ledger.sent(event.key, event.sequence));
        let count = events.len() as u64;
        counters.first_submit_ns.fetch_min(clock.now_ns(), Relaxed);
        counters.sent.fetch_add(count, Relaxed);
        let pending = tokio::select! {
            biased;
            pending = self.producer.submit(encoder.batch()) => pending.map(Some),
            () = self.halt.cancelled() => Ok(None),
        };
        let taken = !matches!(pending, Ok(None) | Err(_));
        if !taken {
            // Nothing of the batch was sent (P1).
            events
                .iter()
                .for_each(|event| ledger.withdrawn(event.key, event.sequence));
            counters.sent.fetch_sub(count, Relaxed);
        }
        let Some(mut pending) = pending? else {
            return Ok(false);
        };
        counters.last_submit_ns.fetch_max(clock.now_ns(), Relaxed);
        match (&mut pending).now_or_never() {
            Some(outcomes) => settle(&self.phase, self.number, &events, outcomes),
            // The other end lives as long as this one does.
            None => drop(submitted.send(Submitted { pending, events }).await),
        }
        Ok(taken)
    }
}

/// Awaits outcomes in whatever order they come, so that each is timed when it is known.
async fn settle_all(phase: Arc<Phase>, producer: u16, mut waiting: mpsc::Receiver<Submitted>) {
    let mut open = FuturesUnordered::new();
    let mut more = true;
    while more || !open.is_empty() {
        tokio::select! {
            submitted = waiting.recv(), if more && open.len() < AWAITED => match submitted {
                Some(Submitted { pending, events }) => open.push(pending.map(move |outcomes| (events, outcomes))),
                None => more = false,
            },
            Some((events, outcomes)) = open.next() => settle(&phase, producer, &events, outcomes),
        }
    }
}

fn settle(phase: &Phase, producer: u16, events: &[Sent], outcomes: Vec<Result<Receipt>>) {
    let now = phase.clock.now_ns();
    let (mut acked, mut unacked, mut failed) = (0, 0, 0);
    for (event, outcome) in events.iter().zip(outcomes) {
        let outcome = match outcome {
            Ok(Receipt {
                partition: Some(partition),
                position: Some(position),
                ..
            }) => {
                acked += 1;
                Outcome::Acked(Some(Place::of(&partition, &position)))
            }
            Ok(_) => {
                acked += 1;
                Outcome::Acked(None)
            }
            Err(error) => {
                unacked += 1;
                phase.trouble(|| error.to_string());
                if error.is_indeterminate() {
                    Outcome::Indeterminate
                } else {
                    failed += 1;
                    Outcome::Failed
                }
            }
        };
        phase.ledger.resolved(event.key, event.sequence, outcome);
    }
    if phase.kind == Kind::Latency {
        let mut sending = phase.sending(producer.into());
        events
            .iter()
            .for_each(|event| sending.publish.record_ns(event.intended_ns, now));
    }
    add(&phase.counters.acked, acked);
    add(&phase.counters.unacked, unacked);
    add(&phase.counters.failed, failed);
    if acked > 0 {
        phase.counters.last_ack_ns.fetch_max(now, Relaxed);
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    if amount > 0 {
        counter.fetch_add(amount, Relaxed);
    }
}
