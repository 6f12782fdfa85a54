//! Membership in a consumer group: its leases, and where it begins.

use crate::{
    Log, Part as _,
    attend::attend,
    error::of_leases,
    lineage::{descendants, is_childless, is_kept},
    resume,
    shared::Shared,
    slot::Task,
    start,
    state::Presence,
};
use anyhub_core::{Error, ErrorKind, Result};
use anyhub_leases::{Grant, Groups, Lease, LeaseStore, Leases, Options, Scope};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// A group as one consumer knows it.
#[derive(Debug)]
pub struct Group {
    store: Arc<dyn LeaseStore>,
    scope: Scope,
    lease: Duration,
    /// Within this the store has answered, or is taken to be away.
    pub(crate) deadline: Duration,
}

/// How long opening waits until every partition has an owner; later ones come by themselves.
const SETTLE: Duration = Duration::from_secs(10);

/// As long as the leases wait unless told.
const DEADLINE: Duration = Duration::from_secs(30);

/// Far longer than the keeper waits for answers: it gives up what is asked for by itself.
const HANDOVER: Duration = Duration::from_secs(30);

impl Group {
    /// The group of this scope in this store. `lease` is how long a member that died keeps its
    /// partitions.
    pub fn new(store: Arc<dyn LeaseStore>, scope: Scope, lease: Duration) -> Self {
        Self {
            store,
            scope,
            lease,
            deadline: DEADLINE,
        }
    }

    /// What to do about partitions that go to strangers, where members in other processes can't be seen.
    pub(crate) fn where_shared(&self) -> Option<&'static str> {
        self.store.is_of_one_process().then_some(
            "members in several processes need one store for their leases, such as leases=sqlite:FILE",
        )
    }

    /// The rows of its partitions, by id.
    pub(crate) async fn rows<L: Log>(
        &self,
        operation: &'static str,
    ) -> Result<HashMap<Arc<str>, Arc<Lease>>> {
        let groups = Groups::new(self.store.clone());
        match groups.describe(&self.scope).await {
            Ok(group) => {
                let rows = group.leases.into_iter();
                Ok(rows.map(|lease| (lease.partition.clone(), lease)).collect())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(HashMap::new()),
            Err(error) => Err(of_leases(L::HUB, operation, &error)),
        }
    }

    fn options<L: Log>(&self) -> Options {
        Options::new()
            .name("consumer")
            .lease(self.lease)
            .handover(HANDOVER)
            .deadline(self.deadline)
            .order(resume::order::<L::At>)
    }

    /// Lets rows go of partitions that are finished and no longer kept.
    async fn sweep<L: Log>(&self, listed: &[L::Part]) -> Result<()> {
        let groups = Groups::new(self.store.clone());
        for (part, lease) in self.rows::<L>("receive").await? {
            if !is_kept(listed, &part) && lease.checkpoint.finished {
                let forgotten = groups.forget(&self.scope, &part).await;
                forgotten.map_err(|error| of_leases(L::HUB, "receive", &error))?;
            }
        }
        Ok(())
    }
}

impl<L: Log> Shared<L> {
    /// Joins the group: makes its beginning, and attends to its leases from now on.
    pub(crate) async fn join(self: &Arc<Self>, operation: &'static str) -> Result<()> {
        let Some(group) = &self.group else {
            return Ok(());
        };
        let listed = self.list(operation).await?;
        let rows = group.rows::<L>(operation).await?;
        let new = start::of_group(self, operation, &listed, &rows).await?;
        {
            let state = &mut *self.state();
            if state.listed.is_empty() {
                state.listed = listed.iter().map(|part| part.id().clone()).collect();
            }
        }
        let begun = new.iter().map(|new| new.partition.clone()).collect();
        let options = group.options::<L>();
        let joined = Leases::join(group.store.clone(), group.scope.clone(), options, new).await;
        let leases = Arc::new(joined.map_err(|error| of_leases(L::HUB, operation, &error))?);
        let attending = tokio::spawn(attend(Arc::downgrade(self), leases.clone()));
        let attending = Task::new(attending.abort_handle());
        {
            let state = &mut *self.state();
            if !matches!(state.presence, Presence::Closed) {
                state.presence = Presence::Member {
                    leases,
                    begun,
                    attending,
                };
                return Ok(());
            }
        }
        // Closed meanwhile; who closed it could not know of this.
        let left = leases.leave().await;
        left.map_err(|error| of_leases(L::HUB, operation, &error))
    }

    /// Waits until what this member has begun is stored, without which the next one would begin
    /// elsewhere, and every partition that can be begun has an owner, so that what opens is complete.
    pub(crate) async fn settle(&self, operation: &'static str) -> Result<()> {
        let Some(group) = &self.group else {
            return Ok(());
        };
        let begun = match &self.state().presence {
            Presence::Member { begun, .. } => begun.clone(),
            _ => Vec::new(),
        };
        let deadline = Instant::now() + SETTLE;
        let mut pause = Duration::from_millis(1);
        loop {
            let rows = group.rows::<L>(operation).await?;
            let finished = |part: &Arc<str>| {
                let row = rows.get(part);
                row.is_some_and(|row| row.checkpoint.finished)
            };
            let waits = |row: &Lease| row.parents.iter().any(|parent| !finished(parent));
            let mine = self.state().slots.len();
            let name = self.leases().map(|leases| Arc::<str>::from(leases.name()));
            let granted = rows.values().filter(|row| row.owner == name).count();
            let unowned = rows
                .values()
                .any(|row| row.owner.is_none() && !row.checkpoint.finished && !waits(row));
            let stored = begun.iter().all(|part| rows.contains_key(part));
            if stored && !unowned && mine >= granted {
                return Ok(());
            }
            if Instant::now() >= deadline {
                tracing::debug!(
                    hub = L::HUB,
                    "some partitions have no owner yet; they find one later"
                );
                return Ok(());
            }
            // The store tells nobody of its changes.
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// A partition is read and finished to its end: its children may be begun (C11).
    pub(crate) async fn finish(self: &Arc<Self>, id: &str, grant: Option<&Grant>) -> Result<()> {
        let listed = self.list("receive").await?;
        if is_childless(&listed, id) {
            let message = format!("the children of {id} are not listed yet");
            return Err(Error::new(
                ErrorKind::Unavailable,
                L::HUB,
                "receive",
                message,
            ));
        }
        match (self.leases(), grant, &self.group) {
            (Some(leases), Some(grant), Some(group)) => {
                let children = descendants(&listed, &HashSet::from([Arc::from(id)]));
                {
                    // Either a seek comes first, and voids the grant, or it finds it gone.
                    let _turn = self.commits.lock().await;
                    if let Err(error) = leases.finish(grant, children).await {
                        // It is another's, or was noted after all, when the store answered at last.
                        if error.kind() == ErrorKind::Fenced {
                            self.lose_grant(grant);
                        }
                        return Err(of_leases(L::HUB, "receive", &error));
                    }
                    self.finished(id);
                }
                group.sweep::<L>(&listed).await
            }
            _ => {
                if self.finished(id) {
                    self.state().done.insert(id.into());
                    start::private_children(self, &listed);
                }
                Ok(())
            }
        }
    }
}
