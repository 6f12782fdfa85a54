//! `for_each_keyed`: keys side by side, each in order, on any hub (C3, C5, C6).

use super::{Trial, trial};
use crate::{
    Context, Outcome,
    failure::{ensure, ensure_eq},
    reading::{name, named, names, publish, take},
};
use anyhub_core::{ConsumerExt, Delivery};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

pub(super) const TRIALS: &[Trial] = &[
    trial!(
        "C6_for_each_keyed_keeps_each_key_in_order",
        in_order,
        [8, 9]
    ),
    trial!("C3_for_each_keyed_commits_when_it_stops", commits),
];

const KEYS: usize = 6;
const EACH: usize = 20;

#[derive(Default)]
struct Work {
    /// What was handled well, by key, in order.
    done: HashMap<String, Vec<usize>>,
    running: HashMap<String, usize>,
    failed: HashMap<String, u32>,
    wrong: Option<String>,
}

async fn in_order(ctx: Context) -> Outcome {
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let events = (0..KEYS * EACH)
        .map(|nth| named(&format!("k{}", nth % KEYS), (nth / KEYS).to_string()))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    let work = Arc::new(Mutex::new(Work::default()));
    let finished = Arc::new(Notify::new());
    let handler = |delivery: Delivery| {
        let (work, finished) = (work.clone(), finished.clone());
        async move {
            let key = format!("{:?}", delivery.event.key);
            let nth: usize = name(&delivery).parse().unwrap_or(usize::MAX);
            {
                let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
                let running = work.running.entry(key.clone()).or_default();
                *running += 1;
                if *running > 1 {
                    work.wrong
                        .get_or_insert(format!("two events of {key} run at once"));
                }
            }
            tokio::task::yield_now().await;
            let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(running) = work.running.get_mut(&key) {
                *running -= 1;
            }
            // The seventh event of each key fails twice.
            if nth == 7 {
                let failed = work.failed.entry(key.clone()).or_default();
                *failed += 1;
                if *failed <= 2 {
                    return Err("it does not work yet".into());
                }
            }
            let done = work.done.entry(key.clone()).or_default();
            if done.len() == nth {
                done.push(nth);
            } else if nth > done.len() {
                let due = done.len();
                work.wrong
                    .get_or_insert(format!("{key}: event {nth} overtook event {due}"));
            }
            if work.done.values().map(Vec::len).sum::<usize>() == KEYS * EACH {
                finished.notify_one();
            }
            Ok(())
        }
    };
    let stop = async { finished.notified().await };
    let run = ctx
        .within(
            "every key to be handled",
            consumer.for_each_keyed(4, stop, handler),
        )
        .await;
    {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner);
        ensure_eq!(work.wrong, None, "what went wrong in for_each_keyed");
        run??;
        ensure!(
            work.failed.values().all(|failed| *failed >= 3),
            "a failure did not come again"
        );
    }
    Ok(consumer.close().await?)
}

async fn commits(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    let group = ctx.name();
    let events = (0..30)
        .map(|nth| named(&format!("k{}", nth % 3), nth.to_string()))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let options = super::acks::never_by_itself(&ctx, &group);
    let mut consumer = ctx.consumer(&topic, options).await?;
    let seen = Mutex::new(0);
    let finished = Notify::new();
    let run = consumer.for_each_keyed(4, finished.notified(), |_| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen += 1;
        if *seen == 30 {
            finished.notify_one();
        }
        async { Ok(()) }
    });
    ctx.within("30 events to be handled", run).await??;
    // Crashed: only what the stop has committed counts.
    drop(consumer);
    publish(&ctx, &*producer, vec![named("k", "after")]).await?;
    let mut next = ctx.consumer(&topic, ctx.member(&group)).await?;
    let came = take(&ctx, &mut *next, 1, "the first event of the next member").await?;
    ensure_eq!(
        names(&came),
        ["after"],
        "where the group resumes after a stop"
    );
    Ok(next.close().await?)
}
