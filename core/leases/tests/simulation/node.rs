//! A process with one member: its clock, its application, how it is doing.

use anyhub_leases::{Grant, Member};
use std::{sync::Arc, time::Duration};

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: Arc<str>,
    /// None: it crashed or left.
    pub(crate) member: Option<Member>,
    /// Which process it is of those that ran here: what was meant for an earlier one is dropped.
    pub(crate) life: u32,
    pub(crate) clock: Skewed,
    pub(crate) paused_until: u64,
    /// What it asks reaches the store only from then on.
    pub(crate) cut_until: u64,
    /// What the store answers reaches it only from then on.
    pub(crate) deaf_until: u64,
    /// Its application does nothing until then.
    pub(crate) hung_until: u64,
    pub(crate) leaving: bool,
    pub(crate) wake_at: u64,
    pub(crate) list_at: u64,
    pub(crate) works: Vec<Work>,
    /// By shard: when the last write of this member as its owner began that was answered well.
    pub(crate) renewed: Vec<u64>,
    /// When its last pause ended.
    pub(crate) resumed_at: u64,
}

/// What its application does with a partition.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) grant: Grant,
    pub(crate) shard: usize,
    /// The last position delivered, and the last one acknowledged.
    pub(crate) cursor: u64,
    pub(crate) acked: u64,
    pub(crate) asked: bool,
    /// Released or finished.
    pub(crate) closing: bool,
    /// Calls not settled yet: ticket, generation, position.
    pub(crate) calls: Vec<(u64, u64, u64)>,
}

/// A clock that starts anywhere and runs a little fast or slow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Skewed {
    pub(crate) origin: u64,
    /// In parts per million of the true rate.
    pub(crate) rate: u64,
}

impl Skewed {
    pub(crate) fn read(self, at: u64) -> Duration {
        Duration::from_nanos(self.origin + at / 1_000 * self.rate / 1_000)
    }

    /// The first true time at which it shows at least `reading`.
    pub(crate) fn when(self, reading: Duration) -> u64 {
        let reading = u64::try_from(reading.as_nanos()).unwrap_or(u64::MAX);
        let since = reading.saturating_sub(self.origin);
        if since > 1 << 50 {
            return u64::MAX;
        }
        (since * 1_000).div_ceil(self.rate) * 1_000 + 1_000
    }
}

impl Node {
    pub(crate) fn local(&self, now: u64) -> Duration {
        self.clock.read(now)
    }

    /// Whether this process may deliver from the shard at this moment.
    pub(crate) fn may_deliver(&self, shard: usize, now: u64) -> bool {
        let Some(member) = &self.member else {
            return false;
        };
        let mut works = self.works.iter();
        let work = works.find(|work| work.shard == shard);
        work.is_some_and(|work| member.may_deliver(&work.grant, self.local(now)))
    }
}
