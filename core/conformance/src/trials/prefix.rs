//! C4: where a group resumes, and how far a lane may run ahead.

use super::{
    Trial,
    acks::{never_by_itself, numbered, tokens},
    trial,
};
use crate::{
    Context, Outcome,
    failure::{ensure, ensure_eq},
    reading::{name, named, names, publish, take},
};
use anyhub_core::{Delivery, Key, Partition};
use rand::{RngExt, seq::SliceRandom};
use std::collections::{HashMap, HashSet};
use tokio::time::{sleep, timeout};

pub(super) const TRIALS: &[Trial] = &[
    trial!(
        "C4_resume_is_never_past_the_lowest_unacked",
        resume,
        [1, 12]
    ),
    trial!("C4_a_window_is_bounded", bounded, [21]),
    trial!(
        "C4_a_full_lane_loses_nothing_beside_a_busy_one",
        beside_a_busy_lane,
        [1, 10]
    ),
    trial!("C4_assignment_shows_the_oldest_unacked", oldest),
];

async fn resume(ctx: Context) -> Outcome {
    const EVENTS: usize = 300;
    const KEYS: usize = 11;
    let topic = ctx.topic(3).await?;
    let producer = ctx.producer(&topic).await?;
    let group = ctx.name();
    let events = (0..EVENTS)
        .map(|nth| named(&format!("k{}", nth % KEYS), nth.to_string()))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let mut first = ctx.consumer(&topic, never_by_itself(&ctx, &group)).await?;
    let mut came = take(&ctx, &mut *first, EVENTS, "all events").await?;
    let mut rng = ctx.rng(1);
    let mut lowest: HashMap<Partition, Delivery> = HashMap::new();
    let mut open: HashMap<Option<Key>, HashSet<String>> = HashMap::new();
    let mut done = Vec::new();
    // Each lane gets an event that is not acked soon, and acks beyond it.
    for (nth, delivery) in came.drain(..).enumerate() {
        let open = open.entry(delivery.event.key.clone()).or_default();
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

    // With this a key is past all of them.
    let last = (0..KEYS).map(|nth| named(&format!("k{nth}"), "last"));
    publish(&ctx, &*producer, last.collect()).await?;
    let mut next = ctx.consumer(&topic, ctx.member(&group)).await?;
    let mut seen = HashSet::new();
    while !open.is_empty() {
        let what = format!("what was not acked of {} keys", open.len());
        for delivery in take(&ctx, &mut *next, 1, &what).await? {
            let (key, name) = (delivery.event.key.clone(), name(&delivery));
            if name == "last" {
                let left = open.remove(&key).unwrap_or_default();
                ensure!(
                    left.is_empty(),
                    "{key:?} resumes past the lowest unacked event: {left:?} did not come"
                );
            } else if let Some(open) = open.get_mut(&key) {
                open.remove(&name);
            }
            let is_open = name != "last";
            if is_open && !ctx.is_shared() && seen.insert(delivery.partition.clone()) {
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
    // About half of them in one lane.
    let key = |nth: usize| match ctx.is_shared() && nth.is_multiple_of(2) {
        true => "k0".to_owned(),
        false => format!("k{nth}"),
    };
    let events = (0..EVENTS)
        .map(|nth| named(&key(nth), nth.to_string()))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let options = ctx.member(&ctx.name()).max_unfinished(WINDOW);
    let mut consumer = ctx.consumer(&topic, options).await?;
    let acks = consumer.acks();
    // The lane of the first event stops, since that one is not acked; the others go on.
    let mut stopped: Option<Partition> = None;
    let is_first = |delivery: &Delivery| delivery.event.key == Some(Key::from("k0"));
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
            let of = stopped.get_or_insert_with(|| delivery.partition.clone());
            let stops = match ctx.is_shared() {
                true => is_first(&delivery),
                false => *of == delivery.partition,
            };
            if stops {
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

/// A full lane gets room again while the other one always has something: what comes of the one must
/// not be passed over while the hub goes back for it.
async fn beside_a_busy_lane(ctx: Context) -> Outcome {
    const WINDOW: usize = 20;
    const EVENTS: usize = 200;
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let probes = if ctx.is_shared() { 2 } else { 50 };
    let probes: Vec<_> = (0..probes).map(|nth| format!("k{nth}")).collect();
    let events = probes.iter().map(|key| named(key, "probe")).collect();
    publish(&ctx, &*producer, events).await?;
    let options = ctx.member(&ctx.name()).max_unfinished(WINDOW);
    let mut consumer = ctx.consumer(&topic, options).await?;
    let acks = consumer.acks();
    let mut homes: HashMap<String, String> = HashMap::new();
    for _ in 0..probes.len() {
        for delivery in take(&ctx, &mut *consumer, 1, "a probe of each lane").await? {
            let key = delivery.event.key.as_ref().and_then(Key::as_str);
            homes.insert(ctx.lane(&delivery), key.unwrap_or_default().to_owned());
            acks.ack(&[delivery.token]);
        }
    }
    ensure_eq!(homes.len(), 2, "lanes with a key");
    let keys: Vec<_> = homes.into_values().collect();
    let (slow, busy) = (&keys[0], &keys[1]);
    let events = (0..EVENTS).map(|nth| named(slow, nth.to_string()));
    publish(&ctx, &*producer, events.collect()).await?;
    let mut came = take(&ctx, &mut *consumer, WINDOW, "a lane to fill its window").await?;
    let more = timeout(ctx.tick() * 10, consumer.receive(7)).await;
    ensure!(more.is_err(), "a full lane delivered more: {more:?}");

    let mut held: Vec<_> = came.iter().map(|delivery| delivery.token).collect();
    let mut quiet = 0;
    for round in 0.. {
        if round < 60 {
            let events = (0..3).map(|_| named(busy, "busy")).collect();
            publish(&ctx, &*producer, events).await?;
        }
        if round >= 5 {
            acks.ack(&held);
            held.clear();
        }
        // The application works a little, so that the hub gets ahead of it.
        sleep(ctx.tick() / 5).await;
        let Ok(batch) = timeout(ctx.tick(), consumer.receive(7)).await else {
            quiet += 1;
            if round >= 60 && quiet > 60 {
                break;
            }
            continue;
        };
        quiet = 0;
        for delivery in batch?.deliveries {
            held.push(delivery.token);
            if name(&delivery) != "busy" {
                came.push(delivery);
            }
        }
        if came.len() >= EVENTS && round >= 60 {
            break;
        }
    }
    let due: Vec<_> = (0..EVENTS).map(|nth| nth.to_string()).collect();
    ensure_eq!(names(&came), due, "what came of the lane that stood full");
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
