//! C4: where a group resumes, and how far a lane may run ahead.

use super::{
    Trial,
    acks::{never_by_itself, numbered, tokens},
    trial,
};
use crate::{
    Context, Outcome,
    failure::{ensure, ensure_eq},
    reading::{name, named, publish, take},
};
use anyhub_core::{Assignment, Delivery, Partition};
use rand::{RngExt, seq::SliceRandom};
use std::collections::{HashMap, HashSet};
use tokio::time::timeout;

pub(super) const TRIALS: &[Trial] = &[
    trial!(
        "C4_resume_is_never_past_the_lowest_unacked",
        resume,
        [1, 12]
    ),
    trial!("C4_a_window_is_bounded", bounded, [21]),
    trial!("C4_assignment_shows_the_oldest_unacked", oldest),
];

async fn resume(ctx: Context) -> Outcome {
    const EVENTS: usize = 300;
    let topic = ctx.topic(3).await?;
    let producer = ctx.producer(&topic).await?;
    let group = ctx.name();
    let events = (0..EVENTS)
        .map(|nth| named(&format!("k{}", nth % 11), nth.to_string()))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let mut first = ctx.consumer(&topic, never_by_itself(&ctx, &group)).await?;
    let mut came = take(&ctx, &mut *first, EVENTS, "all events").await?;
    let mut rng = ctx.rng(1);
    let mut lowest: HashMap<Partition, Delivery> = HashMap::new();
    let mut open = HashSet::new();
    let mut done = Vec::new();
    // Each lane gets an event that is not acked soon, and acks beyond it.
    for (nth, delivery) in came.drain(..).enumerate() {
        if nth >= 20 && rng.random_ratio(1, 8) {
            open.insert(name(&delivery));
            lowest.entry(delivery.partition.clone()).or_insert(delivery);
        } else {
            done.push(delivery.token);
        }
    }
    done.shuffle(&mut rng);
    for some in done.chunks(17) {
        first.acks().ack(some);
    }
    ctx.within("commit", first.commit()).await??;
    drop(first);
    if ctx.hub().capabilities().positions {
        let lag = ctx
            .within("the lag", ctx.hub().admin().lag(&topic, &group))
            .await??;
        for lag in lag {
            let due = lowest.get(&lag.partition).map(|lowest| &lowest.position);
            if let (Some(due), Some(at)) = (due, &lag.committed) {
                ensure!(
                    at.cmp_in_partition(due).is_le(),
                    "the checkpoint of partition {} is {at}, past the lowest unacked event at {due}",
                    lag.partition
                );
            }
        }
    }

    let lane_is_partition = ctx.hub().capabilities().assignment == Assignment::Exclusive;
    let mut next = ctx.consumer(&topic, ctx.member(&group)).await?;
    let mut seen = HashSet::new();
    while !open.is_empty() {
        let what = format!("{} events that were not acked", open.len());
        for delivery in take(&ctx, &mut *next, 1, &what).await? {
            open.remove(&name(&delivery));
            if lane_is_partition && seen.insert(delivery.partition.clone()) {
                let due = lowest
                    .get(&delivery.partition)
                    .map(|lowest| lowest.position.clone());
                let at = Some(delivery.position);
                ensure_eq!(at, due, "where partition {} resumes", delivery.partition);
            }
        }
    }
    Ok(next.close().await?)
}

async fn bounded(ctx: Context) -> Outcome {
    const WINDOW: usize = 20;
    const EVENTS: usize = 400;
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let events = (0..EVENTS)
        .map(|nth| named(&format!("k{nth}"), nth.to_string()))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let options = ctx.member(&ctx.name()).max_unfinished(WINDOW);
    let mut consumer = ctx.consumer(&topic, options).await?;
    let acks = consumer.acks();
    // The lane of the first event stops, since that one is not acked; the others go on.
    let mut stopped: Option<Partition> = None;
    let mut held = Vec::new();
    let mut came = 0;
    let quiet = ctx.tick() * 20;
    loop {
        let what = "a lane that goes on beside one that has stopped";
        let batch = match timeout(quiet, consumer.receive(7)).await {
            Ok(batch) => batch?,
            // One lane stands at its bound, and the others have gone on far beyond theirs.
            Err(_) if held.len() == WINDOW && came > 4 * WINDOW => {
                let shown = consumer.assignment();
                let lane = shown
                    .iter()
                    .find(|own| Some(&own.partition) == stopped.as_ref());
                ensure_eq!(
                    lane.map(|own| own.unfinished),
                    Some(WINDOW),
                    "unfinished events shown"
                );
                break;
            }
            Err(_) => ctx.within(what, consumer.receive(7)).await??,
        };
        for delivery in batch.deliveries {
            came += 1;
            if *stopped.get_or_insert_with(|| delivery.partition.clone()) == delivery.partition {
                held.push(delivery.token);
            } else {
                acks.ack(&[delivery.token]);
            }
        }
        let open = held.len();
        ensure!(
            open <= WINDOW,
            "{open} events of a lane are open, with a window of {WINDOW}"
        );
    }
    acks.ack(&held);
    while came < EVENTS {
        for delivery in take(&ctx, &mut *consumer, 1, "the rest after the window opened").await? {
            came += 1;
            acks.ack(&[delivery.token]);
        }
    }
    Ok(consumer.close().await?)
}

async fn oldest(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, 10).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    let came = take(&ctx, &mut *consumer, 10, "all events").await?;
    let acks = consumer.acks();
    let token = tokens(&came);
    for (done, oldest, unfinished) in [
        (&token[0..0], Some(0), 10),
        (&token[3..5], Some(0), 10),
        (&token[0..2], Some(2), 8),
        (&token[2..3], Some(5), 5),
        (&token[5..10], None, 0),
    ] {
        acks.ack(done);
        let shown = consumer.assignment();
        ensure_eq!(shown.len(), 1, "partitions owned");
        let due = oldest.map(|nth: usize| came[nth].position.clone());
        ensure_eq!(shown[0].oldest_unacked, due, "the oldest unacked event");
        ensure_eq!(shown[0].unfinished, unfinished, "unfinished events");
    }
    Ok(consumer.close().await?)
}
