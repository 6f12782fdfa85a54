//! Going back, and ahead.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Backlog, State};
use crate::pubsub::message::Message;

/// What a subscription is to deliver after a seek.
#[derive(Clone, Debug)]
pub(in super::super) enum Target {
    /// What was published at this time or later.
    Time(SystemTime),
    /// What a snapshot had not acknowledged, by id and rising, and everything from this id on.
    Snapshot { unacked: Vec<u64>, from: u64 },
}

impl Target {
    fn has(&self, message: &Message) -> bool {
        match self {
            Target::Time(time) => message.published >= *time,
            Target::Snapshot { unacked, from } => {
                message.id >= *from || unacked.binary_search(&message.id).is_ok()
            }
        }
    }
}

impl Backlog {
    /// Acknowledges what the target has not, and what it has comes again, of `kept` too: what is kept elsewhere. All deliveries
    /// that are under way are void.
    pub(in super::super) fn seek(
        &mut self,
        target: &Target,
        kept: &[Arc<Message>],
        now: SystemTime,
    ) {
        self.discarded = match target {
            Target::Time(time) if *time > now => Some(*time),
            _ => None,
        };
        let mut messages = std::mem::take(&mut self.entries)
            .into_values()
            .map(|entry| (entry.message, entry.failures, entry.delivered))
            .collect::<Vec<_>>();
        let had = messages.len();
        for message in kept.iter().filter(|message| target.has(message)) {
            let known = messages[..had].binary_search_by_key(&message.id, |(m, ..)| m.id);
            if known.is_err() {
                messages.push((Arc::clone(message), 0, false));
            }
        }
        messages.sort_unstable_by_key(|(message, ..)| message.id);
        self.begin_again();
        for (message, failures, delivered) in messages {
            let state = match target.has(&message) {
                true => State::Waiting,
                false => State::Acked,
            };
            self.insert(&message, state);
            if let Some(entry) = self.entries.get_mut(&message.id) {
                (entry.failures, entry.delivered) = (failures, delivered);
            }
        }
        self.wake_all();
    }

    /// As it was made, but for the readers.
    fn begin_again(&mut self) {
        self.keys.clear();
        self.free.clear();
        self.loose.clear();
        self.leases = Default::default();
        self.later.clear();
        self.acked.clear();
        (self.acked_bytes, self.unacked_bytes) = (0, 0);
        for reader in self.readers.values_mut() {
            reader.reset();
        }
    }
}
