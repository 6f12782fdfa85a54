//! One run: virtual time, the lanes' tasks, and what goes wrong.

use super::{
    super::{Answer, Entry, Flaw, Landed, LaneId, Lanes, Request, Settings, Step, Together},
    checks::{self, Found},
    kinesis::{Id, Kinesis, Sent},
};
use crate::{aggregate::hash_key, error::HUB};
use anyhub_core::{Error, ErrorKind, Pending, Receipt, Result, driver};
use bytes::Bytes;
use futures_util::FutureExt;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) struct World {
    now: Instant,
    rng: StdRng,
    kinesis: Kinesis,
    lanes: Lanes,
    tasks: HashMap<LaneId, Task>,
    /// What happens when; of one time, in the order in which it was planned.
    agenda: BTreeMap<(Instant, u64), Action>,
    planned: u64,
    batches: Vec<Submitted>,
    next_of_key: Vec<u32>,
    submits_left: u32,
    /// How often an event was in a request whose answer was lost.
    lost: HashMap<Id, usize>,
    listing: bool,
    found: Found,
    faults: Faults,
    broken: Option<String>,
}

/// A batch: its events, and their outcomes once they were looked at.
struct Submitted {
    ids: Vec<Id>,
    pending: Option<Pending>,
    outcomes: Option<Vec<Result<Receipt>>>,
}

#[derive(Debug)]
enum Task {
    Parked(Option<Instant>),
    Flying(Box<Request>, u64),
}

/// What goes wrong in this run, and how often.
#[derive(Debug)]
struct Faults {
    fails: f64,
    lost: f64,
    stalls: f64,
    reshards: u32,
    /// How far behind a list of shards may be.
    stale: u64,
    patience: Duration,
    burst: u32,
    pause: u64,
}

enum Action {
    Submit,
    /// Kinesis carries a request out, and answers if `answers` says so.
    Execute {
        lane: LaneId,
        flight: u64,
        records: Vec<Sent>,
        answers: bool,
    },
    Answer {
        lane: LaneId,
        flight: u64,
        answer: Answer,
    },
    /// The task's own timer.
    Timer(LaneId),
    /// A flight looks for deadlines that have passed.
    Overdue {
        lane: LaneId,
        flight: u64,
    },
    Listed(Instant),
    Reshard,
    Expire,
    /// By now a batch must be told.
    Told(usize),
}

const KEYLESS: u32 = 0;

impl World {
    pub(super) fn new(seed: u64, together: Together, flaw: Option<Flaw>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let now = Instant::now() + Duration::from_secs(10_000);
        let settings = Settings {
            together,
            batch_bytes: [600, 6_000, 100_000][rng.random_range(0..3)],
            linger: Duration::from_millis([0, 5, 40][rng.random_range(0..3)]),
            seed,
        };
        let mut lanes = Lanes::new(settings);
        lanes.flaw = flaw;
        let faults = Faults {
            fails: [0.0, 0.1, 0.5][rng.random_range(0..3)],
            lost: [0.0, 0.05, 0.2][rng.random_range(0..3)],
            stalls: [0.0, 0.0, 0.05][rng.random_range(0..3)],
            reshards: [0, 2, 6][rng.random_range(0..3)],
            stale: [0, 100, 600][rng.random_range(0..3)],
            patience: Duration::from_millis([400, 3_000, 30_000][rng.random_range(0..3)]),
            burst: [1, 5, 20][rng.random_range(0..3)],
            pause: [1, 10, 60][rng.random_range(0..3)],
        };
        let keys = 1 + [1, 3, 12][rng.random_range(0..3)];
        Self {
            kinesis: Kinesis::new(rng.random_range(1..5), now),
            now,
            lanes,
            tasks: HashMap::new(),
            agenda: BTreeMap::new(),
            planned: 0,
            batches: Vec::new(),
            next_of_key: vec![0; keys],
            submits_left: 30,
            lost: HashMap::new(),
            listing: false,
            found: Found::default(),
            faults,
            broken: None,
            rng,
        }
    }

    pub(super) fn run(mut self) -> Result<Found, String> {
        let born = self.lanes.mapped(self.kinesis.listed(self.now), self.now);
        self.start(born);
        self.plan(0, Action::Submit);
        self.plan(1, Action::Expire);
        for _ in 0..self.faults.reshards {
            let at = self.rng.random_range(0..30 * self.faults.pause + 200);
            self.plan(at, Action::Reshard);
        }
        let end = self.now + Duration::from_secs(200);
        let mut hurried = false;
        let mut steps = 0;
        while let Some(((at, _), action)) = self.agenda.pop_first() {
            self.now = self.now.max(at);
            steps += 1;
            if steps > 200_000 {
                return Err("it goes round in circles".to_owned());
            }
            self.act(action);
            self.look_round();
            if self.rng.random_bool(0.02) {
                match hurried {
                    true => self.lanes.unhurry(),
                    false => self.lanes.hurry(self.now),
                }
                hurried = !hurried;
                self.look_round();
            }
            if self.now > end {
                return Err("it does not come to an end".to_owned());
            }
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
        }
        if !self.lanes.is_done() || !self.tasks.is_empty() {
            return Err(format!("something is left: {:?}", self.tasks));
        }
        let mut told = Vec::new();
        for batch in self.batches {
            let outcomes = batch.outcomes.ok_or("a batch was never told")?;
            told.extend(batch.ids.into_iter().zip(outcomes));
        }
        checks::check(&self.kinesis, &told, KEYLESS, &self.lost, &mut self.found)?;
        Ok(self.found)
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Submit => self.submit(),
            Action::Execute {
                lane,
                flight,
                records,
                answers,
            } => {
                self.execute(lane, flight, &records, answers);
            }
            Action::Answer {
                lane,
                flight,
                answer,
            } => self.answer(lane, flight, answer),
            Action::Timer(lane) => {
                if let Some(Task::Parked(Some(until))) = self.tasks.get(&lane)
                    && *until <= self.now
                {
                    self.step(lane);
                }
            }
            Action::Overdue { lane, flight } => self.overdue(lane, flight),
            Action::Listed(then) => {
                self.listing = false;
                let before = self.tasks.len();
                let born = self.lanes.mapped(self.kinesis.listed(then), self.now);
                self.found.lanes_moved += usize::from(before > 0 && !born.is_empty());
                self.start(born);
            }
            Action::Reshard => self.kinesis.reshard(self.now, &mut self.rng),
            Action::Expire => {
                let next = self.lanes.expire(self.now);
                if !self.lanes.is_done() {
                    let next = next.unwrap_or(self.now + self.faults.patience);
                    self.plan_at(
                        next.max(self.now + Duration::from_micros(100)),
                        Action::Expire,
                    );
                }
            }
            Action::Told(batch) => {
                let submitted = &mut self.batches[batch];
                if let Some(pending) = submitted.pending.take() {
                    submitted.outcomes = pending.now_or_never();
                }
                if submitted.outcomes.is_none() {
                    self.broken = Some(format!("batch {batch} is not told by its deadline"));
                }
            }
        }
    }

    fn submit(&mut self) {
        let count = self.rng.random_range(1..=self.faults.burst);
        let (completer, pending) = Pending::new(count as usize);
        let batch = Arc::new(driver::Submitted::new(
            HUB,
            completer,
            None,
            self.now,
            self.faults.patience,
        ));
        let mut ids = Vec::new();
        let mut entries = Vec::new();
        for index in 0..count {
            let key = self.rng.random_range(0..self.next_of_key.len()) as u32;
            let nth = &mut self.next_of_key[key as usize];
            let id = (key, *nth);
            *nth += 1;
            ids.push(id);
            let mut payload = vec![0; self.rng.random_range(8..200)];
            payload[..4].copy_from_slice(&id.0.to_le_bytes());
            payload[4..8].copy_from_slice(&id.1.to_le_bytes());
            let key = (key != KEYLESS).then(|| Bytes::from(format!("key-{key}")));
            let hash = key.as_deref().map_or(0, hash_key);
            entries.push(Entry::new(hash, key, payload.into(), batch.clone(), index));
        }
        self.batches.push(Submitted {
            ids,
            pending: Some(pending),
            outcomes: None,
        });
        self.lanes.submit(entries, self.now);
        self.plan_at(
            self.now + self.faults.patience,
            Action::Told(self.batches.len() - 1),
        );
        self.submits_left -= 1;
        if self.submits_left > 0 {
            let pause = self.rng.random_range(0..=self.faults.pause);
            self.plan(pause, Action::Submit);
        } else {
            self.lanes.end(self.now);
        }
    }

    fn start(&mut self, born: Vec<LaneId>) {
        for lane in born {
            if self.tasks.insert(lane, Task::Parked(None)).is_some() {
                self.broken = Some(format!("lane {lane} has a task already"));
            }
            self.step(lane);
        }
    }

    /// Wakes whose bell has rung, and sees to it that shards are listed.
    fn look_round(&mut self) {
        let parked = self
            .tasks
            .iter()
            .filter(|(_, task)| matches!(task, Task::Parked(_)));
        let mut parked: Vec<LaneId> = parked.map(|(lane, _)| *lane).collect();
        parked.sort_unstable();
        for lane in parked {
            let bell = self.lanes.bell(lane);
            if bell.is_some_and(|bell| bell.notified().now_or_never().is_some()) {
                self.step(lane);
            }
        }
        if self.lanes.late_bell().notified().now_or_never().is_some() && !self.lanes.is_done() {
            self.plan(0, Action::Expire);
        }
        if self.lanes.wants_map() && !self.listing {
            self.listing = true;
            let stale = Duration::from_millis(self.rng.random_range(0..=self.faults.stale));
            let then = self.now.checked_sub(stale).unwrap_or(self.now);
            let delay = self.rng.random_range(1..60);
            self.plan(delay, Action::Listed(then));
        }
    }

    fn step(&mut self, lane: LaneId) {
        match self.lanes.next(lane, self.now) {
            Step::Gone => {
                self.tasks.remove(&lane);
            }
            Step::Wait(until) => {
                if let Some(until) = until {
                    self.plan_at(until, Action::Timer(lane));
                }
                self.tasks.insert(lane, Task::Parked(until));
            }
            Step::Send(request) => self.send(lane, request),
        }
    }

    fn send(&mut self, lane: LaneId, request: Request) {
        self.found.requests += 1;
        let flight = self.planned;
        self.check_request(&request);
        let records: Vec<Sent> = request
            .records
            .iter()
            .map(|record| {
                let entries = request.entries[record.entries.clone()].iter();
                entries.map(|entry| (entry.hash, id(entry))).collect()
            })
            .collect();
        if let Some(next) = request.expire(self.now) {
            self.plan_at(next, Action::Overdue { lane, flight });
        }
        self.tasks
            .insert(lane, Task::Flying(Box::new(request), flight));
        let mut arrives = self.rng.random_range(1..30);
        if self.rng.random_bool(self.faults.stalls) {
            arrives += self.rng.random_range(0..5_000);
        }
        if !self.rng.random_bool(self.faults.lost) {
            self.plan(
                arrives,
                Action::Execute {
                    lane,
                    flight,
                    records,
                    answers: true,
                },
            );
            return;
        }
        // The answer is lost: before it was carried out, after that, or it never got there.
        let error = Error::new(ErrorKind::Unavailable, HUB, "submit", "cut");
        let given_up = self.rng.random_range(1..200);
        let answer = match self.rng.random_bool(0.2) {
            true => Answer::Unwritten(error),
            false => {
                if self.rng.random_bool(0.7) {
                    self.plan(
                        arrives,
                        Action::Execute {
                            lane,
                            flight,
                            records,
                            answers: false,
                        },
                    );
                }
                Answer::Lost(error)
            }
        };
        self.plan(
            given_up,
            Action::Answer {
                lane,
                flight,
                answer,
            },
        );
    }

    fn check_request(&mut self, request: &Request) {
        let mut hashes = HashMap::new();
        for (nth, record) in request.records.iter().enumerate() {
            for entry in &request.entries[record.entries.clone()] {
                if *hashes.entry(entry.hash).or_insert(nth) != nth {
                    self.broken = Some("a key has two records in one request".to_owned());
                }
                if entry.is_late(self.now) {
                    self.broken = Some(format!("{:?} is sent after its deadline", id(entry)));
                }
            }
        }
        for task in self.tasks.values() {
            if let Task::Flying(other, _) = task
                && other
                    .entries
                    .iter()
                    .any(|entry| hashes.contains_key(&entry.hash))
            {
                self.broken = Some("a key has two requests in flight".to_owned());
            }
        }
    }

    fn execute(&mut self, lane: LaneId, flight: u64, records: &[Sent], answers: bool) {
        let mut landed = Vec::new();
        for record in records {
            if self.rng.random_bool(self.faults.fails) {
                landed.push(match self.rng.random_bool(0.5) {
                    true => Landed::Throttled,
                    false => Landed::Failed,
                });
            } else {
                let (shard, at) = self.kinesis.put(record);
                landed.push(Landed::Written { shard, at });
            }
        }
        if answers {
            let delay = self.rng.random_range(1..30);
            let answer = Answer::Records(landed);
            self.plan(
                delay,
                Action::Answer {
                    lane,
                    flight,
                    answer,
                },
            );
        }
    }

    fn answer(&mut self, lane: LaneId, flight: u64, answer: Answer) {
        match self.tasks.remove(&lane) {
            Some(Task::Flying(request, current)) if current == flight => {
                if matches!(answer, Answer::Lost(_)) {
                    for entry in &request.entries {
                        *self.lost.entry(id(entry)).or_default() += 1;
                    }
                }
                let rest = request.settle(answer);
                self.lanes.answered(lane, rest, self.now);
                self.step(lane);
            }
            // It was given up.
            Some(task) => {
                self.tasks.insert(lane, task);
            }
            None => {}
        }
    }

    fn overdue(&mut self, lane: LaneId, flight: u64) {
        let Some(Task::Flying(request, current)) = self.tasks.get(&lane) else {
            return;
        };
        if *current != flight {
            return;
        }
        match request.expire(self.now) {
            Some(next) => self.plan_at(next, Action::Overdue { lane, flight }),
            None => {
                let error = Error::new(ErrorKind::Timeout, HUB, "submit", "given up");
                self.answer(lane, flight, Answer::Lost(error));
            }
        }
    }

    fn plan(&mut self, millis: u64, action: Action) {
        self.plan_at(self.now + Duration::from_millis(millis), action);
    }

    fn plan_at(&mut self, at: Instant, action: Action) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), action);
    }
}

fn id(entry: &Entry) -> Id {
    let number = |at: usize| u32::from_le_bytes(entry.payload()[at..at + 4].try_into().unwrap());
    (number(0), number(4))
}
