//! A store whose time is virtual: every write is checked as it is made.

use crate::hub::Hub;
use anyhub_leases::{
    Key, Lease, MemberRow, Row, Stored, Version, Written,
    member::{Answer, Operation},
};
use std::{collections::BTreeSet, sync::Arc};

#[derive(Debug, Default)]
pub(crate) struct Store {
    /// By the index of the shard.
    leases: Vec<Option<(Arc<Lease>, u64)>>,
    members: Vec<(Arc<MemberRow>, u64)>,
    /// The shards whose row was removed: a late write may have made it again.
    pub(crate) forgotten: BTreeSet<usize>,
    writes: u64,
    /// The flaw of not comparing versions.
    blind: bool,
}

/// A write of a lease's row that was made.
pub(crate) struct Made {
    pub(crate) shard: usize,
    pub(crate) old: Option<Arc<Lease>>,
    pub(crate) new: Arc<Lease>,
}

impl Store {
    pub(crate) fn new(blind: bool) -> Self {
        Self {
            blind,
            ..Self::default()
        }
    }

    pub(crate) fn lease(&self, shard: usize) -> Option<&Arc<Lease>> {
        Some(&self.leases.get(shard)?.as_ref()?.0)
    }

    pub(crate) fn apply(&mut self, operation: Operation) -> (Answer, Option<Made>) {
        match operation {
            Operation::List => (Answer::Listed(self.list()), None),
            Operation::Write {
                row: Row::Lease(lease),
                expected,
            } => self.write(lease, expected),
            Operation::Write {
                row: Row::Member(member),
                expected,
            } => (self.write_member(member, expected), None),
            Operation::Remove {
                key: Key::Member(name),
                expected,
            } => {
                let at = self.members.binary_search_by(|it| it.0.name.cmp(&name));
                let stands = |version| {
                    expected
                        .as_ref()
                        .is_none_or(|it| *it == Version::number(version))
                };
                let gone = match at {
                    Ok(at) if stands(self.members[at].1) => {
                        self.members.remove(at);
                        true
                    }
                    Ok(_) => false,
                    Err(_) => true,
                };
                (Answer::Removed(gone), None)
            }
            other => panic!("a member does not ask for {other:?}"),
        }
    }

    /// As `Groups::forget` does with a partition that is trimmed away.
    pub(crate) fn forget(&mut self, shard: usize) {
        let rows = || self.leases.iter().flatten().map(|row| &row.0);
        let id = format!("s{shard}");
        if rows().any(|row| row.parents.iter().any(|parent| **parent == *id)) {
            return;
        }
        let row = self.leases.get_mut(shard);
        if let Some(row) = row
            && let Some((lease, _)) = row
            && (lease.checkpoint.finished || !lease.parents.is_empty())
        {
            *row = None;
            self.forgotten.insert(shard);
        }
    }

    fn list(&self) -> Vec<Stored> {
        let mut rows = Vec::with_capacity(self.leases.len() + self.members.len());
        for (lease, version) in self.leases.iter().flatten() {
            rows.push(Stored::new(
                Row::Lease(lease.clone()),
                Version::number(*version),
            ));
        }
        for (member, version) in &self.members {
            rows.push(Stored::new(
                Row::Member(member.clone()),
                Version::number(*version),
            ));
        }
        rows
    }

    fn write(&mut self, new: Arc<Lease>, expected: Option<Version>) -> (Answer, Option<Made>) {
        let shard = Hub::index(&new.partition);
        if self.leases.len() <= shard {
            self.leases.resize(shard + 1, None);
        }
        let row = &mut self.leases[shard];
        if row.as_ref().map(|row| row.1) != expected.and_then(|it| it.as_number()) && !self.blind {
            let conflict = row.as_ref().map(|(lease, version)| {
                Stored::new(Row::Lease(lease.clone()), Version::number(*version))
            });
            return (Answer::Written(Written::Conflict(conflict)), None);
        }
        self.writes += 1;
        let old = row.replace((new.clone(), self.writes)).map(|row| row.0);
        let answer = Answer::Written(Written::At(Version::number(self.writes)));
        (answer, Some(Made { shard, old, new }))
    }

    fn write_member(&mut self, new: Arc<MemberRow>, expected: Option<Version>) -> Answer {
        let at = self.members.binary_search_by(|it| it.0.name.cmp(&new.name));
        let row = at.ok().map(|at| &self.members[at]);
        if row.map(|row| row.1) != expected.and_then(|it| it.as_number()) {
            let conflict = row.map(|(member, version)| {
                Stored::new(Row::Member(member.clone()), Version::number(*version))
            });
            return Answer::Written(Written::Conflict(conflict));
        }
        self.writes += 1;
        match at {
            Ok(at) => self.members[at] = (new, self.writes),
            Err(at) => self.members.insert(at, (new, self.writes)),
        }
        Answer::Written(Written::At(Version::number(self.writes)))
    }
}
