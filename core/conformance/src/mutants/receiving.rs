//! C1 and C2: what a receive tells, and for how long partitions stay.

use super::{
    Mutant,
    layer::{Fault, ReadFault},
};
use crate::cancel::poll_once;
use anyhub_core::{Batch, Change, Consumer, ErrorKind, Result};
use async_trait::async_trait;
use std::{task::Poll, time::Duration};
use tokio::{task::yield_now, time::timeout};

const HOUR: Duration = Duration::from_secs(3_600);

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::new(
        "empty_batches",
        "C1_a_batch_is_never_empty",
        "empty batch",
        || Fault::none().read(|_| Box::new(Impatient)),
    ),
    Mutant::new(
        "assignment_is_told_late",
        "C1_changes_precede_what_they_affect",
        "not told as assigned",
        || Fault::none().read(|_| Box::new(Late::default())),
    ),
    Mutant::new(
        "one_more_than_max",
        "C1_receive_takes_at_most_max",
        "gave",
        || Fault::none().read(|_| Box::new(OneMore)),
    ),
    Mutant::new(
        "a_dropped_receive_loses_its_batch",
        "C1_receive_is_cancel_safe",
        "lost",
        || Fault::none().read(|_| Box::new(LosesOnDrop)),
    )
    .breaks(&[19]),
    Mutant::new(
        "a_wake_is_missed",
        "C1_receive_wakes_for_what_comes",
        "an event published during the receive",
        || Fault::none().read(|_| Box::new(SleepsThrough)),
    )
    .breaks(&[17]),
    Mutant::new(
        "a_closed_consumer_answers",
        "C1_receive_after_close_is_closed",
        "the answer to a receive after close",
        || Fault::none().read(|_| Box::new(AnswersWhenClosed)),
    )
    .breaks(&[22]),
    Mutant::new(
        "partitions_need_polling",
        "C2_partitions_are_kept_within_max_processing",
        "while the first one worked",
        || {
            Fault::none()
                .consumer_options(|options| options.max_processing(Duration::from_millis(10)))
        },
    ),
    Mutant::new(
        "max_processing_is_ignored",
        "C2_partitions_go_after_max_processing",
        "the partition to go to a second member",
        || Fault::none().consumer_options(|options| options.max_processing(HOUR)),
    )
    .breaks(&[17]),
];

/// Returns although there is nothing to tell.
#[derive(Debug)]
struct Impatient;

#[async_trait]
impl ReadFault for Impatient {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        let waited = timeout(Duration::from_millis(1), inner.receive(max)).await;
        waited.unwrap_or_else(|_| Ok(Batch::new()))
    }
}

/// Tells an assignment with the batch after its own.
#[derive(Debug, Default)]
struct Late(Vec<Change>);

#[async_trait]
impl ReadFault for Late {
    fn batch(&mut self, _: &mut Box<dyn Consumer>, batch: &mut Batch) {
        std::mem::swap(&mut self.0, &mut batch.changes);
    }
}

#[derive(Debug)]
struct OneMore;

#[async_trait]
impl ReadFault for OneMore {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        // None is asked for to be refused.
        inner.receive(max + usize::from(max > 0)).await
    }
}

/// Gives way between having a batch and giving it.
#[derive(Debug)]
struct LosesOnDrop;

#[async_trait]
impl ReadFault for LosesOnDrop {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        let batch = inner.receive(max).await;
        yield_now().await;
        batch
    }
}

/// Looks once, and then waits for nothing.
#[derive(Debug)]
struct SleepsThrough;

#[async_trait]
impl ReadFault for SleepsThrough {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        match poll_once(inner.receive(max).as_mut()).await {
            Poll::Ready(batch) => batch,
            Poll::Pending => std::future::pending().await,
        }
    }
}

#[derive(Debug)]
struct AnswersWhenClosed;

#[async_trait]
impl ReadFault for AnswersWhenClosed {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        match inner.receive(max).await {
            Err(error) if error.kind() == ErrorKind::Closed => {
                let mut batch = Batch::new();
                batch.changes.push(Change::Revoked(Vec::new()));
                Ok(batch)
            }
            batch => batch,
        }
    }
}
