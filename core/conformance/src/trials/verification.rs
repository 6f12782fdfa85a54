//! Rows 1 to 11: many events, written and read at once, told apart and checked one by one.

use super::{Trial, trial};
use crate::{
    Context, Failure, Outcome,
    ledger::Ledger,
    reading::{read_back},
    stamp::Stamp,
};
use rand::RngExt;
use std::{collections::HashSet, sync::Arc};
use tokio::sync::Notify;

pub(super) const TRIALS: &[Trial] = &[
    trial!("Checks_01_to_11_every_event_is_delivered_once_in_order", deliver, [
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ]),
];

async fn deliver(ctx: Context) -> Outcome {
    const KEYS: u32 = 50;
    let events = ctx.settings().events as u32;
    let topic = ctx.topic(4).await?;
    let producer = ctx.producer(&topic).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    let mut rng = ctx.rng(1);
    let written = Arc::new(Notify::new());
    let writing = {
        let (ctx, written) = (ctx.clone(), written.clone());
        let mut rng = ctx.rng(2);
        tokio::spawn(async move {
            let (mut sends, mut seqs) = (Vec::new(), [0; KEYS as usize]);
            let mut id = 0;
            while id < events {
                let size = rng.random_range(1..=200).min(events - id);
                let stamps: Vec<_> = (0..size)
                    .map(|_| {
                        let key = rng.random_range(0..KEYS);
                        let seq = &mut seqs[key as usize];
                        *seq += 1;
                        id += 1;
                        Stamp { key: Some(key), seq: *seq, id }
                    })
                    .collect();
                let batch = stamps.iter().map(|stamp| stamp.event(rng.random_range(0..50)));
                let submit = producer.submit(batch.collect());
                sends.push((stamps, ctx.within("a batch to be admitted", submit).await??));
            }
            let mut outcomes = Vec::new();
            for (stamps, pending) in sends {
                let told = ctx.within("the outcomes of a batch", pending).await?;
                outcomes.extend(stamps.into_iter().zip(told));
            }
            written.notify_one();
            Outcome::Ok(outcomes)
        })
    };
    let mut ledger = Ledger::new();
    let mut came = 0;
    let acks = consumer.acks();
    let mut done = false;
    // Read until the writer is done and as many have come, or nothing more comes for a while.
    while came < events || !done {
        ctx.waiting_for(format!("delivery {came} of {events}"));
        tokio::select! {
            () = written.notified(), if !done => done = true,
            batch = ctx.within("the next delivery", consumer.receive(rng.random_range(1..500))) => {
                let Ok(batch) = batch else { break };
                let batch = batch?;
                ledger.changed(0, &batch.changes);
                batch.deliveries.iter().for_each(|delivery| ledger.came(0, delivery));
                came += batch.deliveries.len() as u32;
                acks.ack(&batch.tokens());
            }
        }
    }
    let outcomes = ctx.within("the writer", writing).await?;
    for (stamp, outcome) in outcomes.map_err(|error| Failure::new(error.to_string()))?? {
        ledger.sent(stamp, outcome);
    }
    ctx.within("close", consumer.close()).await??;
    // A fresh full drain: what is missing is either not in the log, or the consumer lost it.
    let log = read_back(&ctx, &topic).await?;
    let kept: HashSet<u32> =
        log.iter().filter_map(|delivery| Some(Stamp::read(&delivery.event)?.id)).collect();
    let lost = ledger.lost();
    let in_log = lost.iter().filter(|id| kept.contains(id)).count();
    let (open, seen) = ledger.indeterminate();
    ledger.verdict().map_err(|failure| {
        Failure::new(format!(
            "{failure}; of the lost {in_log} are in the log and {} are not; {open} indeterminate, \
             {seen} of them seen",
            lost.len() - in_log
        ))
    })
}
