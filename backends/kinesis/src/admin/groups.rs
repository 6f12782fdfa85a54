//! Groups as the store of the leases has them.

use crate::{
    checkpoint::Resume,
    client::{Link, Stream},
    error::{HUB, of_leases},
    leasing::Leasing,
    locate::{self, side_by_side},
    shards::{self, Shard},
};
use anyhub_core::{Error, ErrorKind, GroupInfo, PartitionLag, Position, Result};
use anyhub_leases::{Group, Groups, Lease, LeaseStore, Scope};
use std::{collections::HashMap, sync::Arc};

/// The groups of one Kinesis.
pub(super) struct Store {
    place: String,
    store: Arc<dyn LeaseStore>,
    operation: &'static str,
}

impl Store {
    /// None where no store was chosen.
    pub(super) async fn open(
        leases: &Leasing,
        link: &Link,
        operation: &'static str,
    ) -> Result<Option<Self>> {
        if !leases.is_set() {
            return Ok(None);
        }
        let store = leases.store(operation).await?;
        Ok(Some(Self {
            place: leases.place(link, operation).await?,
            store,
            operation,
        }))
    }

    fn failed(&self) -> impl Fn(Error) -> Error + use<> {
        let operation = self.operation;
        move |error| of_leases(operation, &error)
    }

    /// The scopes of this Kinesis that fit, sorted.
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

    /// Removes the groups of a stream that is gone, by its ARN.
    pub(super) async fn forget_stream(&self, arn: &str) -> Result<()> {
        let scopes = self.scopes(|scope| scope.topic() == arn);
        self.forget(&scopes.await?).await
    }

    /// The groups on the stream of this ARN, sorted by name.
    pub(super) async fn list(&self, arn: &str) -> Result<Vec<GroupInfo>> {
        let scopes = self.scopes(|scope| scope.topic() == arn).await?;
        let live = self.live(&scopes).await?;
        let mut groups: Vec<_> = scopes
            .iter()
            .zip(live)
            .map(|(scope, live)| GroupInfo::new(scope.group(), live))
            .collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// Removes a group on all topics.
    pub(super) async fn delete(&self, group: &str) -> Result<()> {
        let scopes = self.scopes(|scope| scope.group() == group).await?;
        if scopes.is_empty() {
            return Err(no_group(self.operation, group));
        }
        let live = self.live(&scopes).await?;
        let busy = scopes.iter().zip(live).find(|(_, live)| *live > 0);
        if let Some((scope, live)) = busy {
            let members = if live == 1 { "a member" } else { "members" };
            let message = format!("the group '{group}' has {members} on '{}'", scope.topic());
            return Err(Error::new(ErrorKind::Invalid, HUB, self.operation, message)
                .with_advice("close its consumers first"));
        }
        self.forget(&scopes).await
    }

    async fn rows(&self, arn: &str, group: &str) -> Result<Group> {
        let scope = Scope::new(&self.place, arn, group);
        let described = Groups::new(self.store.clone()).describe(&scope).await;
        described.map_err(|error| match error.kind() {
            ErrorKind::NotFound => no_group(self.operation, group),
            _ => of_leases(self.operation, &error),
        })
    }

    /// How far a group is behind in the shards that take records, and in those that it has still to
    /// finish.
    pub(super) async fn lag(
        &self,
        link: &Link,
        stream: &Stream,
        arn: &str,
        group: &str,
    ) -> Result<Vec<PartitionLag>> {
        let rows = self.rows(arn, group).await?.leases;
        let rows: HashMap<_, _> = rows
            .iter()
            .map(|lease| (&*lease.partition, &**lease))
            .collect();
        let mut shards = shards::list(link, self.operation, stream).await?;
        shards.retain(|shard| {
            let row = rows.get(&*shard.id);
            shard.open || row.is_some_and(|row| !row.checkpoint.finished)
        });
        let lag = shards.iter().map(|shard| {
            let row = rows.get(&*shard.id).copied();
            lag(link, self.operation, stream, shard, row)
        });
        side_by_side(lag).await
    }
}

async fn lag(
    link: &Link,
    operation: &'static str,
    stream: &Stream,
    shard: &Shard,
    row: Option<&Lease>,
) -> Result<PartitionLag> {
    let position = row.and_then(|row| row.checkpoint.position.as_deref());
    let from = Resume::read(operation, &shard.id, position)?;
    let behind = locate::behind(link, operation, stream, shard, from).await?;
    let committed = from.place().map(Position::from);
    Ok(PartitionLag::new(shard.partition(), committed).behind(behind))
}

pub(super) fn no_group(operation: &'static str, group: &str) -> Error {
    let message = format!("there is no group '{group}'");
    Error::new(ErrorKind::NotFound, HUB, operation, message)
}
