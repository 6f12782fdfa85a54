//! P1: what is admitted, in which order, and what is not.

use super::{Trial, events::refusal, trial};
use crate::{
    Context, Failure, Outcome,
    cancel::{cancelled_after, poll_once},
    failure::{ensure, ensure_eq},
    harness::Held,
    reading::{named, names, publish, read_back},
};
use anyhub_core::{
    ErrorKind, Event, Pending, Producer, ProducerOptions, Receipt, Result, TopicConfig,
};
use futures_util::future::join_all;
use rand::{RngExt, seq::IndexedRandom};
use std::{collections::HashSet, pin::Pin, sync::Arc, task::Poll};
use tokio::time::timeout;

pub(super) const TRIALS: &[Trial] = &[
    trial!("P1_a_batch_is_admitted_whole_or_not_at_all", whole),
    trial!(
        "P1_a_batch_above_the_buffer_is_too_large",
        above_buffer,
        [21, 22]
    ),
    trial!("P1_submit_is_fair", fair),
    trial!("P1_a_dropped_submit_sends_nothing", dropped_submit, [19]),
    trial!(
        "P1_a_dropped_pending_cancels_nothing",
        dropped_pending,
        [19]
    ),
    trial!("P1_what_is_in_flight_is_bounded", bounded, [21]),
    trial!("P1_a_full_buffer_refuses_nothing", full_buffer, [21]),
];

async fn whole(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    let mut rng = ctx.rng(1);
    for round in 0..8 {
        let mut batch: Vec<_> = (0..20)
            .map(|nth| named("k", format!("{round}/{nth}")))
            .collect();
        batch[rng.random_range(0..20)] = named("", "an empty key is invalid");
        let kind = refusal(&ctx, &*producer, batch).await?;
        ensure_eq!(
            kind,
            Some(ErrorKind::Invalid),
            "the answer to a batch with an invalid event"
        );
    }
    publish(&ctx, &*producer, vec![named("k", "after")]).await?;
    let log = names(&read_back(&ctx, &topic).await?);
    ensure_eq!(log, ["after"], "the log after batches that were refused");
    Ok(())
}

async fn above_buffer(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let options = ProducerOptions::new().buffer_events(10).buffer_bytes(1_000);
    let producer = ctx.producer_with(&topic, options).await?;
    let sized = |bytes: usize| Event::new(vec![7; bytes]);
    for (batch, what) in [
        (vec![sized(1); 11], "11 events, with room for 10"),
        (
            vec![sized(500), sized(501)],
            "1,001 bytes, with room for 1,000",
        ),
    ] {
        let kind = refusal(&ctx, &*producer, batch).await?;
        ensure_eq!(
            kind,
            Some(ErrorKind::TooLarge),
            "the answer to a batch of {what}"
        );
    }
    publish(&ctx, &*producer, vec![sized(100); 10]).await?;
    ensure_eq!(
        read_back(&ctx, &topic).await?.len(),
        10,
        "events in the log"
    );
    Ok(())
}

async fn fair(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx
        .producer_with(&topic, ProducerOptions::new().buffer_events(10))
        .await?;
    let mut rng = ctx.rng(2);
    let batches: Vec<usize> = (0..40)
        .map(|_| *[1, 1, 2, 9, 10].choose(&mut rng).unwrap_or(&1))
        .collect();
    let mut submits = Vec::new();
    let mut admitted: Vec<Pending> = Vec::new();
    for (arrival, events) in batches.iter().enumerate() {
        let batch = vec![named("k", arrival.to_string()); *events];
        let mut submit = producer.submit(batch);
        // Its first poll is its arrival.
        match poll_once(submit.as_mut()).await {
            Poll::Ready(pending) => admitted.push(pending?),
            Poll::Pending => submits.push(submit),
        }
        // A task that polls on and on has its polls cut short by the runtime: they are no arrival.
        tokio::task::yield_now().await;
    }
    for pending in ctx
        .within("all batches to be admitted", join_all(submits))
        .await?
    {
        admitted.push(pending?);
    }
    for pending in admitted {
        for outcome in ctx.within("the outcomes of a batch", pending).await? {
            outcome?;
        }
    }
    let log = names(&read_back(&ctx, &topic).await?);
    let arrived: Vec<String> = batches
        .iter()
        .enumerate()
        .flat_map(|(arrival, events)| vec![arrival.to_string(); *events])
        .collect();
    ensure!(log == arrived, "not in order of arrival: {log:?}");
    Ok(())
}

async fn dropped_submit(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx
        .producer_with(&topic, ProducerOptions::new().buffer_events(4))
        .await?;
    let mut rng = ctx.rng(3);
    let mut admitted = HashSet::new();
    let mut pendings = Vec::new();
    for nth in 0..80 {
        let batch = vec![named("k", format!("{nth}")); rng.random_range(1..=4)];
        let submit = producer.submit(batch);
        if let Some(pending) = cancelled_after(rng.random_range(0..4), submit).await {
            admitted.insert(format!("{nth}"));
            pendings.push(pending?);
        }
    }
    for outcome in ctx
        .within("the outcomes", join_all(pendings))
        .await?
        .concat_results()
    {
        outcome?;
    }
    publish(&ctx, &*producer, vec![named("k", "after")]).await?;
    admitted.insert("after".to_owned());
    let log: HashSet<_> = names(&read_back(&ctx, &topic).await?).into_iter().collect();
    let sent: Vec<_> = log.difference(&admitted).collect();
    ensure!(
        sent.is_empty(),
        "sent although the submit was dropped: {sent:?}"
    );
    let lost: Vec<_> = admitted.difference(&log).collect();
    ensure!(lost.is_empty(), "lost although it was admitted: {lost:?}");
    Ok(())
}

async fn dropped_pending(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    for nth in 0..50 {
        let batch = vec![named("k", format!("{nth}"))];
        drop(
            ctx.within("a batch to be admitted", producer.submit(batch))
                .await??,
        );
    }
    ctx.within("flush", producer.flush()).await??;
    let log = names(&read_back(&ctx, &topic).await?);
    let sent: Vec<_> = (0..50).map(|nth| nth.to_string()).collect();
    ensure_eq!(log, sent, "the log after the pendings were dropped");
    Ok(())
}

async fn bounded(ctx: Context) -> Outcome {
    let options = || ProducerOptions::new().buffer_events(20);
    stalled(&ctx, options()).await?;
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer_with(&topic, options()).await?;
    let mut open: Vec<Pending> = Vec::new();
    for nth in 0..500 {
        let submit = producer.submit(vec![named("k", nth.to_string())]);
        open.push(ctx.within("an event to be admitted", submit).await??);
        let mut still = Vec::new();
        for mut pending in open {
            match poll_once(Pin::new(&mut pending)).await {
                Poll::Ready(outcomes) => drop(outcomes.into_iter().collect::<Result<Vec<_>>>()?),
                Poll::Pending => still.push(pending),
            }
        }
        open = still;
        ensure!(
            open.len() <= 20,
            "{} events in flight, with room for 20",
            open.len()
        );
    }
    Ok(())
}

/// Nothing holds it back but `submit`, so that the buffer is full all the time.
async fn full_buffer(ctx: Context) -> Outcome {
    const BATCHES: usize = 300;
    let topic = ctx.topic(1).await?;
    let options = ProducerOptions::new().buffer_events(1_000);
    let producer = ctx.producer_with(&topic, options).await?;
    let mut pendings = Vec::with_capacity(BATCHES);
    for nth in 0..BATCHES {
        let batch = (0..100).map(|event| named("k", format!("{nth}/{event}")));
        let submit = producer.submit(batch.collect());
        pendings.push(ctx.within("a batch to be admitted", submit).await??);
    }
    for (nth, pending) in pendings.into_iter().enumerate() {
        let outcomes = ctx.within("the outcomes of a batch", pending).await?;
        let refused = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        ensure_eq!(refused, 0, "events of batch {nth} refused by a full buffer");
    }
    Ok(())
}

/// A producer that is held up.
pub(super) struct Stalled {
    pub(super) producer: Arc<dyn Producer>,
    /// What is admitted and unresolved.
    pub(super) open: Vec<Pending>,
    _held: Held,
}

/// A producer of a topic that soon lets nothing more in.
pub(super) async fn stalled(ctx: &Context, options: ProducerOptions) -> Outcome<Stalled> {
    let topic = TopicConfig::new(ctx.name());
    let stalling = ctx.harness().stalling(ctx.hub().clone(), topic);
    let stalling = ctx.within("a hub to be held up", stalling).await?;
    let stalling = stalling.map_err(Failure::new)?;
    let (hub, topic) = (&stalling.hub, &stalling.topic);
    ctx.within("the topic to be created", hub.admin().create_topic(topic))
        .await??;
    let most = options.buffer_events;
    let deadline = options.deadline;
    let opened = hub.producer(&topic.name, options);
    let producer = ctx.within("the producer to open", opened).await??;
    let _held = (stalling.hold)();
    let mut open: Vec<Pending> = Vec::new();
    for nth in 0..100_000 {
        let event = named("k", format!("{nth:0>100}"));
        let mut submit = producer.submit(vec![event]);
        match timeout((ctx.tick() * 4).min(deadline / 2), submit.as_mut()).await {
            Ok(Ok(pending)) => open.push(pending),
            Ok(Err(error)) if error.kind() != ErrorKind::Timeout => return Err(error.into()),
            // On a slow machine its own deadline may have come first.
            _ => {
                drop(submit);
                return Ok(Stalled {
                    producer,
                    open,
                    _held,
                });
            }
        }
        let mut still = Vec::new();
        for mut pending in open {
            if poll_once(Pin::new(&mut pending)).await.is_pending() {
                still.push(pending);
            }
        }
        open = still;
        ensure!(
            open.len() <= most,
            "{} events in flight, with room for {most}",
            open.len()
        );
    }
    Err(Failure::new(
        "a topic that should stall took 100,000 events",
    ))
}

pub(super) trait ConcatResults {
    /// The outcomes of several batches in a row.
    fn concat_results(self) -> Vec<Result<Receipt>>;
}

impl ConcatResults for Vec<Vec<Result<Receipt>>> {
    fn concat_results(self) -> Vec<Result<Receipt>> {
        self.into_iter().flatten().collect()
    }
}
