//! The outbox against a topic that writes, refuses and keeps silent by the seed, in a time of its own.

use super::*;
use crate::error::HUB;
use anyhub_core::{ErrorKind, Pending, Result, driver};
use futures_util::FutureExt as _;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::HashMap;

const LINGER: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(10);

fn submit(outbox: &mut Outbox, first: usize, keys: &[Option<usize>], now: Instant) -> Pending {
    within(outbox, first, keys, now, PATIENCE)
}

fn within(
    outbox: &mut Outbox,
    first: usize,
    keys: &[Option<usize>],
    now: Instant,
    patience: Duration,
) -> Pending {
    let (completer, pending) = Pending::new(keys.len());
    let batch = Arc::new(driver::Submitted::new(HUB, completer, None, now, patience));
    let entries = keys.iter().enumerate().map(|(nth, key)| {
        let mut event = Event::new((first + nth).to_string());
        if let Some(key) = key {
            event = event.with_key(format!("k{key}"));
        }
        Entry::new(event, batch.clone(), nth as u32)
    });
    outbox.submit(entries.collect::<Vec<_>>().into_iter(), now);
    pending
}

fn numbers(request: &Request) -> Vec<usize> {
    let text = |entry: &Entry| {
        String::from_utf8_lossy(&entry.event.payload)
            .parse()
            .unwrap()
    };
    request.entries.iter().map(text).collect()
}

fn send(outbox: &mut Outbox, now: Instant) -> Request {
    match outbox.next(now) {
        Step::Send(request) => request,
        other => panic!("{other:?}"),
    }
}

fn trouble(kind: ErrorKind) -> Error {
    Error::new(kind, HUB, "submit", "trouble")
}

fn failed(maybe: bool) -> Answer {
    let error = trouble(ErrorKind::Unavailable);
    Answer::Failed { error, maybe }
}

#[test]
fn a_request_has_one_key_and_a_key_has_one_request() {
    let (mut outbox, now) = (Outbox::new(LINGER), Instant::now());
    let keys = [Some(0), Some(1), None, Some(0), None, Some(1)];
    let first = submit(&mut outbox, 0, &keys, now);
    assert!(matches!(outbox.next(now), Step::Wait(Some(at)) if at == now + LINGER));
    let now = now + LINGER;
    let mut sent: Vec<_> = (0..3).map(|_| send(&mut outbox, now)).collect();
    sent.sort_by_key(numbers);
    let all: Vec<_> = sent.iter().map(numbers).collect();
    assert_eq!(all, [vec![0, 3], vec![1, 5], vec![2, 4]]);
    submit(&mut outbox, 6, &[Some(0), None], now);
    let now = now + LINGER;
    // What has no key goes on beside; a key waits for its answer.
    assert_eq!(numbers(&send(&mut outbox, now)), [7]);
    assert!(matches!(outbox.next(now), Step::Wait(_)));
    outbox.answered(sent.remove(0), Answer::Written, now, 0.5);
    assert_eq!(numbers(&send(&mut outbox, now)), [6]);
    for request in sent {
        outbox.answered(request, Answer::Written, now, 0.5);
    }
    assert!(first.now_or_never().unwrap().iter().all(Result::is_ok));
}

#[test]
fn what_failed_goes_first_and_after_a_while() {
    let (mut outbox, mut now) = (Outbox::new(Duration::ZERO), Instant::now());
    let pending = submit(&mut outbox, 0, &[Some(0); 2], now);
    let request = send(&mut outbox, now);
    submit(&mut outbox, 2, &[Some(0)], now);
    outbox.answered(request, failed(true), now, 1.0);
    assert!(matches!(outbox.next(now), Step::Wait(Some(at)) if at == now + BACKOFF));
    now += BACKOFF;
    let request = send(&mut outbox, now);
    assert_eq!(numbers(&request), [0, 1, 2]);
    outbox.answered(
        request,
        Answer::Refused(trouble(ErrorKind::NotFound)),
        now,
        0.5,
    );
    for told in pending.now_or_never().unwrap() {
        let error = told.unwrap_err();
        assert!(error.kind() == ErrorKind::NotFound && error.is_indeterminate());
    }
}

#[test]
fn what_is_late_is_told_truly() {
    let (mut outbox, now) = (Outbox::new(Duration::ZERO), Instant::now());
    let first = submit(&mut outbox, 0, &[Some(0)], now);
    let request = send(&mut outbox, now);
    let second = submit(&mut outbox, 1, &[Some(0)], now);
    let late = now + PATIENCE;
    assert!(request.deadline < late);
    assert!(matches!(outbox.next(late), Step::Wait(None)));
    let error = second.now_or_never().unwrap().remove(0).unwrap_err();
    assert!(error.kind() == ErrorKind::Timeout && !error.is_indeterminate());
    outbox.answered(request, failed(true), late, 0.5);
    let error = first.now_or_never().unwrap().remove(0).unwrap_err();
    assert!(error.kind() == ErrorKind::Timeout && error.is_indeterminate());
    outbox.end(late);
    assert!(matches!(outbox.next(late), Step::Gone));
    assert!(outbox.keys.is_empty(), "nothing is left of the key");
}

#[test]
fn a_flush_waits_for_nothing_and_full_requests_do_not_linger() {
    let (mut outbox, now) = (Outbox::new(LINGER), Instant::now());
    submit(&mut outbox, 0, &[Some(0); REQUEST_MESSAGES + 1], now);
    assert_eq!(numbers(&send(&mut outbox, now)).len(), REQUEST_MESSAGES);
    submit(&mut outbox, 2_000, &[Some(1)], now);
    assert!(matches!(outbox.next(now), Step::Wait(Some(_))));
    outbox.hurry(now);
    assert_eq!(numbers(&send(&mut outbox, now)), [2_000]);
    // Nor does what is left of a full one.
    submit(&mut outbox, 3_000, &[None; REQUEST_MESSAGES + 1], now);
    assert_eq!(numbers(&send(&mut outbox, now)).len(), REQUEST_MESSAGES);
    assert_eq!(numbers(&send(&mut outbox, now)).len(), 1);
}

/// Events from `first` on, of which all are told at `until`.
struct Batch {
    first: usize,
    pending: Pending,
    until: Instant,
    told: Option<Vec<Result<Receipt>>>,
}

impl Batch {
    fn new(first: usize, pending: Pending, until: Instant) -> Self {
        Self {
            first,
            pending,
            until,
            told: None,
        }
    }

    fn is_told(&mut self) -> bool {
        if self.told.is_none() {
            self.told = (&mut self.pending).now_or_never();
        }
        self.told.is_some()
    }
}

/// Every outcome is true and in time, and every key in order, whatever becomes of requests.
fn run(seed: u64) {
    const KEYS: usize = 5;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut now = Instant::now();
    let mut outbox = Outbox::new(LINGER);
    let mut log: Vec<usize> = Vec::new();
    let mut keys: HashMap<usize, Option<usize>> = HashMap::new();
    let mut batches: Vec<Batch> = Vec::new();
    // In every second run much is late.
    let patience = match seed % 2 {
        0 => PATIENCE,
        _ => Duration::from_millis(160),
    };
    let mut flying: Vec<Request> = Vec::new();
    let mut next = 0;
    for _ in 0..2_000 {
        now += Duration::from_millis(rng.random_range(0..20));
        match rng.random_range(0..4) {
            0 if next < 400 => {
                let batch: Vec<_> = (0..rng.random_range(1..8))
                    .map(|_| rng.random_ratio(5, 6).then(|| rng.random_range(0..KEYS)))
                    .collect();
                batch.iter().enumerate().for_each(|(nth, key)| {
                    keys.insert(next + nth, *key);
                });
                let pending = within(&mut outbox, next, &batch, now, patience);
                batches.push(Batch::new(next, pending, now + patience));
                next += batch.len();
            }
            1 | 2 => {
                let step = outbox.next(now);
                for request in flying.extract_if(.., |request| request.deadline <= now) {
                    // Nobody waits for an answer any longer.
                    outbox.answered(request, failed(true), now, 0.5);
                }
                for batch in &mut batches {
                    let late = batch.until <= now && !batch.is_told();
                    assert!(!late, "seed {seed}: {} was told late", batch.first);
                }
                if let Step::Send(request) = step {
                    let of: Vec<_> = numbers(&request).iter().map(|nth| keys[nth]).collect();
                    assert!(of.iter().all(|key| *key == of[0]), "seed {seed}: {of:?}");
                    assert!(request.deadline > now, "seed {seed}: it would time out");
                    flying.push(request);
                }
            }
            _ if !flying.is_empty() => {
                let request = flying.swap_remove(rng.random_range(0..flying.len()));
                let (answer, written) = match rng.random_range(0..10) {
                    0 => (failed(false), false),
                    1 => (failed(true), true),
                    2 => (failed(true), false),
                    3 => (Answer::Refused(trouble(ErrorKind::Invalid)), false),
                    _ => (Answer::Written, true),
                };
                if written {
                    log.extend(numbers(&request));
                }
                outbox.answered(request, answer, now, rng.random());
            }
            _ => {}
        }
    }
    outbox.end(now);
    let mut idle = 0;
    loop {
        match outbox.next(now) {
            Step::Send(request) => flying.push(request),
            Step::Gone => break,
            Step::Wait(until) => {
                if let Some(request) = flying.pop() {
                    log.extend(numbers(&request));
                    outbox.answered(request, Answer::Written, now, 0.5);
                } else {
                    now = until.expect("there is something to wait for");
                    idle += 1;
                    assert!(idle < 10_000, "seed {seed}: it does not end");
                }
            }
        }
    }
    let mut ok = Vec::new();
    for mut batch in batches {
        assert!(batch.is_told(), "seed {seed}: all are told");
        let first = batch.first;
        for (nth, told) in batch.told.into_iter().flatten().enumerate() {
            let times = log.iter().filter(|other| **other == first + nth).count();
            match told {
                Ok(_) => {
                    assert!(times > 0, "seed {seed}: {} was not written", first + nth);
                    ok.push(first + nth);
                }
                Err(error) if error.is_indeterminate() => {}
                Err(_) => assert_eq!(times, 0, "seed {seed}: {} was written", first + nth),
            }
        }
    }
    for key in 0..KEYS {
        let of_key = |nth: &usize| keys[nth] == Some(key);
        let firsts: Vec<_> = ok.iter().copied().filter(of_key).collect();
        let places: Vec<_> = firsts
            .iter()
            .map(|nth| log.iter().position(|other| other == nth))
            .collect();
        assert!(places.is_sorted(), "seed {seed}: key {key} is out of order");
    }
}

#[test]
fn every_outcome_is_true_and_in_time_and_every_key_in_order() {
    for seed in 0..300 {
        run(seed);
    }
}
