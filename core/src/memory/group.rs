use super::{
    HUB,
    log::Log,
    member::{End, Member, Told},
    slot::{Slot, positions},
};
use crate::{
    Error, ErrorKind, Partition, PartitionLag, Point, Position, Result,
    sync::{Mutex, MutexGuard, lock},
};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// How long a partition that is to move waits for the answers to its deliveries, once its owner
/// calls `receive` again.
pub(super) const DRAIN: Duration = Duration::from_millis(500);

/// The members of a consumer group on one topic, who owns what, and the checkpoints. A private
/// reader is a group of its own that commits nothing.
#[derive(Debug)]
pub(super) struct Group {
    id: u64,
    commits: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// In the order in which they joined.
    pub(super) members: Vec<Arc<Member>>,
    pub(super) slots: Vec<Slot>,
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
            start => positions(&state.slots, start, "consumer", |slot| !slot.begun)?,
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
        let starts = positions(&state.slots, to, "seek", |_| true)?;
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

    /// Names it in the logs.
    pub(super) fn id(&self) -> u64 {
        self.id
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

    pub(super) fn commit(&mut self, group: &Group, member: &Member) {
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
}
