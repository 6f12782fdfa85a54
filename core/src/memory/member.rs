use super::{group::Group, topic::Topic};
use crate::{
    AckToken, ConsumerOptions, Error, ErrorKind, Point,
    acks::AckSink,
    driver::{LaneId, Lanes},
    memory::HUB,
    sync::{Mutex, lock},
};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// What a group knows of one consumer.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: u64,
    pub(super) lanes: Lanes<i64>,
    pub(super) start: Point,
    pub(super) max_processing: Duration,
    /// Wakes the consumer, or is kept for its next wait.
    pub(super) wake: Arc<Notify>,
    /// Raised before anything of the assignment changes: what was read under an older one is void.
    version: AtomicU64,
    /// Whether a partition waits for its last answers before it moves.
    draining: AtomicBool,
    told: Mutex<Vec<Told>>,
    presence: Mutex<Presence>,
    ended: OnceLock<End>,
}

/// What a group tells a consumer, in order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told {
    /// Read this partition from here on.
    Assigned {
        partition: u32,
        lane: LaneId,
        from: i64,
    },
    /// Deliver nothing more of it: it will move.
    Paused(u32),
    /// It stays after all.
    Resumed(u32),
    Revoked(u32),
    Lost(u32),
}

/// Why a consumer is over although it did not close.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Closed,
    TopicDeleted,
}

#[derive(Debug)]
struct Presence {
    receiving: bool,
    since: Instant,
}

impl Member {
    pub(super) fn new(id: u64, options: &ConsumerOptions) -> Self {
        Self {
            id,
            lanes: Lanes::new(options),
            start: options.start.clone(),
            max_processing: options.max_processing,
            wake: Arc::new(Notify::new()),
            version: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            told: Mutex::new(Vec::new()),
            presence: Mutex::new(Presence {
                receiving: false,
                since: Instant::now(),
            }),
            ended: OnceLock::new(),
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Must come before the change itself, so that a reader that still sees the old version reads
    /// what is still its own.
    pub(super) fn raise_version(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn tell(&self, told: Told) {
        lock(&self.told).push(told);
        self.wake.notify_one();
    }

    pub(super) fn take_told(&self) -> Vec<Told> {
        std::mem::take(&mut lock(&self.told))
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    pub(super) fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::SeqCst);
    }

    /// Notes that the application is inside `receive` or `seek`, until the guard goes.
    pub(super) fn receiving(&self) -> Receiving<'_> {
        lock(&self.presence).receiving = true;
        Receiving(self)
    }

    /// When it has gone too long without calling `receive`, if it does not call before (C2).
    pub(super) fn expires(&self, now: Instant) -> Option<Instant> {
        let presence = lock(&self.presence);
        let since = if presence.receiving {
            now
        } else {
            presence.since
        };
        since.checked_add(self.max_processing)
    }

    pub(super) fn end(&self, end: End) {
        self.ended.get_or_init(|| end);
        self.raise_version();
        self.wake.notify_one();
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    /// Why it can't go on, if it can't.
    pub(super) fn ended(&self, operation: &'static str) -> Option<Error> {
        let (kind, message) = match self.ended.get()? {
            End::Closed => (ErrorKind::Closed, "the consumer is closed"),
            End::TopicDeleted => (ErrorKind::NotFound, "the topic was deleted"),
        };
        Some(Error::new(kind, HUB, operation, message))
    }
}

/// Says, while it lives, that the application is inside `receive`.
pub(super) struct Receiving<'a>(&'a Member);

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        *lock(&self.0.presence) = Presence {
            receiving: false,
            since: Instant::now(),
        };
    }
}

/// Acknowledges for one member.
#[derive(Debug)]
pub(super) struct MemberAcks {
    pub(super) member: Arc<Member>,
    pub(super) group: Arc<Group>,
    pub(super) topic: Arc<Topic>,
}

impl AckSink for MemberAcks {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        let valid = self.member.lanes.ack(tokens);
        self.answered();
        if self.topic.has_waiting_producers() {
            self.group.commit(&self.member);
        }
        valid
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        let valid = self.member.lanes.nack(tokens);
        self.answered();
        valid
    }
}

impl MemberAcks {
    /// A partition that is to move goes with its last answer.
    fn answered(&self) {
        if self.member.is_draining() {
            self.group.answered(&self.member);
        }
    }
}
