use crate::{error::HUB, events::Rebalance, shared::Shared, slots::Mode};
use anyhub_core::driver::Pulse;
use std::{
    collections::HashMap,
    sync::{Weak, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// What goes on without the application: commits, new partitions of a private reader, and the
/// watchdog.
pub(crate) async fn keep(shared: Weak<Shared>, mut partitions: u32) {
    let mut looked = Instant::now();
    let mut grown = Instant::now();
    let mut watchdog = Watchdog::default();
    loop {
        let Some(consumer) = shared.upgrade() else {
            return;
        };
        let interval = consumer.options.commit_interval;
        // Once a second there is more to do than to commit.
        let pause = (interval * 3 / 4).clamp(Duration::from_millis(1), LOOK);
        drop(consumer);
        sleep(pause).await;
        let Some(consumer) = shared.upgrade() else {
            return;
        };
        if let Err(error) = consumer.commit().await {
            tracing::warn!(hub = HUB, %error, "what was acknowledged is not durable yet");
        }
        let now = Instant::now();
        if now - looked >= LOOK {
            looked = now;
            consumer.lanes.warn_of_stuck(HUB, now);
            watchdog.look(&consumer, now).await;
        }
        if consumer.options.group.is_none() && now - grown >= GROWTH {
            grown = now;
            if let Ok(count) = consumer
                .control
                .partitions("receive", &consumer.topic)
                .await
                && count > partitions
            {
                let new = (partitions..count).collect();
                partitions = count;
                consumer.native.shell().events().ask(Rebalance::Assign(new));
            }
        }
    }
}

/// Beats the consumer's pulse, and takes its lanes in time when it has not called `receive` for too
/// long: before the group can give them to another.
pub(crate) async fn beat(shared: Weak<Shared>) {
    while let Some(consumer) = shared.upgrade() {
        consumer.pulse.beat();
        consumer.expire();
        let limit = consumer.options.max_processing;
        let left = limit.saturating_sub(consumer.idle());
        drop(consumer);
        let pause = if left.is_zero() {
            Pulse::BEAT
        } else {
            left.min(Pulse::BEAT)
        };
        sleep(pause.max(Duration::from_millis(1))).await;
    }
}

const LOOK: Duration = Duration::from_secs(1);

/// How often a private reader looks for new partitions; a group's members do it by themselves.
const GROWTH: Duration = Duration::from_secs(5);

/// Sees a client that has stopped reading a partition although there is something to read.
#[derive(Debug, Default)]
struct Watchdog {
    still: HashMap<u32, Still>,
    /// What each partition stood at when a client was last blamed for it, and how far it went:
    /// marks of transactions are no events, and never come.
    blamed: HashMap<u32, (i64, i64)>,
}

/// A partition of which nothing comes.
#[derive(Debug, Clone, Copy)]
struct Still {
    next: i64,
    since: Instant,
    /// What had come of all partitions by then.
    came: u64,
}

impl Still {
    /// Whether it is not just waiting behind what was fetched of others.
    fn is_suspicious(&self, now: Instant, came: u64, ahead: u64) -> bool {
        now - self.since >= SILENCE && (came == self.came || came - self.came > ahead)
    }
}

/// So long a client may bring nothing before it is looked into.
const SILENCE: Duration = Duration::from_secs(30);

impl Watchdog {
    async fn look(&mut self, shared: &Shared, now: Instant) {
        let came = shared.progress.load(Ordering::Relaxed);
        // Who does not ask gets nothing, and that is as it should be.
        if shared.idle() >= LOOK {
            self.still.clear();
            return;
        }
        let reading: Vec<(u32, i64)> = {
            let slots = shared.slots();
            let reading = slots.iter().filter(|(_, slot)| slot.mode == Mode::Reading);
            reading
                .map(|(partition, slot)| (partition, slot.next))
                .collect()
        };
        // All partitions come through one queue, each with so much fetched ahead.
        let ahead = 2 * (shared.options.prefetch_events * reading.len()) as u64;
        self.still
            .retain(|partition, _| reading.iter().any(|at| at.0 == *partition));
        let mut silent = Vec::new();
        for (partition, next) in reading {
            let since = now;
            let fresh = Still { next, since, came };
            let still = self.still.entry(partition).or_insert(fresh);
            if still.next != next {
                *still = fresh;
            } else if still.is_suspicious(now, came, ahead) {
                *still = fresh;
                silent.push((partition, next));
            }
        }
        if silent.is_empty() {
            return;
        }
        let (topic, partitions) = (
            shared.topic.clone(),
            silent.iter().map(|at| at.0).collect::<Vec<_>>(),
        );
        let ends = shared
            .control
            .ask("receive", move |asker| asker.next(&topic, &partitions))
            .await;
        // If the brokers do not answer, it is not the client that stalls.
        let Ok(ends) = ends else { return };
        let mut stalls = false;
        for (partition, next) in silent {
            let end = ends
                .iter()
                .find(|end| end.0 == partition)
                .map_or(0, |end| end.1);
            if end > next && self.blamed.insert(partition, (next, end)) != Some((next, end)) {
                stalls = true;
            }
        }
        if stalls {
            tracing::warn!(
                hub = HUB,
                topic = shared.topic,
                "events wait and none came for 30 s: opening another client"
            );
            shared.native.shell().events().ask(Rebalance::Restart);
        }
    }
}
