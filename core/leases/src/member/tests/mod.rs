//! The rules, one by one, on a store that answers at once or when it is told to.

mod balance;
mod checkpoints;
mod lineage;
mod ownership;

use super::*;
use crate::{Lease, LeaseStore, MemoryLeases, Scope};
use futures_util::FutureExt;

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// The lease time of the members here.
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// Members on one store and one clock.
pub(super) struct Bench {
    pub(super) store: MemoryLeases,
    pub(super) members: Vec<Member>,
    pub(super) now: Duration,
    /// Members whose requests are held back.
    pub(super) held: Vec<usize>,
    pub(super) requests: Vec<(usize, Request)>,
    events: Vec<Vec<Event>>,
    /// What applications that hand over when they are asked hold.
    pub(super) apps: Vec<(usize, Grant)>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self {
            store: MemoryLeases::new(),
            members: Vec::new(),
            now: 100 * SECOND,
            held: Vec::new(),
            requests: Vec::new(),
            events: Vec::new(),
            apps: Vec::new(),
        }
    }

    /// A member that joins with these partitions, and is let run.
    pub(super) fn join(&mut self, partitions: &[&str]) -> usize {
        self.join_with(&Options::new().lease(LEASE), partitions)
    }

    pub(super) fn join_with(&mut self, options: &Options, partitions: &[&str]) -> usize {
        let at = self.members.len();
        let mut member = Member::new(format!("m{at}"), options, at as u64);
        member.add(partitions.iter().copied().map(NewPartition::new), 1_000);
        self.members.push(member);
        self.events.push(Vec::new());
        self.settle();
        at
    }

    /// Lets time pass, in steps, with everything done that is due.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = (self.now + SECOND / 4).min(end);
            self.settle();
        }
    }

    /// Does what is due, until nothing is.
    pub(super) fn settle(&mut self) {
        while self.round() {}
    }

    fn round(&mut self) -> bool {
        let mut done = false;
        for at in 0..self.members.len() {
            let mut requests = Vec::new();
            self.members[at].poll(self.now, &mut requests);
            self.collect(at);
            for request in requests {
                if self.held.contains(&at) {
                    self.requests.push((at, request));
                } else {
                    done = true;
                    let answer = self.apply(&request.operation);
                    self.answer(at, request.id, answer);
                }
            }
        }
        done
    }

    /// What the store makes of it, whether or not anyone is told.
    pub(super) fn apply(&self, operation: &Operation) -> Answer {
        let scope = scope();
        let answer = async {
            match operation {
                Operation::List => Answer::Listed(self.store.list(&scope).await.unwrap()),
                Operation::Write { row, expected } => {
                    let written = self.store.write(&scope, row, expected.as_ref()).await;
                    Answer::Written(written.unwrap())
                }
                Operation::Remove { key, expected } => {
                    let removed = self.store.remove(&scope, key, expected.as_ref()).await;
                    Answer::Removed(removed.unwrap())
                }
            }
        };
        answer.now_or_never().unwrap()
    }

    pub(super) fn answer(&mut self, at: usize, id: RequestId, answer: Answer) {
        self.members[at].answer(self.now, id, answer);
        self.collect(at);
    }

    fn collect(&mut self, at: usize) {
        while let Some(event) = self.members[at].event() {
            self.events[at].push(event);
        }
    }

    /// The requests held back so far: done by the store if `done`, and answered as failed.
    pub(super) fn lose(&mut self, at: usize, done: bool) {
        let held = self.requests.extract_if(.., |request| request.0 == at);
        for (at, request) in held.collect::<Vec<_>>() {
            if done {
                self.apply(&request.operation);
            }
            self.answer(at, request.id, Answer::Failed { retry_after: None });
        }
    }

    pub(super) fn events(&mut self, at: usize) -> Vec<Event> {
        self.collect(at);
        std::mem::take(&mut self.events[at])
    }

    /// The grants that the member was told of since it was last asked.
    pub(super) fn grants(&mut self, at: usize) -> Vec<Grant> {
        let events = self.events(at).into_iter();
        let mut grants: Vec<_> = events
            .filter_map(|event| match event {
                Event::Granted(grant) => Some(grant),
                _ => None,
            })
            .collect();
        grants.sort_by(|a, b| a.partition.cmp(&b.partition));
        grants
    }

    pub(super) fn may_deliver(&self, at: usize, grant: &Grant) -> bool {
        self.members[at].may_deliver(grant, self.now)
    }

    pub(super) fn row(&self, partition: &str) -> Lease {
        self.leases()
            .into_iter()
            .find(|lease| *lease.partition == *partition)
            .unwrap()
    }

    pub(super) fn leases(&self) -> Vec<Lease> {
        let rows = self.rows().into_iter();
        rows.filter_map(|row| match row {
            Row::Lease(lease) => Some((*lease).clone()),
            Row::Member(_) => None,
        })
        .collect()
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let listed = self.store.list(&scope()).now_or_never().unwrap().unwrap();
        listed.into_iter().map(|stored| stored.row).collect()
    }

    /// How many partitions each member owns, by the rows.
    pub(super) fn shares(&self) -> Vec<usize> {
        let leases = self.leases();
        let names = self.members.iter().map(|member| member.name());
        names
            .map(|name| {
                leases
                    .iter()
                    .filter(|lease| lease.owner.as_ref() == Some(name))
                    .count()
            })
            .collect()
    }

    /// Puts a row there as another member would have.
    pub(super) fn put(&self, lease: Lease) {
        let scope = scope();
        let put = async {
            let rows = self.store.list(&scope).await.unwrap();
            let row = Row::from(lease);
            let old = rows
                .into_iter()
                .find(|stored| stored.row.key() == row.key());
            let expected = old.as_ref().map(|stored| &stored.version);
            self.store.write(&scope, &row, expected).await.unwrap()
        };
        let put = put.now_or_never().unwrap();
        assert!(matches!(put, Written::At(_)));
    }
}

pub(super) fn scope() -> Scope {
    Scope::new("bench", "topic", "group")
}
