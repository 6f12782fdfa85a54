//! How partitions go: lost, given up to another member, finished, or all at once.

use crate::{
    Log, Part as _,
    shared::Shared,
    slot::{Mode, Slot, SlotId},
    state::State,
};
use anyhub_core::Change;
use anyhub_leases::{Grant, Leases};
use futures_util::FutureExt as _;
use std::sync::Arc;

impl<L: Log> Shared<L> {
    /// A partition was taken, or given up as it stood: its tokens are stale.
    pub(crate) fn lose(&self, part: &str) {
        self.lose_if(part, |_| true);
    }

    /// The same, unless it was granted anew meanwhile.
    pub(crate) fn lose_grant(&self, grant: &Grant) {
        self.lose_if(&grant.partition, |slot| slot.grant.as_ref() == Some(grant));
    }

    fn lose_if(&self, part: &str, is_lost: impl FnOnce(&Slot<L>) -> bool) {
        let state = &mut *self.state();
        if let Some(slot) = state.take_if(part, is_lost) {
            self.lanes.lose(slot.lane);
            state.tell(Change::Lost, &slot.partition);
            self.wake.notify_one();
        }
    }

    /// A partition is given up in good order, to another member: its grant, and what of it is finished
    /// and not committed yet. With `open` deliveries, acknowledgements that wait behind one are lost
    /// to the next owner (C3).
    pub(crate) fn revoke(&self, part: &str, open: bool) -> Option<(Grant, Option<L::At>)> {
        let state = &mut *self.state();
        let slot = state.take_if(part, |slot| slot.mode == Mode::Leaving)?;
        state.tell(Change::Revoked, &slot.partition);
        self.wake.notify_one();
        let finished = if open {
            self.lanes.lose(slot.lane);
            None
        } else {
            self.lanes.revoke(slot.lane)
        };
        Some((slot.grant?, finished))
    }

    /// A partition is finished, and goes; false: a seek has moved it meanwhile, or it is gone.
    pub(crate) fn finished(&self, part: &str) -> bool {
        let state = &mut *self.state();
        let finishing = |slot: &Slot<L>| matches!(slot.mode, Mode::Finishing(_));
        let Some(slot) = state.take_if(part, finishing) else {
            return false;
        };
        state.tell(Change::Revoked, &slot.partition);
        self.lanes.revoke(slot.lane);
        self.wake.notify_one();
        true
    }

    /// All partitions go, and no more are looked for: what of each is finished and not committed yet.
    pub(crate) fn revoke_all(&self, state: &mut State<L>) -> Vec<(Grant, L::At)> {
        state.looking = None;
        let slots = std::mem::take(&mut state.slots).into_iter();
        let finished = slots.filter_map(|slot| {
            let finished = self.lanes.revoke(slot.lane);
            Some((slot.grant?, finished?))
        });
        let finished = finished.collect();
        self.wake.notify_one();
        self.room.notify_waiters();
        finished
    }

    /// All partitions go as they stand: their tokens are stale.
    pub(crate) fn lose_all(&self, state: &mut State<L>) {
        for slot in std::mem::take(&mut state.slots) {
            self.lanes.lose(slot.lane);
            state.tell(Change::Lost, &slot.partition);
        }
        self.wake.notify_one();
        self.room.notify_waiters();
    }

    /// A partition goes as it stands, since the hub has given it to another reader. Where its lease is in
    /// force all the same, that reader is none of this group, and whoever is next takes it back.
    pub(crate) fn give_back(&self, id: SlotId, grant: Option<Grant>) {
        let Some(part) = self.with(id, |slot| slot.part.id().clone()) else {
            return;
        };
        self.lose_if(&part, |slot| slot.id == id);
        if let (Some(leases), Some(grant)) = (self.leases(), grant) {
            self.release(&leases, grant, None);
        }
    }

    /// Gives up the lease of a partition that has no slot any more, with what of it is finished. It is asked
    /// for at once; the answer is nothing that anybody waits for.
    pub(crate) fn release(&self, leases: &Arc<Leases>, grant: Grant, finished: Option<Arc<str>>) {
        let leases = leases.clone();
        let mut releasing = Box::pin(async move {
            if let Err(error) = leases.release(&grant, finished).await {
                let part = &grant.partition;
                tracing::debug!(%part, %error, "a partition was not released; its lease runs out");
            }
        });
        if releasing.as_mut().now_or_never().is_none() {
            tokio::spawn(releasing);
        }
    }
}
