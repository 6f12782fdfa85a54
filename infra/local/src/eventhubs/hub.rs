//! The namespace and its hubs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use super::access::Bearers;
use super::amqp::message::Message;
use super::amqp::performative::Error;
use super::amqp::read::Malformed;
use super::counts::Counters;
use super::faults::Dice;
use super::hash;
use super::limits::Throughput;
use super::log::{Log, Retention};
use super::readers::Readers;

/// The group that every hub has.
pub(super) const DEFAULT_GROUP: &str = "$Default";

/// All that the connections share.
#[derive(Debug)]
pub(super) struct Namespace {
    hubs: Mutex<BTreeMap<String, Arc<Hub>>>,
    retention: Retention,
    pub(super) throughput: Throughput,
    pub(super) dice: Dice,
    pub(super) counters: Counters,
    pub(super) bearers: Bearers,
}

impl Namespace {
    pub(super) fn new(retention: Retention, units: Option<u32>, dice: Dice) -> Self {
        Namespace {
            hubs: Mutex::default(),
            retention,
            throughput: Throughput::new(units),
            dice,
            counters: Counters::default(),
            bearers: Bearers::default(),
        }
    }

    /// False if there is one of that name.
    pub(super) fn create(&self, name: &str, partitions: u32) -> bool {
        let mut hubs = lock(&self.hubs);
        let key = name.to_ascii_lowercase();
        if hubs.contains_key(&key) {
            return false;
        }
        let hub = Hub::new(name, partitions, self.retention);
        hubs.insert(key, Arc::new(hub));
        true
    }

    /// Ends its links too. False if there is none.
    pub(super) fn delete(&self, name: &str) -> bool {
        let Some(hub) = lock(&self.hubs).remove(&name.to_ascii_lowercase()) else {
            return false;
        };
        hub.deleted.store(true, Ordering::Release);
        hub.wake_all();
        true
    }

    pub(super) fn hub(&self, name: &str) -> Option<Arc<Hub>> {
        lock(&self.hubs).get(&name.to_ascii_lowercase()).cloned()
    }

    /// Drops what is past retention.
    pub(super) fn trim(&self) {
        let hubs: Vec<_> = lock(&self.hubs).values().cloned().collect();
        for partition in hubs.iter().flat_map(|hub| &hub.partitions) {
            drop(partition.log());
        }
    }

    /// What is kept of all events, in bytes.
    pub(super) fn stored(&self) -> usize {
        let hubs: Vec<_> = lock(&self.hubs).values().cloned().collect();
        let partitions = hubs.iter().flat_map(|hub| &hub.partitions);
        partitions.map(|partition| partition.log().bytes()).sum()
    }
}

#[derive(Debug)]
pub(super) struct Hub {
    pub(super) name: String,
    /// Milliseconds since 1970.
    pub(super) created: i64,
    pub(super) partitions: Box<[Partition]>,
    groups: Mutex<Vec<String>>,
    /// Where the next event without a key goes.
    turn: AtomicUsize,
    deleted: AtomicBool,
    /// The connections with a link to it.
    connections: Mutex<Vec<Weak<Notify>>>,
}

impl Hub {
    fn new(name: &str, partitions: u32, retention: Retention) -> Self {
        Hub {
            name: name.to_owned(),
            created: now(),
            partitions: (0..partitions).map(|_| Partition::new(retention)).collect(),
            groups: Mutex::new(vec![DEFAULT_GROUP.to_ascii_lowercase()]),
            turn: AtomicUsize::new(0),
            deleted: AtomicBool::new(false),
            connections: Mutex::default(),
        }
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// The index of the partition of this id.
    pub(super) fn partition(&self, id: &str) -> Result<usize, Error> {
        let index = id.parse().ok().filter(|n| *n < self.partitions.len());
        // "01" and "+1" are no ids.
        let index = index.filter(|n: &usize| n.to_string() == id);
        index.ok_or_else(|| {
            let last = self.partitions.len().saturating_sub(1);
            Error::new(
                "com.microsoft:argument-out-of-range",
                format!(
                    "The specified partition is invalid for an EventHub partition sender or receiver. \
                     It should be between 0 and {last}. Parameter name: PartitionId"
                ),
            )
        })
    }

    /// The partition that an event goes to when its sender leaves it to the hub.
    pub(super) fn choose(&self, key: Option<&str>) -> usize {
        match key {
            Some(key) => hash::partition(key, self.partitions.len()),
            None => self.turn.fetch_add(1, Ordering::Relaxed) % self.partitions.len().max(1),
        }
    }

    pub(super) fn create_group(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let mut groups = lock(&self.groups);
        let is_new = !groups.contains(&name);
        if is_new {
            groups.push(name);
        }
        is_new
    }

    pub(super) fn has_group(&self, name: &str) -> bool {
        lock(&self.groups).contains(&name.to_ascii_lowercase())
    }

    /// Has a connection woken when the hub is deleted.
    pub(super) fn connect(&self, wake: &Arc<Notify>) {
        let mut connections = lock(&self.connections);
        connections.retain(|other| other.strong_count() > 0);
        if !connections
            .iter()
            .any(|other| other.as_ptr() == Arc::as_ptr(wake))
        {
            connections.push(Arc::downgrade(wake));
        }
    }

    fn wake_all(&self) {
        for connection in lock(&self.connections).drain(..) {
            if let Some(wake) = connection.upgrade() {
                wake.notify_one();
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Partition {
    log: Mutex<Log>,
    /// Connections of readers that have read everything.
    waiting: Mutex<Vec<Arc<Notify>>>,
    pub(super) readers: Readers,
}

impl Partition {
    fn new(retention: Retention) -> Self {
        Partition {
            log: Mutex::new(Log::new(retention)),
            waiting: Mutex::default(),
            readers: Readers::default(),
        }
    }

    /// The events, without what is past retention.
    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        let mut log = lock(&self.log);
        log.trim(now());
        log
    }

    /// Writes all events or none, and wakes who waits for them.
    pub(super) fn append(
        &self,
        events: &[Message<'_>],
        key: Option<&str>,
    ) -> Result<(), Malformed> {
        lock(&self.log).append(events, key, now())?;
        for wake in lock(&self.waiting).drain(..) {
            wake.notify_one();
        }
        Ok(())
    }

    /// Has a connection woken when events come; to be called with the log in hand, after it was found to have no more.
    pub(super) fn wait(&self, _log: &MutexGuard<'_, Log>, wake: &Arc<Notify>) {
        let mut waiting = lock(&self.waiting);
        if !waiting.iter().any(|other| Arc::ptr_eq(other, wake)) {
            waiting.push(Arc::clone(wake));
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
