use crate::{Clock, Key, Lease, LeaseStore, MemberRow, Row, Scope, Stored, SystemClock};
use anyhub_core::{Error, ErrorKind, Result, shown};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::sleep;

/// Groups seen from outside, for a hub's `Admin`.
#[derive(Debug, Clone)]
pub struct Groups {
    store: Arc<dyn LeaseStore>,
    clock: Arc<dyn Clock>,
}

/// The rows of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// Its partitions.
    pub leases: Vec<Arc<Lease>>,
    /// Its members, and perhaps some that died lately: which of them live only time tells.
    pub members: Vec<Arc<MemberRow>>,
}

impl Groups {
    /// The groups in a store.
    pub fn new(store: Arc<dyn LeaseStore>) -> Self {
        Self::with_clock(store, Arc::new(SystemClock::new()))
    }

    /// The groups in a store, with this clock.
    pub fn with_clock(store: Arc<dyn LeaseStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// The scopes of all groups on all topics, sorted. Fails as the store does.
    pub async fn list(&self) -> Result<Vec<Scope>> {
        self.store.scopes().await
    }

    /// The rows of a group. NotFound if it has none.
    pub async fn describe(&self, scope: &Scope) -> Result<Group> {
        let mut group = Group::default();
        for stored in self.store.list(scope).await? {
            match stored.row {
                Row::Lease(lease) => group.leases.push(lease),
                Row::Member(member) => group.members.push(member),
            }
        }
        if group == Group::default() {
            return Err(missing(scope, "describe_group"));
        }
        Ok(group)
    }

    /// The names of the members that live, sorted: those whose counter rises within the time that
    /// they promise. It takes a third of a lease where all live, and a whole one where some do not.
    ///
    /// Cancel-safe.
    pub async fn live_members(&self, scope: &Scope) -> Result<Vec<Arc<str>>> {
        let start = self.clock.now();
        let mut waiting: HashMap<Arc<str>, Arc<MemberRow>> = HashMap::new();
        let mut live = Vec::new();
        let mut first = true;
        loop {
            let listed = self.store.list(scope).await?;
            let rows = members(&listed);
            waiting.retain(|name, _| rows.iter().any(|row| row.name == *name));
            for row in rows {
                if first {
                    waiting.insert(row.name.clone(), row.clone());
                } else if waiting
                    .get(&row.name)
                    .is_some_and(|old| old.counter != row.counter)
                {
                    waiting.remove(&row.name);
                    live.push(row.name.clone());
                } else if !waiting.contains_key(&row.name) && !live.contains(&row.name) {
                    // It came while we watched.
                    live.push(row.name.clone());
                }
            }
            first = false;
            let waited = self.clock.now().saturating_sub(start);
            waiting.retain(|_, row| waited < row.term);
            let Some(term) = waiting.values().map(|row| row.term).min() else {
                live.sort();
                return Ok(live);
            };
            let pause = (term / 12).clamp(Duration::from_millis(5), Duration::from_secs(1));
            sleep(pause).await;
        }
    }

    /// Removes a group: its checkpoints and what is left of its members. NotFound if it is not
    /// there, Invalid while a member lives, which may take as long to see as
    /// [`live_members`](Self::live_members) takes.
    pub async fn delete(&self, scope: &Scope) -> Result<()> {
        let live = self.live_members(scope).await?;
        if let Some(name) = live.first() {
            let text = format!(
                "the group '{}' has members: {name} and {} more",
                scope.group(),
                live.len() - 1
            );
            return Err(
                Error::new(ErrorKind::Invalid, "leases", "delete_group", text)
                    .with_advice("close its consumers first"),
            );
        }
        let rows = self.store.list(scope).await?;
        if rows.is_empty() {
            return Err(missing(scope, "delete_group"));
        }
        for Stored { row, .. } in rows {
            self.store.remove(scope, &row.key(), None).await?;
        }
        Ok(())
    }

    /// Removes the row of a partition that the hub has trimmed away, so that rows do not add up for
    /// ever; answers whether it did. Only one that is finished, or that was never begun and still
    /// waits for a parent, and only if no other waits for it. What was begun is for its owner to
    /// [`finish`](crate::Leases::finish).
    pub async fn forget(&self, scope: &Scope, partition: &str) -> Result<bool> {
        let rows = self.store.list(scope).await?;
        let leases = || {
            rows.iter().filter_map(|stored| match &stored.row {
                Row::Lease(lease) => Some((lease, &stored.version)),
                Row::Member(_) => None,
            })
        };
        let awaited = |parent: &Arc<str>| **parent == *partition;
        if leases().any(|(lease, _)| lease.parents.iter().any(awaited)) {
            return Ok(false);
        }
        let idle = |lease: &Lease| lease.checkpoint.finished || !lease.parents.is_empty();
        let row = leases().find(|(lease, _)| *lease.partition == *partition);
        match row.filter(|(lease, _)| idle(lease)) {
            Some((lease, version)) => {
                let key = Key::Lease(lease.partition.clone());
                self.store.remove(scope, &key, Some(version)).await
            }
            None => Ok(false),
        }
    }
}

fn members(rows: &[Stored]) -> Vec<&Arc<MemberRow>> {
    let members = rows.iter().filter_map(|stored| match &stored.row {
        Row::Member(member) => Some(member),
        Row::Lease(_) => None,
    });
    members.collect()
}

fn missing(scope: &Scope, operation: &'static str) -> Error {
    let text = format!(
        "there is no group '{}' on '{}'",
        shown(&scope.group()),
        shown(&scope.topic())
    );
    Error::new(ErrorKind::NotFound, "leases", operation, text)
}
