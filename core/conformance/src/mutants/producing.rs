//! P1 to P5, and what is lost, doubled or put out of order on the way into the log.

use super::{
    Mutant,
    hooks::OnSubmit,
    layer::{Fault, WriteFault, lock},
    portable::portable,
};
use anyhub_core::{
    Error, ErrorKind, Event, Partition, Pending, Position, Producer, Receipt, Result,
    driver::Completer,
};
use async_trait::async_trait;
use rand::RngExt;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use tokio::task::yield_now;

const DELIVERED: &str = "Checks_01_to_11_every_event_is_delivered_once_in_order";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::new(
        "a_batch_is_admitted_in_part",
        "P1_a_batch_is_admitted_whole_or_not_at_all",
        "the log after batches that were refused",
        || Fault::none().write(|_| Box::new(InPart)),
    ),
    Mutant::new(
        "the_buffer_has_no_bound",
        "P1_a_batch_above_the_buffer_is_too_large",
        "the answer to a batch of",
        || {
            Fault::none()
                .producer_options(|options| options.buffer_events(200_000).buffer_bytes(64 << 20))
        },
    )
    .breaks(&[21]),
    Mutant::new(
        "small_batches_overtake",
        "P1_submit_is_fair",
        "not in order of arrival",
        || Fault::none().write(|_| Box::new(SmallFirst)),
    ),
    Mutant::new(
        "a_dropped_submit_goes_on",
        "P1_a_dropped_submit_sends_nothing",
        "sent although the submit was dropped",
        || Fault::none().write(|_| Box::new(Detached)),
    )
    .breaks(&[19]),
    Mutant::new(
        "a_dropped_pending_cancels",
        "P1_a_dropped_pending_cancels_nothing",
        "the log after the pendings were dropped",
        || Fault::none().write(|_| Box::new(LazyLast(Mutex::default()))),
    )
    .breaks(&[19]),
    Mutant::new(
        "a_stall_takes_everything_in",
        "P1_what_is_in_flight_is_bounded",
        "in flight",
        || Fault::none().write(|_| Box::new(TakesAll)),
    )
    .breaks(&[21]),
    Mutant::new(
        "a_full_queue_refuses",
        "P1_a_full_buffer_refuses_nothing",
        "refused by a full buffer",
        || Fault::none().write(|_| Box::new(Refuses::default())),
    )
    .breaks(&[21]),
    Mutant::new(
        "one_outcome_is_missing",
        "P2_every_event_has_its_outcome",
        "outcomes promised for a batch",
        || Fault::none().write(|_| Box::new(OneOutcomeLess)),
    ),
    Mutant::new("ack_before_write", "P2_outcomes_are_true", "lost", || {
        Fault::none().write(|site| Box::new(Untrue(Lie::Written, Chance::new(site.seed, 50))))
    })
    .breaks(&[1, 2]),
    Mutant::new(
        "what_was_written_is_told_failed",
        "P2_outcomes_are_true",
        "phantom",
        || Fault::none().write(|site| Box::new(Untrue(Lie::Failed, Chance::new(site.seed, 50)))),
    )
    .breaks(&[3, 4]),
    Mutant::new(
        "flush_does_not_wait",
        "P2_all_resolves_within_the_deadline",
        "flush returned Ok before",
        || Fault::none().write(|_| Box::new(Leak::default())),
    )
    .breaks(&[20]),
    Mutant::new(
        "two_of_a_key_swap",
        "P3_a_key_keeps_its_submit_order",
        "order",
        || Fault::none().write(|site| OnSubmit::boxed(site, swapped)),
    )
    .breaks(&[8]),
    Mutant::new(
        "a_receipt_is_one_off",
        "P4_receipts_equal_what_the_consumer_sees",
        "the receipt of event",
        || Fault::none().write(|_| Box::new(WrongReceipts(true))),
    )
    .breaks(&[11]),
    Mutant::new(
        "undeclared_positions_are_made_up",
        "P4_undeclared_positions_are_not_told",
        "the position on a hub that declares none",
        || Fault::none().write(|_| Box::new(WrongReceipts(false))),
    )
    .on(portable),
    Mutant::new(
        "close_leaves_pendings_hanging",
        "P5_close_under_load_resolves_everything",
        "an admitted batch to resolve after close",
        || Fault::none().write(|_| Box::new(Leak::default())),
    )
    .breaks(&[20]),
    Mutant::new(
        "a_closed_producer_takes_more",
        "P5_submit_after_close_is_closed",
        "the answer to a submit after close",
        || Fault::none().write(|_| Box::new(NeverCloses)),
    )
    .breaks(&[20, 22]),
    Mutant::new("one_in_10_000_is_dropped", DELIVERED, "lost", || {
        Fault::none().write(|site| Box::new(Untrue(Lie::Written, Chance::new(site.seed, 10_000))))
    })
    .breaks(&[1, 2, 10]),
    Mutant::new(
        "an_event_is_written_twice",
        DELIVERED,
        "duplicate in the log",
        || Fault::none().write(|site| Box::new(Twice(Chance::new(site.seed, 1_000)))),
    )
    .breaks(&[6]),
    Mutant::new(
        "an_event_appears_from_nowhere",
        DELIVERED,
        "phantom",
        || Fault::none().write(|site| Box::new(Untrue(Lie::Failed, Chance::new(site.seed, 1_000)))),
    )
    .breaks(&[4]),
    Mutant::new("two_of_a_key_swap_among_many", DELIVERED, "order", || {
        Fault::none().write(|site| OnSubmit::boxed(site, swapped))
    })
    .breaks(&[8]),
    Mutant::new(
        "one_receipt_names_another_place",
        DELIVERED,
        "position",
        || Fault::none().write(|_| Box::new(WrongReceipts(true))),
    )
    .breaks(&[11]),
];

/// One of so many events, counted through all batches from a place that the seed decides.
#[derive(Debug)]
struct Chance {
    seen: AtomicU64,
    each: u64,
}

impl Chance {
    fn new(seed: u64, each: u64) -> Self {
        Self {
            seen: AtomicU64::new(seed.wrapping_mul(7_919) % each),
            each,
        }
    }

    fn strikes(&self) -> bool {
        self.seen.fetch_add(1, Ordering::Relaxed) % self.each == self.each - 1
    }
}

/// Swaps the first two neighbours of one key in a batch, if it has any.
fn swapped(mut batch: Vec<Event>, rng: &mut rand_pcg::Pcg64Mcg) -> Vec<Event> {
    if rng.random_ratio(1, 4) {
        for first in 0..batch.len() {
            let later = first + 1..batch.len();
            let same = |other: &usize| batch[*other].key == batch[first].key;
            if let Some(second) = later.into_iter().find(same) {
                batch.swap(first, second);
                break;
            }
        }
    }
    batch
}

/// Sends what stands before the event that is refused.
#[derive(Debug)]
struct InPart;

#[async_trait]
impl WriteFault for InPart {
    async fn submit(&self, inner: &Arc<dyn Producer>, mut batch: Vec<Event>) -> Result<Pending> {
        match inner.submit(batch.clone()).await {
            Err(error) if error.kind() == ErrorKind::Invalid => {
                let empty = |event: &Event| {
                    event
                        .key
                        .as_ref()
                        .is_some_and(|key| key.as_bytes().is_empty())
                };
                let good = batch.iter().position(empty).unwrap_or_default();
                batch.truncate(good);
                inner.submit(batch).await?.await;
                Err(error)
            }
            answer => answer,
        }
    }
}

/// Lets a large batch wait while small ones go by.
#[derive(Debug)]
struct SmallFirst;

#[async_trait]
impl WriteFault for SmallFirst {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        if batch.len() > 5 {
            yield_now().await;
        }
        inner.submit(batch).await
    }
}

/// Submits in a task of its own, which nobody can cancel.
#[derive(Debug)]
struct Detached;

#[async_trait]
impl WriteFault for Detached {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        let inner = inner.clone();
        let submitted = tokio::spawn(async move { inner.submit(batch).await });
        submitted.await.unwrap_or_else(|_| Err(broken()))
    }
}

/// Sends each batch only with the next: one that nobody awaits is not sent at the end.
#[derive(Debug)]
struct LazyLast(Mutex<Option<(Vec<Event>, Completer)>>);

#[async_trait]
impl WriteFault for LazyLast {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        let (completer, pending) = Pending::new(batch.len());
        let last = lock(&self.0).replace((batch, completer));
        if let Some((batch, completer)) = last {
            for (nth, outcome) in inner.submit(batch).await?.await.into_iter().enumerate() {
                completer.set(nth, outcome);
            }
        }
        Ok(pending)
    }
}

/// Admits at once whatever comes, and waits for room somewhere else.
#[derive(Debug)]
struct TakesAll;

#[async_trait]
impl WriteFault for TakesAll {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        let (completer, pending) = Pending::new(batch.len());
        let inner = inner.clone();
        tokio::spawn(async move {
            if let Ok(told) = inner.submit(batch).await {
                for (nth, outcome) in told.await.into_iter().enumerate() {
                    completer.set(nth, outcome);
                }
            }
        });
        Ok(pending)
    }
}

#[derive(Debug)]
struct OneOutcomeLess;

#[async_trait]
impl WriteFault for OneOutcomeLess {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        let told = batch.len().saturating_sub(1);
        let (completer, pending) = Pending::new(told);
        for (nth, outcome) in inner
            .submit(batch)
            .await?
            .await
            .into_iter()
            .take(told)
            .enumerate()
        {
            completer.set(nth, outcome);
        }
        Ok(pending)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Told as written, and not written.
    Written,
    /// Written, and told as certainly not.
    Failed,
}

/// Tells an untrue outcome now and then.
#[derive(Debug)]
struct Untrue(Lie, Chance);

#[async_trait]
impl WriteFault for Untrue {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        let Self(lie, chance) = self;
        let (completer, pending) = Pending::new(batch.len());
        let (mut sent, mut places) = (Vec::new(), Vec::new());
        for (nth, event) in batch.into_iter().enumerate() {
            let untrue = chance.strikes();
            if untrue && *lie == Lie::Written {
                completer.set(nth, Ok(Receipt::default()));
            } else {
                sent.push(event);
                places.push((nth, untrue));
            }
        }
        let told = inner.submit(sent).await?.await;
        for ((nth, untrue), outcome) in places.into_iter().zip(told) {
            completer.set(nth, if untrue { Err(broken()) } else { outcome });
        }
        Ok(pending)
    }
}

/// Never tells the outcome of the newest batch.
#[derive(Debug, Default)]
struct Leak(Mutex<Vec<Completer>>);

#[async_trait]
impl WriteFault for Leak {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        let (completer, pending) = Pending::new(batch.len());
        inner.submit(batch).await?;
        lock(&self.0).push(completer);
        Ok(pending)
    }
}

/// Refuses every hundredth batch, as a client does whose queue is shorter than the buffer.
#[derive(Debug, Default)]
struct Refuses(AtomicU64);

#[async_trait]
impl WriteFault for Refuses {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        if self.0.fetch_add(1, Ordering::Relaxed) % 100 < 99 {
            return inner.submit(batch).await;
        }
        let (completer, pending) = Pending::new(batch.len());
        for nth in 0..batch.len() {
            let full = Error::new(
                ErrorKind::Throttled,
                "memory",
                "submit",
                "the queue is full",
            );
            completer.set(nth, Err(full));
        }
        Ok(pending)
    }
}

/// Names a place in any case: the right one, or right behind it.
#[derive(Debug)]
struct WrongReceipts(bool);

#[async_trait]
impl WriteFault for WrongReceipts {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        let (completer, pending) = Pending::new(batch.len());
        for (nth, outcome) in inner.submit(batch).await?.await.into_iter().enumerate() {
            let receipt = outcome.map(|receipt| {
                let partition = receipt.partition.unwrap_or(Partition::number(0));
                let at = receipt.position.unwrap_or(Position::offset(0));
                Receipt::at(partition, if self.0 { at.after() } else { at })
            });
            completer.set(nth, receipt);
        }
        Ok(pending)
    }
}

#[derive(Debug)]
struct NeverCloses;

#[async_trait]
impl WriteFault for NeverCloses {
    async fn close(&self, _: &dyn Producer) -> Result<()> {
        Ok(())
    }
}

/// Writes an event again right behind itself.
#[derive(Debug)]
struct Twice(Chance);

#[async_trait]
impl WriteFault for Twice {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        let (completer, pending) = Pending::new(batch.len());
        let (mut sent, mut places) = (Vec::new(), Vec::new());
        for (nth, event) in batch.into_iter().enumerate() {
            if self.0.strikes() {
                sent.push(event.clone());
                places.push(None);
            }
            sent.push(event);
            places.push(Some(nth));
        }
        let told = inner.submit(sent).await?.await;
        for (nth, outcome) in places.into_iter().zip(told) {
            if let Some(nth) = nth {
                completer.set(nth, outcome);
            }
        }
        Ok(pending)
    }
}

fn broken() -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "mutant",
        "submit",
        "it is broken on purpose",
    )
}
