//! Everything that the server has: topics, subscriptions and snapshots by name, and what is true of all.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tonic::Status;

use super::counts::Counters;
use super::faults::Dice;
use super::message;
use super::snapshot::Snapshot;
use super::status;
use super::subscription::Subscription;
use super::topic::Topic;

/// What was chosen at the start.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// What decides the faults, and the order of what has none.
    pub(super) seed: u64,
    /// Whether keys and streams are as slow as the service's.
    pub(super) limits: bool,
    /// How long a second of a deadline or backoff lasts.
    pub(super) second: Duration,
    /// How long a StreamingPull goes on.
    pub(super) stream: Duration,
    /// What is kept at most, of a topic or a subscription, though it is acknowledged.
    pub(super) retained_bytes: usize,
    /// What a subscription may have unacknowledged, and all snapshots together.
    pub(super) backlog_bytes: usize,
}

/// What the server has.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) terms: Terms,
    pub(super) dice: Dice,
    pub(super) counters: Counters,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
    subscriptions: RwLock<BTreeMap<String, Arc<Subscription>>>,
    snapshots: Mutex<BTreeMap<String, Arc<Snapshot>>>,
    /// Topics and subscriptions that keep their messages for a time of their own.
    kept: Mutex<HashMap<String, Duration>>,
    messages: AtomicU64,
    numbers: AtomicU64,
}

impl Service {
    pub(super) fn new(terms: Terms, dice: Dice) -> Self {
        Service {
            terms,
            dice,
            counters: Counters::default(),
            topics: RwLock::default(),
            subscriptions: RwLock::default(),
            snapshots: Mutex::default(),
            kept: Mutex::default(),
            messages: AtomicU64::new(1),
            numbers: AtomicU64::new(1),
        }
    }

    /// A number that no reader and no subscription had before.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The ids of so many messages, the first of them.
    pub(super) fn message_ids(&self, count: usize) -> u64 {
        self.messages.fetch_add(count as u64, Ordering::Relaxed)
    }

    /// A number of seconds, as long as told.
    pub(super) fn seconds(&self, count: u32) -> Duration {
        self.terms.second * count
    }

    pub(super) fn topic(&self, name: &str) -> Result<Arc<Topic>, Status> {
        let topic = self.topics().get(name).cloned();
        topic.ok_or_else(|| status::not_found(name))
    }

    pub(super) fn subscription(&self, name: &str) -> Result<Arc<Subscription>, Status> {
        let subscription = self.subscriptions().get(name).cloned();
        subscription.ok_or_else(|| status::not_found(name))
    }

    pub(super) fn snapshot(&self, name: &str) -> Result<Arc<Snapshot>, Status> {
        let snapshot = self.snapshots().get(name).cloned();
        snapshot.ok_or_else(|| status::not_found(name))
    }

    pub(super) fn topics(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Topic>>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn topics_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Topic>>> {
        self.topics.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscriptions(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Subscription>>> {
        self.subscriptions
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscriptions_mut(
        &self,
    ) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Subscription>>> {
        self.subscriptions
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn snapshots(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Snapshot>>> {
        self.snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a topic or subscription keeps its messages, where that was told apart.
    pub(super) fn kept(&self, name: &str) -> Option<Duration> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(name).copied()
    }

    pub(super) fn keep(&self, name: &str, time: Duration) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(name.to_owned(), time);
        drop(kept);
        if let Ok(topic) = self.topic(name) {
            topic.configure(self);
        }
        if let Ok(subscription) = self.subscription(name) {
            subscription.configure(self);
        }
    }

    /// Fails deliveries whose deadlines have passed.
    pub(super) fn expire(&self) {
        let all: Vec<_> = self.subscriptions().values().cloned().collect();
        let now = Instant::now();
        for subscription in all {
            subscription.expire(self, now);
        }
    }

    /// Forgets what is past retention.
    pub(super) fn trim(&self) {
        let now = message::now();
        self.snapshots()
            .retain(|_, snapshot| snapshot.expires > now);
        let topics: Vec<_> = self.topics().values().cloned().collect();
        for topic in topics {
            topic.trim(now);
        }
        let all: Vec<_> = self.subscriptions().values().cloned().collect();
        for subscription in all {
            subscription.trim(self, now);
        }
    }

    /// What is kept now, in bytes; a message counts wherever it is kept.
    pub(super) fn stored(&self) -> usize {
        let topics: usize = self.topics().values().map(|topic| topic.stored()).sum();
        let snapshots: usize = self.snapshots().values().map(|s| s.bytes).sum();
        let subscriptions = self.subscriptions();
        let of = subscriptions.values().map(|s| s.backlog().stored_bytes());
        topics + snapshots + of.sum::<usize>()
    }
}
