//! P1 to P5: admission, outcomes, order, receipts, close.

use super::{Trial, events::refusal, trial};
use crate::{
    Context, Failure, Outcome,
    cancel::{cancelled_after, poll_once},
    failure::{ensure, ensure_eq},
    ledger::Ledger,
    reading::{name, named, names, publish, read_back},
    stamp::Stamp,
};
use anyhub_core::{
    ErrorKind, Event, Pending, Producer, ProducerOptions, Receipt, Result, TopicConfig,
};
use futures_util::future::join_all;
use rand::{RngExt, seq::IndexedRandom};
use std::{
    collections::HashSet,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

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
    trial!("P2_every_event_has_its_outcome", every_outcome, [20]),
    trial!("P2_outcomes_are_true", true_outcomes, [1, 3, 4]),
    trial!("P2_all_resolves_within_the_deadline", deadline, [20]),
    trial!("P3_a_key_keeps_its_submit_order", submit_order, [8]),
    trial!(
        "P4_receipts_equal_what_the_consumer_sees",
        receipts,
        [11],
        |can| can.positions
    ),
    trial!(
        "P4_undeclared_positions_are_not_told",
        no_receipts,
        [],
        |can| !can.positions
    ),
    trial!(
        "P5_close_under_load_resolves_everything",
        close_under_load,
        [20]
    ),
    trial!("P5_submit_after_close_is_closed", closed, [20, 22]),
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

/// A producer of a topic that soon lets nothing more in, with this many events admitted and
/// unresolved; None where the hub has no such topic.
async fn stalled(
    ctx: &Context,
    options: ProducerOptions,
) -> Outcome<Option<(Arc<dyn Producer>, Vec<Pending>)>> {
    let Some(config) = ctx.harness().stalling(TopicConfig::new(ctx.name())) else {
        return Ok(None);
    };
    let topic = ctx.create(config).await?;
    let most = options.buffer_events;
    let deadline = options.deadline;
    let producer = ctx.producer_with(&topic, options).await?;
    let mut open: Vec<Pending> = Vec::new();
    for nth in 0..100_000 {
        let event = named("k", format!("{nth:0>100}"));
        let mut submit = producer.submit(vec![event]);
        match timeout((ctx.tick() * 4).min(deadline / 2), submit.as_mut()).await {
            Ok(pending) => open.push(pending?),
            Err(_) => return Ok(Some((producer.clone(), open))),
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

async fn every_outcome(ctx: Context) -> Outcome {
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let mut rng = ctx.rng(4);
    for events in [0, 1, 2, 100, rng.random_range(3..300)] {
        let batch = (0..events)
            .map(|nth| named(&format!("k{}", nth % 7), "x"))
            .collect();
        let pending = ctx
            .within("a batch to be admitted", producer.submit(batch))
            .await??;
        ensure_eq!(pending.len(), events, "outcomes promised for a batch");
        let outcomes = ctx.within("the outcomes of a batch", pending).await?;
        ensure_eq!(outcomes.len(), events, "outcomes told for a batch");
        for outcome in outcomes {
            outcome?;
        }
    }
    Ok(())
}

async fn true_outcomes(ctx: Context) -> Outcome {
    let topic = ctx.topic(2).await?;
    let mut ledger = Ledger::new();
    let mut id = 0;
    // Ever less time, so that on a hub far away some sends end without an answer.
    for deadline in [1_000, 8, 4, 2, 1] {
        let deadline = ctx.tick() * deadline;
        let options = ProducerOptions::new()
            .deadline(deadline)
            .linger(ctx.tick() / 5);
        let producer = ctx.producer_with(&topic, options).await?;
        let mut pendings = Vec::new();
        for _ in 0..10 {
            let stamps: Vec<_> = (0..20)
                .map(|_| {
                    id += 1;
                    Stamp {
                        key: None,
                        seq: 0,
                        id,
                    }
                })
                .collect();
            let batch = stamps.iter().map(|stamp| stamp.event(20)).collect();
            match ctx.within("submit", producer.submit(batch)).await? {
                Ok(pending) => pendings.push((stamps, pending)),
                Err(error) => {
                    for stamp in stamps {
                        ledger.sent(stamp, Err(error.clone()));
                    }
                }
            }
        }
        for (stamps, pending) in pendings {
            let outcomes = ctx.within("the outcomes of a batch", pending).await?;
            for (stamp, outcome) in stamps.into_iter().zip(outcomes) {
                ledger.sent(stamp, outcome);
            }
        }
        // What is indeterminate may still be under way; closing lets it arrive or ends it.
        let _ = ctx.within("close", producer.close()).await?;
    }
    let producer = ctx.producer(&topic).await?;
    let marker = Stamp {
        key: None,
        seq: 0,
        id: 0,
    };
    let receipts = publish(&ctx, &*producer, vec![marker.event(0)]).await?;
    ledger.sent(marker, Ok(receipts[0].clone()));
    for delivery in read_back(&ctx, &topic).await? {
        ledger.came(0, &delivery);
    }
    let (open, seen) = ledger.indeterminate();
    ensure!(
        ledger.written() > 200,
        "only {} sends succeeded",
        ledger.written()
    );
    ledger.verdict().map_err(|failure| {
        Failure::new(format!(
            "{failure}; {open} indeterminate, {seen} of them seen"
        ))
    })
}

async fn deadline(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    let batch = (0..50).map(|nth| named("k", nth.to_string())).collect();
    let mut pending = ctx.within("submit", producer.submit(batch)).await??;
    ctx.within("flush", producer.flush()).await??;
    let resolved = poll_once(Pin::new(&mut pending)).await.is_ready();
    ensure!(
        resolved,
        "flush returned Ok before all that was admitted had resolved"
    );
    ctx.within("close", producer.close()).await??;

    let deadline = ctx.tick() * 40;
    let options = ProducerOptions::new().buffer_events(20).deadline(deadline);
    let Some((producer, open)) = stalled(&ctx, options).await? else {
        return Ok(());
    };
    let started = Instant::now();
    let submitted = ctx.within(
        "a submit without room",
        producer.submit(vec![named("k", "x")]),
    );
    // The room of those that timed out may have let it in, to time out in its turn.
    let open = match submitted.await? {
        Ok(pending) => open.into_iter().chain([pending]).collect(),
        Err(error) => {
            ensure_eq!(
                error.kind(),
                ErrorKind::Timeout,
                "the answer to a submit without room"
            );
            open
        }
    };
    for outcome in ctx
        .within("the stalled outcomes", join_all(open))
        .await?
        .concat_results()
    {
        let Err(error) = outcome else { continue };
        ensure!(
            error.is_indeterminate() || error.kind() == ErrorKind::Timeout,
            "a stalled send ended with {error}"
        );
    }
    let _ = ctx.within("flush in a stall", producer.flush()).await?;
    let _ = ctx.within("close in a stall", producer.close()).await?;
    let took = started.elapsed();
    let most = deadline * 4 + ctx.settings().patience / 4;
    ensure!(
        took <= most,
        "all resolved only after {took:?}, with a deadline of {deadline:?}"
    );
    Ok(())
}

async fn submit_order(ctx: Context) -> Outcome {
    let topic = ctx.topic(4).await?;
    let producer = ctx.producer(&topic).await?;
    let mut rng = ctx.rng(5);
    let mut ledger = Ledger::new();
    let (mut pendings, mut seqs, mut id) = (Vec::new(), [0; 8], 0);
    while id < 2_000 {
        let stamps: Vec<_> = (0..rng.random_range(1..60))
            .map(|_| {
                let key = rng.random_range(0..8);
                seqs[key] += 1;
                id += 1;
                Stamp {
                    key: Some(key as u32),
                    seq: seqs[key],
                    id,
                }
            })
            .collect();
        let batch = stamps.iter().map(|stamp| stamp.event(20)).collect();
        let pending = ctx
            .within("a batch to be admitted", producer.submit(batch))
            .await??;
        pendings.push((stamps, pending));
    }
    for (stamps, pending) in pendings {
        let outcomes = ctx.within("the outcomes of a batch", pending).await?;
        for (stamp, outcome) in stamps.into_iter().zip(outcomes) {
            ledger.sent(stamp, outcome);
        }
    }
    for delivery in read_back(&ctx, &topic).await? {
        ledger.came(0, &delivery);
    }
    ledger.verdict()
}

async fn receipts(ctx: Context) -> Outcome {
    let topic = ctx.topic(3).await?;
    let producer = ctx.producer(&topic).await?;
    let events: Vec<_> = (0..200)
        .map(|nth| named(&format!("k{}", nth % 17), nth.to_string()))
        .collect();
    let told = publish(&ctx, &*producer, events).await?;
    let log = read_back(&ctx, &topic).await?;
    ensure_eq!(log.len(), told.len(), "events in the log");
    for delivery in log {
        let nth: usize = name(&delivery).parse().unwrap_or_default();
        let seen = Receipt::at(delivery.partition, delivery.position);
        ensure_eq!(told[nth], seen, "the receipt of event {nth}");
    }
    Ok(())
}

async fn no_receipts(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    for receipt in publish(&ctx, &*producer, vec![named("k", "x")]).await? {
        ensure_eq!(
            receipt.position,
            None,
            "the position on a hub that declares none"
        );
    }
    Ok(())
}

async fn close_under_load(ctx: Context) -> Outcome {
    const WRITERS: u32 = 4;
    let topic = ctx.topic(2).await?;
    let options = ProducerOptions::new().buffer_events(200);
    let producer = ctx.producer_with(&topic, options).await?;
    let mut tasks = Vec::new();
    let mut warm = Vec::new();
    for writer in 0..WRITERS {
        let (producer, ctx) = (producer.clone(), ctx.clone());
        let (tell, told) = oneshot::channel();
        warm.push(told);
        tasks.push(tokio::spawn(async move {
            let (mut sends, mut tell) = (Vec::new(), Some(tell));
            for round in 0..100_000 {
                let stamps: Vec<_> = (0..5)
                    .map(|nth| {
                        let seq = round * 5 + nth;
                        Stamp {
                            key: Some(writer),
                            seq,
                            id: seq * WRITERS + writer,
                        }
                    })
                    .collect();
                let batch = stamps.iter().map(|stamp| stamp.event(10)).collect();
                match ctx
                    .within("submit under load", producer.submit(batch))
                    .await?
                {
                    Ok(pending) => sends.push((stamps, pending)),
                    Err(error) if error.kind() == ErrorKind::Closed => return Ok(sends),
                    Err(error) => return Err(Failure::from(error)),
                }
                if round == 20 {
                    tell.take().map(|tell| tell.send(()));
                }
                // Load, but not all that the machine has: others run beside it.
                if round % 10 == 9 {
                    sleep(Duration::from_millis(1)).await;
                }
            }
            Err(Failure::new("100,000 batches were admitted after close"))
        }));
    }
    for warm in warm {
        let _ = ctx
            .within("every writer to have sent 20 batches", warm)
            .await?;
    }
    ctx.within("close under load", producer.close()).await??;
    let mut ledger = Ledger::new();
    for task in tasks {
        let sends = ctx.within("a writer to be told Closed", task).await?;
        let sends = sends.map_err(|error| Failure::new(error.to_string()))??;
        for (stamps, pending) in sends {
            let outcomes = ctx
                .within("an admitted batch to resolve after close", pending)
                .await?;
            for (stamp, outcome) in stamps.into_iter().zip(outcomes) {
                ledger.sent(stamp, outcome);
            }
        }
    }
    for delivery in read_back(&ctx, &topic).await? {
        ledger.came(0, &delivery);
    }
    ledger.verdict()
}

async fn closed(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    publish(&ctx, &*producer, vec![named("k", "before")]).await?;
    ctx.within("close", producer.close()).await??;
    let kind = refusal(&ctx, &*producer, vec![named("k", "late")]).await?;
    ensure_eq!(
        kind,
        Some(ErrorKind::Closed),
        "the answer to a submit after close"
    );
    ctx.within("a second close", producer.close()).await??;
    ensure_eq!(
        names(&read_back(&ctx, &topic).await?),
        ["before"],
        "the log"
    );
    Ok(())
}

trait ConcatResults {
    /// The outcomes of several batches in a row.
    fn concat_results(self) -> Vec<Result<Receipt>>;
}

impl ConcatResults for Vec<Vec<Result<Receipt>>> {
    fn concat_results(self) -> Vec<Result<Receipt>> {
        self.into_iter().flatten().collect()
    }
}
