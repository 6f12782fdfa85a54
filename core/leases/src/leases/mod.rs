//! A [`Member`] on tokio, over a store.

mod task;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use crate::{
    Grant, LeaseStore, Member, NewPartition, Options, Scope,
    member::{Event, Stale},
};
use anyhub_core::{Error, ErrorKind, Result};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot, watch},
    task::AbortHandle,
    time::timeout,
};

/// A member of a group, which keeps its leases in the background: they are renewed whether or not
/// anything is called (C2).
///
/// Every call resolves within [`Options::deadline`]; a call that is dropped may be done all the
/// same. Dropped without [`leave`](Self::leave), it stops as if it had crashed: its partitions are
/// taken by others once their leases have run out.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhub_core::Result<()> {
/// use anyhub_leases::{Change, Leases, MemoryLeases, NewPartition, Options, Scope};
/// use std::sync::Arc;
///
/// let store = Arc::new(MemoryLeases::new());
/// let scope = Scope::new("kinesis", "tweets", "score");
/// let shards = ["shard-0", "shard-1"].map(NewPartition::new);
/// let leases = Leases::join(store, scope, Options::new(), shards).await?;
///
/// let mut granted = 0;
/// while granted < 2 {
///     for change in leases.changed().await? {
///         match change {
///             Change::Granted(grant) => {
///                 granted += 1;
///                 assert!(leases.may_deliver(&grant));
///                 // Read on from grant.checkpoint; then, when events are processed:
///                 leases.checkpoint(&grant, "49590338271490256608").await?;
///             }
///             Change::Asked(_) => {} // deliver no more, drain, then leases.release(..)
///             Change::Lost(_) => {} // its events come again elsewhere
///         }
///     }
/// }
/// leases.leave().await
/// # }
/// ```
pub struct Leases {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// A change of what a member owns. Each must be acted on, so a new kind would be a new major
/// version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The partition is this member's: read on from the grant's checkpoint.
    Granted(Grant),
    /// Another member asks for the partition: deliver no more of it, drain what was delivered, and
    /// [`release`](Leases::release) it with its last checkpoint. After [`Options::handover`] it is
    /// given up as it stands.
    Asked(Arc<str>),
    /// The partition is another's, or no one's: what was not checkpointed comes again there.
    Lost(Arc<str>),
}

struct Shared {
    scope: Scope,
    options: Options,
    name: Arc<str>,
    state: Mutex<State>,
    /// Wakes the task.
    due: Notify,
    /// Wakes `changed`.
    changed: Notify,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Joining,
    Joined,
    Leaving,
    Left,
}

struct State {
    member: Member,
    changes: VecDeque<Change>,
    waiters: Vec<Waiter>,
    /// An error of the store that does not pass by itself, not yet told.
    trouble: Option<Error>,
}

/// A call that waits for its ticket.
struct Waiter {
    partition: Arc<str>,
    ticket: u64,
    done: oneshot::Sender<bool>,
}

/// A seek under way. Until it is done nobody has the grant that it made.
struct Seek<'a> {
    shared: &'a Shared,
    grant: Grant,
    done: bool,
}

impl Drop for Seek<'_> {
    fn drop(&mut self) {
        if !self.done {
            // Stale: it is lost already.
            let _ = self.shared.lock().member.release(&self.grant, None);
            self.shared.due.notify_one();
        }
    }
}

impl Leases {
    /// Joins the group, and makes rows for those of `partitions` that have none. Returns once the
    /// store has answered; partitions are granted later, by [`changed`](Self::changed).
    ///
    /// Fails with the store's error if that does not pass by itself, with Timeout if the store does
    /// not answer, with Config if the lease is too short. Dropped, it stops as if it had crashed.
    pub async fn join(
        store: Arc<dyn LeaseStore>,
        scope: Scope,
        options: Options,
        partitions: impl IntoIterator<Item = NewPartition>,
    ) -> Result<Self> {
        options.check()?;
        // Never from the seed: a name that comes twice would be one member to all others.
        let name = format!("{}-{:016x}", options.name, rand::random::<u64>());
        let seed = options.seed.unwrap_or_else(rand::random);
        let mut member = Member::new(name, &options, seed);
        member.add(partitions, options.clock.unix_seconds());
        let shared = Arc::new(Shared {
            scope,
            name: member.name().clone(),
            state: Mutex::new(State {
                member,
                changes: VecDeque::new(),
                waiters: Vec::new(),
                trouble: None,
            }),
            due: Notify::new(),
            changed: Notify::new(),
            progress: watch::Sender::new(Progress::Joining),
            options,
        });
        let task = tokio::spawn(task::run(shared.clone(), store)).abort_handle();
        let leases = Self { shared, task };
        let mut progress = leases.shared.progress.subscribe();
        let joined = progress.wait_for(|progress| *progress > Progress::Joining);
        let joined = timeout(leases.shared.options.deadline, async {
            tokio::select! {
                biased;
                _ = joined => Ok(()),
                trouble = leases.shared.trouble() => Err(trouble),
            }
        });
        match joined.await {
            Ok(joined) => joined.map(|()| leases),
            Err(_) => Err(leases.shared.late("join", "the store has not answered")),
        }
    }

    /// The member's name: [`Options::name`] and a random part.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Waits for changes, in their order. An error of the store that does not pass by itself, such
    /// as Denied, is told once; the leases are kept, as long as they last, and tried on. Closed
    /// after [`leave`](Self::leave).
    ///
    /// Cancel-safe: dropped, nothing is lost. For one caller at a time.
    pub async fn changed(&self) -> Result<Vec<Change>> {
        loop {
            // Made before the state is looked at, so that no change falls between.
            let changed = self.shared.changed.notified();
            {
                let state = &mut *self.shared.lock();
                if !state.changes.is_empty() {
                    return Ok(state.changes.drain(..).collect());
                }
                if let Some(trouble) = state.trouble.take() {
                    return Err(trouble);
                }
            }
            self.shared.open("changed")?;
            changed.await;
        }
    }

    /// Whether the partition may be delivered from now: see [`Member::may_deliver`]. To be asked
    /// before every delivery.
    pub fn may_deliver(&self, grant: &Grant) -> bool {
        let state = self.shared.lock();
        state
            .member
            .may_deliver(grant, self.shared.options.clock.now())
    }

    /// Makes durable that everything up to `position` is done; a position that is not past the
    /// checkpoint is done already (C9). Fenced if the grant is void, Timeout if the store does not
    /// answer: it may be written then.
    pub async fn checkpoint(&self, grant: &Grant, position: impl Into<Arc<str>>) -> Result<()> {
        let position = position.into();
        self.call("checkpoint", grant, |member| {
            member.checkpoint(grant, position)
        })
        .await
    }

    /// Goes to `position` (None: the partition's start), and answers the grant to go on with, once
    /// that is durable. The old grant is void at once, so that checkpoints of before the seek can't
    /// undo it (C8). Errors as for [`checkpoint`](Self::checkpoint).
    ///
    /// Dropped, or with an Err, the partition is given up: it is granted anew, to this member or
    /// another, once the store answers.
    pub async fn seek(&self, grant: &Grant, position: Option<Arc<str>>) -> Result<Grant> {
        let mut seek = Seek {
            shared: &self.shared,
            grant: grant.clone(),
            done: false,
        };
        let asked = self.call("seek", grant, |member| {
            let (ticket, next) = member.seek(grant, position)?;
            seek.grant = next;
            Ok(ticket)
        });
        asked.await?;
        seek.done = true;
        Ok(seek.grant.clone())
    }

    /// Gives the partition up, with a last checkpoint if there is one, for another to take at once.
    /// Errors as for [`checkpoint`](Self::checkpoint).
    pub async fn release(&self, grant: &Grant, position: Option<Arc<str>>) -> Result<()> {
        self.call("release", grant, |member| member.release(grant, position))
            .await
    }

    /// Everything of a resharded partition is done: makes its children known, with their parents,
    /// and gives it up for good; they may be begun when all their parents are finished (C11).
    /// Errors as for [`checkpoint`](Self::checkpoint).
    pub async fn finish(
        &self,
        grant: &Grant,
        children: impl IntoIterator<Item = NewPartition>,
    ) -> Result<()> {
        let now = self.shared.options.clock.unix_seconds();
        self.call("finish", grant, |member| {
            member.finish(grant, children, now)
        })
        .await
    }

    /// Makes partitions known that were found later, or says that parents were trimmed away: see
    /// [`NewPartition::parents`]. It is done in the background, and again by any member that says
    /// the same.
    pub fn add(&self, partitions: impl IntoIterator<Item = NewPartition>) {
        let now = self.shared.options.clock.unix_seconds();
        self.shared.lock().member.add(partitions, now);
        self.shared.due.notify_one();
    }

    /// Gives everything up at once, as it is checkpointed, for others to take without waiting, and
    /// leaves the group. Timeout if the store does not answer; then the leases run out by
    /// themselves. Leaving again does nothing.
    pub async fn leave(&self) -> Result<()> {
        self.shared.progress.send_if_modified(|progress| {
            let first = *progress < Progress::Leaving;
            *progress = Progress::Leaving.max(*progress);
            first
        });
        self.shared.lock().member.leave();
        self.shared.due.notify_one();
        self.shared.changed.notify_one();
        let mut progress = self.shared.progress.subscribe();
        let left = progress.wait_for(|progress| *progress == Progress::Left);
        match timeout(self.shared.options.deadline, left).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.shared.late("leave", "the leases are not all released")),
        }
    }

    /// Makes a call of the member and waits until it is settled.
    async fn call(
        &self,
        operation: &'static str,
        grant: &Grant,
        call: impl FnOnce(&mut Member) -> Result<u64, Stale>,
    ) -> Result<()> {
        let (done, settled) = oneshot::channel();
        {
            let state = &mut *self.shared.lock();
            self.shared.open(operation)?;
            let ticket = call(&mut state.member);
            let ticket = ticket.map_err(|Stale| fenced(operation, &grant.partition))?;
            state.waiters.push(Waiter {
                partition: grant.partition.clone(),
                ticket,
                done,
            });
            self.shared.absorb(state);
        }
        self.shared.due.notify_one();
        match timeout(self.shared.options.deadline, settled).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(fenced(operation, &grant.partition)),
            Ok(Err(_)) => Err(closed(operation)),
            Err(_) => Err(self.shared.late(operation, "the store has not answered")),
        }
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases")
            .field("scope", &self.shared.scope)
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // What it guards is whole between statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands on what has happened to the member.
    fn absorb(&self, state: &mut State) {
        let before = state.changes.len();
        while let Some(event) = state.member.event() {
            match event {
                Event::Granted(grant) => state.changes.push_back(Change::Granted(grant)),
                Event::Asked(partition) => state.changes.push_back(Change::Asked(partition)),
                Event::Lost(partition) => state.changes.push_back(Change::Lost(partition)),
                Event::Settled {
                    partition,
                    ticket,
                    durable,
                } => {
                    let settled = |waiter: &mut Waiter| {
                        waiter.partition == partition && waiter.ticket <= ticket
                    };
                    for waiter in state.waiters.extract_if(.., settled) {
                        // The caller may have gone.
                        let _ = waiter.done.send(durable);
                    }
                }
                Event::Left => {
                    state.waiters.clear();
                    self.progress.send_replace(Progress::Left);
                }
            }
        }
        state.waiters.retain(|waiter| !waiter.done.is_closed());
        if state.member.has_looked() {
            self.progress.send_if_modified(|progress| {
                let first = *progress == Progress::Joining;
                *progress = Progress::Joined.max(*progress);
                first
            });
        }
        if state.changes.len() > before {
            self.changed.notify_one();
        }
    }

    /// Waits for an error of the store that does not pass by itself.
    async fn trouble(&self) -> Error {
        loop {
            let changed = self.changed.notified();
            if let Some(trouble) = self.lock().trouble.take() {
                return trouble;
            }
            changed.await;
        }
    }

    fn open(&self, operation: &'static str) -> Result<()> {
        if *self.progress.borrow() < Progress::Leaving {
            Ok(())
        } else {
            Err(closed(operation))
        }
    }

    fn late(&self, operation: &'static str, what: &str) -> Error {
        let limit: Duration = self.options.deadline;
        let text = format!("{what} within {limit:?}");
        let error = Error::new(ErrorKind::Timeout, "leases", operation, text);
        error
            .with_advice("check that the lease store can be reached")
            .with_indeterminate()
    }
}

fn closed(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::Closed,
        "leases",
        operation,
        "the member has left",
    )
}

fn fenced(operation: &'static str, partition: &str) -> Error {
    let text =
        format!("partition '{partition}' is no longer this member's, or a seek has moved it");
    Error::new(ErrorKind::Fenced, "leases", operation, text)
        .with_advice("what was not checkpointed comes again to its owner")
}
