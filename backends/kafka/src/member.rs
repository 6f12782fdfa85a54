use crate::{
    control::{Ask, let_go, list},
    error::{HUB, failed},
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

    /// Leaves the group and lets go of everything; blocks until that is done, a minute at most.
    pub(crate) fn leave(&self) {
        leave(self, &self.topic);
    }
}

/// How long a client takes to leave its group at most. Members that do not answer can hold a join up
/// for longer, and behind it the coordinator reads no leave: it answers a connection in turn.
const LEAVE: Duration = Duration::from_secs(60);

/// How long one that joins for the first time is waited for.
const JOIN: Duration = Duration::from_secs(10);

/// librdkafka 2.12.1 says that it leaves only where no rebalance is under way: closed in one, it goes
/// without a word, and the group misses it only after its session. So it is closed when it has left.
fn leave(member: &NativeMember, topic: &str) {
    let until = Instant::now() + LEAVE;
    member.events().close();
    if member.is_subscribed() {
        await_id(member, topic);
        // Before any answer, after which it would join anew. Amid a rebalance it is put off to the end
        // of that, before the next join.
        member.unsubscribe();
    }
    serve_until(member, until, || !member.is_known());
    if member.is_known() {
        tracing::warn!(
            hub = HUB,
            "a rebalance did not end; the group misses this member after its session"
        );
    }
    if let Err(error) = member.close() {
        tracing::debug!(%error, "the consumer could not be closed");
        return;
    }
    serve_until(member, until, || member.closed());
}

/// A first join is answered with an id, under which the group waits for another join. Unsubscribed
/// before it has come, librdkafka would not tell the group that there is none.
fn await_id(member: &NativeMember, topic: &str) {
    let until = Instant::now() + JOIN;
    while !member.is_known() {
        // The coordinator answers in turn: a join that went before this question is answered before.
        let left = until.saturating_duration_since(Instant::now());
        let any = list(topic, &[0], Offset::Invalid);
        let asked = any.and_then(|any| member.committed(any, left));
        if let Err(error) = &asked {
            tracing::debug!(%error, "the group was left amid a join");
        }
        if asked.is_err() || member.has_joined() || Instant::now() >= until {
            return;
        }
        sleep(PAUSE);
    }
}

const PAUSE: Duration = Duration::from_millis(2);

/// Answers what librdkafka asks for; what it has fetched is nobody's any more.
fn serve_until(member: &NativeMember, until: Instant, done: impl Fn() -> bool) {
    while !done() && Instant::now() < until {
        let answered = match member.events().asked() {
            Some(Asked::ToTakeUp) => member.take_up(&TopicPartitionList::new()),
            Some(Asked::ToGiveUp) => member.give_up_all(),
            None => Ok(()),
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "a rebalance at the close");
        }
        if member.fetch(1_000).len() == 0 {
            sleep(PAUSE);
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
                    leave(&member, &topic);
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
