use crate::{Log, Page, Part as _, shared::Shared, slot::SlotId, state::State};
use anyhub_core::{Error, ErrorKind};
use std::{
    fmt,
    sync::Weak,
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// Where what a reader of one partition brings goes to. It keeps no consumer alive.
///
/// Dropped by a panic of the reader, it tells of it: nobody else would, and the partition would fall silent.
pub struct Arrivals<L: Log> {
    shared: Weak<Shared<L>>,
    id: SlotId,
}

/// What a reader brings.
#[derive(Debug)]
pub struct Arrived<P: Page> {
    /// Retention was faster: what stood between these places, before the page, is gone.
    pub gap: Option<(P::At, P::At)>,
    /// What was read.
    pub page: P,
}

/// For how much more of a partition there is room.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// In events.
    pub events: usize,
    /// In bytes.
    pub bytes: usize,
}

impl<L: Log> Arrivals<L> {
    pub(crate) fn new(shared: Weak<Shared<L>>, id: SlotId) -> Self {
        Self { shared, id }
    }

    /// Waits until there is room for more, and says for how much; None: nobody wants it any more.
    ///
    /// Cancel-safe.
    pub async fn room(&self) -> Option<Room> {
        self.shared.upgrade()?.room(self.id).await
    }

    /// What may wait of this partition, all in all; None: nobody wants it any more.
    pub fn share(&self) -> Option<Room> {
        let shared = self.shared.upgrade()?;
        let slots = shared.state().slots.len();
        Some(shared.share(slots))
    }

    /// Hands on what came; with `ended`, the last of the partition. False: nobody wants it any more.
    ///
    /// The hub has answered, even where that is an empty page.
    pub fn came(&self, arrived: Arrived<L::Page>, ended: bool) -> bool {
        let shared = self.shared.upgrade();
        shared.is_some_and(|shared| {
            shared.reached(self.id);
            shared.came(self.id, arrived, ended)
        })
    }

    /// The hub can't be read for now, and is tried again: once that lasts, tracing tells of it.
    pub fn failing(&self, error: &Error) {
        if let Some(shared) = self.shared.upgrade() {
            shared.failing(self.id, error);
        }
    }

    /// The way to the hub is open again, though nothing has come: believed once that lasts, as it may be
    /// lost at the first event.
    pub fn opened(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.opened(self.id);
        }
    }

    /// The partition can't be read on, until a seek: told once what it has brought is delivered.
    pub fn fail(&self, error: Error) {
        if let Some(shared) = self.shared.upgrade() {
            shared.fail(self.id, error);
        }
    }

    /// Whether its grant is in force: what the hub gives to others may be taken back. False without a
    /// group.
    pub fn is_granted(&self) -> bool {
        let shared = self.shared.upgrade();
        shared.is_some_and(|shared| {
            let grant = shared.with(self.id, |slot| slot.grant.clone()).flatten();
            let leases = shared.leases();
            leases.is_some_and(|leases| grant.is_some_and(|grant| leases.may_deliver(&grant)))
        })
    }

    /// What to do where other readers may be members of the group that can't be seen, since its leases are
    /// of this process alone. None: they are in a place for several, or there is no group.
    pub fn where_shared(&self) -> Option<&'static str> {
        let shared = self.shared.upgrade()?;
        shared.group.as_ref()?.where_shared()
    }

    /// The hub has given the partition to another reader: what waits of it is dropped, its tokens are
    /// stale, and should its lease be in force all the same, it goes back to the group.
    pub fn lose(&self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let owned = shared.with(self.id, |slot| (slot.partition.clone(), slot.grant.clone()));
        let Some((partition, grant)) = owned else {
            return;
        };
        let advice = self.where_shared().unwrap_or_default();
        tracing::warn!(hub = L::HUB, %partition, advice, "another reader has taken the partition");
        shared.give_back(self.id, grant);
    }
}

impl<L: Log> Drop for Arrivals<L> {
    fn drop(&mut self) {
        let (true, Ok(runtime)) = (thread::panicking(), Handle::try_current()) else {
            return;
        };
        let (shared, id) = (self.shared.clone(), self.id);
        // Not from here: who started the reader, and panics with it, holds the lock.
        runtime.spawn(async move {
            if let Some(shared) = shared.upgrade() {
                shared.panicked(id);
            }
        });
    }
}

impl<L: Log> Shared<L> {
    fn failing(&self, id: SlotId, error: &Error) {
        self.tell_of_return();
        let state = &mut *self.state();
        let Some(slot) = state.slots.iter().find(|slot| slot.id == id) else {
            return;
        };
        if let Some(lasts) = state.outage.failed(slot.part.id(), Instant::now()) {
            tracing::warn!(
                hub = L::HUB,
                topic = self.log.topic(),
                partitions = state.outage.partitions(),
                seconds = lasts.as_secs(),
                %error,
                "nothing can be read; tried again until it can"
            );
        }
    }

    fn opened(&self, id: SlotId) {
        let state = &mut *self.state();
        if let Some(slot) = state.slots.iter().find(|slot| slot.id == id) {
            state.outage.opened(slot.part.id(), Instant::now());
        }
    }

    fn reached(&self, id: SlotId) {
        let state = &mut *self.state();
        // Almost always, and for every page.
        if state.outage.partitions() == 0 {
            return;
        }
        self.forget_lost(state);
        let slot = state.slots.iter().find(|slot| slot.id == id);
        if let Some(part) = slot.map(|slot| slot.part.id()) {
            let lasted = state.outage.answered(part, Instant::now());
            self.tell_of(lasted);
        }
    }

    /// Where partitions can be read again, though nothing may have come.
    pub(crate) fn tell_of_return(&self) {
        let state = &mut *self.state();
        self.forget_lost(state);
        let lasted = state.outage.held(Instant::now());
        self.tell_of(lasted);
    }

    fn forget_lost(&self, state: &mut State<L>) {
        let slots = &state.slots;
        let is_read = |part: &str| slots.iter().any(|slot| slot.is(part));
        state.outage.keep(is_read);
    }

    fn tell_of(&self, lasted: Option<Duration>) {
        if let Some(lasted) = lasted {
            let (topic, seconds) = (self.log.topic(), lasted.as_secs());
            tracing::info!(hub = L::HUB, topic, seconds, "events are read again");
        }
    }

    fn panicked(&self, id: SlotId) {
        let Some(partition) = self.with(id, |slot| slot.partition.clone()) else {
            return;
        };
        let message = format!("the reader of {} {partition} panicked", L::PART);
        let error = Error::new(ErrorKind::Unexpected, L::HUB, "receive", message);
        self.fail(
            id,
            error.with_advice("the panic hook has told where; a seek starts another reader"),
        );
    }
}

impl<L: Log> fmt::Debug for Arrivals<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arrivals({:?})", self.id)
    }
}
