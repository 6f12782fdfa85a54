//! Keys against a model of the service that rewinds, repeats, loses and gives to others by the seed, in a time of its
//! own.

use super::{
    tests::{LEASE, MILLI, keys, message, nth},
    *,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::{HashMap, HashSet};

/// The service's. A lease is nine tenths of it here, which leaves less than consumers do.
const DEADLINE: Duration = Duration::from_secs(10);
/// So far does the time go with each step: a lease is long enough for most of what is done with an event.
const STEP: Duration = Duration::from_millis(20);

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
    /// Under which delivery each that is outstanding was sent, and when its deadline passes.
    outstanding: HashMap<usize, (usize, Instant)>,
    /// By which stream: while some are outstanding, no other one gets any.
    stream: usize,
    /// Finished by somebody else.
    elsewhere: HashSet<usize>,
}

impl Service {
    fn send(&mut self, now: Instant) {
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
                let sent = (self.deliveries, now + DEADLINE);
                queue.outstanding.insert(queue.sent, sent);
                self.wire.push_back((key, queue.sent, self.deliveries));
                queue.sent += 1;
            }
        }
    }

    fn place(&self, ack_id: &str) -> Option<(usize, usize)> {
        let (id, delivery) = ack_id.split_once('/')?;
        let id: usize = id.parse().ok()?;
        let (key, nth) = (id / 1_000, id % 1_000);
        let live = self.keys[key].outstanding.get(&nth);
        live.is_some_and(|(live, _)| Ok(*live) == delivery.parse())
            .then_some((key, nth))
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
            self.come_again(key, nth);
        }
    }

    fn come_again(&mut self, key: usize, nth: usize) {
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

    fn prolong(&mut self, ack_ids: &[String], now: Instant) {
        for (key, nth) in ack_ids
            .iter()
            .filter_map(|id| self.place(id))
            .collect::<Vec<_>>()
        {
            if let Some((_, until)) = self.keys[key].outstanding.get_mut(&nth) {
                *until = now + DEADLINE;
            }
        }
    }

    /// Deadlines that have passed.
    fn expire(&mut self, now: Instant) {
        for key in 0..self.keys.len() {
            let outstanding = self.keys[key].outstanding.iter();
            let over = outstanding.filter(|(_, (_, until))| *until <= now);
            if let Some(first) = over.map(|(nth, _)| *nth).min() {
                self.come_again(key, first);
            }
        }
    }

    fn rewind(&mut self, key: usize, nth: usize) {
        let queue = &mut self.keys[key];
        queue.outstanding.retain(|sent, _| *sent < nth);
        queue.sent = nth;
    }

    /// Somebody seeks: it begins again further back.
    fn seek(&mut self) {
        let key = self.rng.random_range(0..self.keys.len());
        let queue = &mut self.keys[key];
        let nth = self.rng.random_range(0..=queue.acked);
        queue.acked = nth;
        self.rewind(key, nth);
    }

    /// Gives one twice and leaves the others, as it may: both are acknowledged by either.
    fn double(&mut self) {
        let key = self.rng.random_range(0..self.keys.len());
        let queue = &self.keys[key];
        let nth = self.rng.random_range(queue.acked..=queue.sent);
        if let Some((live, _)) = queue.outstanding.get(&nth)
            && queue.stream == self.stream
        {
            self.wire.push_back((key, nth, *live));
        }
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

/// Of a key some are published each second.
fn sent(key: usize, nth: usize, delivery: usize) -> Message {
    let published = Duration::from_millis(250) * (nth as u32 + 1);
    Message {
        at: Sequence::of(published.as_nanos() << 64, 0),
        ..message(Some(key), nth, delivery, (key * 1_000 + nth) as u64)
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
    let mut telling: VecDeque<(Instant, Vec<Asked>)> = VecDeque::new();
    let mut prolonging: VecDeque<(Instant, Vec<Ref>)> = VecDeque::new();
    let mut acking: [Option<(Finished, bool)>; WAYS] = Default::default();
    for step in 0.. {
        now += STEP;
        service.expire(now);
        let done = service.keys.iter().all(|queue| queue.acked == EACH);
        if done {
            break;
        }
        assert!(step < 200_000, "seed {seed}: it does not end");
        match rng.random_range(0..11) {
            0..3 => service.send(now),
            3..6 => {
                for _ in 0..rng.random_range(1..5) {
                    let Some((key, nth, delivery)) = service.wire.pop_front() else {
                        break;
                    };
                    held.arrive(sent(key, nth, delivery), now);
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
            8 => {
                let way = rng.random_range(0..WAYS);
                match acking[way].take() {
                    None => {
                        let finished = held.finished(way, rng.random_range(1..10));
                        let taken = rng.random_ratio(9, 10);
                        if taken {
                            service.ack(&finished.ack_ids);
                        }
                        acking[way] = Some((finished, taken));
                    }
                    // The answer, or none.
                    Some((finished, true)) if rng.random_ratio(4, 5) => held.acked(finished, 0),
                    Some((finished, _)) => held.put_back(finished),
                }
            }
            9 => {
                let (lanes, ack_ids) = held.due(now);
                // Or it is not taken, and known for told when the deadlines have passed.
                let told = match rng.random_ratio(7, 8) {
                    true => {
                        ack_ids.iter().for_each(|id| service.nack(id));
                        now
                    }
                    false => now + DEADLINE,
                };
                telling.push_back((told, lanes));
                if telling.len() > rng.random_range(0..3)
                    && let Some((_, lanes)) = telling.pop_front_if(|(told, _)| *told <= now)
                {
                    held.nack_told(&lanes);
                }
                if rng.random_ratio(1, 40) {
                    service.repeat();
                }
                if rng.random_ratio(1, 40) {
                    service.double();
                }
                if step < 2_000 && rng.random_ratio(1, 40) {
                    service.seek();
                }
                if rng.random_ratio(1, 40) {
                    // The stream is given up: what is under way comes, or a part of it.
                    let come = rng.random_range(0..=service.wire.len());
                    for (key, nth, delivery) in std::mem::take(&mut service.wire).drain(..come) {
                        held.arrive(sent(key, nth, delivery), now);
                    }
                    let shed = held.shed(MILLI * 100, now);
                    shed.iter().for_each(|id| service.nack(id));
                    if rng.random_ratio(1, 2) {
                        held.forget_nacked();
                    }
                    held.begin_stream();
                    service.stream += 1;
                }
            }
            10 => match rng.random_range(0..3) {
                0 => {
                    let asked = held.to_prolong(now - LEASE / 4);
                    // It may be lost, or its answer.
                    if rng.random_ratio(3, 4) {
                        service.prolong(&asked.ack_ids, now);
                    }
                    if rng.random_ratio(3, 4) {
                        prolonging.push_back((now, asked.refs));
                    }
                }
                1 => {
                    if let Some((from, of)) = prolonging.pop_front() {
                        held.prolonged(&of, from, now);
                    }
                }
                _ => {
                    held.lapse(now);
                }
            },
            _ => {}
        }
    }
    // Nothing of it stays, whatever was on its way.
    for (finished, _) in acking.into_iter().flatten() {
        held.acked(finished, 0);
    }
    for way in 0..WAYS {
        let finished = held.finished(way, usize::MAX);
        held.acked(finished, 0);
    }
    for _ in 0..3 {
        now += LEASE * 4;
        held.lapse(now);
        held.due(now);
    }
    assert!(
        held.ids.is_empty() && held.keys.is_empty(),
        "seed {seed}: some of it stays"
    );
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
