//! A lane against a log that writes, refuses and keeps silent by the seed, in a time of its own.

use super::{Answer, Entry, Lane, Step};
use crate::{
    error::HUB,
    message::{in_batch, on_batch},
};
use anyhub_core::{Error, ErrorKind, Partition, Pending, Receipt, Result, driver};
use futures_util::FutureExt as _;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

const LARGEST: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);

/// Events and what is to be told of each.
struct Submitted {
    first: usize,
    pending: Pending,
}

fn submit(lane: &mut Lane, first: usize, keys: &[Option<&str>], now: Instant) -> Submitted {
    let (completer, pending) = Pending::new(keys.len());
    let batch = Arc::new(driver::Submitted::new(HUB, completer, None, now, PATIENCE));
    let entry = |(nth, key): (usize, &Option<&str>)| {
        let encoded = format!("{:040}", first + nth).into_bytes();
        Entry::new(encoded, key.map(Arc::from), batch.clone(), nth as u32)
    };
    let entries: Vec<_> = keys.iter().enumerate().map(entry).collect();
    lane.submit(entries, now, false);
    Submitted { first, pending }
}

fn lane() -> Lane {
    let partition = Some(Partition::number(3));
    Lane::new(partition, LARGEST, Duration::from_millis(5), 7)
}

fn send(lane: &mut Lane, now: Instant) -> super::Request {
    match lane.next(now) {
        Step::Send(request) => request,
        other => panic!("{other:?}"),
    }
}

fn numbers(request: &super::Request) -> Vec<usize> {
    let text = |entry: &Entry| String::from_utf8_lossy(&entry.encoded).parse().ok();
    request.entries.iter().filter_map(text).collect()
}

fn trouble(kind: ErrorKind) -> Error {
    Error::new(kind, HUB, "submit", "trouble")
}

#[test]
fn it_lingers_then_sends_what_fits_and_never_two_messages_at_once() {
    let (mut lane, now) = (lane(), Instant::now());
    let sent = submit(&mut lane, 0, &[None; 2], now);
    assert!(matches!(lane.next(now), Step::Wait(Some(at)) if at > now));
    // With a message's worth it waits for no more.
    let rest = submit(&mut lane, 2, &[None; 8], now);
    let mut request = send(&mut lane, now);
    assert_eq!(numbers(&request), [0, 1, 2, 3]);
    let message = request.message();
    request.back(message);
    assert_eq!(numbers(&request), [0, 1, 2, 3], "its bytes are back");
    lane.answered(request.settle(Answer::Written), now);
    let outcomes = sent.pending.now_or_never().expect("both are told");
    let partition = Some(Partition::number(3));
    assert!(
        outcomes
            .iter()
            .all(|told| told.as_ref().is_ok_and(|it| it.partition == partition))
    );
    assert_eq!(numbers(&send(&mut lane, now)), [4, 5, 6, 7]);
    assert!(rest.pending.now_or_never().is_none());
}

#[test]
fn where_event_hubs_chooses_a_message_has_one_key() {
    let mut lane = Lane::new(None, LARGEST, Duration::ZERO, 7);
    let now = Instant::now();
    let keys = [Some("a"), Some("b"), None, Some("a"), Some("b"), None];
    submit(&mut lane, 0, &keys, now);
    for expected in [[0, 3], [1, 4], [2, 5]] {
        let request = send(&mut lane, now);
        assert_eq!(numbers(&request), expected);
        lane.answered(request.settle(Answer::Written), now);
    }
    assert!(matches!(lane.next(now), Step::Wait(None)));
}

#[test]
fn one_that_is_refused_does_not_take_the_others_along() {
    let mut lane = lane();
    let now = Instant::now();
    let submitted = submit(&mut lane, 0, &[None; 4], now);
    let now = now + Duration::from_millis(5);
    let request = send(&mut lane, now);
    let invalid = || Answer::Refused(trouble(ErrorKind::Invalid));
    lane.answered(request.settle(invalid()), now);
    for number in 0..4 {
        let request = send(&mut lane, now);
        assert_eq!(numbers(&request), [number]);
        let answer = if number == 2 {
            invalid()
        } else {
            Answer::Written
        };
        lane.answered(request.settle(answer), now);
    }
    let outcomes = submitted.pending.now_or_never().expect("all are told");
    let refused: Vec<_> = outcomes.iter().map(Result::is_err).collect();
    assert_eq!(refused, [false, false, true, false]);
}

#[test]
fn where_event_hubs_chooses_one_that_is_refused_does_not_take_the_others_along() {
    let mut lane = Lane::new(None, LARGEST, Duration::ZERO, 7);
    let now = Instant::now();
    submit(
        &mut lane,
        0,
        &[Some("a"), Some("b"), Some("a"), Some("b")],
        now,
    );
    let request = send(&mut lane, now);
    assert_eq!(numbers(&request), [0, 2]);
    let refused = Answer::Refused(trouble(ErrorKind::Invalid));
    lane.answered(request.settle(refused), now);
    for expected in [&[0][..], &[1], &[2], &[3]] {
        let request = send(&mut lane, now);
        assert_eq!(numbers(&request), expected);
        lane.answered(request.settle(Answer::Written), now);
    }
}

#[test]
fn what_is_late_is_told_truly() {
    let mut lane = lane();
    let now = Instant::now();
    let lost = submit(&mut lane, 0, &[None], now);
    let request = send(&mut lane, now + Duration::from_millis(5));
    lane.answered(
        request.settle(Answer::Lost(trouble(ErrorKind::Timeout))),
        now,
    );
    let waits = submit(&mut lane, 1, &[None], now);
    assert!(matches!(lane.next(now + PATIENCE), Step::Wait(None)));
    let told = |submitted: Submitted| {
        let outcomes = submitted.pending.now_or_never().expect("it is told");
        outcomes[0].clone().expect_err("it is late")
    };
    let (lost, waits) = (told(lost), told(waits));
    assert!(lost.is_indeterminate() && !waits.is_indeterminate());
    assert!(waits.to_string().contains("trouble"), "{waits}");
    lane.end(now);
    assert!(matches!(lane.next(now + PATIENCE), Step::Gone));
}

#[test]
fn a_lane_that_lost_its_message_is_rung_again() {
    let mut lane = lane();
    let now = Instant::now();
    let bell = lane.bell();
    let rung = || bell.notified().now_or_never().is_some();
    submit(&mut lane, 0, &[None], now);
    assert!(rung());
    let now = now + Duration::from_millis(5);
    // Its task fails: the answer is never told, and another task asks.
    drop(send(&mut lane, now));
    assert!(matches!(lane.next(now), Step::Wait(None)));
    submit(&mut lane, 1, &[None], now);
    assert!(rung());
}

/// What the log does with a message.
fn answer(rng: &mut impl Rng) -> (bool, Answer) {
    match rng.random_range(0..10) {
        0 => (false, Answer::Unwritten(trouble(ErrorKind::Throttled))),
        1 => (false, Answer::Unwritten(trouble(ErrorKind::Unavailable))),
        2 => (true, Answer::Lost(trouble(ErrorKind::Timeout))),
        3 => (false, Answer::Lost(trouble(ErrorKind::Unavailable))),
        4 => (false, Answer::Refused(trouble(ErrorKind::Denied))),
        5 => (false, Answer::Refused(trouble(ErrorKind::Invalid))),
        _ => (true, Answer::Written),
    }
}

/// Checks P2 and P3 of all outcomes against the log.
fn check(log: &[usize], told: &HashMap<usize, Result<Receipt>>, keys: usize, seed: u64) {
    let first = |number| log.iter().position(|logged| *logged == number);
    let mut last = vec![None; keys];
    for number in 0..told.len() {
        let at = first(number);
        match &told[&number] {
            Ok(_) => {
                assert!(
                    at.is_some(),
                    "seed {seed}: {number} is told and not written"
                );
                let before = last[number % keys].replace(at);
                assert!(before < Some(at), "seed {seed}: {number} overtook");
            }
            Err(error) => {
                let true_or_unknown = at.is_none() || error.is_indeterminate();
                assert!(true_or_unknown, "seed {seed}: {number} is written: {error}");
            }
        }
    }
}

/// A lane's events, and when each of them was told.
struct Simulation {
    seed: u64,
    rng: StdRng,
    lane: Lane,
    service: bool,
    now: Instant,
    count: usize,
    open: Vec<(Instant, Submitted)>,
    told: HashMap<usize, Result<Receipt>>,
    log: Vec<usize>,
}

const NAMES: [&str; 3] = ["a", "b", "c"];
/// How much later than at its deadline an event may be told: the steps of the time here.
const BOUND: Duration = Duration::from_millis(5);

impl Simulation {
    fn new(seed: u64) -> Self {
        let service = seed % 2 == 1;
        let partition = (!service).then(|| Partition::number(3));
        Self {
            seed,
            rng: StdRng::seed_from_u64(seed),
            lane: Lane::new(partition, LARGEST, Duration::from_millis(5), seed),
            service,
            now: Instant::now(),
            count: 0,
            open: Vec::new(),
            told: HashMap::new(),
            log: Vec::new(),
        }
    }

    fn submit(&mut self) {
        let (size, service) = (self.rng.random_range(1..8), self.service);
        let key = |number| service.then(|| NAMES[number % NAMES.len()]);
        let keys: Vec<_> = (self.count..self.count + size).map(key).collect();
        let submitted = submit(&mut self.lane, self.count, &keys, self.now);
        self.open.push((self.now + PATIENCE, submitted));
        self.count += size;
    }

    /// Takes in what is told by now, which is all whose time is over.
    fn look(&mut self) {
        let (told, now, seed) = (&mut self.told, self.now, self.seed);
        self.open.retain_mut(|(deadline, one)| {
            let Some(outcomes) = (&mut one.pending).now_or_never() else {
                let first = one.first;
                assert!(now < *deadline + BOUND, "seed {seed}: {first} is not told");
                return true;
            };
            told.extend((one.first..).zip(outcomes));
            false
        });
    }

    /// A message is on its way until its answer, or until nobody waits for it. Now and then that takes
    /// long.
    fn send(&mut self, mut request: super::Request, submits: bool) {
        let sizes: usize = request.sizes().into_iter().map(in_batch).sum();
        let key = request.entries[0].key.as_ref();
        let key = key.map_or(0, |key| on_batch(key.len()));
        assert!(key + sizes <= LARGEST, "seed {}", self.seed);
        let (written, mut answer) = answer(&mut self.rng);
        if written {
            self.log.extend(numbers(&request));
        }
        let longest = if self.rng.random_bool(0.1) {
            15_000
        } else {
            200
        };
        let took = Duration::from_millis(self.rng.random_range(0..longest));
        let answered = self.now + took;
        loop {
            let next = self.lane.expire(&mut request, self.now, true);
            self.look();
            let Some(next) = next else {
                answer = Answer::Lost(trouble(ErrorKind::Timeout));
                break;
            };
            if self.now >= answered {
                break;
            }
            let while_away = Duration::from_millis(self.rng.random_range(1..2_000));
            self.now = answered.min(next).min(self.now + while_away);
            if submits && self.rng.random_bool(0.5) {
                self.submit();
            }
        }
        self.lane.answered(request.settle(answer), self.now);
    }

    fn run(mut self) {
        let mut step = 0;
        while step < 200 || !self.open.is_empty() {
            step += 1;
            if step < 200 && self.rng.random_bool(0.5) {
                self.submit();
            }
            let next = self.lane.next(self.now);
            self.look();
            match next {
                Step::Send(request) => self.send(request, step < 200),
                Step::Wait(Some(until)) => self.now = until,
                Step::Wait(None) => self.now += Duration::from_millis(1),
                Step::Gone => panic!("it did not end"),
            }
        }
        assert_eq!(self.told.len(), self.count, "seed {}", self.seed);
        check(&self.log, &self.told, NAMES.len(), self.seed);
    }
}

#[test]
fn every_outcome_is_true_and_in_time_and_every_key_in_order() {
    for seed in 0..500 {
        Simulation::new(seed).run();
    }
}
