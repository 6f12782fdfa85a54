//! C3: what an ack is, when it is durable, and when it is stale.

use super::{Trial, trial};
use crate::{
    Context, Failure, Outcome,
    cancel::cancelled_after,
    failure::{ensure, ensure_eq},
    reading::{Party, name, named, names, publish, publish_in_turn, take},
};
use anyhub_core::{AckToken, Batch, Consumer, ConsumerOptions, Delivery, ErrorKind, Point};
use rand::seq::SliceRandom;
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use tokio::time::sleep;

pub(super) const TRIALS: &[Trial] = &[
    trial!("C3_ack_is_durable_after_commit", after_commit, [12]),
    trial!("C3_ack_is_durable_after_close", after_close, [20]),
    trial!(
        "C3_a_close_that_was_dropped_can_be_finished",
        after_dropped_close,
        [20]
    ),
    trial!("C3_ack_is_durable_within_the_interval", within_interval),
    trial!("C3_ack_is_durable_on_revoke", on_revoke, [12]),
    trial!("C3_ack_counts_valid_tokens", counts, [22]),
    trial!("C3_stale_tokens_change_nothing", stale, [22]),
    trial!("C3_commit_says_fenced_when_acks_were_lost", fenced, [14]),
];

const EVENTS: usize = 50;
const ACKED: usize = 30;

/// Options of a member whose acks are durable by nothing but commit, close and revoke.
pub(super) fn never_by_itself(ctx: &Context, group: &str) -> ConsumerOptions {
    ctx.member(group)
        .commit_interval(Duration::from_secs(3_600))
}

pub(super) fn tokens(deliveries: &[Delivery]) -> Vec<AckToken> {
    deliveries.iter().map(|delivery| delivery.token).collect()
}

/// A topic of one partition with events named by number, which come in that order: of several keys where a partition
/// keeps it, of one where a key alone does.
pub(super) async fn numbered(ctx: &Context, events: usize) -> Outcome<String> {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    let keys = if ctx.is_shared() { 1 } else { 5 };
    let events = (0..events).map(|nth| named(&format!("k{}", nth % keys), nth.to_string()));
    publish_in_turn(ctx, &*producer, events).await?;
    Ok(topic)
}

/// Expects that a new member of the group begins with the event of this number.
pub(super) async fn resumes_at(ctx: &Context, topic: &str, group: &str, due: usize) -> Outcome {
    let mut next = ctx.consumer(topic, ctx.member(group)).await?;
    let came = take(ctx, &mut *next, 1, "the first event of the next member").await?;
    ensure_eq!(name(&came[0]), due.to_string(), "where the group resumes");
    ctx.within("close", next.close()).await??;
    Ok(())
}

async fn after_commit(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, EVENTS).await?;
    let group = ctx.name();
    let mut first = ctx.consumer(&topic, never_by_itself(&ctx, &group)).await?;
    let came = take(&ctx, &mut *first, EVENTS, "all events").await?;
    let mut done = tokens(&came[..ACKED]);
    done.shuffle(&mut ctx.rng(1));
    let acks = first.acks();
    let valid: usize = done.iter().map(|token| acks.ack(&[*token])).sum();
    ensure_eq!(valid, ACKED, "valid tokens");
    ctx.within("commit", first.commit()).await??;
    // Dropped without a close: it has crashed.
    drop(first);
    resumes_at(&ctx, &topic, &group, ACKED).await
}

async fn after_close(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, EVENTS).await?;
    let group = ctx.name();
    let mut first = ctx.consumer(&topic, never_by_itself(&ctx, &group)).await?;
    let came = take(&ctx, &mut *first, EVENTS, "all events").await?;
    first.acks().ack(&tokens(&came[..ACKED]));
    ctx.within("close", first.close()).await??;
    resumes_at(&ctx, &topic, &group, ACKED).await
}

async fn after_dropped_close(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, EVENTS).await?;
    for polls in 1..4 {
        let group = ctx.name();
        let mut first = ctx.consumer(&topic, never_by_itself(&ctx, &group)).await?;
        let came = take(&ctx, &mut *first, EVENTS, "all events").await?;
        first.acks().ack(&tokens(&came[..ACKED]));
        if let Some(closed) = cancelled_after(polls, first.close()).await {
            closed?;
        }
        ctx.within("close again", first.close()).await??;
        ensure_eq!(
            first.acks().ack(&tokens(&came)),
            0,
            "valid tokens after a close that was finished"
        );
        // The first is still there, and no member any more.
        resumes_at(&ctx, &topic, &group, ACKED).await?;
    }
    Ok(())
}

async fn within_interval(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, EVENTS).await?;
    let group = ctx.name();
    let interval = ctx.tick() * 10;
    let options = ctx.member(&group).commit_interval(interval);
    let mut first = ctx.consumer(&topic, options).await?;
    let came = take(&ctx, &mut *first, EVENTS, "all events").await?;
    first.acks().ack(&tokens(&came[..ACKED]));
    let started = Instant::now();
    let most = interval * 3 + ctx.settings().patience / 4;
    if ctx.hub().capabilities().positions {
        let last = &came[ACKED - 1].position;
        // Nobody calls the consumer meanwhile.
        ctx.until("the acks to be durable without a commit", async || {
            let lag = ctx.hub().admin().lag(&topic, &group).await?;
            let committed = lag.first().and_then(|lag| lag.committed.clone());
            Ok(committed
                .filter(|at| at.cmp_in_partition(last).is_gt())
                .map(drop))
        })
        .await?;
        let took = started.elapsed();
        ensure!(
            took <= most,
            "durable after {took:?} with an interval of {interval:?}"
        );
    } else {
        // Nobody can tell but the next member, and with it this one is gone.
        sleep(most).await;
    }
    drop(first);
    let resumed = resumes_at(&ctx, &topic, &group, ACKED).await;
    resumed.map_err(|failure| {
        Failure::new(format!(
            "acks were to be durable without a commit: {failure}"
        ))
    })
}

async fn on_revoke(ctx: Context) -> Outcome {
    const PARTITIONS: u32 = 2;
    let topic = ctx.topic(PARTITIONS).await?;
    let producer = ctx.producer(&topic).await?;
    let group = ctx.name();
    let options = never_by_itself(&ctx, &group);
    let events = (0..EVENTS)
        .map(|nth| named(&format!("k{nth}"), "acked"))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let mut first = ctx.consumer(&topic, options.clone()).await?;
    let came = take(&ctx, &mut *first, EVENTS, "all events").await?;
    ensure_eq!(first.acks().ack(&tokens(&came)), EVENTS, "valid tokens");
    let mut party = Party::new();
    party.join(first);
    party.join(ctx.consumer(&topic, options).await?);
    let mut again = Vec::new();
    party
        .balance(&ctx, PARTITIONS as usize, |_, batch| {
            again.extend(names(&batch.deliveries))
        })
        .await?;
    let events = (0..EVENTS)
        .map(|nth| named(&format!("k{nth}"), "later"))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let mut later = 0;
    party
        .receive_until(&ctx, 100, "later events after a revoke", |_, batch, _| {
            let came = names(&batch.deliveries);
            later += came.iter().filter(|name| *name == "later").count();
            again.extend(came);
            Ok(later >= EVENTS)
        })
        .await?;
    let again = again.iter().filter(|name| *name == "acked").count();
    ensure_eq!(
        again,
        0,
        "acked events that came again after a revoke in good order"
    );
    party.close(&ctx).await
}

async fn counts(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, 6).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    let came = take(&ctx, &mut *consumer, 6, "all events").await?;
    let acks = consumer.acks();
    let token = tokens(&came);
    ensure_eq!(acks.ack(&[]), 0, "valid tokens of none");
    ensure_eq!(
        acks.ack(&[token[5], token[2]]),
        2,
        "valid tokens of two, out of order"
    );
    ensure_eq!(
        acks.ack(&[token[2]]),
        0,
        "valid tokens of an ack given twice"
    );
    ensure_eq!(
        acks.ack(&[token[0], token[0], token[1]]),
        2,
        "valid tokens of three, one twice"
    );
    ensure_eq!(
        acks.nack(&[token[0]]),
        0,
        "valid tokens of a nack after the ack"
    );
    let elsewhere = acks.clone();
    let (third, fourth) = (token[3], token[4]);
    let thread = std::thread::spawn(move || elsewhere.ack(&[third, fourth]));
    let valid = thread
        .join()
        .map_err(|_| Failure::new("acks panicked on a thread"))?;
    ensure_eq!(valid, 2, "valid tokens from another thread");
    ctx.within("close", consumer.close()).await??;
    ensure_eq!(acks.ack(&token), 0, "valid tokens after close");
    Ok(())
}

async fn stale(ctx: Context) -> Outcome {
    const FEW: usize = 10;
    let topic = numbered(&ctx, FEW).await?;
    let group = ctx.name();
    let mut first = ctx.consumer(&topic, ctx.member(&group)).await?;
    let old = tokens(&take(&ctx, &mut *first, FEW, "all events").await?);
    ctx.within("seek to the start", first.seek(Point::Start))
        .await??;
    let acks = first.acks();
    ensure_eq!(acks.ack(&old), 0, "valid tokens from before a seek");
    ensure_eq!(
        acks.nack(&old),
        0,
        "valid tokens from before a seek, nacked"
    );
    let new = tokens(&take(&ctx, &mut *first, FEW, "all events after the seek").await?);
    ensure_eq!(
        acks.ack(&old),
        0,
        "valid tokens from before a seek, once all has come again"
    );
    ensure_eq!(acks.ack(&new[..3]), 3, "valid tokens from after the seek");
    ctx.within("commit", first.commit()).await??;
    drop(first);
    resumes_at(&ctx, &topic, &group, 3).await
}

async fn fenced(ctx: Context) -> Outcome {
    const PARTITIONS: u32 = 2;
    let topic = ctx.topic(PARTITIONS).await?;
    let producer = ctx.producer(&topic).await?;
    let group = ctx.name();
    let options = never_by_itself(&ctx, &group);
    let keys = if ctx.is_shared() { 4 } else { 40 };
    let events = (0..40)
        .map(|nth| named(&format!("k{}", nth % keys), nth.to_string()))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let limit = ctx.settings().max_processing;
    let own = match ctx.is_shared() {
        // Nothing is taken from one who is there.
        true => options.clone().max_processing(limit),
        false => options.clone(),
    };
    let mut first = ctx.consumer(&topic, own).await?;
    let came = take(&ctx, &mut *first, 40, "all events").await?;
    // The first of each lane stays open, so the acks of the others can't be committed.
    let mut open = HashSet::new();
    let later: Vec<_> = came
        .iter()
        .filter(|delivery| !open.insert(ctx.lane(delivery)))
        .cloned()
        .collect();
    ensure_eq!(
        first.acks().ack(&tokens(&later)),
        later.len(),
        "valid tokens"
    );
    let acked: HashSet<String> = names(&later).into_iter().collect();
    if ctx.is_shared() {
        let mut second = ctx.consumer(&topic, options).await?;
        take(&ctx, &mut *second, 40, "what was acked, at the new owner").await?;
        lost_acks(&ctx, &mut *first).await?;
        ctx.within("close", second.close()).await??;
        return Ok(first.close().await?);
    }
    let mut party = Party::new();
    let first = party.join(first);
    let second = party.join(ctx.consumer(&topic, options).await?);
    let mut again = 0;
    let mut count = |nth: usize, batch: Batch| {
        let lost = batch
            .deliveries
            .iter()
            .filter(|delivery| acked.contains(&name(delivery)));
        again += if nth == second { lost.count() } else { 0 };
        again
    };
    party
        .balance(&ctx, PARTITIONS as usize, |nth, batch| {
            count(nth, batch);
        })
        .await?;
    if count(second, Batch::new()) == 0 {
        let what = "what was acked and not committed at the new owner";
        party
            .receive_until(&ctx, 10, what, |nth, batch, _| Ok(count(nth, batch) > 0))
            .await?;
    }
    lost_acks(&ctx, &mut **party.member(first)?).await?;
    party.close(&ctx).await
}

async fn lost_acks(ctx: &Context, loser: &mut dyn Consumer) -> Outcome {
    let answer = ctx
        .within("commit of the member that lost a partition", loser.commit())
        .await?;
    let kind = answer.err().map(|error| error.kind());
    ensure_eq!(
        kind,
        Some(ErrorKind::Fenced),
        "the answer to a commit whose acks were lost"
    );
    Ok(())
}
