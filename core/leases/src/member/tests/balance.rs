//! Shares, and how partitions change hands.

use super::*;
use crate::MemberRow;

const EIGHT: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

impl Bench {
    /// Every application drains at once, and gives up what it is asked for.
    fn hand_over(&mut self, time: Duration) {
        let mut grants = std::mem::take(&mut self.apps);
        let end = self.now + time;
        while self.now < end {
            self.pass(SECOND / 4);
            for at in 0..self.members.len() {
                for event in self.events(at) {
                    match event {
                        Event::Granted(grant) => grants.push((at, grant)),
                        Event::Asked(partition) => {
                            let asked =
                                |it: &(usize, Grant)| it.0 == at && it.1.partition == partition;
                            let held = grants.iter().rposition(asked).unwrap();
                            let (_, grant) = grants.swap_remove(held);
                            assert!(
                                !self.may_deliver(at, &grant),
                                "asked for, it delivers no more"
                            );
                            self.members[at].release(&grant, None).unwrap();
                        }
                        _ => {}
                    }
                }
            }
        }
        self.apps = grants;
    }

    fn asked(&self) -> usize {
        let leases = self.leases();
        leases
            .iter()
            .filter(|lease| lease.asked_by.is_some())
            .count()
    }
}

#[test]
fn one_that_has_none_asks_for_its_share_at_once() {
    let mut bench = Bench::new();
    bench.join(&EIGHT);
    bench.join(&[]);
    assert_eq!(bench.asked(), 4);
    assert_eq!(
        bench.shares(),
        [8, 0],
        "nothing is taken from one that lives"
    );
}

#[test]
fn shares_become_even_and_stay_so() {
    let mut bench = Bench::new();
    // The first application is the only one before the others come.
    bench
        .members
        .push(Member::new("m0", &Options::new().lease(LEASE), 0));
    bench.events.push(Vec::new());
    bench.members[0].add(EIGHT.map(NewPartition::new), 1_000);
    bench.hand_over(SECOND);
    assert_eq!(bench.shares(), [8]);
    bench.join(&[]);
    bench.hand_over(LEASE);
    assert_eq!(bench.shares(), [4, 4]);
    bench.join(&[]);
    bench.hand_over(2 * LEASE);
    let mut shares = bench.shares();
    shares.sort_unstable();
    assert_eq!(shares, [2, 3, 3]);
    let takes: u64 = bench.leases().iter().map(|lease| lease.takes).sum();
    bench.hand_over(5 * LEASE);
    let later: u64 = bench.leases().iter().map(|lease| lease.takes).sum();
    assert_eq!(
        (bench.asked(), later),
        (0, takes),
        "within one, nobody asks"
    );
}

#[test]
fn one_that_has_some_asks_for_one_at_a_time() {
    let mut bench = Bench::new();
    for partition in EIGHT {
        let mut lease = Lease::new(partition, 5);
        lease.owner = Some("other".into());
        lease.term = 10 * LEASE;
        bench.put(lease);
    }
    let row = Row::from(MemberRow::new("other", 9, 10 * LEASE));
    bench.apply(&Operation::Write {
        row,
        expected: None,
    });
    // What is free comes first; only then it looks at what another has.
    bench.put(Lease::new("x", 5));
    let one = bench.join(&[]);
    assert_eq!((bench.shares()[one], bench.asked()), (1, 0));
    bench.pass(3 * LEASE);
    assert_eq!((bench.shares()[one], bench.asked()), (1, 1));
    let asked = bench.leases().into_iter().find(|it| it.asked_by.is_some());
    let given = Lease {
        owner: None,
        ..asked.unwrap()
    };
    bench.put(given);
    bench.pass(LEASE);
    assert_eq!((bench.shares()[one], bench.asked()), (2, 1));
}

#[test]
fn expired_ones_come_before_asking() {
    let mut bench = Bench::new();
    let one = bench.join(&EIGHT[..4]);
    let mut dead = Vec::new();
    for partition in ["x", "y"] {
        let mut lease = Lease::new(partition, 5);
        lease.owner = Some("dead".into());
        lease.term = LEASE;
        bench.put(lease);
        dead.push(partition);
    }
    bench.pass(LEASE - SECOND);
    // Both look at the rows of the dead; only the one below its share takes them.
    let two = bench.join(&[]);
    bench.put({
        let mut lease = bench.row("x");
        lease.owner = None;
        lease
    });
    bench.pass(LEASE / 3);
    assert_eq!(bench.grants(two)[0].partition, "x".into());
    assert_eq!(bench.shares()[one], 4);
}

#[test]
fn what_was_given_up_for_one_is_left_to_it_for_a_while() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let two = bench.join(&[]);
    // Given up for the second, which does not come.
    bench.held.push(two);
    let mut given = bench.row("p");
    given.owner = None;
    given.asked_by = Some(bench.members[two].name().clone());
    given.counter += 1;
    bench.put(given);
    bench.pass(LEASE / 3);
    assert!(bench.row("p").owner.is_none());
    bench.pass(LEASE / 2);
    assert_eq!(
        bench.row("p").owner.as_ref(),
        Some(bench.members[one].name())
    );
}

#[test]
fn one_that_does_not_drain_in_time_gives_it_up_as_it_stands() {
    let mut bench = Bench::new();
    let one = bench.join(&["a", "b"]);
    let grants = bench.grants(one);
    let two = bench.join(&[]);
    bench.pass(LEASE / 3);
    let asked = match &bench.events(one)[..] {
        [Event::Asked(partition)] => partition.clone(),
        other => panic!("{other:?}"),
    };
    let grant = grants
        .iter()
        .find(|grant| grant.partition == asked)
        .unwrap();
    bench.members[one].checkpoint(grant, "5").unwrap();
    bench.pass(20 * SECOND);
    assert_eq!(bench.shares(), [2, 0], "it is renewed while it drains");
    assert!(bench.members[one].checkpoint(grant, "6").is_ok());
    bench.pass(11 * SECOND);
    assert!(bench.events(one).contains(&Event::Lost(asked.clone())));
    assert_eq!(bench.members[one].checkpoint(grant, "7"), Err(Stale));
    bench.pass(2 * SECOND);
    let taken = bench.grants(two).remove(0);
    assert_eq!(taken.partition, asked);
    assert_eq!(taken.checkpoint.position.as_deref(), Some("6"));
}

#[test]
fn a_request_of_one_that_is_dead_is_not_heard() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    bench.grants(one);
    let mut asked = bench.row("p");
    asked.asked_by = Some("dead".into());
    bench.put(asked);
    bench.pass(2 * LEASE);
    assert_eq!(bench.events(one), []);
}

#[test]
fn members_without_a_partition_count() {
    let mut bench = Bench::new();
    bench.join(&["a", "b"]);
    bench.join(&[]);
    let three = bench.join(&[]);
    bench.pass(LEASE);
    let waiting = bench.shares()[three];
    assert_eq!(waiting, 0);
    assert_eq!(bench.asked(), 1, "a third has no share to ask for");
    let members = bench
        .rows()
        .iter()
        .filter(|row| matches!(row, Row::Member(_)))
        .count();
    assert_eq!(members, 3);
}
