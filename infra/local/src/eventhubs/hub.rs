//! The namespace and its hubs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use super::access::Bearers;
use super::amqp::message::Message;
use super::amqp::performative::Error;
use super::amqp::read::Malformed;
use super::counts::Counters;
use super::faults::Dice;
use super::hash;
use super::log::{Log, Retention};
use super::readers::Readers;
use super::throughput::Throughput;

/// The group that every hub has.
pub(super) const DEFAULT_GROUP: &str = "$Default";

/// All that the connections share.
#[derive(Debug)]
pub(super) struct Namespace {
    hubs: Mutex<BTreeMap<String, Arc<Hub>>>,
    retention: Retention,
    /// What each partition's sequence numbers begin with.
    first: i64,
    /// How many there may be.
    pub(super) connections: u64,
    /// Bytes of deliveries that aren't whole yet, of all connections.
    pub(super) partial: AtomicUsize,
    pub(super) throughput: Throughput,
    pub(super) dice: Dice,
    pub(super) counters: Counters,
    pub(super) bearers: Bearers,
}

impl Namespace {
    pub(super) fn new(
        retention: Retention,
        first: i64,
        connections: u64,
        units: Option<u32>,
        dice: Dice,
    ) -> Self {
        Namespace {
            hubs: Mutex::default(),
            retention,
            first,
            connections,
            partial: AtomicUsize::new(0),
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
        let hub = Hub::new(name, partitions, self.retention, self.first);
        hubs.insert(key, Arc::new(hub));
        true
    }

    /// Ends its links too. False if there is none.
    pub(super) fn delete(&self, name: &str) -> bool {
        let Some(hub) = lock(&self.hubs).remove(&name.to_ascii_lowercase()) else {
            return false;
        };
        hub.deleted.store(true, Ordering::Release);
        wake_all(&hub.connections);
        true
    }

    pub(super) fn hub(&self, name: &str) -> Option<Arc<Hub>> {
        lock(&self.hubs).get(&name.to_ascii_lowercase()).cloned()
    }

    /// Drops what is past retention.
    pub(super) fn trim(&self) {
        let hubs: Vec<_> = lock(&self.hubs).values().cloned().collect();
        for partition in hubs.iter().flat_map(|hub| hub.partitions()) {
            drop(partition.log());
        }
    }

    /// What is kept of all events, in bytes.
    pub(super) fn stored(&self) -> usize {
        let hubs: Vec<_> = lock(&self.hubs).values().cloned().collect();
        let partitions = hubs.iter().flat_map(|hub| hub.partitions());
        partitions.map(|partition| partition.log().bytes()).sum()
    }
}

#[derive(Debug)]
pub(super) struct Hub {
    pub(super) name: String,
    /// Milliseconds since 1970.
    pub(super) created: i64,
    layout: Mutex<Layout>,
    groups: Mutex<Vec<String>>,
    /// Where the next event without a key goes.
    turn: AtomicUsize,
    deleted: AtomicBool,
    /// The connections with a link to it.
    connections: Mutex<Vec<Weak<Notify>>>,
}

/// What of a hub can be changed.
#[derive(Debug)]
struct Layout {
    partitions: Vec<Arc<Partition>>,
    /// What each partition keeps and begins with, those to come included.
    retention: Retention,
    first: i64,
}

impl Layout {
    fn grow(&mut self, partitions: u32) {
        let (retention, first) = (self.retention, self.first);
        let partition = || Arc::new(Partition::new(retention, first));
        self.partitions.resize_with(partitions as usize, partition);
    }
}

impl Hub {
    fn new(name: &str, partitions: u32, retention: Retention, first: i64) -> Self {
        let mut layout = Layout {
            partitions: Vec::new(),
            retention,
            first,
        };
        layout.grow(partitions);
        Hub {
            name: name.to_owned(),
            created: now(),
            layout: Mutex::new(layout),
            groups: Mutex::new(vec![DEFAULT_GROUP.to_ascii_lowercase()]),
            turn: AtomicUsize::new(0),
            deleted: AtomicBool::new(false),
            connections: Mutex::default(),
        }
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// All partitions, in their order.
    pub(super) fn partitions(&self) -> Vec<Arc<Partition>> {
        lock(&self.layout).partitions.clone()
    }

    /// Adds partitions, empty ones, until there are so many. False if there are as many already.
    pub(super) fn grow(&self, partitions: u32) -> bool {
        let mut layout = lock(&self.layout);
        let is_more = partitions as usize > layout.partitions.len();
        if is_more {
            layout.grow(partitions);
        }
        is_more
    }

    /// Changes what each partition keeps.
    pub(super) fn keep(&self, bytes: Option<usize>, time: Option<Duration>) {
        let mut layout = lock(&self.layout);
        let old = layout.retention;
        layout.retention = Retention {
            bytes: bytes.unwrap_or(old.bytes),
            time: time.unwrap_or(old.time),
        };
        for partition in &layout.partitions {
            lock(&partition.log).keep(layout.retention, now());
        }
    }

    /// The partition of this id.
    pub(super) fn partition(&self, id: &str) -> Result<Arc<Partition>, Error> {
        let layout = lock(&self.layout);
        // "01" and "+1" are no ids.
        let index = id.parse().ok().filter(|n: &usize| n.to_string() == id);
        let found = index.and_then(|index| layout.partitions.get(index));
        found.cloned().ok_or_else(|| {
            let last = layout.partitions.len().saturating_sub(1);
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
    pub(super) fn choose(&self, key: Option<&str>) -> Option<Arc<Partition>> {
        let partitions = &lock(&self.layout).partitions;
        let index = match key {
            Some(key) => hash::partition(key, partitions.len()),
            None => self.turn.fetch_add(1, Ordering::Relaxed) % partitions.len().max(1),
        };
        partitions.get(index).cloned()
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
        add(&self.connections, wake);
    }
}

#[derive(Debug)]
pub(super) struct Partition {
    log: Mutex<Log>,
    /// Connections of readers that have read everything.
    waiting: Mutex<Vec<Weak<Notify>>>,
    pub(super) readers: Readers,
}

impl Partition {
    fn new(retention: Retention, first: i64) -> Self {
        Partition {
            log: Mutex::new(Log::new(retention, first)),
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
        keys: &[Option<&str>],
    ) -> Result<(), Malformed> {
        lock(&self.log).append(events, keys, now())?;
        wake_all(&self.waiting);
        Ok(())
    }

    /// Has a connection woken when events come; to be called with the log in hand, after it was found to have no more.
    pub(super) fn wait(&self, _log: &MutexGuard<'_, Log>, wake: &Arc<Notify>) {
        add(&self.waiting, wake);
    }
}

/// Adds a connection that is to be woken, once; those that have ended go.
fn add(waiting: &Mutex<Vec<Weak<Notify>>>, wake: &Arc<Notify>) {
    let mut waiting = lock(waiting);
    waiting.retain(|other| other.strong_count() > 0);
    let is_there = |other: &Weak<Notify>| other.as_ptr() == Arc::as_ptr(wake);
    if !waiting.iter().any(is_there) {
        waiting.push(Arc::downgrade(wake));
    }
}

fn wake_all(waiting: &Mutex<Vec<Weak<Notify>>>) {
    for connection in lock(waiting).drain(..) {
        if let Some(wake) = connection.upgrade() {
            wake.notify_one();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn connections_that_have_ended_are_not_waited_with() {
        let retention = Retention {
            bytes: 1,
            time: Duration::MAX,
        };
        let partition = Partition::new(retention, 0);
        let wake = Arc::new(Notify::new());
        for _ in 0..100 {
            partition.wait(&partition.log(), &wake);
            partition.wait(&partition.log(), &Arc::new(Notify::new()));
        }
        assert!(lock(&partition.waiting).len() <= 2);
    }

    #[test]
    fn what_is_changed_holds_for_partitions_that_are_there_and_to_come() {
        let retention = Retention {
            bytes: 1 << 20,
            time: Duration::from_secs(60),
        };
        let hub = Hub::new("h", 1, retention, 0);
        assert!(hub.partition("1").is_err());
        hub.keep(Some(1), None);
        assert!(hub.grow(3) && !hub.grow(3) && !hub.grow(2));
        let mut event = vec![0x00, 0x53, 0x75, 0xa0, 1];
        event.push(b'x');
        for id in ["0", "2"] {
            let partition = hub.partition(id).unwrap();
            for _ in 0..3 {
                let events = [Message::read(&event).unwrap()];
                partition.append(&events, &[None]).unwrap();
            }
            let ends = partition.log().ends();
            assert_eq!((ends.first, ends.last), (2, 2), "only the last one is kept");
        }
        hub.keep(None, Some(Duration::ZERO));
        let partition = hub.partition("0").unwrap();
        while !partition.log().ends().empty {
            std::thread::yield_now();
        }
    }
}
