use crate::{Part, Place, Resume, error::of_leases, side_by_side};
use anyhub_core::{Error, ErrorKind, GroupInfo, Result, shown};
use anyhub_leases::{Groups, Lease, LeaseStore, Scope};
use std::{collections::HashMap, sync::Arc};

/// The groups of one hub as the store of the leases has them, for one operation of its `Admin`. All of it
/// fails as the store does.
#[derive(Debug)]
pub struct StoredGroups {
    hub: &'static str,
    place: String,
    store: Arc<dyn LeaseStore>,
    operation: &'static str,
}

impl StoredGroups {
    /// Those of the hub at `place`, which tells it from others that share the store.
    pub fn new(
        hub: &'static str,
        place: String,
        store: Arc<dyn LeaseStore>,
        operation: &'static str,
    ) -> Self {
        Self {
            hub,
            place,
            store,
            operation,
        }
    }

    fn failed(&self) -> impl Fn(Error) -> Error + use<> {
        let (hub, operation) = (self.hub, self.operation);
        move |error| of_leases(hub, operation, &error)
    }

    /// The scopes of this hub that fit, sorted.
    async fn scopes(&self, fits: impl Fn(&Scope) -> bool) -> Result<Vec<Scope>> {
        let mut scopes = self.store.scopes().await.map_err(self.failed())?;
        scopes.retain(|scope| scope.hub() == self.place && fits(scope));
        Ok(scopes)
    }

    /// How many members of each live; takes a third of a lease, or a whole one where some died.
    async fn live(&self, scopes: &[Scope]) -> Result<Vec<usize>> {
        let groups = &Groups::new(self.store.clone());
        let live = async |scope: &Scope| {
            let live = groups.live_members(scope).await;
            live.map(|live| live.len()).map_err(self.failed())
        };
        side_by_side(scopes.iter().map(live)).await
    }

    async fn forget(&self, scopes: &[Scope]) -> Result<()> {
        for scope in scopes {
            for stored in self.store.list(scope).await.map_err(self.failed())? {
                let removed = self.store.remove(scope, &stored.row.key(), None).await;
                removed.map_err(self.failed())?;
            }
        }
        Ok(())
    }

    /// Removes the groups of a topic that is gone.
    pub async fn forget_topic(&self, topic: &str) -> Result<()> {
        let scopes = self.scopes(|scope| scope.topic() == topic);
        self.forget(&scopes.await?).await
    }

    /// The groups on a topic, sorted by name, and how many members of each live.
    pub async fn list(&self, topic: &str) -> Result<Vec<GroupInfo>> {
        let scopes = self.scopes(|scope| scope.topic() == topic).await?;
        let live = self.live(&scopes).await?;
        let mut groups: Vec<_> = scopes
            .iter()
            .zip(live)
            .map(|(scope, live)| GroupInfo::new(scope.group(), live))
            .collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// Removes a group on all topics. NotFound if it is not there, Invalid while a member lives.
    pub async fn delete(&self, group: &str) -> Result<()> {
        let scopes = self.scopes(|scope| scope.group() == group).await?;
        if scopes.is_empty() {
            return Err(self.no_group(group));
        }
        let live = self.live(&scopes).await?;
        let busy = scopes.iter().zip(live).find(|(_, live)| *live > 0);
        if let Some((scope, live)) = busy {
            let members = if live == 1 { "a member" } else { "members" };
            let message = format!("the group '{group}' has {members} on '{}'", scope.topic());
            let kind = ErrorKind::Invalid;
            return Err(Error::new(kind, self.hub, self.operation, message)
                .with_advice("close its consumers first"));
        }
        self.forget(&scopes).await
    }

    /// A group on a topic. NotFound if it is not there.
    pub async fn group(&self, topic: &str, group: &str) -> Result<StoredGroup> {
        let scope = Scope::new(&self.place, topic, group);
        let described = Groups::new(self.store.clone()).describe(&scope).await;
        let described = described.map_err(|error| match error.kind() {
            ErrorKind::NotFound => self.no_group(group),
            _ => of_leases(self.hub, self.operation, &error),
        })?;
        let rows = described.leases.into_iter();
        Ok(StoredGroup {
            hub: self.hub,
            operation: self.operation,
            rows: rows.map(|row| (row.partition.clone(), row)).collect(),
        })
    }

    fn no_group(&self, group: &str) -> Error {
        let message = format!("there is no group '{}'", shown(group));
        Error::new(ErrorKind::NotFound, self.hub, self.operation, message)
    }
}

/// How far a group has come on a topic.
#[derive(Debug)]
pub struct StoredGroup {
    hub: &'static str,
    operation: &'static str,
    rows: HashMap<Arc<str>, Arc<Lease>>,
}

impl StoredGroup {
    /// Whether the group has begun a partition, or will, and has not finished it.
    pub fn has_to_finish(&self, part: &impl Part) -> bool {
        let row = self.rows.get(part.id());
        row.is_some_and(|row| !row.checkpoint.finished)
    }

    /// Where it would resume a partition. Unexpected where its checkpoint is none.
    pub fn resume<A: Place>(&self, part: &impl Part) -> Result<Resume<A>> {
        let row = self.rows.get(part.id());
        let position = row.and_then(|row| row.checkpoint.position.as_deref());
        Resume::read(self.hub, self.operation, part.id(), position)
    }
}
