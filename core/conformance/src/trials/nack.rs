//! C5: a nack rewinds its key, and nothing else.

use super::{
    Trial,
    acks::{never_by_itself, tokens},
    trial,
};
use crate::{
    Context, Outcome,
    failure::{ensure, ensure_eq},
    reading::{name, named, names, publish, publish_in_turn, take, tokens_of},
};
use anyhub_core::{Consumer, Delivery, Event, Producer};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) const TRIALS: &[Trial] = &[
    trial!("C5_nack_rewinds_its_key", rewinds, [7, 9]),
    trial!("C5_other_keys_go_on", others_go_on, [17]),
    trial!("C5_a_keyless_event_comes_again_alone", keyless, [7]),
    trial!("C5_attempts_count", attempts),
    trial!("C5_the_delay_doubles", delay),
    trial!("C5_a_nacked_event_is_not_committed", not_committed, [12]),
];

/// A topic of one partition and a member of a group that has received these events.
async fn received(
    ctx: &Context,
    events: Vec<Event>,
    delay: Duration,
) -> Outcome<(Arc<dyn Producer>, Box<dyn Consumer>, Vec<Delivery>)> {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    let count = events.len();
    publish_in_turn(ctx, &*producer, events).await?;
    let options = ctx.member(&ctx.name()).nack_delay(delay, delay * 8);
    let mut consumer = ctx.consumer(&topic, options).await?;
    let came = take(ctx, &mut *consumer, count, "all events").await?;
    Ok((producer, consumer, came))
}

fn attempts_of(deliveries: &[&Delivery]) -> Vec<(String, u32)> {
    deliveries
        .iter()
        .map(|delivery| (name(delivery), delivery.attempt.get()))
        .collect()
}

async fn rewinds(ctx: Context) -> Outcome {
    let events = ["a0", "b0", "a1", "b1", "a2"].map(|name| named(&name[..1], name));
    let (producer, mut consumer, came) = received(&ctx, events.into(), ctx.tick()).await?;
    let acks = consumer.acks();
    // A hub orders the events of a key.
    let token = |names: &[&str]| tokens_of(&came, names);
    ensure_eq!(
        acks.ack(&token(&["a1", "b0", "b1"])),
        3,
        "valid tokens of a1, b0 and b1"
    );
    ensure_eq!(
        acks.nack(&token(&["a0"])),
        1,
        "valid tokens of the nack of a0"
    );
    ensure_eq!(
        acks.ack(&token(&["a2"])),
        0,
        "valid tokens of a2, which its key takes back"
    );
    publish(&ctx, &*producer, vec![named("a", "a3"), named("b", "b2")]).await?;
    let again = take(&ctx, &mut *consumer, 5, "the rewound key and what is new").await?;
    let (a, b): (Vec<_>, Vec<_>) = again.iter().partition(|came| name(came).starts_with('a'));
    let due = [("a0", 2), ("a1", 2), ("a2", 2), ("a3", 1)];
    let due = due.map(|(name, attempt)| (name.to_owned(), attempt));
    ensure_eq!(attempts_of(&a), due, "the rewound key, with attempts");
    ensure_eq!(
        attempts_of(&b),
        [("b2".to_owned(), 1)],
        "the other key, with attempts"
    );
    ensure_eq!(
        acks.ack(&tokens(&again)),
        5,
        "valid tokens of what came again"
    );
    // Nothing else is under way.
    publish(&ctx, &*producer, vec![named("a", "a4")]).await?;
    let next = take(&ctx, &mut *consumer, 1, "the event after").await?;
    ensure_eq!(names(&next), ["a4"], "the event after the replay");
    Ok(consumer.close().await?)
}

async fn others_go_on(ctx: Context) -> Outcome {
    let events = vec![named("a", "a0"), named("b", "b0")];
    let long = ctx.settings().patience / 4;
    let (producer, mut consumer, came) = received(&ctx, events, long).await?;
    let nacked = tokens_of(&came, &["a0"]);
    ensure_eq!(consumer.acks().nack(&nacked), 1, "valid tokens");
    let mut due = Vec::new();
    for nth in 1..=20 {
        due.push(format!("b{nth}"));
        let event = |key: &str| named(key, format!("{key}{nth}"));
        publish(&ctx, &*producer, vec![event("a"), event("b")]).await?;
    }
    let came = take(&ctx, &mut *consumer, 20, "other keys beside a nacked one").await?;
    ensure_eq!(names(&came), due, "what comes while a nacked key waits");
    Ok(consumer.close().await?)
}

async fn keyless(ctx: Context) -> Outcome {
    let events = (0..4).map(|nth| Event::new(format!("{nth}"))).collect();
    let (producer, mut consumer, came) = received(&ctx, events, ctx.tick()).await?;
    let acks = consumer.acks();
    let nacked = name(&came[1]);
    ensure_eq!(acks.nack(&[came[1].token]), 1, "valid tokens of the nack");
    let rest = [came[0].token, came[2].token, came[3].token];
    ensure_eq!(
        acks.ack(&rest),
        3,
        "valid tokens of the other keyless events"
    );
    let again = take(&ctx, &mut *consumer, 1, "the nacked event").await?;
    ensure_eq!(names(&again), [nacked], "what comes again");
    ensure_eq!(again[0].attempt.get(), 2, "its attempt");
    acks.ack(&tokens(&again));
    publish(&ctx, &*producer, vec![Event::new("after")]).await?;
    let next = take(&ctx, &mut *consumer, 1, "the event after").await?;
    ensure_eq!(names(&next), ["after"], "the event after the redelivery");
    Ok(consumer.close().await?)
}

async fn attempts(ctx: Context) -> Outcome {
    let (_, mut consumer, mut came) = received(&ctx, vec![named("a", "a0")], ctx.tick()).await?;
    for attempt in 1..=5 {
        ensure_eq!(came[0].attempt.get(), attempt, "the attempt");
        ensure_eq!(
            consumer.acks().nack(&tokens(&came)),
            1,
            "valid tokens of the nack"
        );
        came = take(&ctx, &mut *consumer, 1, "the nacked event").await?;
    }
    Ok(consumer.close().await?)
}

async fn delay(ctx: Context) -> Outcome {
    let first = ctx.tick() * 4;
    let (_, mut consumer, mut came) = received(&ctx, vec![named("a", "a0")], first).await?;
    let mut due = first;
    for attempt in 1..=3 {
        let nacked = Instant::now();
        consumer.acks().nack(&tokens(&came));
        came = take(&ctx, &mut *consumer, 1, "the nacked event").await?;
        let took = nacked.elapsed();
        ensure!(
            took >= due,
            "attempt {} came after {took:?}, before its delay of {due:?}",
            attempt + 1
        );
        due *= 2;
    }
    Ok(consumer.close().await?)
}

async fn not_committed(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    let group = ctx.name();
    let events = ["b0", "a0", "a1", "b1"].map(|name| named(&name[..1], name));
    publish_in_turn(&ctx, &*producer, events).await?;
    let long = ctx.settings().patience * 2;
    let options = never_by_itself(&ctx, &group).nack_delay(long, long);
    let mut first = ctx.consumer(&topic, options).await?;
    let came = take(&ctx, &mut *first, 4, "all events").await?;
    let acks = first.acks();
    acks.nack(&tokens_of(&came, &["a0"]));
    acks.ack(&tokens_of(&came, &["b0", "b1"]));
    ctx.within("commit", first.commit()).await??;
    drop(first);
    let mut next = ctx.consumer(&topic, ctx.member(&group)).await?;
    let came = take(&ctx, &mut *next, 1, "the nacked event at the next member").await?;
    ensure_eq!(names(&came), ["a0"], "where the group resumes");
    Ok(next.close().await?)
}
