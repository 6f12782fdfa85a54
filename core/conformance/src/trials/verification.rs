//! Rows 1 to 11: many events, written and read at once, told apart and checked one by one.

use super::{Trial, trial};
use crate::{
    Context, Failure, Outcome, failure::ensure, ledger::Ledger, positions::Ends,
    reading::read_back, stamp::Stamp,
};
use anyhub_core::{Partition, Position};
use rand::RngExt;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio::sync::Notify;

pub(super) const TRIALS: &[Trial] = &[trial!(
    "Checks_01_to_11_every_event_is_delivered_once_in_order",
    deliver,
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
)];

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
                        Stamp {
                            key: Some(key),
                            seq: *seq,
                            id,
                        }
                    })
                    .collect();
                let batch = stamps
                    .iter()
                    .map(|stamp| stamp.event(rng.random_range(0..50)));
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
    let mut last: HashMap<Partition, Position> = HashMap::new();
    // Read until the writer is done and its last events have come, or nothing more comes.
    let mut ends: Option<Ends> = None;
    while came < events || ends.is_none() {
        if let Some(ends) = &mut ends {
            last.iter()
                .for_each(|(partition, at)| ends.reached(partition, at));
            if ends.all_reached() {
                break;
            }
        }
        tokio::select! {
            () = written.notified(), if ends.is_none() => ends = Some(Ends::of(&ctx, &topic).await?),
            batch = ctx.within(
                format!("delivery {came} of {events}"),
                consumer.receive(rng.random_range(1..500)),
            ) => {
                let Ok(batch) = batch else { break };
                let batch = batch?;
                ledger.changed(0, &batch.changes);
                for delivery in &batch.deliveries {
                    ledger.came(0, delivery);
                    last.insert(delivery.partition.clone(), delivery.position.clone());
                }
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
    let verdict = ledger.verdict();
    // A fresh full drain: what is missing is either not in the log, or the consumer lost it.
    let log = read_back(&ctx, &topic).await;
    let Err(failure) = verdict else {
        let (open, _) = ledger.indeterminate();
        let (written, kept) = (ledger.written(), log?.len());
        let whole = (written..=written + open).contains(&kept);
        ensure!(
            whole,
            "{kept} events in the log, {written} written and {open} indeterminate"
        );
        return Ok(());
    };
    let Ok(log) = log else { return Err(failure) };
    let stamps = log
        .iter()
        .filter_map(|delivery| Stamp::read(&delivery.event));
    let kept: HashSet<u32> = stamps.map(|stamp| stamp.id).collect();
    let lost = ledger.lost();
    let in_log = lost.iter().filter(|id| kept.contains(id)).count();
    let (open, seen) = ledger.indeterminate();
    Err(Failure::new(format!(
        "{failure}; of the lost {in_log} are in the log and {} are not; {open} indeterminate, {seen} \
         of them seen",
        lost.len() - in_log
    )))
}
