//! What has no order.

use super::*;

/// How a hundred without a key come.
fn order(seed: u64) -> Vec<u64> {
    let mut case = case();
    case.backlog = Backlog::new(settings(), seed);
    case.attach(1, None);
    case.push(&[""; 100]);
    case.numbers(1)
}

#[test]
fn the_seed_decides_which_of_the_first_few_comes_next() {
    let came = order(1);
    assert!(!came.is_sorted(), "{came:?}");
    assert_eq!(order(1), came);
    assert_ne!(order(2), came);
    // None is far ahead of those before it, and each comes once.
    assert!(
        came.iter().zip(8..).all(|(id, most)| *id <= most),
        "{came:?}"
    );
    let mut all = came;
    all.sort_unstable();
    assert_eq!(all, Vec::from_iter(1..=100));
}

#[test]
fn a_subscription_without_order_gives_keys_in_none() {
    let mut case = case_with(Settings {
        ordered: false,
        ..settings()
    });
    case.push(&["a"; 100]);
    let came = case.numbers(1);
    assert!(came.len() == 100 && !came.is_sorted(), "{came:?}");
}

#[test]
fn those_that_are_past_retention_leave_nothing() {
    let mut case = case();
    case.push(&[""; 100]);
    let few = Room {
        messages: 50,
        ..ALL
    };
    let taken = case.backlog.take(1, few, TEN, case.now);
    assert_eq!(taken.len(), 50);
    assert_eq!(case.backlog.trim(None, at(700)), 100);
    assert_eq!(case.backlog.loose.len(), 0);
    assert_eq!(case.numbers(1), [0; 0]);
}
