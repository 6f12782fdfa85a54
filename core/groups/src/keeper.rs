//! What is done for a consumer whether or not it is polled: commits, and partitions that are finished or
//! asked for.

use crate::{
    Log, Part as _, Place,
    error::of_leases,
    shared::Shared,
    silence,
    slot::{Mode, Slot, Task},
    start,
    state::Presence,
};
use anyhub_core::{ErrorKind, Result, driver::Lane};
use anyhub_leases::{Grant, Leases};
use futures_util::future::join_all;
use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Runs until the consumer is gone.
pub(crate) async fn keep<L: Log>(shared: Weak<Shared<L>>) {
    // Side by side: a commit may wait long for its answer.
    tokio::join!(silence::watch(&shared), work(&shared));
}

async fn work<L: Log>(shared: &Weak<Shared<L>>) {
    loop {
        let Some(strong) = shared.upgrade() else {
            return;
        };
        if matches!(strong.state().presence, Presence::Closed) {
            return;
        }
        let limit = strong.until_next();
        drop(strong);
        sleep_or_due(shared, limit).await;
        let Some(strong) = shared.upgrade() else {
            return;
        };
        if let Err(error) = strong.commit().await {
            tracing::debug!(%error, "a commit is tried again");
        }
        strong.give_up_what_is_asked_for().await;
        strong.finish_what_is_read().await;
        strong.look_for_added();
        strong.tell_of_return();
        strong.lanes.warn_of_stuck(L::HUB, Instant::now());
    }
}

/// Waits for `limit`, or until the keeper is wanted; without keeping the consumer alive.
async fn sleep_or_due<L: Log>(shared: &Weak<Shared<L>>, limit: Duration) {
    let Some(strong) = shared.upgrade() else {
        return;
    };
    let due = async move { strong.due.notified().await };
    let _ = timeout(limit, due).await;
}

/// How long the answers to what was delivered of a partition are awaited when another member asks for it;
/// as on other hubs.
const DRAIN: Duration = Duration::from_millis(500);

/// How soon a partition's end that could not be noted is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl<L: Log> Shared<L> {
    /// When the keeper is next wanted, whatever happens meanwhile.
    fn until_next(&self) -> Duration {
        let interval = self.options.commit_interval.max(Duration::from_millis(1));
        let state = self.state();
        let asked = state.slots.iter().filter_map(|slot| match slot.mode {
            Mode::Asked(since) => Some(DRAIN.saturating_sub(since.elapsed())),
            _ => None,
        });
        let again = state
            .slots
            .iter()
            .any(|slot| slot.mode == Mode::Reading && slot.backlog.is_exhausted());
        let again = again.then_some(AGAIN);
        let look = L::GROWS.map(|every| every.saturating_sub(state.looked.elapsed()));
        asked
            .chain([interval])
            .chain(again)
            .chain(look)
            .min()
            .unwrap_or(interval)
    }

    /// Makes durable what is finished. Fenced, if a partition was lost with it.
    pub(crate) async fn commit(&self) -> Result<()> {
        let _turn = self.commits.lock().await;
        self.commit_now().await
    }

    /// The same, by who holds the turn.
    pub(crate) async fn commit_now(&self) -> Result<()> {
        let Some(leases) = self.leases() else {
            return Ok(());
        };
        let finished: Vec<_> = {
            let state = self.state();
            let grant = |lane: &Lane<L::At>| {
                let slot = state.slots.iter().find(|slot| slot.lane == lane.id)?;
                slot.grant.clone()
            };
            let finished = self.lanes.uncommitted().into_iter();
            finished
                .filter_map(|lane| Some((grant(&lane)?, lane)))
                .collect()
        };
        let writing = finished.into_iter().map(|(grant, lane)| {
            let leases = leases.clone();
            async move {
                let written = checkpoint(&leases, &grant, lane.finished).await;
                (written, grant, lane)
            }
        });
        let mut result = Ok(());
        for (written, grant, lane) in join_all(writing).await {
            match written {
                Ok(()) => self.lanes.committed(&[lane]),
                Err(error) => {
                    if error.kind() == ErrorKind::Fenced {
                        self.lose_grant(&grant);
                    }
                    result = Err(of_leases(L::HUB, "commit", &error));
                }
            }
        }
        result
    }

    /// Partitions that another member asked for, once what was delivered of them is answered, or was
    /// waited for long enough.
    async fn give_up_what_is_asked_for(&self) {
        let Some(leases) = self.leases() else {
            return;
        };
        if !self.asked.swap(false, Ordering::Relaxed) {
            return;
        }
        let asked: Vec<_> = {
            let state = &mut *self.state();
            let leaving = state.slots.iter_mut().filter_map(|slot| match slot.mode {
                Mode::Asked(since) => {
                    let open = self.lanes.has_deliveries(slot.lane);
                    let overdue = since.elapsed() >= DRAIN;
                    (!open || overdue).then_some((slot, open))
                }
                _ => None,
            });
            leaving
                .map(|(slot, open)| {
                    slot.mode = Mode::Leaving;
                    (slot.part.id().clone(), open)
                })
                .collect()
        };
        let asks = |slot: &Slot<L>| matches!(slot.mode, Mode::Asked(_));
        if self.state().slots.iter().any(asks) {
            self.asked.store(true, Ordering::Relaxed);
        }
        if asked.is_empty() {
            return;
        }
        let _turn = self.commits.lock().await;
        if let Err(error) = self.commit_now().await {
            tracing::debug!(%error, "what was acknowledged goes with its lease, or comes again");
        }
        for (part, open) in asked {
            // First the tokens go, then the lease: with the last that was acknowledged. The grant is
            // what it is now: a seek may have come between.
            let Some((grant, finished)) = self.revoke(&part, open) else {
                continue;
            };
            self.release(&leases, grant, finished.map(text));
        }
    }

    /// Partitions that were added, now and then; beside all else, as the answer may take long. One that
    /// is still awaited is not asked for again.
    fn look_for_added(self: &Arc<Self>) {
        let state = &mut *self.state();
        if L::GROWS.is_none_or(|every| state.looked.elapsed() < every) {
            return;
        }
        state.looked = Instant::now();
        let looks = |task: &Task| !task.0.is_finished();
        if matches!(state.presence, Presence::Closed) || state.looking.as_ref().is_some_and(looks) {
            return;
        }
        let shared = self.clone();
        let looking = tokio::spawn(async move {
            if let Err(error) = start::of_added(&shared).await {
                tracing::debug!(hub = L::HUB, %error, "it is looked for more partitions later");
            }
        });
        state.looking = Some(Task::new(looking.abort_handle()));
    }

    /// Partitions that are read, delivered and acknowledged to their end.
    async fn finish_what_is_read(self: &Arc<Self>) {
        let read: Vec<_> = {
            let state = &mut *self.state();
            let lanes = self.lanes.reader();
            let read = state.slots.iter_mut().filter_map(|slot| {
                let asked = match slot.mode {
                    Mode::Reading => None,
                    Mode::Asked(since) => Some(since),
                    Mode::Leaving | Mode::Finishing(_) => return None,
                };
                let done = slot.backlog.is_exhausted() && lanes.oldest(slot.lane).is_none();
                done.then_some((slot, asked))
            });
            read.map(|(slot, asked)| {
                slot.mode = Mode::Finishing(asked);
                (slot.part.id().clone(), slot.grant.clone())
            })
            .collect()
        };
        for (part, grant) in read {
            if let Err(error) = self.finish(&part, grant.as_ref()).await {
                tracing::debug!(%part, %error, "a partition's end is tried again");
                let state = &mut *self.state();
                if let Some(slot) = state.slots.iter_mut().find(|slot| slot.is(&part)) {
                    slot.mode = slot.mode.unfinished();
                    if matches!(slot.mode, Mode::Asked(_)) {
                        self.asked.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    }
}

/// Everything up to this event is done.
pub(crate) async fn checkpoint<A: Place>(
    leases: &Leases,
    grant: &Grant,
    finished: A,
) -> Result<()> {
    leases.checkpoint(grant, text(finished)).await
}

fn text<A: Place>(finished: A) -> Arc<str> {
    finished.after().to_string().into()
}
