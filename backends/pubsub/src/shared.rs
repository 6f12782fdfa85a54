//! What a consumer shares with its acks, its stream and its keeper.

use crate::{
    client::{ATTEMPT, Line, Pause},
    error::{Failure, HUB, closed},
    hub::PARTITION,
    keys::{Finished, Keys, Size},
    stream::Reader,
    subscription::Subscription,
};
use anyhub_core::{
    AckToken, Change, ConsumerOptions, Error, ErrorKind, OwnedPartition, Result, driver::AckSink,
};
use futures_util::future::join_all;
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::{sleep, timeout},
};

/// The ack ids of a request: the service takes 512 KiB, and one has up to about 180 bytes (Pub/Sub documentation,
/// "Quotas and limits", 2026-11).
pub(crate) const ACKS: usize = 2_500;
/// How long a commit tries what does not succeed.
const COMMIT: Duration = Duration::from_secs(30);
/// How long parting tries to give back what it holds.
const PARTING: Duration = Duration::from_secs(5);

/// A consumer's state, behind its handle.
pub(crate) struct Shared {
    pub(crate) line: Line,
    pub(crate) subscription: Subscription,
    pub(crate) options: ConsumerOptions,
    keys: Mutex<Keys>,
    /// There is something to receive.
    pub(crate) arrived: Notify,
    /// A nack wants attention.
    pub(crate) asked: Notify,
    /// There are as many acks as a request takes.
    pub(crate) full: Notify,
    runtime: Handle,
    state: Mutex<State>,
    /// One at a time: acks of a key go in order.
    committing: tokio::sync::Mutex<()>,
    /// Opens, closes and moves the stream, one at a time.
    pub(crate) moving: tokio::sync::Mutex<Option<Reader>>,
    /// How often a stream was given up because of keys that stand still.
    given_up: AtomicUsize,
    /// Some once it is closed: what became of that.
    ended: watch::Sender<Option<Result<()>>>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    changes: Vec<Change>,
    /// Calls under way that show that the application is there, and when the last one ended.
    calls: usize,
    last: Instant,
}

/// What a consumer is doing.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    Reading,
    /// The application was away for longer than `max_processing`.
    Away,
    /// The stream has ended for good; a seek begins it again.
    Failed(Error),
    Closing,
}

impl Shared {
    pub(crate) fn new(line: Line, subscription: Subscription, options: ConsumerOptions) -> Self {
        // A tenth for the way there, and for clocks.
        let lease = subscription.ack_deadline * 9 / 10;
        Self {
            keys: Mutex::new(Keys::new(&options, lease)),
            line,
            subscription,
            options,
            arrived: Notify::new(),
            asked: Notify::new(),
            full: Notify::new(),
            runtime: Handle::current(),
            state: Mutex::new(State {
                phase: Phase::Reading,
                changes: vec![Change::Assigned(vec![PARTITION])],
                calls: 0,
                last: Instant::now(),
            }),
            committing: tokio::sync::Mutex::new(()),
            moving: tokio::sync::Mutex::new(None),
            given_up: AtomicUsize::new(0),
            ended: watch::Sender::new(None),
        }
    }

    pub(crate) fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the service may give before something of it is finished.
    pub(crate) fn bounds(&self) -> Size {
        Size {
            events: self.options.prefetch_events.max(1),
            bytes: self.options.prefetch_bytes.max(1),
        }
    }

    /// Whose the streams are: what an earlier one had stays with it after a [`leave`](Self::leave).
    pub(crate) fn client_id(&self) -> String {
        let nth = self.given_up.load(Ordering::Relaxed);
        format!("{}-{nth}", self.subscription.client_id)
    }

    /// The next stream is another client's, to the service.
    pub(crate) fn leave(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state().phase.clone()
    }

    /// False while the consumer closes, which nothing changes any more.
    pub(crate) fn set_phase(&self, phase: Phase) -> bool {
        let state = &mut *self.state();
        if matches!(state.phase, Phase::Closing) {
            return false;
        }
        state.phase = phase;
        true
    }

    pub(crate) fn tell(&self, change: Change) {
        self.state().changes.push(change);
        self.arrived.notify_one();
    }

    pub(crate) fn changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.state().changes)
    }

    /// Closed once it closes.
    pub(crate) fn check_open(&self, operation: &'static str) -> Result<()> {
        match self.phase() {
            Phase::Closing => Err(closed(operation, "consumer")),
            _ => Ok(()),
        }
    }

    /// The stream can't go on.
    pub(crate) fn fail(&self, error: Error) {
        if self.set_phase(Phase::Failed(error)) {
            self.arrived.notify_one();
        }
    }

    /// The application is there, as long as this lives.
    pub(crate) fn call(&self) -> Call<'_> {
        self.state().calls += 1;
        Call(self)
    }

    /// For how long the application has been away.
    pub(crate) fn silence(&self) -> Duration {
        let state = self.state();
        match state.calls {
            0 => state.last.elapsed(),
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn assignment(&self) -> Vec<OwnedPartition> {
        if !matches!(self.phase(), Phase::Reading | Phase::Failed(_)) {
            return Vec::new();
        }
        let (oldest, unfinished) = self.keys().unfinished();
        vec![OwnedPartition::new(PARTITION, oldest, unfinished)]
    }

    /// Has the service take what is finished. Fenced if acks were lost.
    pub(crate) async fn commit(&self) -> Result<()> {
        self.commit_quietly().await?;
        match self.keys().take_fenced() {
            false => Ok(()),
            true => Err(fenced()),
        }
    }

    /// The same; of acks that were lost, [`commit`](Self::commit) tells. What is finished meanwhile may wait for the next
    /// one: others may go on finishing.
    pub(crate) async fn commit_quietly(&self) -> Result<()> {
        let _turn = self.committing.lock().await;
        let finished = self.keys().finished_ever();
        let mut until = Instant::now() + COMMIT;
        let mut pause = Pause::new();
        loop {
            let taken = Taken::new(self, finished);
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

    /// Lets go of everything: tokens are stale, and the service gives it to whoever reads.
    pub(crate) async fn give_back(&self) {
        let ack_ids = self.keys().clear();
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

    /// Begins to close, once; what becomes of it, [`closed`](Self::closed) tells.
    pub(crate) fn begin_close(self: &Arc<Self>, commits: bool) {
        if !self.set_phase(Phase::Closing) {
            return;
        }
        self.arrived.notify_one();
        let shared = self.clone();
        self.runtime.spawn(async move {
            let closed = shared.part(commits).await;
            shared.ended.send_replace(Some(closed));
        });
    }

    async fn part(&self, commits: bool) -> Result<()> {
        let mut reader = self.moving.lock().await;
        if let Some(reader) = reader.take() {
            reader.stop().await;
        }
        let committed = match commits {
            true => self.commit().await,
            false => Ok(()),
        };
        self.give_back().await;
        if self.subscription.private {
            let name = &self.subscription.name;
            let deleted = self.line.delete_subscription("close", name).await;
            let gone = |error: &Error| error.kind() == ErrorKind::NotFound;
            if let Err(error) = deleted
                && !gone(&error)
            {
                // It goes by itself after a day without a reader.
                tracing::warn!(%error, subscription = %name, "a private reader's subscription is left");
            }
        }
        committed
    }

    /// Waits until it is closed.
    pub(crate) async fn closed(&self) -> Result<()> {
        let mut ended = self.ended.subscribe();
        let ended = ended.wait_for(Option::is_some).await;
        match ended {
            Ok(ended) => ended.clone().unwrap_or(Ok(())),
            Err(_) => Ok(()),
        }
    }

    pub(crate) async fn close(self: &Arc<Self>) -> Result<()> {
        self.begin_close(true);
        self.closed().await
    }

    /// Whether it closes, or is closed.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.phase(), Phase::Closing)
    }
}

fn fenced() -> Error {
    let message = "events that were acknowledged are not this consumer's any more, and come again";
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
    /// None of them once the first `all` that were ever finished are settled.
    fn new(shared: &'a Shared, all: u64) -> Self {
        let mut keys = shared.keys();
        let finished = match keys.settled() < all {
            true => keys.finished(ACKS),
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

/// A call of the application's.
pub(crate) struct Call<'a>(&'a Shared);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let state = &mut *self.0.state();
        state.calls -= 1;
        state.last = Instant::now();
    }
}

impl AckSink for Shared {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        let (acked, many, ready) = {
            let mut keys = self.keys();
            let acked = keys.ack(tokens, Instant::now());
            (acked, keys.finished_len() >= ACKS, keys.is_ready())
        };
        if many {
            self.full.notify_one();
        }
        if ready {
            self.arrived.notify_one();
        }
        acked
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        let nacked = self.keys().nack(tokens, Instant::now());
        self.asked.notify_one();
        nacked
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({}, {:?})", self.subscription.name, self.phase())
    }
}
