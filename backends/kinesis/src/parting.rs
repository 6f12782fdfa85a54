//! How shards go: lost, given up to another member, finished, or all at once.

use crate::{
    shared::{Shared, State},
    slot::{Mode, Slot},
};
use anyhub_core::{Change, driver::Sequence};
use anyhub_leases::Grant;

impl Shared {
    /// A shard was taken, or given up as it stood: its tokens are stale.
    pub(crate) fn lose(&self, shard: &str) {
        self.lose_if(shard, |_| true);
    }

    /// The same, unless it was granted anew meanwhile.
    pub(crate) fn lose_grant(&self, grant: &Grant) {
        self.lose_if(&grant.partition, |slot| slot.grant.as_ref() == Some(grant));
    }

    fn lose_if(&self, shard: &str, is_lost: impl FnOnce(&Slot) -> bool) {
        let state = &mut *self.state();
        if let Some(slot) = state.take_if(shard, is_lost) {
            self.lanes.lose(slot.lane);
            state.tell(Change::Lost, &slot.partition);
            self.wake.notify_one();
        }
    }

    /// A shard is given up in good order, to another member: its grant, and what of it is finished
    /// and not committed yet. With `open` deliveries, acknowledgements that wait behind one are lost
    /// to the next owner (C3).
    pub(crate) fn revoke(&self, shard: &str, open: bool) -> Option<(Grant, Option<Sequence>)> {
        let state = &mut *self.state();
        let slot = state.take_if(shard, |slot| slot.mode == Mode::Leaving)?;
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

    /// A shard is finished, and goes; false: a seek has moved it meanwhile, or it is gone.
    pub(crate) fn finished(&self, shard: &str) -> bool {
        let state = &mut *self.state();
        let finishing = |slot: &Slot| matches!(slot.mode, Mode::Finishing(_));
        let Some(slot) = state.take_if(shard, finishing) else {
            return false;
        };
        state.tell(Change::Revoked, &slot.partition);
        self.lanes.revoke(slot.lane);
        self.wake.notify_one();
        true
    }

    /// All shards go: what of each is finished and not committed yet.
    pub(crate) fn revoke_all(&self, state: &mut State) -> Vec<(Grant, Sequence)> {
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

    /// All shards go as they stand: their tokens are stale.
    pub(crate) fn lose_all(&self, state: &mut State) {
        for slot in std::mem::take(&mut state.slots) {
            self.lanes.lose(slot.lane);
            state.tell(Change::Lost, &slot.partition);
        }
        self.wake.notify_one();
        self.room.notify_waiters();
    }
}
