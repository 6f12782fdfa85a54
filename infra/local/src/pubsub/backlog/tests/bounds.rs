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
fn keys_count_as_long_as_they_have_messages() {
    let mut case = case_with(Settings {
        retain_acked: true,
        ..settings()
    });
    let long = "k".repeat(1_000);
    case.push(&[&long, &long, ""]);
    let plain = message(1, "").memory();
    // The text is in each message encoded and once more, and once beside them.
    let keyed = case.backlog.stored_bytes() - 3 * plain;
    assert!((5_100..6_000).contains(&keyed), "{keyed}");
    assert_eq!(case.backlog.stored_bytes(), case.backlog.unacked_bytes());
    let taken = case.take(1);
    case.backlog.ack(&taken);
    let acked: usize = [long.as_str(), &long, ""]
        .map(|key| message(1, key).memory())
        .iter()
        .sum();
    assert_eq!(
        (case.backlog.unacked_bytes(), case.backlog.stored_bytes()),
        (0, acked)
    );
    case.backlog.seek(&Target::Time(at(0)), &[], at(5));
    assert_eq!(case.backlog.stored_bytes(), keyed + 3 * plain);
    case.backlog.seek(&Target::Time(at(9)), &[], at(5));
    assert_eq!(case.backlog.unacked_bytes(), 0);
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
