//! What stands still, and what waits to come again.

use super::{
    Size,
    tests::{LEASE, MILLI, keys, message, nth},
};
use std::time::{Duration, Instant};

#[test]
fn what_was_behind_one_whose_time_was_over_is_handed_on_with_it() {
    let (mut keys, now) = (keys(100), Instant::now());
    for n in 0..3 {
        keys.arrive(message(Some(0), n, 1, n as u64), now);
    }
    // The first one alone could not be prolonged.
    let held = keys.to_prolong(now);
    let later = now + LEASE - MILLI;
    keys.prolonged(&held.refs[1..], later, later);
    let over = now + LEASE;
    assert!(keys.take(10, over).is_empty());
    keys.arrive(message(Some(0), 0, 2, 0), over);
    let came: Vec<_> = keys.take(10, over).iter().map(nth).collect();
    assert_eq!(came, [0, 1, 2]);
}

#[test]
fn what_was_nacked_over_and_over_is_bounded() {
    let bounds = Size {
        events: 10,
        bytes: 1 << 20,
    };
    let (mut keys, mut now) = (keys(100), Instant::now());
    let mut count = 0;
    // The service gives everything else first.
    while !keys.waits_for_much(bounds) {
        assert!(count <= 40, "{count} wait");
        for n in count..count + 10 {
            keys.arrive(message((n % 2 == 0).then_some(n), n, 1, n as u64), now);
        }
        count += 10;
        let tokens: Vec<_> = keys.take(10, now).iter().map(|it| it.token).collect();
        assert_eq!(keys.nack(&tokens, now), 10);
        now += Duration::from_millis(10);
        let (lanes, ack_ids) = keys.due(now);
        assert_eq!(ack_ids.len(), 10);
        keys.nack_told(&lanes);
    }
    keys.forget_nacked();
    assert!(!keys.is_overfull(bounds));
    assert!(keys.ids.is_empty() && keys.keys.is_empty() && keys.loose.len() == 0);
    // It comes as if it were new.
    keys.arrive(message(Some(0), 0, 2, 0), now);
    assert_eq!(keys.take(10, now)[0].attempt, 1);
}
