//! P2 to P5: outcomes, order, receipts, close.

use super::{
    Trial,
    admission::{ConcatResults, Stalled, stalled},
    events::refusal,
    trial,
};
use crate::{
    Context, Failure, Outcome,
    cancel::poll_once,
    failure::{ensure, ensure_eq},
    ledger::Ledger,
    reading::{name, named, names, publish, read_back},
    stamp::Stamp,
};
use anyhub_core::{ErrorKind, ProducerOptions, Receipt};
use futures_util::future::join_all;
use rand::RngExt;
use std::{
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time::sleep};

pub(super) const TRIALS: &[Trial] = &[
    trial!("P2_every_event_has_its_outcome", every_outcome, [20]),
    trial!("P2_outcomes_are_true", true_outcomes, [1, 3, 4]),
    trial!("P2_all_resolves_within_the_deadline", deadline, [20]),
    trial!("P3_a_key_keeps_its_submit_order", submit_order, [8]),
    trial!(
        "P4_receipts_equal_what_the_consumer_sees",
        receipts,
        [11],
        |can| can.receipts
    ),
    trial!(
        "P4_undeclared_positions_are_not_told",
        no_receipts,
        [],
        |can| !can.receipts
    ),
    trial!(
        "P5_close_under_load_resolves_everything",
        close_under_load,
        [20]
    ),
    trial!("P5_submit_after_close_is_closed", closed, [20, 22]),
];

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
    let Stalled { producer, open, .. } = &mut stalled(&ctx, options).await?;
    let open = std::mem::take(open);
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
