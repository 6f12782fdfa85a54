use crate::{
    control::let_go,
    error::failed,
    trouble::{self, Trouble},
};
use anyhub_core::Result;
use rdkafka::{
    ClientConfig, ClientContext, TopicPartitionList,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};
use std::{
    collections::VecDeque,
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// librdkafka's consumer.
pub type NativeMember = BaseConsumer<Events>;

/// What librdkafka tells a consumer aside. Its callbacks only take note: what has to be done is
/// done by the consumer, which may wait.
#[derive(Debug, Default)]
pub struct Events {
    wake: Arc<Notify>,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// Rises whenever a poll served something else than an event of the log.
    served: AtomicU64,
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

impl Events {
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

    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Rebalance>> {
        self.rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.serve();
        trouble::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.serve();
        self.trouble.note(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.serve();
        tracing::trace!(target: "librdkafka", "{}", String::from_utf8_lossy(statistics));
    }
}

impl ConsumerContext for Events {
    fn rebalance(
        &self,
        member: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.serve();
        let assigned = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Acquire) {
            // Nothing is taken up any more; what is asked back is given.
            let given = if assigned {
                take_up(member, &TopicPartitionList::new())
            } else {
                give_up(member, list)
            };
            if let Err(error) = given {
                tracing::debug!(%error, "a rebalance at the close");
            }
            return;
        }
        let partitions = list
            .elements()
            .iter()
            .map(|element| element.partition() as u32)
            .collect();
        let rebalance = if assigned {
            Rebalance::Assign(partitions)
        } else if member.assignment_lost() {
            Rebalance::Lose(partitions)
        } else {
            Rebalance::Revoke(partitions)
        };
        tracing::debug!(?rebalance);
        self.lock().push_back(rebalance);
    }

    fn commit_callback(&self, _: KafkaResult<()>, _: &TopicPartitionList) {
        self.serve();
    }
}

/// A client that is closed and dropped on a thread of its own, since that blocks.
pub(crate) struct Shell(Option<NativeMember>);

impl Shell {
    /// Opens a client, which joins nothing yet; `wake` is notified when there is something to
    /// poll. Blocks for a moment.
    pub(crate) fn open(
        config: &ClientConfig,
        wake: &Arc<Notify>,
        operation: &'static str,
    ) -> Result<Self> {
        let events = Events {
            wake: wake.clone(),
            ..Events::default()
        };
        let member = NativeMember::from_config_and_context(config, events);
        let mut member = member.map_err(|error| failed(operation, &error))?;
        let wake = wake.clone();
        member.set_nonempty_callback(move || wake.notify_one());
        Ok(Self(Some(member)))
    }

    pub(crate) fn events(&self) -> &Events {
        self.context()
    }

    /// Leaves the group and lets go of everything; blocks until that is done or `deadline` is over.
    pub(crate) fn leave(&self, deadline: Instant) {
        finish(self);
        if let Err(error) = self.close_queue() {
            tracing::debug!(%error, "the consumer could not be closed");
            return;
        }
        while !self.closed() && Instant::now() < deadline {
            self.poll(Duration::from_millis(50));
        }
    }
}

/// What was asked for and is not done yet is given up with all the rest.
fn finish(member: &NativeMember) {
    member.context().closing.store(true, Ordering::Release);
    if let Some(rebalance) = member.context().next_rebalance() {
        let given = match (rebalance, member.assignment()) {
            (Rebalance::Assign(_), _) => take_up(member, &TopicPartitionList::new()),
            (_, Ok(all)) => give_up(member, &all),
            (_, Err(error)) => Err(error),
        };
        if let Err(error) = given {
            tracing::debug!(%error, "a rebalance at the close");
        }
    }
}

/// Takes partitions up, in the way of the group's protocol.
pub(crate) fn take_up(member: &NativeMember, list: &TopicPartitionList) -> KafkaResult<()> {
    match member.rebalance_protocol() {
        RebalanceProtocol::Eager => member.assign(list),
        _ => member.incremental_assign(list),
    }
}

/// Gives partitions up, in the way of the group's protocol: with the eager one, all.
pub(crate) fn give_up(member: &NativeMember, list: &TopicPartitionList) -> KafkaResult<()> {
    match member.rebalance_protocol() {
        RebalanceProtocol::Eager => member.unassign(),
        _ => member.incremental_unassign(list),
    }
}

impl Deref for Shell {
    type Target = NativeMember;

    fn deref(&self) -> &NativeMember {
        match &self.0 {
            Some(member) => member,
            None => unreachable!("it is taken out only when dropped"),
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(member) = self.0.take() {
            // Dropping it waits, polling, until the group is left.
            let_go(move || {
                finish(&member);
                drop(member);
            });
        }
    }
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("librdkafka")
    }
}

/// librdkafka's consumer, as [`Consumer::native`](anyhub_core::Consumer::native) hands it out.
#[derive(Debug)]
pub struct NativeConsumer(Mutex<Arc<Shell>>);

impl NativeConsumer {
    pub(crate) fn new(shell: Shell) -> Self {
        Self(Mutex::new(Arc::new(shell)))
    }

    /// The client of the moment: one that stalls is replaced.
    pub fn with<T>(&self, use_it: impl FnOnce(&NativeMember) -> T) -> T {
        use_it(&self.shell())
    }

    pub(crate) fn shell(&self) -> Arc<Shell> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn replace(&self, shell: Shell) -> Arc<Shell> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, Arc::new(shell))
    }
}
