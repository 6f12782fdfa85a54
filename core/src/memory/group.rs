use super::{
    balance::balance,
    log::Log,
    member::{End, Member, Told},
};
use crate::{
    Error, ErrorKind, Partition, PartitionLag, Point, Position, Result,
    driver::LaneId,
    memory::HUB,
    sync::{Mutex, MutexGuard, lock},
};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// How long a partition that is to move waits for the answers to its deliveries, once its owner
/// calls `receive` again.
const DRAIN: Duration = Duration::from_millis(500);

/// The members of a consumer group on one topic, who owns what, and the checkpoints. A private
/// reader is a group of its own that commits nothing.
#[derive(Debug)]
pub(super) struct Group {
    id: u64,
    commits: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they joined.
    members: Vec<Arc<Member>>,
    slots: Vec<Slot>,
}

/// A partition in the group's eyes.
#[derive(Debug)]
struct Slot {
    log: Arc<Log>,
    owner: Option<(Arc<Member>, LaneId)>,
    /// Who shall own it.
    target: Option<u64>,
    /// Since when its owner is asked to give it up.
    draining: Option<Instant>,
    checkpoint: Option<Checkpoint>,
    /// Whether it has a checkpoint or was begun by a present member: no later start counts (C7).
    begun: bool,
}

/// Where a group resumes; within a generation it never goes back (C9).
#[derive(Debug, Clone, Copy)]
struct Checkpoint {
    generation: u64,
    next: i64,
}

/// What a consumer has to know before it reads on.
#[derive(Debug)]
pub(super) struct News {
    pub(super) version: u64,
    pub(super) told: Vec<Told>,
    /// When a partition moves even without its answers.
    pub(super) drained_by: Option<Instant>,
}

impl Group {
    pub(super) fn new(id: u64, commits: bool, logs: &[Arc<Log>]) -> Self {
        let group = Self {
            id,
            commits,
            state: Mutex::default(),
        };
        group.grow(logs);
        group
    }

    /// Takes up partitions that have appeared: a group that has begun reads them from their
    /// beginning (C7).
    pub(super) fn grow(&self, logs: &[Arc<Log>]) {
        let mut state = self.lock();
        let begun = state.slots.iter().any(|slot| slot.checkpoint.is_some());
        let present = !state.members.is_empty();
        for log in logs.iter().skip(state.slots.len()) {
            state.slots.push(Slot {
                log: log.clone(),
                owner: None,
                target: None,
                draining: None,
                checkpoint: None,
                begun: present,
            });
            if begun && let Some(slot) = state.slots.last_mut() {
                slot.set_checkpoint(0, 0);
            }
        }
        state.report(self);
        state.rebalance(self);
    }

    /// Takes a member in; its start counts where nothing is committed or begun (C7).
    pub(super) fn join(&self, member: &Arc<Member>) -> Result<()> {
        let mut state = self.lock();
        let starts = match &member.start {
            // At the beginning, whatever that is when it is first read.
            Point::Start => vec![None; state.slots.len()],
            start => state.positions(start, "consumer", |slot| !slot.begun)?,
        };
        for (slot, start) in state.slots.iter_mut().zip(starts) {
            if !slot.begun {
                slot.begun = true;
                if let Some(next) = start {
                    slot.set_checkpoint(0, next);
                }
            }
        }
        state.report(self);
        state.members.push(member.clone());
        state.rebalance(self);
        Ok(())
    }

    /// Lets a member go. In good order, what it acknowledged is committed; otherwise it is as if
    /// it had crashed.
    pub(super) fn leave(&self, member: &Arc<Member>, in_good_order: bool) {
        let mut state = self.lock();
        if in_good_order {
            state.commit(self, member);
        }
        state.remove(self, member, in_good_order);
        state.rebalance(self);
    }

    /// What has happened since the member last asked; one that had gone joins again.
    pub(super) fn news(&self, member: &Arc<Member>) -> Result<News> {
        let mut state = self.lock();
        let joined = state.members.iter().any(|other| other.id == member.id);
        if !joined && !member.is_ended() {
            drop(state);
            self.join(member)?;
            state = self.lock();
        }
        let now = Instant::now();
        state.release(self, member, |since| now >= since + DRAIN);
        Ok(state.news(member))
    }

    /// Lets partitions go whose last answer has come.
    pub(super) fn answered(&self, member: &Arc<Member>) {
        self.lock().release(self, member, |_| false);
    }

    /// Makes the finished prefixes of a member durable (C3).
    pub(super) fn commit(&self, member: &Arc<Member>) {
        self.lock().commit(self, member);
    }

    /// The same for all members.
    pub(super) fn commit_all(&self) {
        let mut state = self.lock();
        for member in state.members.clone() {
            state.commit(self, &member);
        }
    }

    /// Takes the partitions of members that have not called `receive` for too long (C2), and says
    /// when to look again.
    pub(super) fn expire(&self) -> Option<Instant> {
        if !self.commits {
            return None;
        }
        let now = Instant::now();
        let mut state = self.lock();
        let expired = |member: &&Arc<Member>| member.expires(now).is_some_and(|at| at <= now);
        let gone: Vec<_> = state.members.iter().filter(expired).cloned().collect();
        for member in &gone {
            tracing::warn!(
                hub = HUB,
                limit = ?member.max_processing,
                "a consumer has not called receive for max_processing: its partitions go"
            );
            state.remove(self, member, false);
        }
        if !gone.is_empty() {
            state.rebalance(self);
        }
        let members = state.members.iter();
        members.filter_map(|member| member.expires(now)).min()
    }

    /// Moves what the member owns to `to`, with a new generation of its checkpoints, and names
    /// where each partition is read on (C8).
    pub(super) fn seek(&self, member: &Arc<Member>, to: &Point) -> Result<(News, Vec<(u32, i64)>)> {
        let mut state = self.lock();
        let starts = state.positions(to, "seek", |_| true)?;
        if let Point::Positions(named) = to {
            for (partition, _) in named {
                let owned = state.slot(partition).is_some_and(|slot| slot.is_of(member));
                if !owned {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        HUB,
                        "seek",
                        format!("partition {partition} is not this consumer's"),
                    )
                    .with_advice("Consumer::assignment() says which are"));
                }
            }
        }
        let mut moved = Vec::new();
        let group = self;
        for (partition, start) in starts.into_iter().enumerate() {
            let slot = &mut state.slots[partition];
            if let Some(next) = start
                && slot.is_of(member)
            {
                let number = partition as u32;
                member.lanes.assign(&Partition::number(number));
                let generation = slot.checkpoint.map_or(0, |at| at.generation);
                slot.set_checkpoint(generation + 1, next);
                slot.report(group);
                moved.push((number, next));
            }
        }
        Ok((state.news(member), moved))
    }

    /// Whether it keeps checkpoints; a private reader does not.
    pub(super) fn commits(&self) -> bool {
        self.commits
    }

    pub(super) fn members(&self) -> usize {
        self.lock().members.len()
    }

    /// Whether it has members or checkpoints.
    pub(super) fn exists(&self) -> bool {
        let state = self.lock();
        !state.members.is_empty() || state.slots.iter().any(|slot| slot.checkpoint.is_some())
    }

    /// Forgets the checkpoints; false if there are members.
    pub(super) fn forget(&self) -> bool {
        let mut state = self.lock();
        if !state.members.is_empty() {
            return false;
        }
        for slot in &mut state.slots {
            slot.checkpoint = None;
            slot.begun = false;
            slot.report(self);
        }
        true
    }

    /// Ends all members, with what they acknowledged committed: the topic or the hub goes.
    pub(super) fn end(&self, end: End) {
        let mut state = self.lock();
        for member in state.members.clone() {
            state.commit(self, &member);
            state.remove(self, &member, true);
            member.end(end);
        }
    }

    pub(super) fn lag(&self) -> Vec<PartitionLag> {
        let state = self.lock();
        let now = SystemTime::now();
        let slots = state.slots.iter().zip(0..);
        slots
            .map(|(slot, partition)| {
                let log = slot.log.now();
                let committed = slot.checkpoint.map(|at| at.next);
                let from = committed.unwrap_or(log.first()).max(log.first());
                let lag = PartitionLag::new(
                    Partition::number(partition),
                    committed.map(Position::offset),
                )
                .events((log.next() - from) as u64);
                match log.get(from) {
                    Some(oldest) => {
                        lag.behind(now.duration_since(oldest.published).unwrap_or_default())
                    }
                    None => lag.behind(Duration::ZERO),
                }
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn slot(&self, partition: &Partition) -> Option<&Slot> {
        self.slots.get(partition.as_number()? as usize)
    }

    /// The place of `point` in each partition; None where it names none. OutOfRange where it is
    /// wanted and not kept.
    fn positions(
        &self,
        point: &Point,
        operation: &'static str,
        wanted: impl Fn(&Slot) -> bool,
    ) -> Result<Vec<Option<i64>>> {
        let each = |place: &dyn Fn(&Log) -> i64| {
            let slots = self.slots.iter();
            Ok(slots.map(|slot| Some(place(&slot.log))).collect())
        };
        match point {
            Point::Start => each(&|log| log.now().first()),
            Point::End => each(&|log| log.now().next()),
            Point::Time(time) => each(&|log| log.now().offset_at(*time)),
            Point::Positions(named) => {
                let mut places = vec![None; self.slots.len()];
                for (partition, position) in named {
                    let index = partition.as_number().map(|number| number as usize);
                    let slot = index.and_then(|index| Some((index, self.slots.get(index)?)));
                    let Some((index, slot)) = slot else {
                        return Err(Error::new(
                            ErrorKind::NotFound,
                            HUB,
                            operation,
                            format!(
                                "there is no partition {partition}: the topic has {}",
                                self.slots.len()
                            ),
                        ));
                    };
                    let log = slot.log.now();
                    let kept = log.first()..=log.next();
                    match position.as_offset() {
                        _ if !wanted(slot) => {}
                        Some(next) if kept.contains(&next) => places[index] = Some(next),
                        _ => {
                            return Err(Error::new(
                                ErrorKind::OutOfRange,
                                HUB,
                                operation,
                                format!(
                                    "position {position} of partition {partition} is not kept: \
                                     it holds {} to {}",
                                    kept.start(),
                                    kept.end()
                                ),
                            ));
                        }
                    }
                }
                Ok(places)
            }
        }
    }

    fn news(&self, member: &Member) -> News {
        let draining = self.slots.iter().filter(|slot| slot.is_of(member));
        News {
            version: member.version(),
            told: member.take_told(),
            drained_by: draining
                .filter_map(|slot| slot.draining)
                .min()
                .map(|since| since + DRAIN),
        }
    }

    fn commit(&mut self, group: &Group, member: &Member) {
        if !group.commits {
            return;
        }
        let done = member.lanes.uncommitted();
        for lane in &done {
            let index = lane.partition.as_number().map(|number| number as usize);
            if let Some(slot) = index.and_then(|index| self.slots.get_mut(index))
                && slot.is_of(member)
            {
                let generation = slot.checkpoint.map_or(0, |at| at.generation);
                slot.set_checkpoint(generation, lane.finished + 1);
                slot.report(group);
            }
        }
        member.lanes.committed(&done);
    }

    /// Tells the logs where the group stands in them.
    fn report(&self, group: &Group) {
        self.slots.iter().for_each(|slot| slot.report(group));
    }

    fn remove(&mut self, group: &Group, member: &Arc<Member>, in_good_order: bool) {
        member.raise_version();
        for (slot, partition) in self.slots.iter_mut().zip(0..) {
            let Some((_, lane)) = slot.owner.take_if(|(owner, _)| owner.id == member.id) else {
                continue;
            };
            slot.draining = None;
            if in_good_order {
                member.lanes.revoke(lane);
                member.tell(Told::Revoked(partition));
            } else {
                member.lanes.lose(lane);
                member.tell(Told::Lost(partition));
            }
        }
        member.set_draining(false);
        self.members.retain(|other| other.id != member.id);
        if self.members.is_empty() {
            // Where nothing is committed, the start of whoever comes next counts (C7).
            for slot in &mut self.slots {
                slot.begun = slot.checkpoint.is_some();
                slot.report(group);
            }
        }
    }

    /// Decides anew who shall own what, and begins to move it.
    fn rebalance(&mut self, group: &Group) {
        let owner = |slot: &Slot| slot.owner.as_ref().map(|(owner, _)| owner.id);
        let owners: Vec<_> = self.slots.iter().map(owner).collect();
        let members: Vec<_> = self.members.iter().map(|member| member.id).collect();
        let targets = balance(&owners, &members);
        let now = Instant::now();
        for (index, target) in targets.into_iter().enumerate() {
            let partition = index as u32;
            let slot = &mut self.slots[index];
            slot.target = target;
            let Some((owner, _)) = &slot.owner else {
                self.give(index);
                continue;
            };
            if target == Some(owner.id) {
                if slot.draining.take().is_some() {
                    owner.raise_version();
                    owner.tell(Told::Resumed(partition));
                }
            } else if slot.draining.is_none() {
                slot.draining = Some(now);
                owner.raise_version();
                owner.set_draining(true);
                owner.tell(Told::Paused(partition));
            }
        }
        for member in self.members.clone() {
            self.release(group, &member, |_| false);
        }
    }

    /// Moves on the partitions that the member is asked for: where all deliveries are answered, or
    /// where `overdue` says, of the time since when it is asked, that they were waited for.
    fn release(&mut self, group: &Group, member: &Arc<Member>, overdue: impl Fn(Instant) -> bool) {
        if !member.is_draining() {
            return;
        }
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let Some(since) = slot.draining else { continue };
            let Some((owner, lane)) = &slot.owner else {
                continue;
            };
            let lane = *lane;
            if owner.id != member.id || (member.lanes.has_deliveries(lane) && !overdue(since)) {
                continue;
            }
            self.commit(group, member);
            member.raise_version();
            let partition = index as u32;
            // Acks past an unanswered event can't be committed: they are lost with it, and told so.
            let lost = member.lanes.lose(lane);
            member.tell(if lost {
                Told::Lost(partition)
            } else {
                Told::Revoked(partition)
            });
            let slot = &mut self.slots[index];
            slot.owner = None;
            slot.draining = None;
            self.give(index);
        }
        let left = |slot: &Slot| slot.is_of(member) && slot.draining.is_some();
        member.set_draining(self.slots.iter().any(left));
    }

    /// Gives a free partition to the member that shall own it.
    fn give(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let mut members = self.members.iter();
        if let Some(member) = members.find(|member| Some(member.id) == slot.target) {
            member.raise_version();
            let partition = index as u32;
            let lane = member.lanes.assign(&Partition::number(partition));
            slot.owner = Some((member.clone(), lane));
            let next = slot.checkpoint.map(|at| at.next);
            let from = next.unwrap_or_else(|| slot.log.now().first());
            member.tell(Told::Assigned {
                partition,
                lane,
                from,
            });
        }
    }
}

impl Slot {
    fn is_of(&self, member: &Member) -> bool {
        self.owner
            .as_ref()
            .is_some_and(|(owner, _)| owner.id == member.id)
    }

    fn set_checkpoint(&mut self, generation: u64, next: i64) {
        // A commit that came late must not undo a later one.
        let next = match self.checkpoint {
            Some(at) if at.generation == generation => next.max(at.next),
            _ => next,
        };
        self.checkpoint = Some(Checkpoint { generation, next });
        self.begun = true;
    }

    /// Tells the log where the group stands: what all have committed may leave.
    fn report(&self, group: &Group) {
        if group.commits {
            let next = self.checkpoint.map_or(0, |at| at.next);
            self.log
                .set_checkpoint(group.id, self.begun.then_some(next));
        }
    }
}
