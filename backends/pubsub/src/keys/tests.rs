//! Keys against a model of the service that rewinds, repeats, loses and gives to others by the seed, in a time of its
//! own.

use super::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::{HashMap, HashSet};

const LEASE: Duration = Duration::from_secs(9);
const MILLI: Duration = Duration::from_millis(1);

fn keys(most: usize) -> Keys {
    let delays = (MILLI * 10, MILLI * 40);
    let options = ConsumerOptions::new()
        .max_unfinished(most)
        .nack_delay(delays.0, delays.1);
    Keys::new(&options, LEASE)
}

/// Message `nth` of a key as delivery `delivery`.
fn message(key: Option<usize>, nth: usize, delivery: usize, ids: u64) -> Message {
    let mut event = Event::new(nth.to_string());
    if let Some(key) = key {
        event = event.with_key(format!("k{key}"));
    }
    Message {
        id: ids,
        at: Sequence::of((1_000_000 + u128::from(ids)) << 64, 0),
        ack_id: format!("{ids}/{delivery}"),
        arrived: Arrived {
            event,
            published: SystemTime::UNIX_EPOCH,
        },
    }
}

fn nth(handed: &Handed) -> usize {
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
    assert!(keys.finished(10).refs.is_empty(), "the first is open");
    assert_eq!(keys.unfinished(), (Some(Position::from(handed[0].at)), 3));
    assert_eq!(keys.ack(&[handed[0].token], now), 1);
    let first = keys.finished(2);
    assert_eq!(first.ack_ids, ["0/1", "1/1"]);
    keys.put_back(first);
    let all = keys.finished(10);
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
    keys.prolonged(&held.refs[..1], later);
    let over = now + LEASE;
    assert_eq!(keys.ack(&[handed[2].token], over), 0, "its time is over");
    assert!(keys.lapse(over));
    assert!(keys.take_fenced());
    assert_eq!(
        keys.ack(&[handed[0].token], over),
        1,
        "that of the first is not"
    );
    // They come again, and are handed on as new.
    keys.arrive(message(Some(0), 1, 2, 1), over);
    let again = keys.take(10, over);
    assert_eq!((nth(&again[0]), again[0].attempt), (1, 1));
    assert_eq!(keys.ack(&[handed[1].token], over), 0);
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

/// A subscription, as the service has it: of each key a queue.
struct Service {
    rng: StdRng,
    keys: Vec<Queue>,
    deliveries: usize,
    /// On their way: what was sent, in order.
    wire: VecDeque<(usize, usize, usize)>,
    /// Which of the streams this is.
    stream: usize,
    unordered: usize,
}

#[derive(Default)]
struct Queue {
    /// The first that is not acknowledged, and the first that is to be sent.
    acked: usize,
    sent: usize,
    all: usize,
    /// Under which delivery each that is outstanding was sent.
    outstanding: HashMap<usize, usize>,
    /// By which stream: while some are outstanding, no other one gets any.
    stream: usize,
    /// Finished by somebody else.
    elsewhere: HashSet<usize>,
}

impl Service {
    fn send(&mut self) {
        let key = self.rng.random_range(0..self.keys.len());
        for _ in 0..self.rng.random_range(1..4) {
            let queue = &mut self.keys[key];
            if queue.outstanding.is_empty() {
                queue.stream = self.stream;
            }
            if queue.stream != self.stream {
                return;
            }
            if queue.sent < queue.all {
                self.deliveries += 1;
                queue.outstanding.insert(queue.sent, self.deliveries);
                self.wire.push_back((key, queue.sent, self.deliveries));
                queue.sent += 1;
            }
        }
    }

    fn place(&self, ack_id: &str) -> Option<(usize, usize)> {
        let (id, delivery) = ack_id.split_once('/')?;
        let id: usize = id.parse().ok()?;
        let (key, nth) = (id / 1_000, id % 1_000);
        let live = self.keys[key].outstanding.get(&nth) == delivery.parse().ok().as_ref();
        live.then_some((key, nth))
    }

    /// One request: what is in it may stand in any order.
    fn ack(&mut self, ack_ids: &[String]) {
        let mut places: Vec<_> = ack_ids.iter().filter_map(|id| self.place(id)).collect();
        places.sort_unstable();
        for (key, nth) in places {
            let queue = &mut self.keys[key];
            if queue.acked == nth {
                queue.outstanding.remove(&nth);
                queue.acked += 1;
            } else {
                self.unordered += 1;
            }
        }
    }

    fn nack(&mut self, ack_id: &str) {
        if let Some((key, nth)) = self.place(ack_id) {
            self.rewind(key, nth);
            // Nothing of it is outstanding: somebody else may be faster.
            let queue = &mut self.keys[key];
            if queue.acked == nth && queue.outstanding.is_empty() && self.rng.random_ratio(1, 4) {
                for _ in 0..self.rng.random_range(1..4) {
                    if queue.acked < queue.all {
                        queue.elsewhere.insert(queue.acked);
                        queue.acked += 1;
                    }
                }
                queue.sent = queue.sent.max(queue.acked);
            }
        }
    }

    fn rewind(&mut self, key: usize, nth: usize) {
        let queue = &mut self.keys[key];
        queue.outstanding.retain(|sent, _| *sent < nth);
        queue.sent = nth;
    }

    /// Repeats for no reason, as it may.
    fn repeat(&mut self) {
        let key = self.rng.random_range(0..self.keys.len());
        let queue = &self.keys[key];
        if queue.sent > queue.acked {
            let nth = self.rng.random_range(queue.acked..queue.sent);
            self.rewind(key, nth);
        }
    }
}

/// What the application sees of a key.
#[derive(Default)]
struct Seen {
    last: Option<usize>,
    first_times: usize,
    /// Nacked, and so due next.
    due: Option<usize>,
}

fn run(seed: u64) {
    const KEYS: usize = 4;
    const EACH: usize = 40;
    let mut now = Instant::now();
    let mut service = Service {
        rng: StdRng::seed_from_u64(seed),
        keys: (0..KEYS)
            .map(|_| Queue {
                all: EACH,
                ..Queue::default()
            })
            .collect(),
        deliveries: 0,
        wire: VecDeque::new(),
        stream: 0,
        unordered: 0,
    };
    let mut rng = StdRng::seed_from_u64(!seed);
    let mut held = keys(rng.random_range(2..20));
    let mut open: Vec<(usize, usize, AckToken)> = Vec::new();
    let mut seen: Vec<Seen> = (0..KEYS).map(|_| Seen::default()).collect();
    let mut telling: VecDeque<Vec<Asked>> = VecDeque::new();
    let mut acking: Option<(Finished, bool)> = None;
    for step in 0.. {
        now += MILLI;
        let done = service.keys.iter().all(|queue| queue.acked == EACH);
        if done {
            break;
        }
        assert!(step < 200_000, "seed {seed}: it does not end");
        match rng.random_range(0..10) {
            0..3 => service.send(),
            3..6 => {
                for _ in 0..rng.random_range(1..5) {
                    let Some((key, nth, delivery)) = service.wire.pop_front() else {
                        break;
                    };
                    let id = (key * 1_000 + nth) as u64;
                    held.arrive(message(Some(key), nth, delivery, id), now);
                }
            }
            6 => {
                for handed in held.take(rng.random_range(1..8), now) {
                    let key = handed.event.key.clone().unwrap();
                    let key: usize = key.as_str().unwrap()[1..].parse().unwrap();
                    let (nth, seen) = (nth(&handed), &mut seen[key]);
                    let elsewhere = |nth: &usize| service.keys[key].elsewhere.contains(nth);
                    let skipped = seen.last.map_or(0, |last| last + 1)..nth;
                    assert!(
                        skipped.clone().all(|nth| elsewhere(&nth)),
                        "seed {seed}: key {key} goes on with {nth} after {:?}",
                        seen.last
                    );
                    if let Some(due) = seen.due.take() {
                        // Or before it, where the service goes back further.
                        assert!(
                            nth <= due || (due..nth).all(|nth| elsewhere(&nth)),
                            "seed {seed}: {nth} before {due}, which was nacked"
                        );
                        if nth < due {
                            seen.due = Some(due);
                        }
                    }
                    seen.first_times += usize::from(seen.last.is_none_or(|last| nth > last));
                    seen.last = Some(nth);
                    open.retain(|(of, other, _)| *of != key || *other != nth);
                    open.push((key, nth, handed.token));
                }
            }
            7 if !open.is_empty() => {
                let (key, nth, token) = open.swap_remove(rng.random_range(0..open.len()));
                if rng.random_ratio(1, 8) {
                    if held.nack(&[token], now) == 1 {
                        let due = &mut seen[key].due;
                        *due = Some(due.map_or(nth, |due| due.min(nth)));
                    }
                } else {
                    held.ack(&[token], now);
                }
            }
            8 => match acking.take() {
                None => {
                    let finished = held.finished(rng.random_range(1..10));
                    let taken = rng.random_ratio(9, 10);
                    if taken {
                        service.ack(&finished.ack_ids);
                    }
                    acking = Some((finished, taken));
                }
                // The answer, or none.
                Some((finished, true)) if rng.random_ratio(4, 5) => held.acked(finished, 0),
                Some((finished, _)) => held.put_back(finished),
            },
            9 => {
                let (lanes, ack_ids) = held.due(now);
                ack_ids.iter().for_each(|id| service.nack(id));
                telling.push_back(lanes);
                if telling.len() > rng.random_range(0..3)
                    && let Some(lanes) = telling.pop_front()
                {
                    held.nack_told(&lanes);
                }
                if rng.random_ratio(1, 40) {
                    service.repeat();
                }
                if rng.random_ratio(1, 40) {
                    // The stream is given up: what is under way comes, or a part of it.
                    let come = rng.random_range(0..=service.wire.len());
                    for (key, nth, delivery) in std::mem::take(&mut service.wire).drain(..come) {
                        let id = (key * 1_000 + nth) as u64;
                        held.arrive(message(Some(key), nth, delivery, id), now);
                    }
                    let shed = held.shed(MILLI * 100, now);
                    shed.iter().for_each(|id| service.nack(id));
                    held.begin_stream();
                    service.stream += 1;
                }
            }
            _ => {}
        }
        if step % 2_000 == 1_999 {
            // What was lost comes again when its time is over: nobody prolonged it.
            let lost = service
                .keys
                .iter()
                .map(|queue| queue.acked)
                .collect::<Vec<_>>();
            if service.wire.is_empty() && open.is_empty() && !held.is_ready() && acking.is_none() {
                for (key, nth) in lost.into_iter().enumerate() {
                    service.rewind(key, nth);
                }
                now += LEASE;
                held.lapse(now);
            }
        }
    }
    assert_eq!(
        service.unordered, 0,
        "seed {seed}: acks before those of earlier ones"
    );
}

#[test]
fn every_key_keeps_its_order_and_ends_whatever_the_service_does() {
    for seed in 0..400 {
        run(seed);
    }
}
