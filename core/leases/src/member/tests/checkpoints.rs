//! Checkpoints (C9), seek (C8), release.

use super::*;

fn durable(ticket: u64) -> Event {
    Event::Settled {
        partition: "p".into(),
        ticket,
        durable: true,
    }
}

#[test]
fn a_checkpoint_is_durable_when_it_is_settled() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    bench.held.push(one);
    let ticket = bench.members[one].checkpoint(&grant, "10").unwrap();
    bench.settle();
    assert_eq!(bench.events(one), []);
    bench.held.clear();
    for (at, request) in std::mem::take(&mut bench.requests) {
        let answer = bench.apply(&request.operation);
        bench.answer(at, request.id, answer);
    }
    assert_eq!(bench.events(one), [durable(ticket)]);
    assert_eq!(
        bench.row("p").checkpoint,
        Checkpoint::new(0, Some("10".into()))
    );
}

#[test]
fn it_never_goes_back_and_what_is_covered_is_done_at_once() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    for (position, stands) in [("9", "9"), ("10", "10"), ("9", "10"), ("10", "10")] {
        let counter = bench.row("p").counter;
        let ticket = bench.members[one].checkpoint(&grant, position).unwrap();
        bench.settle();
        assert_eq!(bench.events(one), [durable(ticket)]);
        let row = bench.row("p");
        assert_eq!(row.checkpoint.position.as_deref(), Some(stands));
        let moved = position == stands && position != "10" || row.counter > counter;
        assert!(moved || stands == "10", "nothing was written in vain");
    }
}

#[test]
fn calls_during_a_write_are_one_write_afterwards() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    let counter = bench.row("p").counter;
    bench.held.push(one);
    let mut tickets = Vec::new();
    for position in ["1", "3", "2"] {
        tickets.push(bench.members[one].checkpoint(&grant, position).unwrap());
        bench.settle();
    }
    bench.held.clear();
    for (at, request) in std::mem::take(&mut bench.requests) {
        let answer = bench.apply(&request.operation);
        bench.answer(at, request.id, answer);
    }
    bench.settle();
    assert_eq!(
        bench.events(one),
        [durable(tickets[0]), durable(tickets[2])]
    );
    let row = bench.row("p");
    assert_eq!(
        (row.counter, row.checkpoint.position.as_deref()),
        (counter + 2, Some("3"))
    );
}

#[test]
fn a_checkpoint_is_a_renewal() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    let counter = bench.row("p").counter;
    for second in 1..=20u64 {
        bench.pass(SECOND);
        bench.members[one]
            .checkpoint(&grant, second.to_string())
            .unwrap();
        bench.settle();
    }
    assert_eq!(bench.row("p").counter, counter + 20);
    assert!(bench.may_deliver(one, &grant));
}

#[test]
fn a_seek_opens_a_generation_and_stales_what_came_before() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    bench.members[one].checkpoint(&grant, "10").unwrap();
    let (ticket, next) = bench.members[one].seek(&grant, Some("4".into())).unwrap();
    assert!(
        !bench.may_deliver(one, &grant),
        "nothing of before the seek"
    );
    assert!(bench.may_deliver(one, &next));
    assert_eq!(bench.members[one].checkpoint(&grant, "11"), Err(Stale));
    bench.settle();
    assert_eq!(bench.events(one).pop(), Some(durable(ticket)));
    assert_eq!(
        bench.row("p").checkpoint,
        Checkpoint::new(1, Some("4".into()))
    );
    bench.members[one].checkpoint(&next, "5").unwrap();
    bench.settle();
    assert_eq!(
        bench.row("p").checkpoint,
        Checkpoint::new(1, Some("5".into()))
    );
}

#[test]
fn a_release_carries_the_last_checkpoint_and_voids_the_grant() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    let ticket = bench.members[one]
        .release(&grant, Some("10".into()))
        .unwrap();
    assert!(!bench.may_deliver(one, &grant));
    assert_eq!(bench.members[one].checkpoint(&grant, "11"), Err(Stale));
    bench.settle();
    let events = bench.events(one);
    assert_eq!(events[0], durable(ticket));
    // Alone as it is, it takes it again: another ownership, from there on.
    bench.pass(LEASE / 3);
    let again = bench.grants(one).remove(0);
    assert_eq!(again.takes, grant.takes + 1);
    assert_eq!(again.checkpoint.position.as_deref(), Some("10"));
    assert_eq!(bench.members[one].checkpoint(&grant, "12"), Err(Stale));
}

#[test]
fn a_release_whose_answer_was_lost_is_durable() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    bench.held.push(one);
    let ticket = bench.members[one]
        .release(&grant, Some("10".into()))
        .unwrap();
    bench.settle();
    bench.lose(one, true);
    bench.held.clear();
    bench.pass(SECOND);
    assert_eq!(bench.events(one)[0], durable(ticket));
    assert_eq!(bench.row("p").checkpoint.position.as_deref(), Some("10"));
}

#[test]
fn a_late_write_of_an_earlier_try_changes_nothing() {
    let mut bench = Bench::new();
    let one = bench.join(&["p"]);
    let grant = bench.grants(one).remove(0);
    bench.held.push(one);
    bench.members[one].checkpoint(&grant, "10").unwrap();
    bench.settle();
    let late = bench.requests.clone();
    bench.lose(one, false);
    bench.held.clear();
    bench.members[one].checkpoint(&grant, "20").unwrap();
    bench.pass(SECOND);
    for (_, request) in late {
        let answer = bench.apply(&request.operation);
        assert!(
            matches!(answer, Answer::Written(Written::Conflict(_))),
            "{answer:?}"
        );
    }
    assert_eq!(bench.row("p").checkpoint.position.as_deref(), Some("20"));
}
