//! How long what failed waits.

use super::*;

#[test]
fn retries_wait_longer_each_time_and_their_key_with_them() {
    let one = Duration::from_secs(1);
    let mut case = case_with(Settings {
        retry: Some((one, 3 * one)),
        ..settings()
    });
    case.push(&["a", "a"]);
    for wait in [one, 2 * one, 3 * one, 3 * one] {
        let taken = case.take(1);
        assert_eq!(taken[0].message, 1);
        case.nack(&taken[..1]);
        case.push(&["a"]);
        case.wait(wait - Duration::from_millis(1));
        assert_eq!(case.numbers(2), [0; 0]);
        case.wait(Duration::from_millis(1));
    }
    assert_eq!(case.numbers(2), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_retry_without_a_key_waits_alone() {
    let one = Duration::from_secs(1);
    let mut case = case_with(Settings {
        retry: Some((one, one)),
        ..settings()
    });
    case.push(&[""]);
    let taken = case.take(1);
    case.nack(&taken);
    case.push(&[""]);
    assert_eq!(case.numbers(1), [2]);
    case.wait(one);
    assert_eq!(case.numbers(1), [1]);
}

#[test]
fn a_key_waits_for_the_last_of_its_failures() {
    let one = Duration::from_secs(1);
    let mut case = case_with(Settings {
        retry: Some((one, 10 * one)),
        ..settings()
    });
    case.push(&["a", "a"]);
    let taken = case.take(1);
    case.nack(&taken[1..]);
    case.wait(one);
    let again = case.take(1);
    assert_eq!(again[0].message, 2);
    // The second one has failed twice now, and the first one once.
    case.nack(&[taken[0], again[0]]);
    case.wait(one);
    assert_eq!(case.numbers(2), [0; 0]);
    case.wait(one);
    assert_eq!(case.numbers(2), [1, 2]);
}

#[test]
fn a_key_waits_where_its_reader_had_no_room_for_all_of_it() {
    let one = Duration::from_secs(1);
    let mut case = case_with(Settings {
        retry: Some((one, one)),
        ..settings()
    });
    case.attach(3, Some(2));
    case.push(&["a", "a", "a"]);
    let taken = case.take(3);
    assert_eq!(taken.len(), 2);
    case.nack(&taken);
    assert_eq!(case.numbers(3), [0; 0]);
    case.wait(one - Duration::from_millis(1));
    assert_eq!((case.numbers(3), case.numbers(1)), (vec![], vec![]));
    case.wait(Duration::from_millis(1));
    assert_eq!(case.numbers(3), [1, 2]);
}

#[test]
fn a_repeat_does_not_end_the_wait_of_its_key() {
    let one = Duration::from_secs(1);
    let mut case = case_with(Settings {
        retry: Some((one, one)),
        ..settings()
    });
    case.push(&["a", "a"]);
    let taken = case.take(1);
    case.nack(&taken[1..]);
    assert!(case.backlog.repeat(taken[0]));
    assert_eq!(case.numbers(1), [0; 0]);
    case.wait(one);
    assert_eq!(case.numbers(1), [1, 2]);
}

#[test]
fn what_waited_for_a_key_that_is_gone_is_nothing_to_the_next_one() {
    let one = Duration::from_secs(1);
    let mut case = case_with(Settings {
        retry: Some((one, 100 * one)),
        ..settings()
    });
    case.push(&["a"]);
    let taken = case.take(1);
    case.nack(&taken);
    // The key goes while it waits, and the next one has its place.
    case.backlog.trim(None, at(601));
    case.push(&["b"]);
    case.now += Duration::from_millis(500);
    let taken = case.take(1);
    case.nack(&taken);
    case.wait(Duration::from_millis(500));
    assert_eq!(case.numbers(1), [0; 0]);
    case.wait(Duration::from_millis(500));
    assert_eq!(case.numbers(1), [2]);
}
