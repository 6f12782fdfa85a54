//! What a consumer shares with the tasks that read for it.

use crate::{
    backlog::{Backlog, Item},
    client::Client,
    error::{HUB, closed},
    io::Ending,
    reader,
    receiver::Origin,
    usage::Counters,
};
use anyhub_core::{
    AckToken, Batch, Change, ConsumerOptions, Delivery, Error, Partition, Position, Result,
    driver::{AckSink, Admission, LaneId, Lanes, Reader},
};
use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::sync::Notify;

pub(crate) struct Shared {
    pub(crate) client: Client,
    /// The consumer group of Event Hubs.
    pub(crate) group: String,
    pub(crate) options: ConsumerOptions,
    pub(crate) counters: Arc<Counters>,
    pub(crate) lanes: Lanes<i64>,
    /// Wakes `receive`.
    pub(crate) wake: Notify,
    /// Wakes the readers.
    room: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) slots: Vec<Slot>,
    /// What the application was not told yet.
    changes: Vec<Change>,
    failure: Option<Error>,
    closed: bool,
    /// Which slot is read first: none goes hungry.
    turn: usize,
    ids: u64,
}

/// Names one reading of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotId(u64);

/// A partition that is read.
#[derive(Debug)]
pub(crate) struct Slot {
    id: SlotId,
    pub(crate) partition: u32,
    lane: LaneId,
    /// Where its reading began.
    origin: Origin,
    backlog: Backlog,
    _reader: Ending,
}

impl Shared {
    pub(crate) fn new(
        client: Client,
        group: String,
        options: ConsumerOptions,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            client,
            group,
            lanes: Lanes::new(&options),
            options,
            counters,
            wake: Notify::new(),
            room: Notify::new(),
            state: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // What it guards is whole between statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn check_open(&self, operation: &'static str) -> Result<()> {
        match self.state().closed {
            true => Err(closed(operation, "consumer")),
            false => Ok(()),
        }
    }

    /// Takes partitions up, and reads each from its origin on.
    pub(crate) fn own(self: &Arc<Self>, begun: Vec<(u32, Origin)>) {
        let state = &mut *self.state();
        if state.closed {
            return;
        }
        for (partition, origin) in begun {
            let name = Partition::number(partition);
            let lane = self.lanes.assign(&name);
            let (id, reader) = self.start(state, partition, origin);
            state.tell(Change::Assigned, name);
            state.slots.push(Slot {
                id,
                partition,
                lane,
                origin,
                backlog: Backlog::default(),
                _reader: reader,
            });
        }
        self.wake.notify_one();
    }

    /// Reads a partition anew, from `origin` on, after a seek: tokens of before are stale.
    pub(crate) fn moved(self: &Arc<Self>, partition: u32, origin: Origin) {
        let state = &mut *self.state();
        let mut slots = state.slots.iter();
        let Some(index) = slots.position(|slot| slot.partition == partition) else {
            return;
        };
        self.read_from(state, index, origin);
        state.slots[index].lane = self.lanes.assign(&Partition::number(partition));
    }

    fn read_from(self: &Arc<Self>, state: &mut State, index: usize, origin: Origin) {
        let partition = state.slots[index].partition;
        let (id, reader) = self.start(state, partition, origin);
        let slot = &mut state.slots[index];
        slot.id = id;
        slot._reader = reader;
        slot.origin = origin;
        slot.backlog = Backlog::default();
    }

    /// Reads all partitions on, from where each is, if there was a failure. What waits of them stays.
    pub(crate) fn read_on(self: &Arc<Self>) {
        let state = &mut *self.state();
        if state.failure.take().is_none() {
            return;
        }
        for index in 0..state.slots.len() {
            let slot = &state.slots[index];
            let last = slot.backlog.last();
            let origin = last.map_or(slot.origin, |last| Origin::Sequence(last + 1));
            let (id, reader) = self.start(state, slot.partition, origin);
            let slot = &mut state.slots[index];
            slot.id = id;
            slot._reader = reader;
        }
    }

    fn start(
        self: &Arc<Self>,
        state: &mut State,
        partition: u32,
        origin: Origin,
    ) -> (SlotId, Ending) {
        state.ids += 1;
        let id = SlotId(state.ids);
        let reading = reader::read(Arc::downgrade(self), id, partition, origin);
        let reader = self.client.io().spawn(reading);
        (id, Ending(reader.abort_handle()))
    }

    /// The events and bytes that each partition may have waiting.
    pub(crate) fn share(&self) -> (usize, usize) {
        let slots = self.state().slots.len().max(1);
        let events = (self.options.prefetch_events / slots).max(1);
        let bytes = (self.options.prefetch_bytes / slots).max(1);
        (events, bytes)
    }

    /// Waits until there is room for more events of a slot; false: it is gone.
    pub(crate) async fn room(&self, id: SlotId) -> bool {
        loop {
            let room = self.room.notified();
            let (events, bytes) = self.share();
            {
                let state = self.state();
                let Some(slot) = state.slots.iter().find(|slot| slot.id == id) else {
                    return false;
                };
                if !slot.backlog.is_full(events, bytes) {
                    return true;
                }
            }
            room.await;
        }
    }

    /// Takes in what a reader brings; false if it is not wanted any more.
    pub(crate) fn came(&self, id: SlotId, arrived: Vec<Item>) -> bool {
        let state = &mut *self.state();
        let Some(slot) = state.slots.iter_mut().find(|slot| slot.id == id) else {
            return false;
        };
        if !arrived.is_empty() {
            slot.backlog.take(arrived);
            self.wake.notify_one();
        }
        true
    }

    /// A reader can't go on.
    pub(crate) fn fail(&self, id: SlotId, error: Error) {
        let state = &mut *self.state();
        if state.slots.iter().any(|slot| slot.id == id) {
            state.failure.get_or_insert(error);
            self.wake.notify_one();
        }
    }

    /// What there is to tell now.
    pub(crate) fn poll(self: &Arc<Self>, max: usize) -> Result<Batch> {
        let state = &mut *self.state();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let mut batch = Batch::new();
        for (lane, position) in self.lanes.rewinds(Instant::now()) {
            let Some(index) = state.slots.iter().position(|slot| slot.lane == lane) else {
                continue;
            };
            if !state.slots[index].backlog.rewind(position) {
                self.read_from(state, index, Origin::Sequence(position));
            }
        }
        batch.changes.append(&mut state.changes);
        state.turn = state.turn.wrapping_add(1);
        let slots = state.slots.len();
        let kept = self.options.prefetch_bytes / slots.max(1);
        let mut reader = self.lanes.reader();
        for nth in 0..slots {
            let slot = &mut state.slots[state.turn.wrapping_add(nth) % slots];
            slot.backlog.trim(reader.oldest(slot.lane), kept);
            hand_out(slot, &mut reader, &mut batch, max);
            if batch.deliveries.len() >= max {
                break;
            }
        }
        drop(reader);
        self.room.notify_waiters();
        Ok(batch)
    }

    /// Lets go of everything; false if that was done before.
    pub(crate) fn let_go(&self) -> bool {
        let state = &mut *self.state();
        for slot in std::mem::take(&mut state.slots) {
            self.lanes.revoke(slot.lane);
        }
        self.wake.notify_one();
        self.room.notify_waiters();
        !std::mem::replace(&mut state.closed, true)
    }

    /// Closes for good.
    pub(crate) async fn close(&self) -> Result<()> {
        if self.let_go() {
            self.client.close().await;
        }
        Ok(())
    }
}

fn hand_out(slot: &mut Slot, reader: &mut Reader<'_, i64>, batch: &mut Batch, max: usize) {
    let before = batch.deliveries.len();
    while batch.deliveries.len() < max && !reader.is_full(slot.lane) {
        let read = match slot.backlog.peek() {
            None => return,
            Some(Item::Event(read)) => read,
            Some(Item::Gap { from, to }) => {
                if batch.deliveries.len() > before {
                    // The change precedes the deliveries that it affects.
                    return;
                }
                reader.removed_before(slot.lane, to);
                batch.changes.push(Change::Overtaken {
                    partition: Partition::number(slot.partition),
                    from: Position::offset(*from),
                    to: Position::offset(*to),
                });
                slot.backlog.advance();
                continue;
            }
        };
        match reader.read(slot.lane, read.at, read.key) {
            Some(Admission::Deliver(token, attempt)) => batch.deliveries.push(Delivery::new(
                read.event.clone(),
                Partition::number(slot.partition),
                Position::offset(read.at),
                read.published,
                NonZeroU32::new(attempt).unwrap_or(NonZeroU32::MIN),
                token,
            )),
            Some(Admission::Pass) => {}
            None => return,
        }
        slot.backlog.advance();
    }
}

impl State {
    /// Keeps a change for the next batch; of one kind in a row, one change with all partitions.
    fn tell(&mut self, change: fn(Vec<Partition>) -> Change, partition: Partition) {
        match (self.changes.last_mut(), change(vec![partition])) {
            (Some(Change::Assigned(last)), Change::Assigned(mut new)) => last.append(&mut new),
            (_, change) => self.changes.push(change),
        }
    }
}

impl AckSink for Shared {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        self.lanes.ack(tokens)
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        self.lanes.nack(tokens)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({HUB}, {})", self.client.topic())
    }
}
