//! What a consumer shares with the tasks that read for it, keep its leases and commit.

use crate::{
    Arrivals, Arrived, Group, Log, Page, Part, Place as _, Resume, Room,
    backlog::{Backlog, Item},
    error::closed,
    slot::{Mode, Slot, SlotId, Task},
    state::{Presence, State},
};
use anyhub_core::{
    AckToken, Batch, Change, ConsumerOptions, Delivery, Error, Result,
    driver::{AckSink, Admission, Lanes, Reader, key_hash},
};
use anyhub_leases::{Grant, Leases};
use std::{
    collections::HashMap,
    fmt,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::sync::{Mutex as AsyncMutex, Notify};

/// What is left of a [`GroupedConsumer`](crate::GroupedConsumer) for its hub, which closes it.
pub struct Shared<L: Log> {
    pub(crate) log: Arc<L>,
    pub(crate) options: ConsumerOptions,
    pub(crate) lanes: Lanes<L::At>,
    /// None: a private reader.
    pub(crate) group: Option<Group>,
    /// Held while checkpoints are written and while a seek moves them.
    pub(crate) commits: AsyncMutex<()>,
    /// Wakes `receive`.
    pub(crate) wake: Notify,
    /// Wakes the keeper.
    pub(crate) due: Notify,
    /// Wakes the readers.
    pub(crate) room: Notify,
    /// Wakes who waits until the group is joined again.
    pub(crate) joined: Notify,
    /// Some partition may wait for its last answer.
    pub(crate) asked: AtomicBool,
    state: Mutex<State<L>>,
    /// Partitions that were listed before: what is read of them here never changes.
    known: Mutex<HashMap<Arc<str>, L::Part>>,
}

impl<L: Log> Shared<L> {
    pub(crate) fn new(log: L, options: ConsumerOptions, group: Option<Group>) -> Self {
        Self {
            log: Arc::new(log),
            lanes: Lanes::new(&options),
            options,
            state: Mutex::new(State::new(group.is_some())),
            group,
            commits: AsyncMutex::new(()),
            wake: Notify::new(),
            due: Notify::new(),
            room: Notify::new(),
            joined: Notify::new(),
            asked: AtomicBool::new(false),
            known: Mutex::default(),
        }
    }

    /// The partitions that are kept now.
    pub(crate) async fn list(&self, operation: &'static str) -> Result<Vec<L::Part>> {
        let listed = self.log.list(operation).await?;
        let known = listed.iter().map(|part| (part.id().clone(), part.clone()));
        let known = known.collect();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(listed)
    }

    /// One that was listed before.
    pub(crate) fn known(&self, id: &str) -> Option<L::Part> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).cloned()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State<L>> {
        // What it guards is whole between statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn check_open(&self, operation: &'static str) -> Result<()> {
        if self.log.is_closed() {
            return Err(closed(L::HUB, operation, "hub"));
        }
        if matches!(self.state().presence, Presence::Closed) {
            return Err(closed(L::HUB, operation, "consumer"));
        }
        Ok(())
    }

    /// The leases, while this is a member.
    pub(crate) fn leases(&self) -> Option<Arc<Leases>> {
        match &self.state().presence {
            Presence::Member { leases, .. } => Some(leases.clone()),
            _ => None,
        }
    }

    /// Whether another member waits for one of its partitions.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Takes a partition up, and reads it from `begin` on.
    pub(crate) fn own(
        self: &Arc<Self>,
        part: &L::Part,
        grant: Option<Grant>,
        begin: Result<L::Begin>,
    ) {
        let partition = part.partition();
        let state = &mut *self.state();
        if matches!(state.presence, Presence::Closed | Presence::Away { .. }) {
            return;
        }
        state.slots.retain(|slot| slot.part.id() != part.id());
        let lane = self.lanes.assign(&partition);
        let (id, reader) = self.start(state, part, begin.clone(), grant.as_ref());
        state.tell(Change::Assigned, &partition);
        state.slots.push(Slot {
            id,
            part: part.clone(),
            partition,
            lane,
            grant,
            begin,
            backlog: Backlog::default(),
            mode: Mode::Reading,
            failure: None,
            reader,
        });
        self.wake.notify_one();
    }

    /// Reads an owned partition anew, from `begin` on, after a seek has made `new` of the grant `old`: tokens
    /// of before are stale. Whoever asked for it gets it all the same. False: it has gone meanwhile, though
    /// it may be back.
    pub(crate) fn moved(
        self: &Arc<Self>,
        part: &L::Part,
        old: Option<&Grant>,
        new: Option<Grant>,
        begin: L::Begin,
    ) -> bool {
        let state = &mut *self.state();
        let Some(index) = state.position(part.id()) else {
            return false;
        };
        if state.slots[index].grant.as_ref() != old {
            return false;
        }
        state.slots[index].grant = new;
        self.read_from(state, index, begin);
        let slot = &mut state.slots[index];
        slot.lane = self.lanes.assign(&slot.partition);
        slot.mode = slot.mode.unfinished();
        if matches!(slot.mode, Mode::Asked(_)) {
            self.asked.store(true, Ordering::Relaxed);
            self.due.notify_one();
        }
        true
    }

    /// Reads a partition again from a place that is no longer here.
    fn read_again(self: &Arc<Self>, state: &mut State<L>, index: usize, from: L::At) {
        let begin = L::begin_at(&state.slots[index].part, Resume::At(from));
        self.read_from(state, index, begin);
    }

    fn read_from(self: &Arc<Self>, state: &mut State<L>, index: usize, begin: L::Begin) {
        self.restart(state, index, Ok(begin.clone()));
        let slot = &mut state.slots[index];
        slot.begin = Ok(begin);
        slot.backlog = Backlog::default();
    }

    /// Reads all partitions on, from where each is, after a failure. What waits of them stays.
    pub(crate) fn read_on(self: &Arc<Self>) {
        let state = &mut *self.state();
        for index in 0..state.slots.len() {
            let slot = &state.slots[index];
            if slot.backlog.has_ended() {
                continue;
            }
            let begin = match slot.backlog.last() {
                Some(last) => Ok(L::begin_at(&slot.part, Resume::At(last.after()))),
                None => slot.begin.clone(),
            };
            self.restart(state, index, begin);
        }
    }

    /// Another reader takes the place of a partition's.
    fn restart(self: &Arc<Self>, state: &mut State<L>, index: usize, begin: Result<L::Begin>) {
        let (part, grant) = (
            state.slots[index].part.clone(),
            state.slots[index].grant.clone(),
        );
        let (id, reader) = self.start(state, &part, begin, grant.as_ref());
        let slot = &mut state.slots[index];
        slot.id = id;
        slot.failure = None;
        slot.reader = reader;
    }

    fn start(
        self: &Arc<Self>,
        state: &mut State<L>,
        part: &L::Part,
        begin: Result<L::Begin>,
        grant: Option<&Grant>,
    ) -> (SlotId, Option<Task>) {
        state.ids += 1;
        let id = SlotId(state.ids);
        let reader = match begin {
            Ok(begin) => {
                let arrivals = Arrivals::new(Arc::downgrade(self), id);
                Some(self.log.start(part.clone(), begin, grant, arrivals))
            }
            Err(error) => {
                state.failure.get_or_insert(error);
                self.wake.notify_one();
                None
            }
        };
        (id, reader)
    }

    /// What each partition may have waiting, where there are so many.
    pub(crate) fn share(&self, slots: usize) -> Room {
        Room {
            events: (self.options.prefetch_events / slots.max(1)).max(1),
            bytes: (self.options.prefetch_bytes / slots.max(1)).max(1),
        }
    }

    /// Waits until there is room for more events of a slot, and says for how much; None: it is gone.
    pub(crate) async fn room(&self, id: SlotId) -> Option<Room> {
        loop {
            let room = self.room.notified();
            {
                let state = self.state();
                let Room { events, bytes } = self.share(state.slots.len());
                let slot = state.slots.iter().find(|slot| slot.id == id)?;
                let (waiting, waiting_bytes) =
                    (slot.backlog.waiting(), slot.backlog.waiting_bytes());
                // Not before half of it is free: reads of a few events each would cost as much.
                if waiting <= events / 2 && waiting_bytes <= bytes / 2 {
                    return Some(Room {
                        events: events - waiting,
                        bytes: bytes - waiting_bytes,
                    });
                }
            }
            room.await;
        }
    }

    /// Takes in what a reader brings; false if it is not wanted any more.
    pub(crate) fn came(&self, id: SlotId, arrived: Arrived<L::Page>, ended: bool) -> bool {
        let state = &mut *self.state();
        let Some(slot) = state.slots.iter_mut().find(|slot| slot.id == id) else {
            return false;
        };
        let anything = ended || !arrived.page.is_empty();
        slot.backlog.take(arrived);
        if ended {
            slot.backlog.end();
            self.due.notify_one();
        }
        if anything {
            self.wake.notify_one();
        }
        true
    }

    /// What a slot says, if it is there.
    pub(crate) fn with<T>(&self, id: SlotId, say: impl FnOnce(&Slot<L>) -> T) -> Option<T> {
        let state = self.state();
        let slot = state.slots.iter().find(|slot| slot.id == id)?;
        Some(say(slot))
    }

    /// A reader can't go on: told behind what it has brought, which a seek may pass over.
    pub(crate) fn fail(&self, id: SlotId, error: Error) {
        let state = &mut *self.state();
        if let Some(slot) = state.slots.iter_mut().find(|slot| slot.id == id) {
            slot.failure = Some(error);
            self.wake.notify_one();
        }
    }

    /// What there is to tell now.
    pub(crate) fn poll(self: &Arc<Self>, max: usize) -> Result<Polled> {
        let leases = self.leases();
        let state = &mut *self.state();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let mut polled = Polled::default();
        for (lane, position) in self.lanes.rewinds(Instant::now()) {
            let Some(index) = state.slots.iter().position(|slot| slot.lane == lane) else {
                continue;
            };
            if !state.slots[index].backlog.rewind(position) {
                self.read_again(state, index, position);
            }
        }
        polled.batch.changes.append(&mut state.changes);
        state.turn = state.turn.wrapping_add(1);
        let slots = state.slots.len();
        let kept = self.options.prefetch_bytes / slots.max(1);
        let mut reader = self.lanes.reader();
        for nth in 0..slots {
            let slot = &mut state.slots[state.turn.wrapping_add(nth) % slots];
            slot.backlog.trim(reader.oldest(slot.lane), kept);
            if slot.mode != Mode::Reading {
                continue;
            }
            if slot.backlog.waiting() == 0 {
                if let Some(failure) = slot.failure.take() {
                    state.failure.get_or_insert(failure);
                }
                if slot.backlog.is_exhausted() {
                    reader.ended(slot.lane);
                    // Its end is for the keeper to see.
                    if reader.oldest(slot.lane).is_none() {
                        self.due.notify_one();
                    }
                }
                continue;
            }
            // Without leases this is a member no more, or not yet.
            let may_deliver = |grant| leases.as_ref().is_some_and(|it| it.may_deliver(grant));
            if slot.grant.as_ref().is_some_and(|grant| !may_deliver(grant)) {
                polled.held_back = true;
                continue;
            }
            hand_out(slot, &mut reader, &mut polled.batch, max);
            if polled.batch.deliveries.len() >= max {
                break;
            }
        }
        drop(reader);
        self.room.notify_waiters();
        match &state.failure {
            Some(failure) if polled.batch.is_empty() => Err(failure.clone()),
            _ => Ok(polled),
        }
    }

    /// Partitions that wait for the last answer are looked at.
    fn answered(&self) {
        if self.asked.load(Ordering::Relaxed) {
            self.due.notify_one();
        }
    }

    /// Another member asks for a partition.
    pub(crate) fn ask(&self, part: &str) {
        let state = &mut *self.state();
        let mut slots = state.slots.iter_mut();
        if let Some(slot) = slots.find(|slot| slot.is(part)) {
            slot.mode = slot.mode.asked();
            self.asked.store(true, Ordering::Relaxed);
        }
        self.due.notify_one();
    }
}

/// What polling brought.
#[derive(Debug, Default)]
pub(crate) struct Polled {
    pub(crate) batch: Batch,
    /// Something waits for a lease to be renewed.
    pub(crate) held_back: bool,
}

fn hand_out<L: Log>(
    slot: &mut Slot<L>,
    reader: &mut Reader<'_, L::At>,
    batch: &mut Batch,
    max: usize,
) {
    let before = batch.deliveries.len();
    batch
        .deliveries
        .reserve(slot.backlog.waiting().min(max - before));
    while batch.deliveries.len() < max && !reader.is_full(slot.lane) {
        let (page, index) = match slot.backlog.peek() {
            None => return,
            Some(Item::Event(page, index)) => (page, index),
            Some(Item::Gap { from, to }) => {
                if batch.deliveries.len() > before {
                    // The change precedes the deliveries that it affects.
                    return;
                }
                reader.removed_before(slot.lane, &to);
                batch.changes.push(Change::Overtaken {
                    partition: slot.partition.clone(),
                    from: from.into(),
                    to: to.into(),
                });
                slot.backlog.advance();
                continue;
            }
        };
        let (Some(at), Some((event, published))) = (page.at(index), page.event(index)) else {
            return;
        };
        let key = event.key.as_ref().map(|key| key_hash(key.as_bytes()));
        match reader.read(slot.lane, at, key) {
            Some(Admission::Deliver(token, attempt)) => batch.deliveries.push(Delivery::new(
                event,
                slot.partition.clone(),
                at.into(),
                published,
                NonZeroU32::new(attempt).unwrap_or(NonZeroU32::MIN),
                token,
            )),
            Some(Admission::Pass) => {}
            None => return,
        }
        slot.backlog.advance();
    }
}

impl<L: Log> AckSink for Shared<L> {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        let valid = self.lanes.ack(tokens);
        self.answered();
        valid
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        let valid = self.lanes.nack(tokens);
        self.answered();
        valid
    }
}

impl<L: Log> fmt::Debug for Shared<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({}, {})", L::HUB, self.log.topic())
    }
}
