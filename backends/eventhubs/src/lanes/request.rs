//! What a lane sends at once, and what its answer leaves.

use super::entry::Entry;
use crate::message;
use anyhub_core::{Error, ErrorKind, Partition, Receipt};
use azure_core_amqp::AmqpMessage;
use std::{sync::Arc, time::Instant};

/// Events that travel in one message: all are written, or none.
#[derive(Debug)]
pub(crate) struct Request {
    pub(super) entries: Vec<Entry>,
    partition: Option<Partition>,
    /// How many of the first ones have been told that they are late.
    told: usize,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Answer {
    Written,
    /// It was not, and may be tried again.
    Unwritten(Error),
    /// It was not, and won't be.
    Refused(Error),
    /// It may have been: no answer came.
    Lost(Error),
}

/// What is left to do.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// In their order.
    pub(super) again: Vec<Entry>,
    pub(super) trouble: Option<Error>,
    /// Something among them is refused: each goes alone, to find out what.
    pub(super) one_by_one: bool,
}

impl Request {
    pub(super) fn new(entries: Vec<Entry>, partition: Option<Partition>) -> Self {
        Self {
            entries,
            partition,
            told: 0,
        }
    }

    /// The bytes of each event, as it is encoded.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let entries = self.entries.iter();
        entries.map(|entry| entry.encoded.len()).collect()
    }

    /// The message, which takes the events' bytes along until [`back`](Self::back).
    pub(crate) fn message(&mut self) -> AmqpMessage {
        let key: Option<Arc<str>> = self.entries.first().and_then(|entry| entry.key.clone());
        let entries = self.entries.iter_mut();
        let events = entries.map(|entry| std::mem::take(&mut entry.encoded));
        message::batch(events.collect(), key.as_deref())
    }

    /// The events' bytes, from their message.
    pub(crate) fn back(&mut self, message: AmqpMessage) {
        let events = message::events(message);
        for (entry, encoded) in self.entries.iter_mut().zip(events) {
            entry.encoded = encoded;
        }
    }

    /// When the first event is late that was not told so; None: all were.
    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.entries.get(self.told).map(Entry::deadline)
    }

    /// Tells those that are late.
    pub(super) fn expire(&mut self, now: Instant, in_flight: bool, trouble: Option<&Error>) {
        while let Some(entry) = self.entries.get(self.told)
            && entry.is_late(now)
        {
            entry.tell_late(in_flight, trouble);
            self.told += 1;
        }
    }

    /// Tells what is decided.
    pub(crate) fn settle(mut self, answer: Answer) -> Rest {
        match answer {
            Answer::Written => {
                // No answer of Event Hubs tells where in the partition.
                let mut receipt = Receipt::default();
                receipt.partition = self.partition;
                for entry in &self.entries {
                    entry.tell(Ok(receipt.clone()));
                }
                Rest::default()
            }
            Answer::Refused(error) if self.entries.len() > 1 && is_of_one(&error) => {
                for entry in &mut self.entries {
                    entry.alone = true;
                }
                Rest {
                    again: self.entries,
                    trouble: Some(error),
                    one_by_one: true,
                }
            }
            Answer::Refused(error) => {
                for entry in &self.entries {
                    entry.tell_refused(&error);
                }
                Rest::default()
            }
            Answer::Unwritten(error) => Rest {
                again: self.entries,
                trouble: Some(error),
                one_by_one: false,
            },
            Answer::Lost(error) => {
                for entry in &mut self.entries {
                    entry.maybe = true;
                }
                Rest {
                    again: self.entries,
                    trouble: Some(error),
                    one_by_one: false,
                }
            }
        }
    }
}

/// Whether one event may be to blame, and the others would be taken.
fn is_of_one(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::TooLarge)
}
