//! C1: what a receive tells, in which order, and that dropping it loses nothing.

use super::{Trial, trial};
use crate::{
    Context, Outcome,
    cancel::cancelled_after,
    failure::{ensure, ensure_eq},
    ledger::Ledger,
    reading::{Holding, Party, named, names, publish, take},
    stamp::Stamp,
};
use anyhub_core::ErrorKind;
use rand::RngExt;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

pub(super) const TRIALS: &[Trial] = &[
    trial!("C1_a_batch_is_never_empty", never_empty),
    trial!("C1_changes_precede_what_they_affect", changes_first),
    trial!("C1_receive_takes_at_most_max", at_most_max),
    trial!("C1_receive_is_cancel_safe", cancel_safe, [19]),
    trial!("C1_receive_wakes_for_what_comes", wakes, [17]),
    trial!("C1_receive_after_close_is_closed", closed, [22]),
];

async fn never_empty(ctx: Context) -> Outcome {
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    let acks = consumer.acks();
    let mut rng = ctx.rng(1);
    for round in 0..20 {
        let count = rng.random_range(1..10);
        let events = (0..count)
            .map(|nth| named(&format!("k{nth}"), round.to_string()))
            .collect();
        publish(&ctx, &*producer, events).await?;
        let mut came = 0;
        while came < count {
            let batch = ctx
                .within("the events of a round", consumer.receive(100))
                .await??;
            ensure!(!batch.is_empty(), "receive returned an empty batch");
            came += batch.deliveries.len();
            // Acks and nacks wake the consumer too; that is nothing to tell.
            acks.ack(&batch.tokens());
        }
    }
    // Time for commits to pass; there is nothing to tell, so the receive must not return.
    if let Ok(batch) = timeout(ctx.tick() * 4, consumer.receive(100)).await {
        let batch = batch?;
        ensure!(
            !batch.is_empty(),
            "receive returned an empty batch while nothing came"
        );
    }
    Ok(consumer.close().await?)
}

async fn changes_first(ctx: Context) -> Outcome {
    const PARTITIONS: usize = 4;
    let topic = ctx.topic(PARTITIONS as u32).await?;
    let group = ctx.name();
    let producer = ctx.producer(&topic).await?;
    let mut party = Party::new();
    let mut held = [Holding::default(), Holding::default()];
    party.join(ctx.consumer(&topic, ctx.member(&group)).await?);
    for joined in [false, true] {
        if joined {
            party.join(ctx.consumer(&topic, ctx.member(&group)).await?);
        }
        let mut stray = None;
        let mut follow = |nth: usize, batch: anyhub_core::Batch| {
            let held: &mut Holding = &mut held[nth];
            held.follow(&batch.changes);
            let homeless = |delivery: &&anyhub_core::Delivery| !held.holds(&delivery.partition);
            if let Some(delivery) = batch.deliveries.iter().find(homeless) {
                stray.get_or_insert(delivery.partition.clone());
            }
            batch.deliveries.len()
        };
        party
            .balance(&ctx, PARTITIONS, |nth, batch| {
                follow(nth, batch);
            })
            .await?;
        let events = (0..200).map(|nth| named(&format!("k{nth}"), "x")).collect();
        publish(&ctx, &*producer, events).await?;
        let mut came = 0;
        party
            .receive_until(&ctx, 50, "200 events", |nth, batch, _| {
                came += follow(nth, batch);
                Ok(came >= 200)
            })
            .await?;
        ensure_eq!(
            stray,
            None,
            "a delivery from a partition that was not told as assigned"
        );
        let told = party
            .owned()
            .iter()
            .all(|(nth, owned)| owned.iter().all(|at| held[*nth].holds(at)));
        ensure!(
            told,
            "assignment() shows partitions that no change has told"
        );
    }
    party.close(&ctx).await
}

async fn at_most_max(ctx: Context) -> Outcome {
    let topic = ctx.topic(3).await?;
    let producer = ctx.producer(&topic).await?;
    let events = (0..300).map(|nth| named(&format!("k{nth}"), "x")).collect();
    publish(&ctx, &*producer, events).await?;
    let mut consumer = ctx.consumer(&topic, ctx.reader()).await?;
    let none = ctx
        .within("a receive of nothing", consumer.receive(0))
        .await?;
    ensure_eq!(
        none.err().map(|error| error.kind()),
        Some(ErrorKind::Invalid),
        "the answer to receive(0)"
    );
    let mut rng = ctx.rng(2);
    let mut came = 0;
    while came < 300 {
        let max = rng.random_range(1..20);
        let batch = ctx
            .within("the next batch", consumer.receive(max))
            .await??;
        let got = batch.deliveries.len();
        ensure!(got <= max, "receive({max}) gave {got} deliveries");
        came += got;
    }
    ensure_eq!(came, 300, "deliveries of 300 events");
    Ok(consumer.close().await?)
}

async fn cancel_safe(ctx: Context) -> Outcome {
    let events = (ctx.settings().events / 20).clamp(100, 1_000) as u32;
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    let mut rng = ctx.rng(3);
    let mut ledger = Ledger::new();
    let stamps: Vec<_> = (0..events)
        .map(|id| Stamp {
            key: Some(id % 7),
            seq: id / 7,
            id,
        })
        .collect();
    // Written while it is read, so that receives are dropped with and without something to give.
    let writing = {
        let (ctx, stamps) = (ctx.clone(), stamps.clone());
        tokio::spawn(async move {
            let mut receipts = Vec::new();
            for some in stamps.chunks(25) {
                let batch = some.iter().map(|stamp| stamp.event(10)).collect();
                receipts.extend(publish(&ctx, &*producer, batch).await?);
            }
            Outcome::Ok(receipts)
        })
    };
    let quiet = ctx.settings().patience / 4;
    let reading = async {
        let (mut idle, mut last) = (0, Instant::now());
        while ledger.distinct() < events as usize {
            let receive = consumer.receive(rng.random_range(1..10));
            match cancelled_after(rng.random_range(1..4), receive).await {
                Some(batch) => {
                    last = Instant::now();
                    let batch = batch?;
                    ledger.changed(0, &batch.changes);
                    batch
                        .deliveries
                        .iter()
                        .for_each(|delivery| ledger.came(0, delivery));
                }
                None => {
                    idle += 1;
                    // Let the hub work, or a loop of dropped receives would starve it.
                    if idle % 50 == 0 {
                        sleep(Duration::from_micros(200)).await;
                    }
                    // What did not come for so long after the last write was lost.
                    if !writing.is_finished() {
                        last = Instant::now();
                    } else if last.elapsed() > quiet {
                        break;
                    }
                }
            }
        }
        Outcome::Ok(())
    };
    let read = ctx
        .within(
            "all events through receives that are dropped at random",
            reading,
        )
        .await;
    let receipts = ctx.within("the writer", writing).await?;
    let receipts = receipts.map_err(|error| crate::Failure::new(error.to_string()))??;
    for (stamp, receipt) in stamps.into_iter().zip(receipts) {
        ledger.sent(stamp, Ok(receipt));
    }
    // What is missing says more than that it took too long.
    ledger.verdict()?;
    read??;
    Ok(consumer.close().await?)
}

async fn wakes(ctx: Context) -> Outcome {
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    for round in 0..20 {
        let name = round.to_string();
        let receive = take(
            &ctx,
            &mut *consumer,
            1,
            "an event published during the receive",
        );
        let events = vec![named(&format!("k{round}"), name.clone())];
        let (came, sent) = tokio::join!(receive, publish(&ctx, &*producer, events));
        sent?;
        ensure_eq!(names(&came?), [name], "what came");
    }
    Ok(consumer.close().await?)
}

async fn closed(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    ctx.within("close", consumer.close()).await??;
    for what in ["a receive after close", "another"] {
        let answer = ctx.within(what, consumer.receive(1)).await?;
        let kind = answer.err().map(|error| error.kind());
        ensure_eq!(kind, Some(ErrorKind::Closed), "the answer to {what}");
    }
    let commit = ctx.within("commit after close", consumer.commit()).await?;
    let kind = commit.err().map(|error| error.kind());
    ensure_eq!(
        kind,
        Some(ErrorKind::Closed),
        "the answer to commit after close"
    );
    ctx.within("a second close", consumer.close()).await??;
    Ok(())
}
