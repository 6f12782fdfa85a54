//! Membership in a consumer group: its leases, and where it begins.

use crate::{
    attend::attend,
    checkpoint,
    client::Link,
    error::{HUB, of_leases},
    leasing::Leasing,
    shards::Shard,
    shared::{Presence, Shared},
    slot::Task,
    start,
};
use anyhub_core::{Error, ErrorKind, Result};
use anyhub_leases::{Grant, Groups, Lease, LeaseStore, Leases, NewPartition, Options, Scope};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// A group as one consumer knows it.
#[derive(Debug)]
pub(crate) struct Group {
    store: Arc<dyn LeaseStore>,
    pub(crate) scope: Scope,
    lease: Duration,
}

/// How long opening waits until every shard has an owner; later ones come by themselves.
const SETTLE: Duration = Duration::from_secs(10);

/// Far longer than the keeper waits for answers: it gives up what is asked for by itself.
const HANDOVER: Duration = Duration::from_secs(30);

impl Group {
    /// The group of this name on the stream of this ARN, by whichever name it was opened. Config where
    /// no store was chosen; fails as the store does.
    pub(crate) async fn open(
        leasing: &Leasing,
        link: &Link,
        arn: &str,
        name: &str,
    ) -> Result<Self> {
        let store = leasing.store("consumer").await?;
        let place = leasing.place(link, "consumer").await?;
        Ok(Self {
            store,
            scope: Scope::new(&place, arn, name),
            lease: link.config().lease_time,
        })
    }

    /// The rows of its shards, by shard.
    async fn rows(&self, operation: &'static str) -> Result<HashMap<Arc<str>, Arc<Lease>>> {
        let groups = Groups::new(self.store.clone());
        match groups.describe(&self.scope).await {
            Ok(group) => {
                let rows = group.leases.into_iter();
                Ok(rows.map(|lease| (lease.partition.clone(), lease)).collect())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(HashMap::new()),
            Err(error) => Err(of_leases(operation, &error)),
        }
    }

    fn options(&self) -> Options {
        Options::new()
            .name("consumer")
            .lease(self.lease)
            .handover(HANDOVER)
            .order(checkpoint::order)
    }

    /// Lets rows go of shards that are finished and no longer kept.
    async fn sweep(&self, listed: &[Shard]) -> Result<()> {
        let groups = Groups::new(self.store.clone());
        for (shard, lease) in self.rows("receive").await? {
            let kept = listed.iter().any(|listed| listed.id == shard);
            if !kept && lease.checkpoint.finished {
                let forgotten = groups.forget(&self.scope, &shard).await;
                forgotten.map_err(|error| of_leases("receive", &error))?;
            }
        }
        Ok(())
    }
}

impl Shared {
    /// Joins the group: makes its beginning, and attends to its leases from now on.
    pub(crate) async fn join(self: &Arc<Self>, operation: &'static str) -> Result<()> {
        let Some(group) = &self.group else {
            return Ok(());
        };
        let listed = self.list(operation).await?;
        let rows = group.rows(operation).await?;
        let new = start::of_group(self, operation, &listed, &rows).await?;
        let begun = new.iter().map(|new| new.partition.clone()).collect();
        let options = group.options();
        let joined = Leases::join(group.store.clone(), group.scope.clone(), options, new).await;
        let leases = Arc::new(joined.map_err(|error| of_leases(operation, &error))?);
        let attending = tokio::spawn(attend(Arc::downgrade(self), leases.clone()));
        let attending = Task(attending.abort_handle());
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
        left.map_err(|error| of_leases(operation, &error))
    }

    /// Waits until what this member has begun is stored, without which the next one would begin
    /// elsewhere, and every shard that can be begun has an owner, so that what opens is complete.
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
            let rows = group.rows(operation).await?;
            let finished = |shard: &Arc<str>| {
                let row = rows.get(shard);
                row.is_some_and(|row| row.checkpoint.finished)
            };
            let waits = |row: &Lease| row.parents.iter().any(|parent| !finished(parent));
            let mine = self.state().slots.len();
            let name = self.leases().map(|leases| Arc::<str>::from(leases.name()));
            let granted = rows.values().filter(|row| row.owner == name).count();
            let unowned = rows
                .values()
                .any(|row| row.owner.is_none() && !row.checkpoint.finished && !waits(row));
            let stored = begun.iter().all(|shard| rows.contains_key(shard));
            if stored && !unowned && mine >= granted {
                return Ok(());
            }
            if Instant::now() >= deadline {
                tracing::debug!(
                    hub = HUB,
                    "some shards have no owner yet; they find one later"
                );
                return Ok(());
            }
            // The store tells nobody of its changes.
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// A shard is read and finished to its end: its children may be begun (C11).
    pub(crate) async fn finish(self: &Arc<Self>, id: &str, grant: Option<&Grant>) -> Result<()> {
        let listed = self.list("receive").await?;
        if is_childless(&listed, id) {
            let message = format!("the children of {id} are not listed yet");
            return Err(Error::new(ErrorKind::Unavailable, HUB, "receive", message));
        }
        match (self.leases(), grant, &self.group) {
            (Some(leases), Some(grant), Some(group)) => {
                let children = descendants(&listed, &HashSet::from([Arc::from(id)]));
                {
                    // Either a seek comes first, and voids the grant, or it finds the shard gone.
                    let _turn = self.commits.lock().await;
                    let finished = leases.finish(grant, children).await;
                    finished.map_err(|error| of_leases("receive", &error))?;
                    self.finished(id);
                }
                group.sweep(&listed).await
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

/// The shards that came from any of `known`, each waiting for those of its parents that are kept. A
/// parent that retention has removed holds nobody up.
pub(crate) fn descendants(listed: &[Shard], known: &HashSet<Arc<str>>) -> Vec<NewPartition> {
    let mut from = known.clone();
    let mut found = Vec::new();
    // By id, which is the order in which they were made: parents before their children.
    for shard in listed {
        if !shard.parents.iter().any(|parent| from.contains(parent)) || known.contains(&shard.id) {
            continue;
        }
        from.insert(shard.id.clone());
        found.push(NewPartition::new(shard.id.clone()).parents(kept_parents(listed, shard)));
    }
    found
}

/// Whether a shard is kept and no child of it is: a list of a moment ago, as a shard that has ended has
/// children for as long as it is kept. Without them nobody would ever begin these.
fn is_childless(listed: &[Shard], id: &str) -> bool {
    let is_parent = |shard: &Shard| shard.parents.iter().any(|parent| &**parent == id);
    listed.iter().any(|shard| &*shard.id == id) && !listed.iter().any(is_parent)
}

/// Those of a shard's parents that are kept.
pub(crate) fn kept_parents(listed: &[Shard], shard: &Shard) -> Vec<Arc<str>> {
    let kept = |parent: &&Arc<str>| listed.iter().any(|listed| listed.id == **parent);
    shard.parents.iter().filter(kept).cloned().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::aggregate::HashRange;
    use anyhub_core::driver::Sequence;

    fn shard(id: &str, parents: &[&str], open: bool) -> Shard {
        Shard {
            id: id.into(),
            parents: parents.iter().map(|&parent| parent.into()).collect(),
            range: HashRange::FULL,
            start: Sequence::at("1", 0).unwrap(),
            open,
        }
    }

    #[test]
    fn a_list_without_the_children_of_a_shard_that_has_ended_is_too_old() {
        let parents = [shard("1", &[], false), shard("2", &[], false)];
        assert!(is_childless(&parents, "1"));
        let mut merged = parents.to_vec();
        merged.push(shard("3", &["1", "2"], true));
        assert!(!is_childless(&merged, "1") && !is_childless(&merged, "2"));
        assert!(is_childless(&merged, "3"));
        assert!(!is_childless(&merged[2..], "1"), "retention took it");
    }
}
