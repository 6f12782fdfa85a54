use super::{
    HUB,
    group::Group,
    log::{Keep, Log},
    member::{End, Member},
};
use crate::{
    ConsumerOptions, Error, ErrorKind, Limits, Result, Retention,
    sync::{Mutex, lock},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// A topic: its partitions and the groups that read it.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) limits: Limits,
    logs: Mutex<Arc<[Arc<Log>]>>,
    keep: Mutex<Keep>,
    groups: Mutex<Groups>,
    /// Producers that wait for consumers to be done with what is kept.
    waiting: AtomicUsize,
    gone: AtomicBool,
}

/// Locked before any group is, and while partitions are added: no group misses one.
#[derive(Debug, Default)]
struct Groups {
    named: BTreeMap<String, Arc<Group>>,
    private: Vec<Weak<Group>>,
}

impl Groups {
    fn all(&self) -> impl Iterator<Item = Arc<Group>> {
        let private = self.private.iter().filter_map(Weak::upgrade);
        self.named.values().cloned().chain(private)
    }
}

impl Topic {
    pub(super) fn new(name: &str, partitions: u32, keep: Keep, limits: Limits) -> Self {
        Self {
            name: name.to_owned(),
            limits,
            logs: Mutex::new((0..partitions).map(|_| Arc::new(Log::new(keep))).collect()),
            keep: Mutex::new(keep),
            groups: Mutex::default(),
            waiting: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
        }
    }

    pub(super) fn logs(&self) -> Arc<[Arc<Log>]> {
        lock(&self.logs).clone()
    }

    pub(super) fn log(&self, partition: u32) -> Option<Arc<Log>> {
        lock(&self.logs).get(partition as usize).cloned()
    }

    pub(super) fn retention(&self) -> Retention {
        let keep = lock(&self.keep);
        let mut retention = Retention::new();
        (retention.time, retention.bytes) = (keep.time, keep.bytes);
        retention
    }

    pub(super) fn set_retention(&self, retention: &Retention) {
        let mut keep = lock(&self.keep);
        (keep.time, keep.bytes) = (retention.time, retention.bytes);
        self.logs().iter().for_each(|log| log.set_keep(*keep));
    }

    /// Adds partitions up to this number; Err has the number that there is.
    pub(super) fn grow(&self, partitions: u32) -> Result<(), usize> {
        let groups = lock(&self.groups);
        let keep = *lock(&self.keep);
        let mut logs = self.logs().to_vec();
        if partitions as usize <= logs.len() {
            return Err(logs.len());
        }
        logs.resize_with(partitions as usize, || Arc::new(Log::new(keep)));
        *lock(&self.logs) = logs.clone().into();
        groups.all().for_each(|group| group.grow(&logs));
        Ok(())
    }

    /// Takes a consumer into its group, or into one of its own.
    pub(super) fn join(
        &self,
        options: &ConsumerOptions,
        id: u64,
    ) -> Result<(Arc<Group>, Arc<Member>)> {
        let mut groups = lock(&self.groups);
        self.check("consumer")?;
        let group = match &options.group {
            Some(name) => {
                let make = || Arc::new(Group::new(id, true, &self.logs()));
                groups
                    .named
                    .entry(name.clone())
                    .or_insert_with(make)
                    .clone()
            }
            None => {
                let group = Arc::new(Group::new(id, false, &self.logs()));
                groups.private.retain(|other| other.strong_count() > 0);
                groups.private.push(Arc::downgrade(&group));
                group
            }
        };
        let member = Arc::new(Member::new(id, options));
        group.join(&member)?;
        Ok((group, member))
    }

    /// The named groups that have members or checkpoints.
    pub(super) fn groups(&self) -> Vec<(String, Arc<Group>)> {
        let groups = lock(&self.groups);
        let existing = groups.named.iter().filter(|(_, group)| group.exists());
        existing
            .map(|(name, group)| (name.clone(), group.clone()))
            .collect()
    }

    /// Notes that a producer waits for room, until the guard goes. Where what is consumed may leave,
    /// acknowledgements are committed at once meanwhile, those before it included.
    pub(super) fn wait_for_room(&self) -> Option<WaitsForRoom<'_>> {
        if !lock(&self.keep).consumed {
            return None;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let waits = WaitsForRoom(self);
        let groups: Vec<_> = lock(&self.groups).named.values().cloned().collect();
        groups.iter().for_each(|group| group.commit_all());
        Some(waits)
    }

    pub(super) fn has_waiting_producers(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Ends every producer and consumer of it.
    pub(super) fn end(&self, end: End) {
        let groups = lock(&self.groups);
        self.gone.store(true, Ordering::SeqCst);
        groups.all().for_each(|group| group.end(end));
        self.logs().iter().for_each(|log| log.room.notify_waiters());
    }

    /// NotFound once it was deleted.
    pub(super) fn check(&self, operation: &'static str) -> Result<()> {
        if self.gone.load(Ordering::SeqCst) {
            let message = format!("the topic '{}' was deleted", self.name);
            return Err(Error::new(ErrorKind::NotFound, HUB, operation, message));
        }
        Ok(())
    }
}

/// Says, while it lives, that a producer waits for room.
pub(super) struct WaitsForRoom<'a>(&'a Topic);

impl Drop for WaitsForRoom<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
