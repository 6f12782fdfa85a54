use super::{Handed, Message, Ref, Size};
use crate::message::Arrived;
use anyhub_core::driver::Sequence;
use std::time::{Duration, Instant};

/// A message that the service gave.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) at: Sequence,
    pub(super) ack_id: String,
    /// As which try of the service it came last; 0 where it does not count them.
    pub(super) tries: u32,
    /// Since when it is this consumer's, or was prolonged; None: it is not, and comes again.
    pub(super) leased: Option<Instant>,
    pub(super) state: State,
    /// How often it was handed on.
    pub(super) attempt: u32,
    /// Which of the lane's deliveries it was last.
    pub(super) nonce: u32,
    /// When it was nacked at the service, or last came too early, since it waits to come again.
    pub(super) due: Instant,
    /// It came while something before it was waited for, and was not sent back yet.
    pub(super) came: bool,
    /// By which of the lane's nacks it was sent back last, since it waits to come again.
    pub(super) sent_back: Option<u32>,
    /// It came by a stream that is over, whose bounds it counts in no more.
    pub(super) aside: bool,
    bytes: u32,
    arrived: Option<Arrived>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// To be handed on.
    Queued,
    /// The application has it.
    Delivered,
    Acked,
    /// On its way to the service as acknowledged.
    Acking,
    /// Acknowledged at the service.
    Gone,
    /// Waits for the delay of a nack of its key.
    Held,
    /// Nacked at the service; it comes again.
    Due,
}

impl Entry {
    pub(super) fn new(message: Message, state: State, now: Instant) -> Self {
        let bytes = u32::try_from(message.bytes).unwrap_or(u32::MAX);
        let arrived = (state == State::Queued).then_some(message.arrived);
        Self {
            id: message.id,
            at: message.at,
            ack_id: message.ack_id,
            tries: message.tries,
            leased: (state != State::Due).then_some(now),
            state,
            attempt: 0,
            nonce: 0,
            due: now,
            came: false,
            sent_back: None,
            aside: false,
            bytes,
            arrived,
        }
    }

    /// It came again, and changes nothing but what acknowledges it.
    pub(super) fn refresh(&mut self, ack_id: String, tries: u32, now: Instant) {
        (self.ack_id, self.tries) = (ack_id, tries);
        self.leased = Some(now);
        self.aside = false;
    }

    /// It came again, and is to be handed on again.
    pub(super) fn again(&mut self, message: Message, now: Instant) {
        self.refresh(message.ack_id, message.tries, now);
        self.arrived = Some(message.arrived);
        self.state = State::Queued;
        self.came = false;
        self.sent_back = None;
    }

    /// It waits for its nack: what it says will come again.
    pub(super) fn hold(&mut self) {
        self.arrived = None;
        self.state = State::Held;
    }

    /// It was nacked at the service, itself or by what stands before it.
    pub(super) fn let_go(&mut self, now: Instant) {
        self.state = State::Due;
        self.due = now;
        self.leased = None;
        self.came = false;
        self.sent_back = None;
    }

    /// What it takes of the stream's bounds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// What it takes of the stream's bounds, and of memory beside this entry.
    pub(super) fn sizes(&self) -> (Size, Size) {
        let size = |counts: bool, bytes: bool| Size {
            events: usize::from(counts),
            bytes: if bytes { self.bytes as usize } else { 0 },
        };
        let counts = self.leased.is_some() && !self.aside;
        (size(counts, counts), size(true, self.arrived.is_some()))
    }

    /// Whether it has waited to come again since `since`, or longer.
    pub(super) fn is_due_since(&self, since: Instant) -> bool {
        self.state == State::Due && self.due <= since
    }

    /// Acknowledged by the application, and not known to be by the service.
    pub(super) fn is_acked(&self) -> bool {
        matches!(self.state, State::Acked | State::Acking)
    }

    /// Its message, if that is acknowledged so.
    pub(super) fn acked(&self) -> Option<u64> {
        self.is_acked().then_some(self.id)
    }

    pub(super) fn has_lapsed(&self, lease: Duration, now: Instant) -> bool {
        self.leased.is_some_and(|leased| leased + lease <= now)
    }

    /// As delivery `nonce`; None where there is nothing of it.
    pub(super) fn hand(&mut self, lane: u32, epoch: u32, seq: u64, nonce: u32) -> Option<Handed> {
        let arrived = self.arrived.take()?;
        self.state = State::Delivered;
        self.attempt += 1;
        self.nonce = nonce;
        Some(Handed {
            event: arrived.event,
            at: self.at,
            published: arrived.published,
            attempt: self.attempt,
            token: self.reference(lane, epoch, seq).into(),
        })
    }

    pub(super) fn reference(&self, lane: u32, epoch: u32, seq: u64) -> Ref {
        Ref {
            lane,
            epoch,
            seq,
            nonce: self.nonce,
        }
    }

    /// Whether the application has it, under this token.
    pub(super) fn is_delivered_as(&self, of: Ref) -> bool {
        self.state == State::Delivered && self.nonce == of.nonce
    }
}
