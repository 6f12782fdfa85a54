use crate::{
    Event,
    driver::key_hash,
    sync::{Mutex, MutexGuard, lock},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Weak,
    time::{Duration, SystemTime},
};
use tokio::sync::Notify;

/// What an event occupies beside its own bytes.
pub(super) const ENTRY_BYTES: u64 = size_of::<Entry>() as u64;

/// Events of one segment: the log grows and shrinks by these, so that no large block is ever moved.
const SEGMENT: usize = if cfg!(miri) { 16 } else { 1024 };

/// What a partition keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keep {
    pub(super) time: Option<Duration>,
    pub(super) bytes: Option<u64>,
    /// Above this, appending waits, unless `bytes` is set.
    pub(super) capacity: u64,
    /// Whether what every group has committed may leave when room is needed.
    pub(super) consumed: bool,
}

/// One partition: events at rising offsets, with what is kept of them.
#[derive(Debug)]
pub(super) struct Log {
    inner: Mutex<Inner>,
    /// Told when there may be room again.
    pub(super) room: Notify,
}

#[derive(Debug)]
pub(super) struct Inner {
    /// All but the first and the last hold [`SEGMENT`] entries.
    segments: VecDeque<VecDeque<Entry>>,
    spare: Option<VecDeque<Entry>>,
    first: i64,
    next: i64,
    bytes: u64,
    newest: SystemTime,
    keep: Keep,
    /// Where each consumer group would resume.
    checkpoints: BTreeMap<u64, i64>,
    /// Consumers that found nothing more to read.
    waiting: Vec<Weak<Notify>>,
}

/// An event in the log.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) published: SystemTime,
    /// Hashed when it is written, while the key is at hand: to touch it again later is a cache miss.
    key: u64,
}

impl Entry {
    /// The [`key_hash`] of its key.
    pub(super) fn key(&self) -> Option<u64> {
        self.event.key.is_some().then_some(self.key)
    }
}

/// There is no room now.
#[derive(Debug)]
pub(super) struct Full {
    /// When time makes room, if it does.
    pub(super) until: Option<SystemTime>,
}

impl Log {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            inner: Mutex::new(Inner {
                segments: VecDeque::new(),
                spare: None,
                first: 0,
                next: 0,
                bytes: 0,
                newest: SystemTime::UNIX_EPOCH,
                keep,
                checkpoints: BTreeMap::new(),
                waiting: Vec::new(),
            }),
            room: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// The log as it is now, without what time has taken.
    pub(super) fn now(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        inner.expire();
        inner
    }

    pub(super) fn set_keep(&self, keep: Keep) {
        let mut inner = self.lock();
        inner.keep = keep;
        inner.expire();
        inner.trim();
        drop(inner);
        self.room.notify_waiters();
    }

    /// Notes where a group would resume, which may make room; None: the group is gone.
    pub(super) fn set_checkpoint(&self, group: u64, next: Option<i64>) {
        let mut inner = self.lock();
        match next {
            Some(next) => inner.checkpoints.insert(group, next),
            None => inner.checkpoints.remove(&group),
        };
        let consumed = inner.keep.consumed;
        drop(inner);
        if consumed {
            self.room.notify_waiters();
        }
    }
}

impl Inner {
    /// The offset of the oldest event kept.
    pub(super) fn first(&self) -> i64 {
        self.first
    }

    /// The offset of the next event to come.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    pub(super) fn get(&self, offset: i64) -> Option<&Entry> {
        let index = usize::try_from(offset.checked_sub(self.first)?).ok()?;
        let front = self.segments.front()?;
        match index.checked_sub(front.len()) {
            None => front.get(index),
            Some(rest) => self.segments.get(1 + rest / SEGMENT)?.get(rest % SEGMENT),
        }
    }

    /// The events from `offset` on, as far as they stand side by side in memory; empty at the end.
    pub(super) fn run(&self, offset: i64) -> &[Entry] {
        let Ok(index) = usize::try_from(offset - self.first) else {
            return &[];
        };
        let front = self.segments.front().map_or(0, VecDeque::len);
        let (segment, index) = match index.checked_sub(front) {
            None => (0, index),
            Some(rest) => (1 + rest / SEGMENT, rest % SEGMENT),
        };
        let Some(segment) = self.segments.get(segment) else {
            return &[];
        };
        let (first, second) = segment.as_slices();
        match index.checked_sub(first.len()) {
            None => &first[index..],
            Some(index) => second.get(index..).unwrap_or_default(),
        }
    }

    /// The offset of the first event published at or after `time`; the next one's if there is none.
    pub(super) fn offset_at(&self, time: SystemTime) -> i64 {
        let (mut low, mut high) = (self.first, self.next);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(|entry| entry.published < time) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Makes room for so many bytes, or says that there is none.
    pub(super) fn make_room(&mut self, bytes: u64) -> Result<(), Full> {
        self.expire();
        if self.keep.bytes.is_some() {
            return Ok(());
        }
        let capacity = self.keep.capacity;
        if self.bytes + bytes > capacity && self.keep.consumed {
            let consumed = self.checkpoints.values().min().copied();
            let consumed = consumed.unwrap_or(self.first);
            while self.first < consumed && self.bytes + bytes > capacity {
                self.pop();
            }
        }
        if self.bytes + bytes <= capacity {
            return Ok(());
        }
        let oldest = self.get(self.first).map(|entry| entry.published);
        Err(Full {
            until: oldest
                .zip(self.keep.time)
                .and_then(|(oldest, time)| oldest.checked_add(time)),
        })
    }

    /// Sets the publish time of what is appended next; it never goes back.
    pub(super) fn tick(&mut self, now: SystemTime) {
        self.newest = self.newest.max(now);
    }

    /// Appends an event after [`make_room`](Self::make_room) and returns its offset.
    pub(super) fn append(&mut self, event: Event) -> i64 {
        if self
            .segments
            .back()
            .is_none_or(|last| last.len() >= SEGMENT)
        {
            // The first segment of a partition grows as it fills: most partitions stay small.
            let segment = match (self.spare.take(), self.segments.is_empty()) {
                (Some(spare), _) => spare,
                (None, true) => VecDeque::new(),
                (None, false) => VecDeque::with_capacity(SEGMENT),
            };
            self.segments.push_back(segment);
        }
        self.bytes += event.size() as u64 + ENTRY_BYTES;
        if let Some(last) = self.segments.back_mut() {
            let key = event.key.as_ref();
            last.push_back(Entry {
                key: key.map_or(0, |key| key_hash(key.as_bytes())),
                published: self.newest,
                event,
            });
        }
        self.next += 1;
        self.next - 1
    }

    /// Ends a run of appends: the oldest leave where retention by size asks for it. Returns the
    /// consumers to wake.
    pub(super) fn appended(&mut self) -> Vec<Weak<Notify>> {
        self.trim();
        std::mem::take(&mut self.waiting)
    }

    /// Wakes this consumer at the next append.
    pub(super) fn wait(&mut self, consumer: Weak<Notify>) {
        self.waiting
            .retain(|other| other.strong_count() > 0 && !other.ptr_eq(&consumer));
        self.waiting.push(consumer);
    }

    fn expire(&mut self) {
        if let Some(time) = self.keep.time
            && let Some(limit) = SystemTime::now().checked_sub(time)
        {
            while self
                .get(self.first)
                .is_some_and(|entry| entry.published <= limit)
            {
                self.pop();
            }
        }
    }

    fn trim(&mut self) {
        if let Some(most) = self.keep.bytes {
            // The newest event stays, however large.
            while self.bytes > most && self.next - self.first > 1 {
                self.pop();
            }
        }
    }

    fn pop(&mut self) {
        let Some(front) = self.segments.front_mut() else {
            return;
        };
        if let Some(entry) = front.pop_front() {
            self.bytes -= entry.event.size() as u64 + ENTRY_BYTES;
            self.first += 1;
        }
        if front.is_empty() {
            self.spare = self.segments.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KEEP: Keep = Keep {
        time: None,
        bytes: None,
        capacity: 1 << 30,
        consumed: false,
    };

    fn event(number: i64) -> Event {
        Event::new(number.to_be_bytes().to_vec())
    }

    const EACH: u64 = 8 + ENTRY_BYTES;

    #[test]
    fn offsets_hold_while_segments_come_and_go() {
        let log = Log::new(Keep {
            bytes: Some(3 * SEGMENT as u64 * EACH),
            ..KEEP
        });
        let mut inner = log.lock();
        for number in 0..10 * SEGMENT as i64 {
            inner.make_room(EACH).unwrap();
            assert_eq!(inner.append(event(number)), number);
            inner.appended();
            assert!(inner.bytes <= 3 * SEGMENT as u64 * EACH);
            for offset in [inner.first, (inner.first + number) / 2, number] {
                assert_eq!(inner.get(offset).unwrap().event, event(offset));
                assert_eq!(inner.run(offset)[0].event, event(offset));
            }
            for offset in [inner.first - 1, inner.next] {
                assert!(inner.get(offset).is_none() && inner.run(offset).is_empty());
            }
        }
        assert_eq!(inner.first, 7 * SEGMENT as i64);
        assert!(inner.segments.len() <= 4);
    }

    #[test]
    fn a_full_log_has_no_room_until_all_groups_are_past() {
        let log = Log::new(Keep {
            capacity: 4 * EACH,
            consumed: true,
            ..KEEP
        });
        let mut inner = log.lock();
        for number in 0..4 {
            inner.make_room(EACH).unwrap();
            inner.append(event(number));
        }
        assert!(inner.make_room(EACH).is_err(), "no group");
        drop(inner);
        log.set_checkpoint(1, Some(3));
        log.set_checkpoint(2, Some(1));
        let mut inner = log.lock();
        inner.make_room(EACH).unwrap();
        assert_eq!(inner.first, 1, "no more than needed leaves");
        assert!(inner.make_room(2 * EACH).is_err(), "group 2 is at 1");
        drop(inner);
        log.set_checkpoint(2, None);
        log.lock().make_room(2 * EACH).unwrap();
        assert_eq!(log.lock().first, 2);
    }

    #[test]
    fn finds_the_first_at_a_time() {
        let log = Log::new(KEEP);
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let mut inner = log.lock();
        for second in [10, 10, 20, 30] {
            inner.tick(at(second));
            inner.append(event(0));
        }
        let found = [0, 10, 11, 20, 30, 31].map(|second| inner.offset_at(at(second)));
        assert_eq!(found, [0, 0, 2, 2, 3, 4]);
    }

    #[test]
    fn the_clock_of_a_partition_never_goes_back() {
        let log = Log::new(KEEP);
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let mut inner = log.lock();
        for second in [20, 10] {
            inner.tick(at(second));
            let offset = inner.append(event(0));
            assert_eq!(inner.get(offset).unwrap().published, at(20));
        }
    }
}
