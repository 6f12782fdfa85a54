use crate::{keys::Message, message::published_at};
use anyhub_core::driver::Sequence;
use std::{collections::VecDeque, time::Duration};

/// What was published so long before something else is older than that: ids and times within a moment say nothing about
/// order.
const MOMENT: Duration = Duration::from_secs(1);
/// So many are remembered in any case.
const LEAST: usize = 32;

/// What was last acknowledged of a key: all that was published within a moment, so that it is understood where the service
/// goes back. A key takes 1 MB/s at most (Pub/Sub documentation, "Quotas and limits", 2026-11).
#[derive(Debug, Default)]
pub(super) struct Gone {
    last: VecDeque<(u64, Sequence)>,
    newest: Option<Sequence>,
}

impl Gone {
    pub(super) fn push(&mut self, id: u64, at: Sequence) {
        let newest = self.newest.map_or(at, |newest| newest.max(at));
        self.newest = Some(newest);
        self.last.push_back((id, at));
        while self.last.len() > LEAST
            && self
                .last
                .pop_front_if(|(_, at)| is_older(*at, newest))
                .is_some()
        {}
    }

    /// Whether this is one of them; then it is not any more, nor is what came after it.
    pub(super) fn take_back(&mut self, message: &Message) -> bool {
        // Most is newer than all of it: nothing has to be looked for.
        if self.newest.is_none_or(|newest| message.at > newest) {
            return false;
        }
        let place = self.last.iter().position(|(id, _)| *id == message.id);
        if let Some(place) = place {
            self.last.truncate(place);
        }
        place.is_some()
    }

    pub(super) fn clear(&mut self) {
        self.last.clear();
    }
}

/// Whether one was surely published before the other.
pub(super) fn is_older(one: Sequence, other: Sequence) -> bool {
    published_at(one)
        .zip(published_at(other))
        .is_some_and(|(one, other)| one + MOMENT < other)
}
