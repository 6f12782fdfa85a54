//! What is said to the service of deliveries: that they are finished, or to come again.

use super::{ACKS, Shared};
use crate::{
    client::{ATTEMPT, Pause},
    error::{Failure, HUB},
    keys::{Finished, Keys},
};
use anyhub_core::{Error, ErrorKind, Result};
use futures_util::future::join_all;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// How long a commit tries what does not succeed.
const COMMIT: Duration = Duration::from_secs(30);
/// How long parting tries to give back what it holds.
const PARTING: Duration = Duration::from_secs(5);

impl Shared {
    /// Has the service take what is finished. Fenced if acks were lost.
    pub(crate) async fn commit(&self) -> Result<()> {
        if !self.is_awake() {
            return Err(fenced());
        }
        self.commit_quietly().await?;
        self.check_fenced()
    }

    /// Fenced if acks were lost since the last time.
    pub(super) fn check_fenced(&self) -> Result<()> {
        match self.keys().take_fenced() {
            false => Ok(()),
            true => Err(fenced()),
        }
    }

    /// The same; of acks that were lost, [`commit`](Self::commit) tells. What is finished meanwhile may wait for the next
    /// one: others may go on finishing.
    pub(crate) async fn commit_quietly(&self) -> Result<()> {
        let _turn = self.committing.lock().await;
        let finished = self.keys().begin_commit().into_iter().enumerate();
        let ways = finished.map(|(way, finished)| self.commit_way(way, finished));
        join_all(ways).await.into_iter().collect()
    }

    async fn commit_way(&self, way: usize, finished: u64) -> Result<()> {
        let mut until = Instant::now() + COMMIT;
        let mut pause = Pause::new();
        loop {
            let taken = Taken::new(self, way, finished);
            if taken.is_empty() {
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            match taken.send(left.min(ATTEMPT)).await {
                Ok(()) => (until, pause) = (Instant::now() + COMMIT, Pause::new()),
                Err(failure) if !failure.passing => return Err(failure.error),
                Err(failure) => {
                    let wait = pause.next();
                    if Instant::now() + wait >= until {
                        return Err(failure.error);
                    }
                    sleep(wait).await;
                }
            }
        }
    }

    /// Has the service take what is finished, and gives up the rest by `give_up`; no ack counts that comes meanwhile. Err
    /// where what is finished was given up, too; of that, [`commit`](Self::commit) tells.
    pub(crate) async fn settle(&self, give_up: fn(&mut Keys) -> Vec<String>) -> Result<()> {
        let stopped = Stopped::new(self, give_up);
        let committed = self.commit_quietly().await;
        self.give_back(stopped.give_up()).await;
        committed
    }

    /// The service gives them to whoever reads.
    pub(crate) async fn give_back(&self, ack_ids: Vec<String>) {
        // What is not given back in time comes again when its own time is over.
        let _ = timeout(PARTING, self.nack(ack_ids)).await;
    }

    /// Nacks at the service, again and again while that may help. Err where it was not taken.
    pub(crate) async fn nack(&self, ack_ids: Vec<String>) -> Result<(), Failure> {
        let name = &self.subscription.name;
        let each = ack_ids.chunks(ACKS).map(|some| async {
            let (mut left, mut pause) = (some.to_vec(), Pause::new());
            loop {
                let nacked = self.line.modify(name, left.clone(), 0, ATTEMPT).await;
                match nacked {
                    // With exactly-once delivery. What failed for good is over: it comes again as it is.
                    Err(failure) if !failure.acks.is_empty() => {
                        let failed = failure.acks.into_iter();
                        left = failed
                            .filter_map(|(id, for_good)| (!for_good).then_some(id))
                            .collect();
                        if left.is_empty() {
                            return Ok(());
                        }
                    }
                    Err(failure) if failure.passing => {}
                    nacked => return nacked,
                }
                sleep(pause.next()).await;
            }
        });
        join_all(each).await.into_iter().collect()
    }
}

fn fenced() -> Error {
    let message = "events that were acknowledged are not this consumer's any more, as the service has it, and may come again";
    Error::new(ErrorKind::Fenced, HUB, "commit", message).with_advice(
        "their time was over, or somebody has sought; a longer ack_deadline helps where the network is slow",
    )
}

/// Finished deliveries on their way to the service; what was not sent when it is dropped is put back.
struct Taken<'a> {
    shared: &'a Shared,
    finished: Finished,
}

impl<'a> Taken<'a> {
    /// None of them once the first `all` that were ever finished on this way are settled.
    fn new(shared: &'a Shared, way: usize, all: u64) -> Self {
        let mut keys = shared.keys();
        let finished = match keys.settled(way) < all {
            true => keys.finished(way, ACKS),
            false => Finished::default(),
        };
        Self { shared, finished }
    }

    fn is_empty(&self) -> bool {
        self.finished.refs.is_empty()
    }

    async fn send(mut self, limit: Duration) -> Result<(), Failure> {
        let ack_ids = self.finished.ack_ids.clone();
        let shared = self.shared;
        let name = &shared.subscription.name;
        let acked = shared.line.acknowledge(name, ack_ids, limit).await;
        match acked {
            Ok(()) => {
                let finished = std::mem::take(&mut self.finished);
                shared.keys().acked(finished, 0);
                Ok(())
            }
            Err(failure) if !failure.acks.is_empty() => {
                let finished = std::mem::take(&mut self.finished);
                match settle(shared, finished, &failure) {
                    0 => Ok(()),
                    _ => Err(Failure {
                        passing: true,
                        ..failure
                    }),
                }
            }
            Err(failure) => Err(failure),
        }
    }
}

/// Where some did not hold, with exactly-once delivery: for good, they are somebody else's; otherwise they are sent
/// again. How many are.
fn settle(shared: &Shared, finished: Finished, failure: &Failure) -> usize {
    let (mut done, mut again, mut lost) = (Finished::default(), Finished::default(), 0);
    for (of, ack_id) in finished.refs.into_iter().zip(finished.ack_ids) {
        let failed = failure.acks.iter().find(|(failed, _)| *failed == ack_id);
        let into = match failed {
            Some((_, false)) => &mut again,
            Some((_, true)) => {
                lost += 1;
                &mut done
            }
            None => &mut done,
        };
        into.refs.push(of);
        into.ack_ids.push(ack_id);
    }
    let left = again.refs.len();
    let mut keys = shared.keys();
    keys.acked(done, lost);
    keys.put_back(again);
    left
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.is_empty() {
            let finished = std::mem::take(&mut self.finished);
            self.shared.keys().put_back(finished);
        }
    }
}

/// What is held when no token counts any more, until it is given up; at the latest when this is dropped.
struct Stopped<'a> {
    shared: &'a Shared,
    give_up: Option<fn(&mut Keys) -> Vec<String>>,
}

impl<'a> Stopped<'a> {
    fn new(shared: &'a Shared, give_up: fn(&mut Keys) -> Vec<String>) -> Self {
        shared.keys().stop();
        let give_up = Some(give_up);
        Self { shared, give_up }
    }

    /// What is to be nacked.
    fn give_up(mut self) -> Vec<String> {
        self.end()
    }

    fn end(&mut self) -> Vec<String> {
        let give_up = self.give_up.take();
        give_up.map_or_else(Vec::new, |give_up| give_up(&mut self.shared.keys()))
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        // Not nacked where nobody waits for it: it comes again when its time is over.
        self.end();
    }
}
