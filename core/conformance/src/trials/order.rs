//! C6: first deliveries of a key are in log order, and a redelivery is a rewind and a replay.

use super::{Trial, trial};
use crate::{
    Context, Failure, Outcome, failure::ensure_eq, ledger::Ledger, reading::publish, stamp::Stamp,
};
use anyhub_core::AckToken;
use rand::RngExt;

pub(super) const TRIALS: &[Trial] = &[trial!(
    "C6_key_order_holds_under_random_nacks",
    random_nacks,
    [7, 8, 9, 10]
)];

async fn random_nacks(ctx: Context) -> Outcome {
    let events = (ctx.settings().events / 40).clamp(100, 500) as u32;
    let topic = ctx.topic(3).await?;
    let producer = ctx.producer(&topic).await?;
    let mut rng = ctx.rng(1);
    let mut seqs = [0; 7];
    let stamps: Vec<_> = (0..events)
        .map(|id| {
            let key = rng.random_range(0..8_usize);
            let Some(seq) = seqs.get_mut(key) else {
                return Stamp {
                    key: None,
                    seq: 0,
                    id,
                };
            };
            *seq += 1;
            Stamp {
                key: Some(key as u32),
                seq: *seq,
                id,
            }
        })
        .collect();
    let mut ledger = Ledger::new();
    let sent = stamps.iter().map(|stamp| stamp.event(10)).collect();
    for (stamp, receipt) in stamps.iter().zip(publish(&ctx, &*producer, sent).await?) {
        ledger.sent(*stamp, Ok(receipt));
    }
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    let acks = consumer.acks();
    let mut held: Vec<(AckToken, bool)> = Vec::new();
    let reading = async {
        loop {
            if ledger.distinct() == events as usize && held.is_empty() {
                let open: usize = consumer.assignment().iter().map(|own| own.unfinished).sum();
                // What a nack has taken back may be at the hub.
                if open == 0 && ledger.ensure_replays_are_whole().is_ok() {
                    return Outcome::Ok(());
                }
            }
            let batch = consumer.receive(rng.random_range(1..30)).await?;
            ledger.changed(0, &batch.changes);
            for delivery in batch.deliveries {
                ledger.came(0, &delivery);
                let nack = delivery.attempt.get() < 4 && rng.random_ratio(1, 10);
                held.push((delivery.token, nack));
            }
            // Some answers come late and in any order; none is held for ever.
            let keep = if ledger.distinct() == events as usize {
                0
            } else {
                rng.random_range(0..20)
            };
            while held.len() > keep {
                let (token, nack) = held.swap_remove(rng.random_range(0..held.len()));
                let _ = if nack {
                    acks.nack(&[token])
                } else {
                    acks.ack(&[token])
                };
            }
        }
    };
    let finished = ctx
        .within("all events to be acked after random nacks", reading)
        .await;
    // What came so far tells more than that it took too long.
    ledger.verdict()?;
    ledger.ensure_replays_are_whole()?;
    finished?.map_err(|failure| Failure::new(failure.to_string()))?;
    ctx.within("commit", consumer.commit()).await??;
    if ctx.hub().capabilities().lag_in_events {
        let lag = consumer_lag(&ctx, &topic).await?;
        ensure_eq!(lag, 0, "the lag after everything was acked and committed");
    }
    Ok(consumer.close().await?)
}

/// The events that the only group of the topic is behind.
async fn consumer_lag(ctx: &Context, topic: &str) -> Outcome<u64> {
    let admin = ctx.hub().admin();
    let groups = ctx.within("the groups", admin.list_groups(topic)).await??;
    ensure_eq!(groups.len(), 1, "groups of a topic with one");
    let lag = ctx
        .within("the lag", admin.lag(topic, &groups[0].name))
        .await??;
    Ok(lag.iter().filter_map(|lag| lag.events).sum())
}
