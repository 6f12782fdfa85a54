//! What the members have told, and what follows.

use crate::{
    KEYS,
    line::{Line, What},
    owners::{Handovers, Step, handovers},
};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Who owns each partition, as far as it was told.
    owners: HashMap<String, usize>,
    /// When each partition was last delivered from, and by whom.
    came: HashMap<String, (Duration, usize)>,
    orphans: Orphans,
    steps: Vec<Step>,
    /// Events that were worked on, and when they were delivered.
    done: Vec<(Duration, u64)>,
    seen: HashSet<u64>,
    /// When an event's ack was first confirmed.
    confirmed: HashMap<u64, Duration>,
    /// Who has delivered anything.
    active: HashSet<usize>,
    answers: HashMap<usize, String>,
}

/// The partitions of a member that does nothing any more.
#[derive(Debug, Default)]
struct Orphans {
    member: usize,
    since: Duration,
    /// When another member first delivered from each.
    taken_over: HashMap<String, Option<Duration>>,
}

impl Book {
    pub(crate) fn note(&mut self, member: usize, Line { at, what }: Line) {
        match what {
            What::Owns(partition) => {
                self.owners.insert(partition.clone(), member);
                self.steps.push(Step::owns(at, member, partition));
            }
            What::GaveUp(partition) => {
                if self.owners.get(&partition) == Some(&member) {
                    self.owners.remove(&partition);
                }
                self.steps.push(Step::gave_up(at, member, partition));
            }
            What::Came(partition) => {
                self.active.insert(member);
                let orphans = &mut self.orphans;
                if let Some(first) = orphans.taken_over.get_mut(&partition)
                    && member != orphans.member
                    && at > orphans.since
                {
                    // Two others may have had it since, told in any order.
                    *first = Some(first.map_or(at, |first| first.min(at)));
                }
                let last = self.came.entry(partition.clone()).or_default();
                *last = (*last).max((at, member));
                self.steps.push(Step::came(at, member, partition));
            }
            What::Done(number) => {
                self.seen.insert(number);
                self.done.push((at, number));
            }
            What::Confirmed(number) => {
                self.confirmed.entry(number).or_insert(at);
            }
            What::Answer(answer) => {
                self.answers.insert(member, answer);
            }
        }
    }

    /// The answer of a member, once.
    pub(crate) fn answer(&mut self, member: usize) -> Option<String> {
        self.answers.remove(&member)
    }

    pub(crate) fn has_answered(&self, member: usize) -> bool {
        self.answers.contains_key(&member)
    }

    /// From now on a member does nothing. How many partitions it leaves.
    pub(crate) fn abandoned(&mut self, member: usize, since: Duration) -> usize {
        let owned = self.owned(member);
        let taken_over: HashMap<_, _> = owned.map(|part| (part.to_owned(), None)).collect();
        let count = taken_over.len();
        self.orphans = Orphans {
            member,
            since,
            taken_over,
        };
        count
    }

    /// How long it took until others had delivered from all partitions of that member. None: they have
    /// not.
    pub(crate) fn taken_over(&self) -> Option<Duration> {
        let first = self.orphans.taken_over.values().copied();
        let last = first.collect::<Option<Vec<_>>>()?.into_iter().max();
        let since = self.orphans.since;
        Some(last.unwrap_or(since).saturating_sub(since))
    }

    /// A member has ended: it owns nothing.
    pub(crate) fn ended(&mut self, member: usize, at: Duration) {
        let owned: Vec<_> = self.owned(member).map(str::to_owned).collect();
        for partition in owned {
            self.note(member, What::GaveUp(partition).at(at));
        }
    }

    fn owned(&self, member: usize) -> impl Iterator<Item = &str> {
        let owners = self.owners.iter();
        let owned = owners.filter(move |(_, owner)| **owner == member);
        owned.map(|(partition, _)| partition.as_str())
    }

    /// Whether these members share `partitions` evenly, and each has delivered from all of its own.
    pub(crate) fn is_shared(&self, members: &[usize], partitions: u32) -> bool {
        let loads = members.iter().map(|member| self.owned(*member).count());
        let (least, most) = loads.fold((usize::MAX, 0), |(least, most), load| {
            (least.min(load), most.max(load))
        });
        let delivers = |(partition, owner): (&String, &usize)| {
            let came = self.came.get(partition);
            members.contains(owner) && came.is_some_and(|(_, by)| by == owner)
        };
        self.owners.len() == partitions as usize
            && most - least <= 1
            && self.owners.iter().all(delivers)
    }

    /// Whether a member has delivered from all of its partitions since then.
    pub(crate) fn has_delivered(&self, member: usize, since: Duration) -> bool {
        self.owned(member).all(|partition| {
            let came = self.came.get(partition);
            came.is_some_and(|&(at, by)| by == member && at > since)
        })
    }

    /// Distinct events that were worked on.
    pub(crate) fn distinct(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Events that were worked on once more.
    pub(crate) fn again(&self) -> u64 {
        (self.done.len() - self.seen.len()) as u64
    }

    /// Whether each of these members has delivered something.
    pub(crate) fn are_active(&self, members: &[usize]) -> bool {
        members.iter().all(|member| self.active.contains(member))
    }

    /// Events whose acks were confirmed.
    pub(crate) fn confirmed(&self) -> u64 {
        self.confirmed.len() as u64
    }

    /// Deliveries of events whose acks had been confirmed before.
    pub(crate) fn after_confirmed(&self) -> u64 {
        let late = |(at, number): &&(Duration, u64)| {
            let confirmed = self.confirmed.get(number);
            confirmed.is_some_and(|confirmed| at > confirmed)
        };
        self.done.iter().filter(late).count() as u64
    }

    /// Of events 0 to `written`, those that were never worked on.
    pub(crate) fn lost(&self, written: u64) -> u64 {
        let numbers = 0..written;
        numbers.filter(|number| !self.seen.contains(number)).count() as u64
    }

    /// First occurrences that came after a later event of their key.
    pub(crate) fn out_of_order(&self) -> u64 {
        let mut done = self.done.clone();
        // What came in one batch stays in its order.
        done.sort_by_key(|(at, _)| *at);
        let mut seen = HashSet::with_capacity(self.seen.len());
        let mut last_of_key = HashMap::new();
        let mut out_of_order = 0;
        for (_, number) in done {
            if seen.insert(number) {
                let last = last_of_key.insert(number % KEYS, number);
                out_of_order += u64::from(last.is_some_and(|last| last > number));
            }
        }
        out_of_order
    }

    /// How partitions went from one member to another.
    pub(crate) fn handovers(&self) -> Handovers {
        handovers(self.steps.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn what_came_again_is_not_out_of_order() {
        let mut book = Book::default();
        for (member, second, number) in [
            // Told late, delivered early.
            (1, 3, 2 * KEYS),
            (0, 1, 0),
            (0, 2, KEYS),
            (1, 3, KEYS),
        ] {
            book.note(member, What::Done(number).at(at(second)));
        }
        assert_eq!((book.out_of_order(), book.again()), (0, 1));
        assert_eq!(book.lost(2), 1);
        book.note(0, What::Done(4 * KEYS).at(at(4)));
        book.note(1, What::Done(3 * KEYS).at(at(5)));
        assert_eq!(book.out_of_order(), 1);
    }

    #[test]
    fn what_comes_after_its_ack_was_confirmed_is_counted() {
        let mut book = Book::default();
        for (second, what) in [
            (1, What::Done(7)),
            (2, What::Done(7)),
            (3, What::Confirmed(7)),
            (4, What::Done(7)),
            (5, What::Confirmed(7)),
            (6, What::Done(8)),
        ] {
            book.note(0, what.at(at(second)));
        }
        assert_eq!((book.confirmed(), book.after_confirmed()), (1, 1));
    }

    #[test]
    fn taken_over_is_when_another_one_has_delivered_from_all() {
        let mut book = Book::default();
        for (member, partition) in [(0, "a"), (0, "b"), (1, "c")] {
            book.note(member, What::Owns(partition.into()).at(at(1)));
            book.note(member, What::Came(partition.into()).at(at(1)));
        }
        assert!(!book.is_shared(&[0, 1], 4) && book.is_shared(&[0, 1], 3));
        assert_eq!(book.abandoned(0, at(10)), 2);
        book.note(1, What::Came("a".into()).at(at(12)));
        // Its own, told late.
        book.note(0, What::Came("b".into()).at(at(11)));
        assert_eq!(book.taken_over(), None);
        book.note(1, What::Came("b".into()).at(at(13)));
        book.note(1, What::Came("a".into()).at(at(14)));
        assert_eq!(book.taken_over(), Some(at(3)));
        book.ended(0, at(10));
        assert!(!book.is_shared(&[1], 3));
    }
}
