//! A topic: its subscriptions, and what it keeps of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
use rustc_hash::FxHashMap;
use tonic::Status;

use super::limits::{Bucket, KEY_RATE};
use super::message::{self, AROUND, Message, key_memory};
use super::service::Service;
use super::snapshot::Snapshot;
use super::subscription::Subscription;

/// As many ordering keys' rates are remembered before those that have rested are forgotten.
const KEYS: usize = 1_024;

#[derive(Debug)]
pub(super) struct Topic {
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) config: v1::Topic,
    pub(super) subscriptions: Vec<Arc<Subscription>>,
    /// Snapshots of its subscriptions.
    snapshots: Vec<Weak<Snapshot>>,
    /// What is kept for a seek, oldest first.
    log: VecDeque<Arc<Message>>,
    log_bytes: usize,
    /// How long messages are kept; None where they are not.
    kept: Option<Duration>,
    retained_bytes: usize,
    last: SystemTime,
    /// How fast each ordering key goes, where that is limited.
    rates: FxHashMap<Box<str>, Bucket>,
}

impl Topic {
    pub(super) fn new(config: v1::Topic, service: &Service) -> Self {
        let topic = Topic {
            state: Mutex::new(State {
                config,
                subscriptions: Vec::new(),
                snapshots: Vec::new(),
                log: VecDeque::new(),
                log_bytes: 0,
                kept: None,
                retained_bytes: service.terms.retained_bytes,
                last: SystemTime::UNIX_EPOCH,
                rates: FxHashMap::default(),
            }),
        };
        topic.configure(service);
        topic
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does as its configuration says from now on.
    pub(super) fn configure(&self, service: &Service) {
        let mut state = self.state();
        let told = state.config.message_retention_duration;
        let own = service.kept(&state.config.name);
        state.kept = told.map(|told| own.unwrap_or(told.try_into().unwrap_or_default()));
        state.trim(message::now());
    }

    /// Writes messages for every subscription; their ids.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where a backlog is full, or the key too fast; then nothing is written.
    pub(super) fn publish(
        &self,
        service: &Service,
        messages: Vec<v1::PubsubMessage>,
        bytes: usize,
    ) -> Result<Vec<String>, Status> {
        let mut state = self.state();
        state.admit(service, &messages, bytes)?;
        Ok(state.write(service, messages))
    }

    /// How many bytes every backlog takes yet.
    pub(super) fn room(&self, service: &Service) -> usize {
        let most = service.terms.backlog_bytes;
        let state = self.state();
        let of = state.subscriptions.iter();
        let room = of.map(|s| most.saturating_sub(s.backlog().unacked_bytes()));
        room.min().unwrap_or(most)
    }

    /// Writes messages whatever limits there are.
    pub(super) fn write(&self, service: &Service, messages: Vec<v1::PubsubMessage>) {
        self.state().write(service, messages);
    }

    /// How long messages are kept; None where they are not.
    pub(super) fn kept(&self) -> Option<Duration> {
        self.state().kept
    }

    pub(super) fn trim(&self, now: SystemTime) {
        self.state().trim(now);
    }

    pub(super) fn stored(&self) -> usize {
        self.state().log_bytes
    }
}

impl State {
    fn write(&mut self, service: &Service, messages: Vec<v1::PubsubMessage>) -> Vec<String> {
        let published = message::now().max(self.last);
        self.last = published;
        let count = messages.len();
        let first = service.message_ids(count);
        let written: Vec<_> = messages
            .into_iter()
            .zip(first..)
            .map(|(message, id)| Arc::new(Message::new(id, published, message)))
            .collect();
        for subscription in &self.subscriptions {
            let mut backlog = subscription.backlog();
            for message in &written {
                backlog.push(message);
            }
        }
        let ids = written.iter().map(|message| message.id.to_string());
        let ids = ids.collect();
        self.keep(written, published);
        service
            .counters
            .add(|counts| counts.messages_in += count as u64);
        ids
    }

    fn admit(
        &mut self,
        service: &Service,
        messages: &[v1::PubsubMessage],
        bytes: usize,
    ) -> Result<(), Status> {
        let most = service.terms.backlog_bytes;
        // All of a request are of one key, which may be new.
        let key = messages.first().map_or("", |m| m.ordering_key.as_str());
        let memory = bytes + messages.len() * (key.len() + AROUND) + key_memory(key);
        let full = self
            .subscriptions
            .iter()
            .find(|subscription| subscription.backlog().unacked_bytes() + memory > most);
        let refused = if let Some(full) = full {
            format!(
                "The backlog of {} is full: the local Pub/Sub keeps {most} bytes unacknowledged.",
                full.name
            )
        } else if self.is_too_fast(service, messages, bytes) {
            "Quota exceeded: 1 MB/s for each ordering key.".to_owned()
        } else {
            return Ok(());
        };
        service.counters.add(|counts| counts.throttled += 1);
        Err(Status::resource_exhausted(refused))
    }

    fn is_too_fast(
        &mut self,
        service: &Service,
        messages: &[v1::PubsubMessage],
        bytes: usize,
    ) -> bool {
        let key = messages.first().map_or("", |m| m.ordering_key.as_str());
        if !service.terms.limits || key.is_empty() {
            return false;
        }
        let now = Instant::now();
        if self.rates.len() >= KEYS {
            self.rates.retain(|_, bucket| !bucket.is_full(now));
        }
        let bucket = self
            .rates
            .entry(key.into())
            .or_insert_with(|| Bucket::new(KEY_RATE, now));
        let open = bucket.wait(now).is_zero();
        if open {
            bucket.take(bytes);
        }
        !open
    }

    fn keep(&mut self, written: Vec<Arc<Message>>, now: SystemTime) {
        if self.kept.is_none() && self.snapshots.is_empty() {
            return;
        }
        self.log_bytes += written.iter().map(|m| m.memory()).sum::<usize>();
        self.log.extend(written);
        self.trim(now);
    }

    fn trim(&mut self, now: SystemTime) {
        self.snapshots
            .retain(|snapshot| snapshot.strong_count() > 0);
        while let Some(oldest) = self.log.front() {
            let age = now.duration_since(oldest.published).unwrap_or_default();
            let kept = self.kept.is_some_and(|kept| age < kept) || self.is_in_snapshot(oldest.id);
            if kept && self.log_bytes <= self.retained_bytes {
                break;
            }
            self.log_bytes -= oldest.memory();
            self.log.pop_front();
        }
    }

    fn is_in_snapshot(&self, id: u64) -> bool {
        let mut snapshots = self.snapshots.iter().filter_map(Weak::upgrade);
        snapshots.any(|snapshot| id >= snapshot.from)
    }

    /// What is kept, oldest first.
    pub(super) fn log(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.log.iter()
    }

    /// Keeps what comes from now on for a snapshot.
    pub(super) fn serve(&mut self, snapshot: &Arc<Snapshot>) {
        self.snapshots.push(Arc::downgrade(snapshot));
    }
}
