//! What a connection's sessions share, and what all of them together may hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::access::Grants;
use super::amqp::frame;
use super::amqp::performative::Error;
use super::connection::Stop;
use super::hub::Namespace;
use super::intake::Delivery;
use super::limits;
use super::session::Link;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) namespace: Arc<Namespace>,
    /// Wakes the connection: there are events, or a link is over.
    pub(super) wake: Arc<Notify>,
    pub(super) grants: Grants,
    /// The largest frame that the peer takes.
    pub(super) largest: usize,
    /// Bytes of deliveries that aren't whole yet.
    partial: usize,
    /// Bytes of answers that wait for credit.
    pub(super) answers: usize,
    /// Answers that come later, by when and in their order.
    late: BTreeMap<(Instant, u64), Late>,
    counter: u64,
}

/// An answer that comes later.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) link: (u16, u32),
    /// None if its sender wants none.
    pub(super) delivery: Option<u32>,
    events: u64,
}

impl Shared {
    pub(super) fn new(namespace: Arc<Namespace>) -> Self {
        Shared {
            namespace,
            wake: Arc::new(Notify::new()),
            grants: Grants::default(),
            largest: frame::LARGEST as usize,
            partial: 0,
            answers: 0,
            late: BTreeMap::new(),
            counter: 0,
        }
    }

    /// Counts the bytes that a link holds of a delivery.
    pub(super) fn hold(&mut self, before: usize, after: usize) -> Result<(), Stop> {
        self.count((self.partial + after).saturating_sub(before));
        let all = self.namespace.partial.load(Ordering::Relaxed);
        match self.partial > limits::PARTIAL || all > limits::PARTIAL_OF_ALL {
            true => Err(Stop::Close(Error::new(
                "amqp:resource-limit-exceeded",
                "Too many deliveries are begun and not ended.",
            ))),
            false => Ok(()),
        }
    }

    fn count(&mut self, partial: usize) {
        let all = &self.namespace.partial;
        all.fetch_add(partial, Ordering::Relaxed);
        all.fetch_sub(self.partial, Ordering::Relaxed);
        self.partial = partial;
    }

    pub(super) fn later(
        &mut self,
        after: Duration,
        link: (u16, u32),
        delivery: &Delivery,
        events: u64,
    ) {
        self.counter += 1;
        let late = Late {
            link,
            delivery: (!delivery.settled).then_some(delivery.id),
            events,
        };
        self.late
            .insert((Instant::now() + after, self.counter), late);
    }

    /// When the next of the later answers is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.late.keys().next().map(|(when, _)| *when)
    }

    /// One that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Late> {
        let first = self.late.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Answers that are due to a link.
    pub(super) fn owed(&self, link: (u16, u32)) -> usize {
        self.late.values().filter(|late| late.link == link).count()
    }

    /// Events written and not answered yet.
    pub(super) fn pending(&self) -> u64 {
        self.late.values().map(|late| late.events).sum()
    }

    pub(super) fn pending_on(&self, link: (u16, u32)) -> u64 {
        let late = self.late.values().filter(|late| late.link == link);
        late.map(|late| late.events).sum()
    }

    /// A link is gone, and with it what was due to it.
    pub(super) fn forget(&mut self, id: (u16, u32), link: &Link) {
        self.late.retain(|_, late| late.link != id);
        let held = match link {
            Link::Publisher(publisher) => publisher.intake.held(),
            Link::Requests(_, intake) => intake.held(),
            _ => 0,
        };
        self.count(self.partial.saturating_sub(held));
        if let Link::Answers(answers) = link {
            self.answers = self.answers.saturating_sub(answers.bytes());
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.count(0);
    }
}
