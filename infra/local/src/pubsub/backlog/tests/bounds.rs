//! What doesn't grow.

use super::*;

#[test]
fn times_of_what_is_over_do_not_pile_up() {
    let mut case = case();
    for _ in 0..20_000 {
        case.push(&["a"]);
        let taken = case.take(1);
        assert_eq!(case.backlog.ack(&taken), [Settled::Done]);
    }
    assert!(case.backlog.leases.looks() < 10_000);
    assert!(case.backlog.free.len() < 10);
    case.push(&["b"]);
    for _ in 0..20_000 {
        let taken = case.take(1);
        assert_eq!(case.nack(&taken), [true]);
        case.wait(Duration::ZERO);
    }
    assert!(case.backlog.leases.looks() < 10_000);
}

#[test]
fn keys_that_no_reader_ever_saw_leave_nothing() {
    let mut case = case();
    for n in 0..20_000 {
        case.push(&[&format!("key-{n}")]);
        case.backlog.trim(None, at(case.next + 600));
    }
    assert!(case.backlog.free.len() < 10_000);
    assert_eq!(
        (case.backlog.keys.len(), case.backlog.stored_bytes()),
        (0, 0)
    );
    case.push(&["a", "b"]);
    assert_eq!(case.numbers(1), [20_001, 20_002]);
}

#[test]
fn deadlines_that_change_do_not_pile_up() {
    let mut case = case();
    case.push(&["a", ""]);
    let taken = case.take(1);
    for n in 0..20_000 {
        let seconds = if n % 2 == 0 { 600 } else { 300 };
        // Each shorter one is sooner than all before.
        let deadline = Duration::from_secs(seconds) - Duration::from_millis(n);
        assert_eq!(case.backlog.extend(&taken, deadline, case.now), [true; 2]);
    }
    assert!(case.backlog.leases.looks() < 10_000);
    // The last one counts, and nothing else does.
    assert_eq!(case.wait(Duration::from_secs(280)), 0);
    assert_eq!(case.backlog.leases.looks(), 2);
    assert_eq!(case.wait(Duration::from_millis(1)), 2);
    assert_eq!(case.backlog.leases.looks(), 0);
}
