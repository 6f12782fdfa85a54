use crate::{
    control::is_passing,
    error::{HUB, closed},
    member::Shell,
    read,
    shared::{Shared, is_final},
    slots::{Mode, named},
    work::{Done, Moves, Work, join, start},
};
use anyhub_core::{Batch, Change, Error, Partition, Position, Result};
use futures_util::FutureExt;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{task::JoinHandle, time::sleep_until};

/// What a consumer does between the group, the lanes and librdkafka, a step at a time: all of its
/// state is here, so that a `receive` can be dropped at any await.
#[derive(Debug)]
pub(crate) struct Machine {
    shared: Arc<Shared>,
    /// What the application was not told yet.
    pub(crate) changes: Vec<Change>,
    pub(crate) queue: VecDeque<Work>,
    doing: Option<JoinHandle<Result<Done>>>,
    /// The same, to be tried again after a seek should it fail.
    current: Option<Work>,
    /// librdkafka is being told to read elsewhere. Nothing is polled meanwhile: what came could be of
    /// before or after.
    moving: bool,
    /// Final, until a seek.
    pub(crate) failure: Option<Error>,
    /// Whether there was an assignment, be it an empty one.
    pub(crate) joined: bool,
}

/// How often a waiting consumer polls, so that the group sees it alive.
const TICK: Duration = Duration::from_millis(200);

impl Machine {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            changes: Vec::new(),
            queue: VecDeque::new(),
            doing: None,
            current: None,
            moving: false,
            failure: None,
            joined: false,
        }
    }

    /// Does no more; what is under way on a blocking thread comes to its end there.
    pub(crate) fn stop(&mut self) {
        if let Some(doing) = self.doing.take() {
            doing.abort();
        }
    }

    /// Takes in what has happened, and starts the next piece of work.
    pub(crate) fn turn(&mut self) {
        // Here and not only in `wait`, which a consumer that always has events never comes to.
        if self.doing.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(done) = worked(&mut self.doing).now_or_never()
        {
            self.finish(done);
        }
        let shared = &self.shared;
        shared.is_alive();
        let now = Instant::now();
        if shared.take_expired() {
            self.forfeit();
        }
        let shared = &self.shared;
        let shell = shared.native.shell();
        while let Some(rebalance) = shell.events().next_rebalance() {
            self.queue.push_back(Work::asked(rebalance, shared));
        }
        let mut slots = shared.slots();
        for (lane, position) in shared.lanes.rewinds(now) {
            if let Some(slot) = slots.of_lane(lane)
                && matches!(slot.mode, Mode::Reading | Mode::Full(_) | Mode::Moving)
            {
                slot.next = position;
                slot.mode = Mode::Moving;
            }
        }
        for (_, slot) in slots.iter_mut() {
            if let Mode::Full(_) = slot.mode {
                slot.resume(now, shared.lanes.is_full(slot.lane));
            }
        }
        if self.doing.is_none() && self.failure.is_none() {
            let next = if shared.pulse.stood_still() {
                Some(Work::Reassure)
            } else if self.queue.is_empty() && slots.is_unsettled() {
                Some(Work::Settle(Moves::of(&slots)))
            } else {
                self.queue.pop_front()
            };
            drop(slots);
            if let Some(work) = next {
                if let Work::Lose(partitions) = &work {
                    self.lost(&partitions.clone());
                }
                self.moving = matches!(work, Work::Settle(_));
                self.current = Some(work.clone());
                self.doing = Some(start(&self.shared, work));
            }
        }
    }

    /// All lanes were lost: says so, and finds out where they go on, should they still be ours.
    fn forfeit(&mut self) {
        let mut slots = self.shared.slots();
        let mut gone = Vec::new();
        for (partition, slot) in slots.iter_mut() {
            if !matches!(slot.mode, Mode::Forfeited) {
                slot.mode = Mode::Forfeited;
                gone.push(partition);
            }
        }
        drop(slots);
        if !gone.is_empty() {
            self.changes.push(Change::Lost(named(&gone)));
            self.queue.push_back(Work::Readopt(gone));
        }
    }

    /// These went to another owner.
    fn lost(&mut self, partitions: &[u32]) {
        let mut slots = self.shared.slots();
        let mut told = Vec::new();
        for partition in partitions {
            if let Some(slot) = slots.give_up(*partition) {
                self.shared.lanes.lose(slot.lane);
                if slot.mode != Mode::Forfeited {
                    told.push(*partition);
                }
            }
        }
        drop(slots);
        if !told.is_empty() {
            self.changes.push(Change::Lost(named(&told)));
        }
    }

    /// Takes in what came of a piece of work.
    fn finish(&mut self, done: Result<Done>) {
        self.doing = None;
        self.moving = false;
        let work = self.current.take();
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                // The group may still wait for its answer.
                self.queue.extend(work);
                self.queue.rotate_right(1);
                self.failure = Some(error);
                return;
            }
        };
        let shared = self.shared.clone();
        match done {
            Done::Located(beginning) => {
                let mut slots = shared.slots();
                let mut partitions = Vec::new();
                for &(partition, next) in &beginning.places {
                    let lane = shared.lanes.assign(&Partition::number(partition));
                    slots.take_up(partition, lane, next);
                    partitions.push(partition);
                }
                drop(slots);
                self.tell(&partitions, Change::Assigned);
                self.overtaken(&beginning.overtaken);
                // An empty assignment wants an answer, too.
                self.queue.push_front(Work::TakeUp(beginning.places));
            }
            Done::TakenUp => self.joined = true,
            Done::Revoked { partitions, lost } => {
                let mut slots = shared.slots();
                let untold: Vec<_> = lost
                    .into_iter()
                    .filter(|(partition, _)| {
                        let slot = slots.give_up(*partition);
                        slot.is_some_and(|slot| slot.mode != Mode::Forfeited)
                    })
                    .collect();
                drop(slots);
                let of = |was_lost| -> Vec<u32> {
                    let those = untold.iter().filter(|(_, lost)| *lost == was_lost);
                    those.map(|(partition, _)| *partition).collect()
                };
                self.tell(&of(false), Change::Revoked);
                self.tell(&of(true), Change::Lost);
                self.queue.push_front(Work::GiveUp(partitions));
            }
            Done::Readopted(beginning) => {
                let mut slots = shared.slots();
                let mut partitions = Vec::new();
                for &(partition, next) in &beginning.places {
                    if let Some(slot) = slots.get(partition)
                        && slot.mode == Mode::Forfeited
                    {
                        slot.lane = shared.lanes.assign(&Partition::number(partition));
                        slot.next = next;
                        slot.checkpoint = next;
                        slot.mode = Mode::Moving;
                        partitions.push(partition);
                    }
                }
                drop(slots);
                self.tell(&partitions, Change::Assigned);
                self.overtaken(&beginning.overtaken);
            }
            Done::Settled(moves) => {
                let mut slots = shared.slots();
                for partition in moves.pause {
                    if let Some(slot) = slots.get(partition) {
                        slot.paused = true;
                    }
                }
                for (partition, to) in moves.moved {
                    if let Some(slot) = slots.get(partition) {
                        slot.paused = false;
                        // It may have been asked elsewhere meanwhile.
                        if slot.mode == Mode::Moving && slot.next == to {
                            slot.mode = Mode::Reading;
                        }
                    }
                }
            }
            Done::Range(ranges) => self.catch_up(&ranges),
            Done::Restarted(shell) => self.restarted(shell),
            Done::GivenUp | Done::Nothing => {}
        }
    }

    /// Goes on at the oldest event wherever what is due is no longer kept.
    fn catch_up(&mut self, ranges: &[(u32, i64, i64)]) {
        let shared = self.shared.clone();
        let mut slots = shared.slots();
        let mut overtaken = Vec::new();
        for &(partition, first, next) in ranges {
            let Some(slot) = slots.get(partition) else {
                continue;
            };
            if !matches!(slot.mode, Mode::Reading | Mode::Full(_) | Mode::Moving)
                || (first..=next).contains(&slot.next)
            {
                continue;
            }
            overtaken.push((partition, slot.next, first));
            if slot.next < first {
                shared.lanes.reader().removed_before(slot.lane, &first);
            } else {
                // The log is another one than was read: all that was delivered of it is stale.
                slot.lane = shared.lanes.assign(&Partition::number(partition));
            }
            slot.next = first;
            slot.mode = Mode::Moving;
        }
        // What is kept after all librdkafka may have stopped reading, too.
        for (_, slot) in slots
            .iter_mut()
            .filter(|(_, slot)| slot.mode == Mode::Reading)
        {
            slot.mode = Mode::Moving;
        }
        drop(slots);
        self.overtaken(&overtaken);
    }

    /// Goes on with a new client.
    fn restarted(&mut self, shell: Shell) {
        let shared = self.shared.clone();
        let mut slots = shared.slots();
        let partitions = slots.partitions();
        if shared.options.group.is_none() {
            let places = slots
                .iter()
                .map(|(partition, slot)| (partition, slot.next))
                .collect();
            for (_, slot) in slots.iter_mut() {
                slot.mode = Mode::Reading;
                slot.paused = false;
            }
            self.queue.push_front(Work::TakeUp(places));
        } else {
            let lost = partitions.iter().filter(|partition| {
                let slot = slots.give_up(**partition);
                slot.is_some_and(|slot| shared.lanes.lose(slot.lane))
            });
            let lost: Vec<u32> = lost.copied().collect();
            let kept: Vec<u32> = partitions
                .into_iter()
                .filter(|it| !lost.contains(it))
                .collect();
            self.tell(&kept, Change::Revoked);
            self.tell(&lost, Change::Lost);
        }
        drop(slots);
        self.queue.retain(|work| matches!(work, Work::TakeUp(_)));
        drop(shared.native.replace(shell));
        if let Err(error) = join(&shared) {
            self.failure = Some(error);
        }
    }

    fn tell(&mut self, partitions: &[u32], change: fn(Vec<Partition>) -> Change) {
        if !partitions.is_empty() {
            self.changes.push(change(named(partitions)));
        }
    }

    fn overtaken(&mut self, overtaken: &[(u32, i64, i64)]) {
        for &(partition, from, to) in overtaken {
            self.changes.push(Change::Overtaken {
                partition: Partition::number(partition),
                from: Position::offset(from),
                to: Position::offset(to),
            });
        }
    }

    /// Polls, and takes in what there is to tell.
    pub(crate) fn poll(&mut self, max: usize) -> Batch {
        let shell = self.shared.native.shell();
        let mut batch = Batch::new();
        if self.moving || self.shared.pulse.stood_still() {
            batch.changes = std::mem::take(&mut self.changes);
            return batch;
        }
        // What is dropped on the way may hide what is not.
        loop {
            let mut slots = self.shared.slots();
            let polled = read::poll(&shell, &self.shared.lanes, &mut slots, max);
            drop(slots);
            self.shared.traffic.received(polled.bytes);
            self.shared
                .progress
                .fetch_add(polled.came as u64, Ordering::Relaxed);
            batch.deliveries = polled.deliveries;
            for error in polled.errors {
                self.met(error);
            }
            if polled.drained || !batch.deliveries.is_empty() || shell.events().has_rebalance() {
                break;
            }
        }
        batch.changes = std::mem::take(&mut self.changes);
        batch
    }

    /// An error came instead of an event.
    fn met(&mut self, code: Code) {
        tracing::debug!(%code, "while receiving");
        match code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => {
                let partitions = self.shared.slots().partitions();
                if !self.queue.iter().any(|work| matches!(work, Work::Range(_))) {
                    self.queue.push_back(Work::Range(partitions));
                }
            }
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
                if !self.queue.iter().any(|work| matches!(work, Work::Topic)) {
                    self.queue.push_back(Work::Topic);
                }
            }
            // The group says what follows from it.
            Code::PollExceeded => {}
            // A private reader is nobody's member.
            Code::GroupAuthorizationFailed if self.shared.options.group.is_none() => {}
            code if is_passing(code) => {}
            _ => match is_final(code) {
                Some(failure) => self.failure = Some(failure),
                None => tracing::warn!(hub = HUB, %code, "while receiving"),
            },
        }
    }

    /// Waits until there may be something to do.
    pub(crate) async fn wait(&mut self, until: Option<Instant>) {
        let asked = self.shared.native.shell().events().has_rebalance();
        let waits =
            self.doing.is_none() && (!self.queue.is_empty() || self.shared.slots().is_unsettled());
        if asked || waits {
            return;
        }
        let now = Instant::now();
        let tick = TICK.min(self.shared.options.max_processing / 4);
        let mut due = now + tick.max(Duration::from_millis(1));
        for other in [until, self.shared.lanes.next_due(), self.rested_at()]
            .into_iter()
            .flatten()
        {
            due = due.min(other);
        }
        let shared = self.shared.clone();
        tokio::select! {
            done = worked(&mut self.doing) => self.finish(done),
            () = shared.wake.notified() => {}
            () = shared.lanes.changed() => {}
            () = sleep_until(due.into()) => {}
        }
    }

    fn rested_at(&self) -> Option<Instant> {
        let slots = self.shared.slots();
        let full = slots
            .iter()
            .filter(|(_, slot)| !self.shared.lanes.is_full(slot.lane));
        full.filter_map(|(_, slot)| slot.rested_at()).min()
    }

    /// Does all work that there is to do, without polling.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        loop {
            self.turn();
            if self.doing.is_none() {
                return Ok(());
            }
            let done = worked(&mut self.doing).await;
            let failed = done.as_ref().err().cloned();
            self.finish(done);
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }
}

/// The result of the work under way. Cancel-safe: it is asked for again.
async fn worked(doing: &mut Option<JoinHandle<Result<Done>>>) -> Result<Done> {
    match doing {
        Some(work) => match work.await {
            Ok(done) => done,
            Err(_) => Err(closed("receive", "hub")),
        },
        None => std::future::pending().await,
    }
}
