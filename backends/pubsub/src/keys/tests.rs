//! Keys, case by case.

use super::*;

pub(super) const LEASE: Duration = Duration::from_secs(9);
pub(super) const MILLI: Duration = Duration::from_millis(1);

pub(super) fn keys(most: usize) -> Keys {
    let delays = (MILLI * 10, MILLI * 40);
    let options = ConsumerOptions::new()
        .max_unfinished(most)
        .nack_delay(delays.0, delays.1);
    Keys::new(&options, LEASE, None)
}

/// Message `nth` of a key as delivery `delivery`.
pub(super) fn message(key: Option<usize>, nth: usize, delivery: usize, ids: u64) -> Message {
    let mut event = Event::new(nth.to_string());
    if let Some(key) = key {
        event = event.with_key(format!("k{key}"));
    }
    Message {
        id: ids,
        at: Sequence::of((1_000_000 + u128::from(ids)) << 64, 0),
        ack_id: format!("{ids}/{delivery}"),
        tries: 0,
        bytes: event.size(),
        arrived: Arrived {
            event,
            published: SystemTime::UNIX_EPOCH,
        },
    }
}

pub(super) fn nth(handed: &Handed) -> usize {
    String::from_utf8_lossy(&handed.event.payload)
        .parse()
        .unwrap()
}

fn token(handed: &Handed) -> AckToken {
    handed.token
}

#[test]
fn what_is_acknowledged_goes_in_order() {
    let (mut keys, now) = (keys(100), Instant::now());
    for n in 0..3 {
        keys.arrive(message(Some(0), n, 1, n as u64), now);
    }
    let handed = keys.take(10, now);
    assert_eq!(handed.iter().map(nth).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(keys.ack(&[handed[2].token, handed[1].token], now), 2);
    assert!(keys.finished(0, 10).refs.is_empty(), "the first is open");
    assert_eq!(keys.unfinished(), (Some(Position::from(handed[0].at)), 3));
    assert_eq!(keys.ack(&[handed[0].token], now), 1);
    let first = keys.finished(0, 2);
    assert_eq!(first.ack_ids, ["0/1", "1/1"]);
    keys.put_back(first);
    let all = keys.finished(0, 10);
    assert_eq!(all.ack_ids, ["0/1", "1/1", "2/1"]);
    keys.acked(all, 0);
    assert!(
        keys.ids.is_empty() && keys.keys.is_empty(),
        "nothing is left of it"
    );
    assert_eq!(keys.ack(&[handed[0].token], now), 0);
}

#[test]
fn what_lapsed_is_stale_and_what_was_acked_of_it_is_told() {
    let (mut keys, now) = (keys(100), Instant::now());
    for n in 0..3 {
        keys.arrive(message(Some(0), n, 1, n as u64), now);
    }
    let handed = keys.take(10, now);
    keys.ack(&[handed[1].token], now);
    let later = now + LEASE / 2;
    let held = keys.to_prolong(now);
    assert_eq!(held.ack_ids.len(), 3);
    keys.prolonged(&held.refs[..1], later, later);
    let over = now + LEASE;
    assert_eq!(keys.ack(&[handed[2].token], over), 0, "its time is over");
    assert!(keys.lapse(over));
    assert!(keys.take_fenced());
    assert_eq!(
        keys.ack(&[handed[0].token], over),
        1,
        "that of the first is not"
    );
    assert_eq!(keys.ack(&[handed[1].token], over), 0);
    // They come again, and in their place.
    let (lanes, ack_ids) = keys.due(over);
    assert_eq!(ack_ids, ["1/1"]);
    keys.nack_told(&lanes);
    keys.arrive(message(Some(0), 1, 2, 1), over);
    let again = keys.take(10, over);
    assert_eq!((nth(&again[0]), again[0].attempt), (1, 2));
}

#[test]
fn what_lapsed_is_not_prolonged_by_a_late_answer() {
    for key in [None, Some(0)] {
        let (mut keys, now) = (keys(100), Instant::now());
        keys.arrive(message(key, 0, 1, 0), now);
        let handed = keys.take(10, now);
        let (from, over) = (now + LEASE - MILLI, now + LEASE);
        let asked = keys.to_prolong(from);
        assert_eq!(asked.refs.len(), 1);
        assert_eq!(keys.ack(&[handed[0].token], over), 0, "it comes again");
        keys.prolonged(&asked.refs, from, over + MILLI);
        assert!(keys.lapse(over + MILLI));
    }
}

#[test]
fn the_room_of_what_lapsed_is_used() {
    let (mut keys, now) = (keys(1), Instant::now());
    keys.arrive(message(None, 0, 1, 0), now);
    let over = now + LEASE;
    keys.arrive(message(None, 1, 1, 1), over - MILLI);
    assert_eq!(keys.take(10, now).len(), 1);
    assert!(keys.take(10, over).is_empty(), "full");
    assert!(keys.lapse(over));
    assert!(keys.is_ready());
    let second = keys.take(10, over);
    assert_eq!(second.iter().map(nth).collect::<Vec<_>>(), [1]);
}

#[test]
fn what_lapsed_before_it_was_handed_on_is_not_overtaken() {
    let (mut keys, now) = (keys(100), Instant::now());
    for n in 0..2 {
        keys.arrive(message(Some(0), n, 1, n as u64), now);
    }
    let over = now + LEASE;
    assert!(keys.lapse(over));
    // Still on the stream that had the others.
    keys.arrive(message(Some(0), 2, 1, 2), over);
    assert!(keys.take(10, over).is_empty());
    let (lanes, ack_ids) = keys.due(over);
    assert_eq!(ack_ids, ["0/1"]);
    keys.nack_told(&lanes);
    for n in 0..3 {
        keys.arrive(message(Some(0), n, 2, n as u64), over);
    }
    let again: Vec<_> = keys.take(10, over).iter().map(nth).collect();
    assert_eq!(again, [0, 1, 2]);
}

#[test]
fn one_that_does_not_come_again_holds_its_key_up_only_until_the_next_one_has_come_twice() {
    let (mut keys, mut now) = (keys(100), Instant::now());
    for n in 0..4 {
        keys.arrive(message(Some(0), n, 1, n as u64), now);
    }
    let handed = keys.take(10, now);
    assert_eq!(keys.nack(&[handed[1].token], now), 1);
    assert_eq!(keys.next_due(), Some(now + MILLI * 10));
    now += MILLI * 10;
    let (lanes, ack_ids) = keys.due(now);
    assert_eq!(ack_ids, ["1/1"]);
    // One was under way when the service took the nack.
    keys.arrive(message(Some(0), 4, 1, 4), now);
    assert!(keys.take(10, now).is_empty());
    keys.nack_told(&lanes);
    let (lanes, ack_ids) = keys.due(now);
    assert_eq!(ack_ids, ["4/1"], "it comes again, behind what it waits for");
    // The second was finished elsewhere: the third comes in its place.
    keys.arrive(message(Some(0), 2, 2, 2), now);
    assert!(keys.take(10, now).is_empty());
    keys.nack_told(&lanes);
    let (lanes, ack_ids) = keys.due(now);
    assert_eq!(ack_ids, ["2/2"]);
    keys.nack_told(&lanes);
    keys.arrive(message(Some(0), 2, 3, 2), now);
    keys.arrive(message(Some(0), 3, 2, 3), now);
    let again = keys.take(10, now);
    let again: Vec<_> = again.iter().map(|it| (nth(it), it.attempt)).collect();
    assert_eq!(again, [(2, 2), (3, 2)]);
}

/// Each nack is a try more, and after some of them the service gives the event up.
#[test]
fn one_that_came_again_is_not_sent_back_since_the_answer_is_late() {
    let (mut keys, mut now) = (keys(100), Instant::now());
    let tried = |nth: usize, tries: u32| Message {
        tries,
        ..message(Some(0), nth, tries as usize, nth as u64)
    };
    for nth in 0..2 {
        keys.arrive(tried(nth, 1), now);
    }
    let handed = keys.take(10, now);
    assert_eq!(keys.nack(&[handed[0].token], now), 1);
    now += MILLI * 10;
    let (lanes, _) = keys.due(now);
    keys.nack_told(&lanes);
    // The first is gone.
    keys.arrive(tried(1, 2), now);
    let (lanes, ack_ids) = keys.due(now);
    assert_eq!(ack_ids, ["1/2"]);
    keys.arrive(tried(1, 2), now);
    assert!(keys.take(10, now).is_empty(), "it was under way twice");
    keys.arrive(tried(1, 3), now);
    let again = keys.take(10, now);
    assert_eq!(again.iter().map(nth).collect::<Vec<_>>(), [1]);
    keys.nack_told(&lanes);
    assert!(keys.due(now).1.is_empty());
}

#[test]
fn a_full_lane_waits_and_the_others_go_on() {
    let (mut keys, now) = (keys(2), Instant::now());
    for n in 0..5 {
        keys.arrive(message(Some(0), n, 1, n as u64), now);
        keys.arrive(message(None, n, 1, 100 + n as u64), now);
    }
    keys.arrive(message(Some(1), 0, 1, 200), now);
    let handed = keys.take(100, now);
    assert_eq!(handed.len(), 2 + 2 + 1);
    assert!(keys.take(100, now).is_empty());
    keys.ack(&handed.iter().map(token).collect::<Vec<_>>(), now);
    assert_eq!(keys.take(100, now).len(), 2 + 2);
}

#[test]
fn a_key_that_stands_still_gives_its_room_to_the_others_and_goes_on_where_it_stood() {
    let (mut keys, start) = (keys(2), Instant::now());
    let bounds = Size {
        events: 8,
        bytes: 1 << 20,
    };
    let time = Duration::from_secs(5);
    let now = start + time;
    let arrive = |keys: &mut Keys, key, nth, delivery, now| {
        keys.arrive(
            message(Some(key), nth, delivery, (key * 100 + nth) as u64),
            now,
        );
    };
    for nth in 0..6 {
        arrive(&mut keys, 0, nth, 1, start);
    }
    let stuck = keys.take(10, start);
    assert_eq!(stuck.len(), 2);
    assert!(!keys.is_held_up(bounds, time, start), "it may be worked on");
    assert!(keys.is_held_up(bounds, time, now));
    let wide = Size {
        events: 9,
        ..bounds
    };
    assert!(!keys.is_held_up(wide, time, now), "there is room");
    arrive(&mut keys, 1, 0, 1, now);
    assert!(!keys.is_held_up(bounds, time, now), "there is one to take");
    let other = keys.take(10, now);
    assert_eq!(keys.shed(time, now), ["2/1"]);
    keys.begin_stream();
    assert!(!keys.is_held_up(bounds, time, now));
    assert_eq!(
        keys.to_prolong(now).ack_ids.len(),
        3,
        "what was handed on stays"
    );
    // Where the service does not keep the key back, it is no worse than before.
    arrive(&mut keys, 0, 2, 2, now);
    assert!(keys.take(10, now).is_empty());
    assert_eq!(keys.standing(time, now), 1);
    assert_eq!(keys.standing(time, now), 0, "told once");
    let tokens: Vec<_> = stuck.iter().chain(&other).map(token).collect();
    assert_eq!(keys.ack(&tokens, now), 3);
    for nth in 3..6 {
        arrive(&mut keys, 0, nth, 2, now);
    }
    let again: Vec<_> = keys.take(10, now).iter().map(nth).collect();
    assert_eq!(again, [2, 3]);
    assert_eq!(keys.standing(time, now), 0);
}

#[test]
fn what_is_behind_a_nacked_event_is_given_back_and_the_event_itself_keeps_its_turn() {
    let (mut keys, start) = (keys(100), Instant::now());
    for nth in 0..4 {
        keys.arrive(message(Some(0), nth, 1, nth as u64), start);
    }
    let handed = keys.take(2, start);
    let time = Duration::from_secs(5);
    let now = start + time;
    assert_eq!(keys.nack(&[handed[0].token], now), 1);
    assert_eq!(keys.shed(time, now), ["1/1"]);
    let due = now + MILLI * 10;
    let (lanes, ack_ids) = keys.due(due);
    assert_eq!(ack_ids, ["0/1"]);
    keys.nack_told(&lanes);
    for nth in 0..4 {
        keys.arrive(message(Some(0), nth, 2, nth as u64), due);
    }
    let again = keys.take(10, due);
    let again: Vec<_> = again.iter().map(|it| (nth(it), it.attempt)).collect();
    assert_eq!(again, [(0, 2), (1, 1), (2, 1), (3, 1)]);
}

#[test]
fn after_a_seek_every_token_is_stale() {
    let (mut keys, now) = (keys(10), Instant::now());
    keys.arrive(message(Some(0), 0, 1, 0), now);
    keys.arrive(message(None, 1, 1, 1), now);
    let old: Vec<_> = keys.take(10, now).iter().map(token).collect();
    assert_eq!(keys.clear().len(), 2);
    assert_eq!(keys.ack(&old, now), 0);
    keys.arrive(message(Some(0), 0, 2, 0), now);
    keys.arrive(message(None, 1, 2, 1), now);
    let new: Vec<_> = keys.take(10, now).iter().map(token).collect();
    assert_eq!((keys.ack(&old, now), keys.nack(&old, now)), (0, 0));
    assert_eq!(keys.ack(&new, now), 2);
}

#[test]
fn what_was_nacked_and_never_comes_again_is_forgotten() {
    const EVENTS: usize = 10_000;
    let (mut keys, start) = (keys(EVENTS), Instant::now());
    let now = start + Duration::from_secs(3_600);
    for n in 0..EVENTS {
        let key = (n % 2 == 0).then_some(n % 100);
        keys.arrive(message(key, n, 1, n as u64), now);
    }
    let tokens: Vec<_> = keys.take(EVENTS, now).iter().map(token).collect();
    let nacked = EVENTS / 2 + 50;
    assert_eq!(
        keys.nack(&tokens, now),
        nacked,
        "of a key the rest with the first"
    );
    let due = now + MILLI * 40;
    let (lanes, _) = keys.due(due);
    keys.nack_told(&lanes);
    keys.lapse(due + LEASE);
    let held = |keys: &Keys| (keys.loose.len(), keys.ids.len(), keys.keys.len());
    assert_eq!(held(&keys), (EVENTS / 2, EVENTS / 2, 50), "they may come");
    keys.lapse(due + LEASE * 4);
    assert_eq!(held(&keys), (0, 0, 0));
}

#[test]
fn what_comes_again_while_the_application_has_it_is_replayed_from_there() {
    let (mut keys, now) = (keys(100), Instant::now());
    for n in 0..3 {
        keys.arrive(message(Some(0), n, 1, n as u64), now);
        keys.arrive(message(None, n, 1, 100 + n as u64), now);
    }
    let old: Vec<_> = keys.take(10, now).iter().map(token).collect();
    // Another member has sought.
    for n in 0..3 {
        keys.arrive(message(Some(0), n, 2, n as u64), now);
        keys.arrive(message(None, n, 2, 100 + n as u64), now);
    }
    assert_eq!(keys.ack(&old, now), 0);
    let again = keys.take(10, now);
    let of_key = |it: &&Handed| it.event.key.is_some();
    let in_order: Vec<_> = again.iter().filter(of_key).map(nth).collect();
    assert_eq!((again.len(), in_order), (6, vec![0, 1, 2]));
    let new: Vec<_> = again.iter().map(token).collect();
    assert_eq!(keys.ack(&new, now), 6);
}

#[test]
fn what_stands_behind_one_that_comes_twice_is_asked_for_again() {
    let (mut keys, now) = (keys(100), Instant::now());
    for n in 0..4 {
        keys.arrive(message(Some(0), n, 1, n as u64), now);
    }
    keys.take(10, now);
    keys.arrive(message(Some(0), 1, 2, 1), now);
    assert_eq!(keys.next_due().map(|due| due <= Instant::now()), Some(true));
    assert_eq!(keys.due(now).1, ["2/1"]);
    for n in 2..4 {
        keys.arrive(message(Some(0), n, 2, n as u64), now);
    }
    let again: Vec<_> = keys.take(10, now).iter().map(nth).collect();
    assert_eq!(again, [1, 2, 3]);
}

#[test]
fn a_replay_from_far_back_begins_where_it_does() {
    let (mut keys, now) = (keys(1_000), Instant::now());
    for n in 0..60 {
        keys.arrive(message(Some(0), n, 1, n as u64), now);
    }
    let first: Vec<_> = keys.take(50, now).iter().map(token).collect();
    assert_eq!(keys.ack(&first, now), 50);
    let done = keys.finished(0, 100);
    keys.acked(done, 0);
    for from in [20, 0] {
        for n in from..60 {
            keys.arrive(message(Some(0), n, 2, n as u64), now);
        }
        let again: Vec<_> = keys.take(100, now).iter().map(nth).collect();
        assert_eq!(again, (from..60).collect::<Vec<_>>());
    }
}

#[test]
fn what_another_service_gives_under_the_same_ids_is_new() {
    for (old, new) in [
        (Some(0), Some(0)),
        (Some(0), Some(1)),
        (None, Some(0)),
        (Some(0), None),
    ] {
        let (mut keys, now) = (keys(100), Instant::now());
        for n in 0..3 {
            keys.arrive(message(old, n, 1, n as u64), now);
        }
        let handed: Vec<_> = keys.take(10, now).iter().map(token).collect();
        assert_eq!(keys.ack(&handed[..1], now), 1);
        for n in 0..2 {
            let mut later = message(new, 10 + n, 1, n as u64);
            later.at = Sequence::of(2_000_000_u128 << 64, 0);
            keys.arrive(later, now);
        }
        assert!(keys.take_fenced(), "an ack was lost");
        assert_eq!(keys.ack(&handed, now), 0);
        let came: Vec<_> = keys.take(10, now).iter().map(nth).collect();
        assert_eq!(came, [10, 11]);
    }
}

#[test]
fn what_was_told_with_an_earlier_commit_is_no_reason_for_another_one() {
    let (mut keys, now) = (keys(100), Instant::now());
    keys.begin_commit();
    keys.arrive(message(Some(0), 0, 1, 0), now);
    let handed: Vec<_> = keys.take(10, now).iter().map(token).collect();
    keys.ack(&handed, now);
    assert_eq!(keys.finished_lately().events, 1);
    let done = keys.finished(0, 100);
    assert_eq!(keys.finished_lately(), Size::default());
    keys.acked(done, 0);
}

/// Where tries are counted, a nack is of one event: what is behind it comes with it, and does not wait for one that is
/// buried.
#[test]
fn a_nack_uses_up_the_tries_of_nothing_else() {
    const MOST: u32 = 3;
    let mut keys = Keys::new(&ConsumerOptions::new(), LEASE, Some(MOST));
    let mut now = Instant::now();
    let mut tries = [0; 6];
    let mut next = 0;
    let mut handled = Vec::new();
    while next < tries.len() {
        for (nth, tries) in tries.iter().enumerate().skip(next) {
            let tried = Message {
                tries: tries + 1,
                ..message(Some(0), nth, 100 + nth, nth as u64)
            };
            keys.arrive(tried, now);
        }
        let handed = keys.take(10, now);
        assert_eq!(handed.iter().map(nth).next(), Some(next), "{tries:?}");
        // The first three never work.
        if next < 3 {
            assert_eq!(keys.nack(&[handed[0].token], now), 1);
        } else {
            handled.extend(handed.iter().map(nth));
            assert_eq!(keys.ack(&[handed[0].token], now), 1);
            assert_eq!(keys.clear().len(), 1, "the next one brings the others");
        }
        now += Duration::from_secs(20);
        let (asked, ack_ids) = keys.due(now);
        for id in ack_ids {
            let nacked: usize = id.split_once('/').unwrap().0.parse().unwrap();
            tries[nacked] += 1;
        }
        keys.nack_told(&asked);
        if next >= 3 || tries[next] == MOST {
            next += 1;
        }
        if next > 3 {
            break;
        }
    }
    assert_eq!(tries, [MOST, MOST, MOST, 0, 0, 0]);
    assert_eq!(handled, [3, 4, 5]);
}
