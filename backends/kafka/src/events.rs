use crate::trouble::{self, Trouble};
use rdkafka::{ClientContext, config::RDKafkaLogLevel, error::KafkaError};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Notify;

/// What librdkafka tells a consumer aside. Its callbacks only take note: what has to be done is
/// done by the consumer, which may wait.
#[derive(Debug, Default)]
pub struct Events {
    wake: Arc<Notify>,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// What librdkafka waits to be answered, whoever has taken note of it.
    asked: Mutex<Option<Asked>>,
    /// Nobody listens any more: give up at once what is asked for.
    closing: AtomicBool,
    pub(crate) trouble: Trouble,
}

/// What the group asks of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rebalance {
    /// Take these up.
    Assign(Vec<u32>),
    /// Give these up in good order.
    Revoke(Vec<u32>),
    /// These are gone.
    Lose(Vec<u32>),
    /// Open another client: this one stalls. Asked by the watchdog.
    Restart,
}

/// A question of the group, which only taking up or giving up answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    ToTakeUp,
    ToGiveUp,
}

impl Events {
    pub(crate) fn new(wake: Arc<Notify>) -> Self {
        Self {
            wake,
            ..Self::default()
        }
    }

    pub(crate) fn next_rebalance(&self) -> Option<Rebalance> {
        self.lock().pop_front()
    }

    /// As if the group had asked for it.
    pub(crate) fn ask(&self, rebalance: Rebalance) {
        self.lock().push_back(rebalance);
        self.wake.notify_one();
    }

    pub(crate) fn has_rebalance(&self) -> bool {
        !self.lock().is_empty()
    }

    /// What waits for its answer.
    pub(crate) fn asked(&self) -> Option<Asked> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was answered.
    pub(crate) fn answered(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// From now on nothing is noted.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Notes what the group asks for; false if nobody listens.
    pub(crate) fn rebalance(&self, assigned: bool, lost: bool, partitions: Vec<u32>) -> bool {
        if self.closing.load(Ordering::Acquire) {
            return false;
        }
        let rebalance = match (assigned, lost) {
            (true, _) => Rebalance::Assign(partitions),
            (false, true) => Rebalance::Lose(partitions),
            (false, false) => Rebalance::Revoke(partitions),
        };
        tracing::debug!(?rebalance);
        let asked = if assigned {
            Asked::ToTakeUp
        } else {
            Asked::ToGiveUp
        };
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        self.lock().push_back(rebalance);
        true
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Rebalance>> {
        self.rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        trouble::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.note(&error, reason);
    }
}
