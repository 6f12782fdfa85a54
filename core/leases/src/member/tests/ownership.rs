//! Who owns, since when, until when (C10).

use super::*;
use crate::MemberRow;

fn owned(owner: &str, counter: u64) -> Lease {
    let mut lease = Lease::new("p", 5);
    lease.owner = Some(owner.into());
    lease.counter = counter;
    lease.term = LEASE;
    lease
}

#[test]
fn a_lone_member_takes_everything() {
    let mut bench = Bench::new();
    let one = bench.join(&["a", "b", "c"]);
    let grants = bench.grants(one);
    assert_eq!(grants.len(), 3);
    assert!(grants.iter().all(|grant| bench.may_deliver(one, grant)));
    assert!(
        grants.iter().all(|grant| grant.takes == 1_001),
        "seeded by the unix time, raised once"
    );
}

#[test]
fn a_lease_is_taken_when_nothing_was_seen_of_its_owner_for_its_term() {
    let mut bench = Bench::new();
    bench.put(owned("other", 7));
    let one = bench.join(&[]);
    bench.pass(LEASE - SECOND / 4);
    assert!(bench.grants(one).is_empty());
    bench.pass(SECOND);
    assert_eq!(bench.grants(one)[0].takes, 6);
}

#[test]
fn every_change_of_the_counter_begins_the_wait_anew_and_a_request_does_not() {
    let mut bench = Bench::new();
    bench.put(owned("other", 7));
    let one = bench.join(&[]);
    bench.pass(8 * SECOND);
    bench.put(owned("other", 8));
    bench.pass(8 * SECOND);
    assert!(bench.grants(one).is_empty());
    let mut asked = owned("other", 8);
    asked.asked_by = Some("third".into());
    bench.put(asked);
    bench.pass(6 * SECOND);
    assert_eq!(bench.grants(one).len(), 1);
}

#[test]
fn the_wait_is_what_the_owner_has_promised_and_not_what_the_observer_would() {
    let mut bench = Bench::new();
    let mut slow = owned("other", 7);
    slow.term = 3 * LEASE;
    bench.put(slow);
    let one = bench.join(&[]);
    bench.pass(3 * LEASE - SECOND);
    assert!(bench.grants(one).is_empty());
    bench.pass(2 * SECOND);
    assert_eq!(bench.grants(one).len(), 1);
}

#[test]
fn an_owner_counts_from_the_start_of_its_renewal() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    bench.held.push(one);
    bench.pass(4 * SECOND);
    // The renewal was sent 3 to 3.34 s after the take; its answer comes more than a second later.
    bench.pass(SECOND);
    let requests = std::mem::take(&mut bench.requests);
    for (at, request) in requests {
        let answer = bench.apply(&request.operation);
        bench.answer(at, request.id, answer);
    }
    bench.pass(6 * SECOND);
    assert!(bench.may_deliver(one, &grant), "11 s after the take");
    bench.pass(SECOND * 3 / 2);
    assert!(
        !bench.may_deliver(one, &grant),
        "nine tenths of a lease after the renewal began"
    );
}

#[test]
fn after_a_pause_nothing_is_delivered_before_a_fresh_renewal() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    bench.now += 2 * LEASE;
    assert!(!bench.may_deliver(one, &grant));
    bench.settle();
    assert!(bench.may_deliver(one, &grant), "nobody took it meanwhile");
    assert_eq!(bench.events(one), []);
}

#[test]
fn one_that_was_taken_for_dead_is_told_and_fenced() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    let mut taken = bench.row("p");
    taken.owner = Some("other".into());
    taken.takes += 1;
    taken.counter += 1;
    bench.put(taken.clone());
    let ticket = bench.members[one].checkpoint(&grant, "10").unwrap();
    bench.settle();
    let lost = Event::Lost("p".into());
    let settled = Event::Settled {
        partition: "p".into(),
        ticket,
        durable: false,
    };
    assert_eq!(bench.events(one), [lost, settled]);
    assert_eq!(bench.row("p"), taken, "it wrote nothing");
    assert_eq!(bench.members[one].checkpoint(&grant, "11"), Err(Stale));
    assert!(!bench.may_deliver(one, &grant));
}

#[test]
fn a_row_that_is_gone_is_lost() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    bench.grants(one);
    let key = Key::Lease("p".into());
    let operation = Operation::Remove {
        key,
        expected: None,
    };
    bench.apply(&operation);
    bench.pass(LEASE / 3);
    assert_eq!(bench.events(one), [Event::Lost("p".into())]);
    bench.members[one].add([NewPartition::new("p")], 2_000);
    bench.pass(LEASE / 3);
    assert_eq!(bench.grants(one)[0].takes, 2_001);
}

#[test]
fn a_take_whose_answer_was_lost_is_found_again_and_not_counted_twice() {
    let mut bench = Bench::new();
    bench.put(Lease::new("p", 5));
    bench.held.push(0);
    let one = bench.join(&[]);
    while bench.row("p").owner.is_none() {
        let take = |request: &Request| {
            matches!(
                request.operation,
                Operation::Write {
                    row: Row::Lease(_),
                    ..
                }
            )
        };
        if bench.requests.iter().any(|(_, request)| take(request)) {
            bench.lose(one, true);
        } else {
            for (at, request) in std::mem::take(&mut bench.requests) {
                let answer = bench.apply(&request.operation);
                bench.answer(at, request.id, answer);
            }
            bench.settle();
        }
    }
    assert_eq!(bench.events(one), []);
    bench.held.clear();
    bench.pass(LEASE / 3);
    let grants = bench.grants(one);
    assert_eq!(grants[0].takes, 6);
    assert!(bench.may_deliver(one, &grants[0]));
}

#[test]
fn a_renewal_whose_answer_was_lost_is_made_again() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    bench.held.push(one);
    bench.pass(4 * SECOND);
    bench.lose(one, true);
    bench.held.clear();
    bench.pass(6 * SECOND);
    assert!(bench.may_deliver(one, &grant));
    assert_eq!(bench.events(one), []);
}

#[test]
fn a_member_in_flight_does_not_believe_an_older_listing() {
    let mut bench = Bench::new();
    bench.put(owned("other", 7));
    let one = bench.join(&[]);
    bench.pass(LEASE - SECOND);
    // A listing is made, and answered only after the take that an earlier one has led to.
    let stale = bench.apply(&Operation::List);
    bench.pass(2 * SECOND);
    let grant = bench.grants(one).remove(0);
    bench.held.push(one);
    bench.pass(4 * SECOND);
    let list = |request: &(usize, Request)| request.1.operation == Operation::List;
    let at = bench.requests.iter().position(list).unwrap();
    let (_, listing) = bench.requests.swap_remove(at);
    for (at, request) in std::mem::take(&mut bench.requests) {
        let answer = bench.apply(&request.operation);
        bench.answer(at, request.id, answer);
    }
    bench.answer(one, listing.id, stale);
    assert_eq!(bench.events(one), []);
    assert!(bench.may_deliver(one, &grant));
}

#[test]
fn leaving_releases_everything_for_others_to_take_without_waiting() {
    let mut bench = Bench::new();
    let one = bench.join(&["a", "b"]);
    let grants = bench.grants(one);
    bench.members[one].checkpoint(&grants[0], "7").unwrap();
    bench.members[one].leave();
    assert!(!bench.may_deliver(one, &grants[0]), "at once");
    bench.settle();
    assert_eq!(bench.events(one).pop(), Some(Event::Left));
    assert!(bench.rows().iter().all(|row| matches!(row, Row::Lease(_))));
    let two = bench.join(&[]);
    let grants = bench.grants(two);
    assert_eq!(grants.len(), 2);
    assert_eq!(grants[0].checkpoint.position.as_deref(), Some("7"));
}

#[test]
fn the_row_of_a_dead_member_is_swept() {
    let mut bench = Bench::new();
    bench.join(&["p"]);
    let row = Row::from(MemberRow::new("dead", 9, LEASE));
    bench.apply(&Operation::Write {
        row: row.clone(),
        expected: None,
    });
    bench.pass(2 * LEASE);
    assert!(bench.rows().contains(&row));
    bench.pass(2 * LEASE);
    assert!(!bench.rows().contains(&row));
}

#[test]
fn a_member_whose_row_was_swept_makes_it_again() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let key = Key::Member(bench.members[one].name().clone());
    bench.apply(&Operation::Remove {
        key: key.clone(),
        expected: None,
    });
    bench.pass(LEASE / 3);
    assert!(bench.rows().iter().any(|row| row.key() == key));
}

#[test]
fn failures_are_retried_slower_and_slower_but_as_soon_as_was_asked_for() {
    let mut bench = Bench::new();
    bench.held.push(0);
    let one = bench.join(&["p"]);
    let mut gaps = Vec::new();
    let mut last = bench.now;
    while gaps.len() < 8 {
        bench.now += SECOND / 100;
        bench.settle();
        let listing = bench
            .requests
            .iter()
            .any(|(_, request)| request.operation == Operation::List);
        bench.lose(one, false);
        if listing {
            gaps.push(bench.now - last);
            last = bench.now;
        }
    }
    assert!(gaps[1] <= LEASE / 50, "{gaps:?}");
    assert!(gaps[7] >= LEASE / 12 && gaps[7] <= LEASE / 5, "{gaps:?}");
}
