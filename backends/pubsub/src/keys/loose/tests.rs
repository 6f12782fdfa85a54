use crate::keys::{
    Size,
    tests::{LEASE, MILLI, keys, message, nth},
};
use std::time::{Duration, Instant};

#[test]
fn what_waits_behind_one_that_came_twice_is_handed_on() {
    let (mut keys, now) = (keys(1), Instant::now());
    let arrive = |keys: &mut super::super::Keys, n: usize, delivery| {
        keys.arrive(message(None, n, delivery, n as u64), now);
    };
    arrive(&mut keys, 0, 1);
    let first = keys.take(10, now);
    arrive(&mut keys, 1, 1);
    // The service says it twice.
    arrive(&mut keys, 1, 2);
    arrive(&mut keys, 2, 1);
    assert!(keys.take(10, now).is_empty(), "full");
    let mut came = vec![nth(&first[0])];
    let mut token = first[0].token;
    while came.len() < 3 {
        assert_eq!(keys.ack(&[token], now), 1);
        assert!(keys.is_ready(), "{came:?} have come");
        let next = keys.take(10, now);
        assert_eq!(next.len(), 1, "{came:?} have come");
        came.push(nth(&next[0]));
        token = next[0].token;
    }
    assert_eq!(came, [0, 1, 2]);
}

#[test]
fn attempts_are_counted_on_whatever_brings_it_again() {
    let (mut keys, now) = (keys(10), Instant::now());
    keys.arrive(message(None, 0, 1, 0), now);
    assert_eq!(keys.take(10, now)[0].attempt, 1);
    // Its deadline has passed at the service.
    keys.arrive(message(None, 0, 2, 0), now);
    assert_eq!(keys.take(10, now)[0].attempt, 2);
    // And here.
    let over = now + LEASE;
    assert!(keys.lapse(over));
    keys.arrive(message(None, 0, 3, 0), over);
    assert_eq!(keys.take(10, over)[0].attempt, 3);
}

#[test]
fn an_ack_of_what_comes_again_before_it_is_told_is_lost() {
    for key in [None, Some(0)] {
        let (mut keys, now) = (keys(10), Instant::now());
        keys.arrive(message(key, 0, 1, 0), now);
        let handed = keys.take(10, now);
        assert_eq!(keys.ack(&[handed[0].token], now), 1);
        keys.arrive(message(key, 0, 2, 0), now);
        assert!(keys.finished(0, 10).refs.is_empty());
        assert!(keys.take_fenced(), "{key:?}");
        // Where it is acknowledged again before it is asked for, nothing is lost.
        let handed = keys.take(10, now);
        assert_eq!(keys.ack(&[handed[0].token], now), 1);
        keys.arrive(message(key, 0, 3, 0), now);
        let handed = keys.take(10, now);
        assert_eq!(keys.ack(&[handed[0].token], now), 1);
        for way in 0..super::super::WAYS {
            let finished = keys.finished(way, 10);
            keys.acked(finished, 0);
        }
        assert!(!keys.take_fenced(), "{key:?}");
    }
}

#[test]
fn what_stands_still_is_told_and_gives_its_room_to_the_keys() {
    let (mut keys, start) = (keys(2), Instant::now());
    let bounds = Size {
        events: 8,
        bytes: 1 << 20,
    };
    let time = Duration::from_secs(5);
    for n in 0..8 {
        keys.arrive(message(None, n, 1, n as u64), start);
    }
    let stuck = keys.take(10, start);
    assert_eq!(stuck.len(), 2);
    let now = start + time;
    assert!(!keys.is_held_up(bounds, time, now - MILLI));
    assert!(keys.is_held_up(bounds, time, now));
    assert_eq!(keys.standing(time, now), 1);
    assert_eq!(keys.standing(time, now), 0, "told once");
    assert_eq!(keys.shed(time, now).len(), 6);
    keys.begin_stream();
    keys.arrive(message(Some(0), 0, 1, 100), now);
    assert_eq!(keys.take(10, now).len(), 1);
    // And goes on where it is acknowledged.
    keys.arrive(message(None, 2, 2, 2), now);
    assert!(keys.take(10, now).is_empty());
    assert_eq!(keys.ack(&[stuck[0].token], now), 1);
    assert_eq!(keys.take(10, now).iter().map(nth).collect::<Vec<_>>(), [2]);
}
