use crate::{
    control::{Ask, let_go, list},
    error::failed,
    events::{Asked, Events},
    native::NativeMember,
};
use anyhub_core::Result;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// A client that is closed and dropped on a thread of its own, since that blocks.
pub(crate) struct Shell {
    /// None once it is dropped.
    member: Option<NativeMember>,
    topic: String,
}

impl Shell {
    /// Opens a client, which joins nothing yet; `wake` is notified when there is something to
    /// fetch. Blocks for a moment.
    pub(crate) fn open(
        config: &ClientConfig,
        topic: &str,
        wake: &Arc<Notify>,
        operation: &'static str,
    ) -> Result<Self> {
        let events = Events::new(wake.clone());
        let member = NativeMember::open(config, wake.clone(), events);
        Ok(Self {
            member: Some(member.map_err(|error| failed(operation, &error))?),
            topic: topic.to_owned(),
        })
    }

    /// Leaves the group and lets go of everything; blocks until that is done or `deadline` is over.
    pub(crate) fn leave(&self, deadline: Instant) {
        leave(self, &self.topic, deadline);
    }
}

/// How long a client that is dropped takes to leave its group at most.
const LEAVE: Duration = Duration::from_secs(60);

/// How long it waits for a join that is under way.
const JOIN: Duration = Duration::from_secs(10);

fn leave(member: &NativeMember, topic: &str, deadline: Instant) {
    member.events().close();
    // librdkafka leaves only when it has its answer: what was asked for and is not done yet is given
    // up with all the rest.
    if let Some(asked) = member.events().asked() {
        let given = match (asked, member.assignment()) {
            (Asked::ToTakeUp, _) => member.take_up(&TopicPartitionList::new()),
            (_, Ok(all)) => list(topic, &all, Offset::Invalid).and_then(|all| member.give_up(&all)),
            (_, Err(error)) => Err(error),
        };
        if let Err(error) = given {
            tracing::debug!(%error, "a rebalance at the close");
        }
    }
    if member.is_subscribed() {
        // The coordinator answers in turn. While a join waits for other members, a leave would wait
        // behind it, and librdkafka gives that up: the group would miss us only after the session.
        // So does this question wait, whose answer means that there is no such join any more.
        let any = list(topic, &[0], Offset::Invalid);
        let left = deadline.saturating_duration_since(Instant::now()).min(JOIN);
        if let Err(error) = any.and_then(|any| member.committed(any, left)) {
            tracing::debug!(%error, "the group was left amid a rebalance");
        }
        // A member of the cooperative protocol that owns nothing leaves by this, and not by its close.
        member.unsubscribe();
    }
    if let Err(error) = member.close() {
        tracing::debug!(%error, "the consumer could not be closed");
        return;
    }
    while !member.closed() && Instant::now() < deadline {
        if member.fetch(1_000).len() == 0 {
            sleep(Duration::from_millis(2));
        }
    }
}

impl Deref for Shell {
    type Target = NativeMember;

    fn deref(&self) -> &NativeMember {
        match &self.member {
            Some(member) => member,
            None => unreachable!("it is taken out only when dropped"),
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(member) = self.member.take() {
            let topic = std::mem::take(&mut self.topic);
            member.events().close();
            let_go(move || {
                if !member.closed() {
                    leave(&member, &topic, Instant::now() + LEAVE);
                }
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
