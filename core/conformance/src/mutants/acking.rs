//! C3 and C4: acks, commits and the finished prefix.

use super::{
    Mutant,
    layer::{Fault, ReadFault, lock},
};
use anyhub_core::{
    AckToken, Acks, Batch, Consumer, ErrorKind, OwnedPartition, Partition, Position, Result,
    driver::AckSink,
};
use async_trait::async_trait;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::yield_now;

const HOUR: Duration = Duration::from_secs(3_600);

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::new(
        "commit_does_nothing",
        "C3_ack_is_durable_after_commit",
        "where the group resumes",
        || Fault::none().read(|_| Box::new(NoCommit)),
    )
    .breaks(&[12]),
    Mutant::new(
        "close_does_not_commit",
        "C3_ack_is_durable_after_close",
        "where the group resumes",
        || Fault::none().read(|_| Box::new(Delayed::new(false))),
    )
    .breaks(&[20]),
    Mutant::new(
        "a_dropped_close_is_taken_for_done",
        "C3_a_close_that_was_dropped_can_be_finished",
        "valid tokens after a close that was finished",
        || Fault::none().read(|_| Box::new(ClosesOnce(false))),
    )
    .breaks(&[20]),
    Mutant::new(
        "acks_wait_for_a_commit",
        "C3_ack_is_durable_within_the_interval",
        "to be durable without a commit",
        || Fault::none().consumer_options(|options| options.commit_interval(HOUR)),
    ),
    Mutant::new(
        "a_revoke_does_not_commit",
        "C3_ack_is_durable_on_revoke",
        "acked events that came again",
        || Fault::none().read(|_| Box::new(Delayed::new(true))),
    )
    .breaks(&[12]),
    Mutant::new(
        "every_ack_counts",
        "C3_ack_counts_valid_tokens",
        "valid tokens of",
        || Fault::none().read(|_| Box::new(CountsAll)),
    )
    .breaks(&[22]),
    Mutant::new(
        "stale_tokens_are_taken",
        "C3_stale_tokens_change_nothing",
        "valid tokens from before a seek",
        || Fault::none().read(|_| Box::new(TakesStale::default())),
    )
    .breaks(&[14]),
    Mutant::new(
        "fenced_is_not_told",
        "C3_commit_says_fenced_when_acks_were_lost",
        "whose acks were lost",
        || Fault::none().read(|_| Box::new(NeverFenced)),
    )
    .breaks(&[14]),
    Mutant::new(
        "commit_runs_ahead",
        "C4_resume_is_never_past_the_lowest_unacked",
        "past the lowest unacked event",
        || Fault::none().read(|_| Box::new(RunsAhead::default())),
    )
    .breaks(&[1, 12]),
    Mutant::new(
        "the_window_has_no_bound",
        "C4_a_window_is_bounded",
        "are open",
        || Fault::none().consumer_options(|options| options.max_unfinished(100_000)),
    )
    .breaks(&[21]),
    Mutant::new(
        "a_lane_that_was_full_passes_events_over",
        "C4_a_full_lane_loses_nothing_beside_a_busy_one",
        "what came of the lane that stood full",
        || Fault::none().read(|_| Box::new(PassesOver(0))),
    )
    .breaks(&[1, 10]),
    Mutant::new(
        "assignment_shows_no_oldest",
        "C4_assignment_shows_the_oldest_unacked",
        "the oldest unacked",
        || Fault::none().read(|_| Box::new(ShowsNoOldest)),
    ),
    Mutant::new(
        "for_each_keyed_without_a_commit",
        "C3_for_each_keyed_commits_when_it_stops",
        "where the group resumes after a stop",
        || Fault::none().read(|_| Box::new(NoCommit)),
    ),
];

#[derive(Debug)]
struct NoCommit;

#[async_trait]
impl ReadFault for NoCommit {
    async fn commit(&mut self, _: &mut Box<dyn Consumer>) -> Result<()> {
        Ok(())
    }
}

/// Takes acks down and hands them on at a commit, and perhaps at the close.
#[derive(Debug)]
struct Delayed {
    acked: Arc<Mutex<Vec<AckToken>>>,
    at_close: bool,
}

impl Delayed {
    fn new(at_close: bool) -> Self {
        Self {
            acked: Arc::default(),
            at_close,
        }
    }

    fn hand_on(&self, inner: &dyn Consumer) {
        inner.acks().ack(&std::mem::take(&mut *lock(&self.acked)));
    }
}

#[derive(Debug)]
struct Notes(Arc<Mutex<Vec<AckToken>>>);

impl AckSink for Notes {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        lock(&self.0).extend(tokens);
        tokens.len()
    }

    fn nack(&self, _: &[AckToken]) -> usize {
        0
    }
}

#[async_trait]
impl ReadFault for Delayed {
    fn acks(&self, _: Acks) -> Acks {
        Acks::new(Arc::new(Notes(self.acked.clone())))
    }

    async fn commit(&mut self, inner: &mut Box<dyn Consumer>) -> Result<()> {
        self.hand_on(&**inner);
        inner.commit().await
    }

    async fn close(&mut self, inner: &mut Box<dyn Consumer>) -> Result<()> {
        if self.at_close {
            self.hand_on(&**inner);
        }
        inner.close().await
    }
}

/// Notes that it is closed before it is.
#[derive(Debug)]
struct ClosesOnce(bool);

#[async_trait]
impl ReadFault for ClosesOnce {
    async fn close(&mut self, inner: &mut Box<dyn Consumer>) -> Result<()> {
        if std::mem::replace(&mut self.0, true) {
            return Ok(());
        }
        for _ in 0..8 {
            yield_now().await;
        }
        inner.close().await
    }
}

/// Says that every token was valid.
#[derive(Debug)]
pub(super) struct CountsAll;

#[derive(Debug)]
pub(super) struct CountsAllOf(pub(super) Acks);

impl AckSink for CountsAllOf {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        self.0.ack(tokens);
        tokens.len()
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        self.0.nack(tokens);
        tokens.len()
    }
}

#[async_trait]
impl ReadFault for CountsAll {
    fn acks(&self, inner: Acks) -> Acks {
        Acks::new(Arc::new(CountsAllOf(inner)))
    }
}

/// An old token finishes what now stands at its place.
#[derive(Debug, Default)]
struct TakesStale(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    of: HashMap<AckToken, (Partition, Position)>,
    newest: HashMap<(Partition, Position), AckToken>,
}

#[derive(Debug)]
struct Renewed(Acks, Arc<Mutex<Places>>);

impl AckSink for Renewed {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        let places = lock(&self.1);
        let renewed: Vec<_> = tokens
            .iter()
            .map(|token| {
                let newest = places
                    .of
                    .get(token)
                    .and_then(|place| places.newest.get(place));
                newest.copied().unwrap_or(*token)
            })
            .collect();
        self.0.ack(&renewed)
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        self.0.nack(tokens)
    }
}

#[async_trait]
impl ReadFault for TakesStale {
    fn batch(&mut self, _: &mut Box<dyn Consumer>, batch: &mut Batch) {
        let mut places = lock(&self.0);
        for delivery in &batch.deliveries {
            let place = (delivery.partition.clone(), delivery.position.clone());
            places.of.insert(delivery.token, place.clone());
            places.newest.insert(place, delivery.token);
        }
    }

    fn acks(&self, inner: Acks) -> Acks {
        Acks::new(Arc::new(Renewed(inner, self.0.clone())))
    }
}

#[derive(Debug)]
struct NeverFenced;

#[async_trait]
impl ReadFault for NeverFenced {
    async fn commit(&mut self, inner: &mut Box<dyn Consumer>) -> Result<()> {
        match inner.commit().await {
            Err(error) if error.kind() == ErrorKind::Fenced => Ok(()),
            answer => answer,
        }
    }
}

/// An ack finishes all that was delivered before it in its partition.
#[derive(Debug, Default)]
struct RunsAhead(Arc<Mutex<Vec<(Partition, AckToken)>>>);

#[derive(Debug)]
struct AcksBefore(Acks, Arc<Mutex<Vec<(Partition, AckToken)>>>);

impl AckSink for AcksBefore {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        let given = lock(&self.1);
        for token in tokens {
            if let Some(at) = given.iter().position(|(_, other)| other == token) {
                let partition = &given[at].0;
                let before = given[..at].iter().filter(|(other, _)| other == partition);
                let before: Vec<_> = before.map(|(_, token)| *token).collect();
                self.0.ack(&before);
            }
        }
        self.0.ack(tokens);
        tokens.len()
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        self.0.nack(tokens)
    }
}

#[async_trait]
impl ReadFault for RunsAhead {
    fn batch(&mut self, _: &mut Box<dyn Consumer>, batch: &mut Batch) {
        let given = batch.deliveries.iter();
        lock(&self.0).extend(given.map(|delivery| (delivery.partition.clone(), delivery.token)));
    }

    fn acks(&self, inner: Acks) -> Acks {
        Acks::new(Arc::new(AcksBefore(inner, self.0.clone())))
    }
}

/// After a hundred deliveries one in seven is taken for done.
#[derive(Debug)]
struct PassesOver(u32);

#[async_trait]
impl ReadFault for PassesOver {
    fn batch(&mut self, inner: &mut Box<dyn Consumer>, batch: &mut Batch) {
        let acks = inner.acks();
        batch.deliveries.retain(|delivery| {
            self.0 += 1;
            let lost = self.0 > 100 && self.0.is_multiple_of(7);
            if lost {
                acks.ack(&[delivery.token]);
            }
            !lost
        });
    }
}

#[derive(Debug)]
struct ShowsNoOldest;

#[async_trait]
impl ReadFault for ShowsNoOldest {
    fn assignment(&self, inner: &dyn Consumer) -> Vec<OwnedPartition> {
        let shown = inner.assignment().into_iter();
        shown
            .map(|own| OwnedPartition::new(own.partition, None, own.unfinished))
            .collect()
    }
}
