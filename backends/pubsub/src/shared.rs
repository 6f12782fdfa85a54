//! What a consumer shares with its acks, its stream and its keeper.

mod inbox;
mod settle;

use crate::{
    client::Line,
    error::{HUB, closed},
    hub::PARTITION,
    keys::{Keys, Size},
    stream::Reader,
    subscription::{self, Subscription},
};
use anyhub_core::{
    AckToken, Change, ConsumerOptions, Error, ErrorKind, OwnedPartition, Result,
    driver::{AckSink, Pulse},
};
use futures_util::FutureExt;
use inbox::Inbox;
use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};

/// The ack ids of a request: the service takes 512 KiB, and one has up to about 180 bytes (Pub/Sub documentation,
/// "Quotas and limits", 2026-11).
pub(crate) const ACKS: usize = 2_500;

/// The most that the service may give ahead where it counts tries: a consumer that dies uses up one of each. As many as
/// Google's own clients take by default (reference of the Python client, FlowControl, 2026-11).
const AHEAD_OF_BURIAL: usize = 1_000;

/// A consumer's state, behind its handle.
pub(crate) struct Shared {
    pub(crate) line: Line,
    pub(crate) subscription: Subscription,
    pub(crate) options: ConsumerOptions,
    inbox: Inbox,
    keys: Mutex<Keys>,
    pub(crate) pulse: Pulse,
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
    /// How many streams there were.
    streams: AtomicUsize,
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
    /// The stream has ended for good; a seek begins it again.
    Failed(Error),
    /// The application was away for longer than `max_processing`, and reading may have failed before.
    Away(Option<Error>),
    Closing,
}

impl Shared {
    pub(crate) fn new(line: Line, subscription: Subscription, options: ConsumerOptions) -> Self {
        // What a stream gives was sent before it is taken in: before the process stood still, at most. The rest is for
        // the way, and for clocks.
        let still = subscription.ack_deadline / 5;
        let lease = subscription.ack_deadline * 3 / 4;
        Self {
            keys: Mutex::new(Keys::new(&options, lease, subscription.buries)),
            inbox: Inbox::default(),
            pulse: Pulse::new(still),
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
            streams: AtomicUsize::new(0),
            ended: watch::Sender::new(None),
        }
    }

    /// Whether what is held is this consumer's: not after the process stood still, until the keeper has given it up.
    pub(crate) fn is_awake(&self) -> bool {
        self.pulse.beat();
        !self.pulse.stood_still()
    }

    /// What the service may give before something of it is finished.
    pub(crate) fn bounds(&self) -> Size {
        let most = match self.subscription.buries {
            Some(_) => AHEAD_OF_BURIAL,
            None => usize::MAX,
        };
        Size {
            events: self.options.prefetch_events.clamp(1, most),
            bytes: self.options.prefetch_bytes.max(1),
        }
    }

    /// Whether so much is finished that the service should be told: a request full, or a good part of what it gives. An
    /// eighth, since of small events it counts more than is here.
    pub(crate) fn is_much(&self, keys: &Keys) -> bool {
        let lately = keys.finished_lately();
        keys.finished_on_a_way() >= ACKS || !(lately * 8).is_below(self.bounds())
    }

    /// Whose the next stream is: to the service, another client's than the last one's. By the same id it would take over
    /// what was on its way there (reference of the API, StreamingPullRequest, 2026-11), and get what is behind it.
    pub(crate) fn next_client_id(&self) -> String {
        let nth = self.streams.fetch_add(1, Ordering::Relaxed);
        format!("{}-{nth}", self.subscription.client_id)
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
        let state = &mut *self.state();
        state.phase = match state.phase {
            Phase::Closing => return,
            Phase::Away(_) => Phase::Away(Some(error)),
            Phase::Reading | Phase::Failed(_) => Phase::Failed(error),
        };
        self.arrived.notify_one();
    }

    /// Runs one of the consumer's tasks; true, and the consumer has failed, where it panics.
    pub(crate) async fn fails_with(&self, what: &str, task: impl Future<Output = ()>) -> bool {
        // It may leave what is shared half done: a seek gives all of that up.
        let panicked = AssertUnwindSafe(task).catch_unwind().await.is_err();
        if panicked {
            let message = format!("the {what} panicked");
            let error = Error::new(ErrorKind::Unexpected, HUB, "receive", message);
            self.fail(
                error.with_advice("the panic hook has told where; a seek begins the stream again"),
            );
        }
        panicked
    }

    /// The application is away; false where that changes nothing.
    pub(crate) fn go_away(&self) -> bool {
        let state = &mut *self.state();
        state.phase = match &state.phase {
            Phase::Reading => Phase::Away(None),
            Phase::Failed(error) => Phase::Away(Some(error.clone())),
            Phase::Away(_) | Phase::Closing => return false,
        };
        true
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
            true => self.settle(Keys::clear).await.and(self.check_fenced()),
            false => {
                let ack_ids = self.keys().clear();
                self.give_back(ack_ids).await;
                Ok(())
            }
        };
        if self.subscription.private {
            subscription::remove(&self.line, &self.subscription.name).await;
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
        if !self.is_awake() {
            return 0;
        }
        let (acked, many, ready) = {
            let mut keys = self.keys();
            let acked = keys.ack(tokens, Instant::now());
            (acked, self.is_much(&keys), keys.is_ready())
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
        if !self.is_awake() {
            return 0;
        }
        let (nacked, ready) = {
            let mut keys = self.keys();
            (keys.nack(tokens, Instant::now()), keys.is_ready())
        };
        self.asked.notify_one();
        if ready {
            self.arrived.notify_one();
        }
        nacked
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({}, {:?})", self.subscription.name, self.phase())
    }
}
