//! A session: its links, and how much may be under way on it.

use std::collections::BTreeMap;

use bytes::BytesMut;

use super::address::Address;
use super::amqp::frame::{self, Kind};
use super::amqp::performative::{self, Error, Fields, Flow, LinkFlow, Outcome, Performative};
use super::amqp::performative::{ATTACH, DETACH, DISPOSITION, FLOW, TRANSFER};
use super::amqp::read::Malformed;
use super::answers::Answers;
use super::connection::Stop;
use super::faults::{Fault, Strike};
use super::intake::{Delivery, Intake, Taken};
use super::limits;
use super::outlet::Outlet;
use super::publisher::{self, Publisher, Verdict};
use super::request;
use super::shared::Shared;
use super::subscriber::{Pause, Subscriber};

/// Frames that may be under way, either way: what the service tells (2026-11).
pub(super) const WINDOW: u32 = 5_000;
/// The highest handle that a link may have, as in the service; Python's client can't do without it.
pub(super) const HANDLES: u32 = 255;

#[derive(Debug)]
pub(super) struct Session {
    channel: u16,
    /// The number of the frame that is expected next, and how many more may come.
    next_incoming: u32,
    window: u32,
    pub(super) outlet: Outlet,
    pub(super) links: BTreeMap<u32, Link>,
}

#[derive(Debug)]
pub(super) enum Link {
    /// Events come in.
    Publisher(Publisher),
    /// Events go out.
    Subscriber(Subscriber),
    /// Requests come in.
    Requests(Address, Intake),
    /// Answers go out.
    Answers(Answers),
    /// Ended by us; the peer hasn't said so yet.
    Ended,
}

impl Session {
    /// Answers a begin.
    pub(super) fn begin(
        channel: u16,
        fields: &Fields<'_>,
        out: &mut BytesMut,
    ) -> Result<Self, Malformed> {
        let session = Session {
            channel,
            next_incoming: fields.needed(1)?,
            window: WINDOW,
            outlet: Outlet::new(channel, fields.needed(2)?),
            links: BTreeMap::new(),
        };
        session.put(out, |out| {
            performative::begin(out, channel, WINDOW, HANDLES)
        });
        Ok(session)
    }

    pub(super) fn put(&self, out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
        frame::put(out, Kind::Amqp, self.channel, body);
    }

    /// Takes in a frame.
    pub(super) fn receive(
        &mut self,
        performative: &Performative,
        shared: &mut Shared,
        out: &mut BytesMut,
    ) -> Result<(), Stop> {
        let fields = performative.fields()?;
        match performative.code {
            ATTACH => self.attach(&fields, shared, out),
            FLOW => Ok(self.flow(&fields, out)?),
            TRANSFER => self.transfer(&fields, performative, shared, out),
            DISPOSITION => Ok(self.disposition(&fields, out)?),
            DETACH => Ok(self.detach(&fields, shared, out)?),
            _ => Err(Stop::Close(Error::new(
                "amqp:not-implemented",
                "The performative is not known.",
            ))),
        }
    }

    fn flow(&mut self, fields: &Fields<'_>, out: &mut BytesMut) -> Result<(), Malformed> {
        // A peer that has seen no begin of ours yet expects the first frame.
        let expected = fields.number(0)?.unwrap_or(0);
        self.outlet.open(expected, fields.needed(1)?);
        let (count, credit) = (fields.number(5)?, fields.number(6)?);
        let (drain, echo) = (fields.flag(8)?, fields.flag(9)?);
        let handle = fields.number(4)?;
        let told = match handle.and_then(|handle| Some((handle, self.links.get_mut(&handle)?))) {
            Some((handle, Link::Subscriber(subscriber))) => {
                subscriber.flow(count, credit, drain);
                Some(subscriber.told(handle))
            }
            Some((handle, Link::Answers(answers))) => {
                let under_way = answers.count.wrapping_sub(count.unwrap_or(0));
                answers.credit = credit.unwrap_or(0).saturating_sub(under_way);
                if drain && answers.queue.is_empty() {
                    answers.count = answers.count.wrapping_add(answers.credit);
                    answers.credit = 0;
                    let told = answers.told(handle);
                    self.tell(out, Some(told));
                    return Ok(());
                }
                Some(answers.told(handle))
            }
            Some((handle, Link::Publisher(publisher))) => Some(publisher.intake.flow(handle)),
            Some((handle, Link::Requests(_, intake))) => Some(intake.flow(handle)),
            Some((_, Link::Ended)) | None => None,
        };
        if echo {
            self.tell(out, told);
        }
        Ok(())
    }

    /// Sends a flow, a link's if there is one.
    pub(super) fn tell(&self, out: &mut BytesMut, link: Option<LinkFlow>) {
        let flow = Flow {
            next_incoming: self.next_incoming,
            window: self.window,
            next_outgoing: self.outlet.next(),
            outgoing_window: WINDOW,
            link,
        };
        self.put(out, |out| performative::flow(out, &flow));
    }

    fn transfer(
        &mut self,
        fields: &Fields<'_>,
        performative: &Performative,
        shared: &mut Shared,
        out: &mut BytesMut,
    ) -> Result<(), Stop> {
        self.next_incoming = self.next_incoming.wrapping_add(1);
        self.window = self.window.saturating_sub(1);
        if self.window < WINDOW / 2 {
            self.window = WINDOW;
            self.tell(out, None);
        }
        let handle = fields.needed(0)?;
        let link = self.links.get_mut(&handle);
        let intake = match link {
            Some(Link::Publisher(publisher)) => &mut publisher.intake,
            Some(Link::Requests(_, intake)) => intake,
            Some(Link::Ended) => return Ok(()),
            Some(_) | None => {
                let why = format!("There is no receiving link with handle {handle}.");
                let error = Error::new("amqp:session:unattached-handle", why);
                return Err(Stop::End(error));
            }
        };
        let held = intake.held();
        let taken = intake.take(fields, performative.payload.clone())?;
        shared.hold(held, intake.held())?;
        match taken {
            Taken::Part => Ok(()),
            // There was credit for it.
            Taken::Aborted => {
                self.refill(handle, shared, out);
                Ok(())
            }
            Taken::Whole(delivery) => self.delivery(handle, &delivery, shared, out),
            Taken::TooLarge { id, size } => {
                let error = publisher::too_large(id, size);
                self.reject(handle, id, &error, shared, out);
                Ok(())
            }
            Taken::Overrun => {
                let why = "A delivery came that there was no credit for.";
                let error = Error::new("amqp:link:transfer-limit-exceeded", why);
                self.end(handle, &error, shared, out);
                Ok(())
            }
        }
    }

    fn delivery(
        &mut self,
        handle: u32,
        delivery: &Delivery,
        shared: &mut Shared,
        out: &mut BytesMut,
    ) -> Result<(), Stop> {
        match self.links.get_mut(&handle) {
            Some(Link::Publisher(publisher)) => {
                match publisher.receive(&shared.namespace, delivery) {
                    Verdict::Now(outcome) => {
                        if !delivery.settled {
                            self.answer(out, delivery.id, &outcome);
                        }
                        self.refill(handle, shared, out);
                    }
                    Verdict::Later { after, events } => {
                        shared.later(after, (self.channel, handle), delivery, events);
                        self.refill(handle, shared, out);
                    }
                    Verdict::Over(error) => {
                        self.reject(handle, delivery.id, &error, shared, out);
                    }
                    Verdict::Break {
                        strike,
                        events,
                        written,
                    } => {
                        let unanswered = if written { events } else { 0 };
                        return self.strike(strike, handle, (events, unanswered), shared, out);
                    }
                }
                Ok(())
            }
            Some(Link::Requests(node, _)) => {
                let node = node.clone();
                let outcome = match request::answer(
                    &node,
                    &shared.namespace,
                    &mut shared.grants,
                    &delivery.payload,
                ) {
                    Ok(reply) => {
                        self.enqueue(&node, reply, shared);
                        Outcome::Accepted
                    }
                    Err(Malformed(why)) => Outcome::Rejected(Error::new("amqp:decode-error", why)),
                };
                if !delivery.settled {
                    self.answer(out, delivery.id, &outcome);
                }
                self.refill(handle, shared, out);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Puts an answer where the peer waits for it: on its link from that node, by the address that it gave if it has several.
    fn enqueue(&mut self, node: &Address, reply: request::Reply, shared: &mut Shared) {
        let mut from = self.links.values_mut().filter_map(|link| match link {
            Link::Answers(answers) if answers.node == *node => Some(answers),
            _ => None,
        });
        let Some(mut chosen) = from.next() else {
            return;
        };
        for other in from {
            if reply.to.as_ref() == Some(&other.target) {
                chosen = other;
            }
        }
        // A peer that never gives credit loses what it doesn't take.
        let bytes = shared.answers + reply.message.len();
        if bytes <= limits::ANSWERS && chosen.queue.len() < 1_000 {
            shared.answers = bytes;
            chosen.queue.push_back(reply.message);
        }
    }

    /// Rejects a delivery, and closes its link. Of the outcome every client hears at once; of a link that is closed under a
    /// delivery the Rust client doesn't, before its deadline.
    fn reject(
        &mut self,
        handle: u32,
        id: u32,
        error: &Error,
        shared: &mut Shared,
        out: &mut BytesMut,
    ) {
        self.answer(out, id, &Outcome::Rejected(error.clone()));
        self.end(handle, error, shared, out);
    }

    /// Settles a delivery of the peer's.
    pub(super) fn answer(&self, out: &mut BytesMut, id: u32, outcome: &Outcome) {
        self.put(out, |out| {
            performative::disposition(out, true, id, id, outcome)
        });
    }

    /// Gives a sender credit for more, if it is time for it.
    pub(super) fn refill(&mut self, handle: u32, shared: &Shared, out: &mut BytesMut) {
        let owed = shared.owed((self.channel, handle));
        let intake = match self.links.get_mut(&handle) {
            Some(Link::Publisher(publisher)) => &mut publisher.intake,
            Some(Link::Requests(_, intake)) => intake,
            _ => return,
        };
        if let Some(flow) = intake.refill(handle, owed) {
            self.tell(out, Some(flow));
        }
    }

    /// A peer's disposition of what was sent to it.
    fn disposition(&mut self, fields: &Fields<'_>, out: &mut BytesMut) -> Result<(), Malformed> {
        let is_receiver = fields.flag(0)?;
        let first = fields.needed(1)?;
        let last = fields.number(2)?.unwrap_or(first);
        if !is_receiver {
            return Ok(());
        }
        self.outlet.settled(u64::from(last.wrapping_sub(first)) + 1);
        // One that waits for us to settle first is not kept waiting.
        if !fields.flag(3)? {
            self.put(out, |out| {
                performative::disposition(out, false, first, last, &Outcome::Accepted);
            });
        }
        Ok(())
    }

    fn detach(
        &mut self,
        fields: &Fields<'_>,
        shared: &mut Shared,
        out: &mut BytesMut,
    ) -> Result<(), Malformed> {
        let (handle, closed) = (fields.needed(0)?, fields.flag(1)?);
        match self.links.remove(&handle) {
            None | Some(Link::Ended) => {}
            Some(link) => {
                shared.forget((self.channel, handle), &link);
                self.put(out, |out| performative::detach(out, handle, closed, None));
            }
        }
        Ok(())
    }

    /// Closes a link for this reason. Answers that were to come later don't.
    pub(super) fn end(
        &mut self,
        handle: u32,
        error: &Error,
        shared: &mut Shared,
        out: &mut BytesMut,
    ) {
        if let Some(link) = self.links.insert(handle, Link::Ended) {
            shared.forget((self.channel, handle), &link);
        }
        self.put(out, |out| {
            performative::detach(out, handle, true, Some(error))
        });
    }

    /// Closes the links that no token covers any more: "When a token expires, Service Bus promptly drops all links on the
    /// connection to the respective entity" (Service Bus documentation, "AMQP 1.0 protocol guide", 2026-11).
    pub(super) fn expire(&mut self, shared: &mut Shared, out: &mut BytesMut) {
        let is_over = |link: &Link| match link {
            Link::Publisher(publisher) => !shared.grants.cover(&publisher.address),
            Link::Subscriber(subscriber) => !shared.grants.cover(&subscriber.address),
            Link::Requests(..) | Link::Answers(_) | Link::Ended => false,
        };
        let over = self.links.iter().filter(|(_, link)| is_over(link));
        let over: Vec<_> = over.map(|(handle, _)| *handle).collect();
        let why = "ExpiredToken: The token is expired.";
        for handle in over {
            let counters = &shared.namespace.counters;
            counters.add(|counts| counts.expired_links += 1);
            self.end(
                handle,
                &Error::new("amqp:unauthorized-access", why),
                shared,
                out,
            );
        }
    }

    /// Carries out a fault that breaks a link or the connection. `events`: in flight, and of these written and not answered,
    /// without those that answers are still to come for.
    fn strike(
        &mut self,
        strike: Strike,
        handle: u32,
        (in_flight, unanswered): (u64, u64),
        shared: &mut Shared,
        out: &mut BytesMut,
    ) -> Result<(), Stop> {
        let pending = match strike.fault {
            Fault::Detached => shared.pending_on((self.channel, handle)),
            _ => shared.pending(),
        };
        let (in_flight, unanswered) = (in_flight + pending, unanswered + pending);
        let counters = &shared.namespace.counters;
        counters.strike(strike.fault, in_flight, unanswered);
        match strike.fault {
            Fault::Detached => {
                let why = "The link is force detached by the broker. Please recreate the link.";
                let error = Error::new("amqp:link:detach-forced", why);
                self.end(handle, &error, shared, out);
                Ok(())
            }
            Fault::Closed => Err(Stop::Close(Error::new(
                "amqp:connection:forced",
                "The connection was closed by the broker.",
            ))),
            Fault::HalfOpen => Err(Stop::HalfOpen(strike.time)),
            _ => Err(Stop::Cut),
        }
    }

    /// Sends what can be sent. Tells until when nothing more can be, if time is what it takes.
    pub(super) fn pump(
        &mut self,
        shared: &mut Shared,
        out: &mut BytesMut,
    ) -> Result<Option<std::time::Duration>, Stop> {
        let mut wait: Option<std::time::Duration> = None;
        let mut drained = Vec::new();
        let mut over = Vec::new();
        let mut struck = None;
        for (handle, link) in &mut self.links {
            match link {
                Link::Subscriber(subscriber) => {
                    match subscriber.pump(
                        &shared.wake,
                        shared.largest,
                        &mut self.outlet,
                        *handle,
                        out,
                    ) {
                        Pause::Idle | Pause::Full => {}
                        Pause::Drained => drained.push(subscriber.told(*handle)),
                        Pause::Throttled(time) => {
                            wait = Some(wait.map_or(time, |other| other.min(time)));
                        }
                        Pause::Over(error) => over.push((*handle, error)),
                        Pause::Strike(strike) => {
                            struck = Some((*handle, strike));
                            break;
                        }
                    }
                }
                Link::Publisher(publisher) if publisher.hub.is_deleted() => {
                    over.push((*handle, publisher::not_found(&publisher.hub.name)));
                }
                Link::Answers(answers) => {
                    shared.answers -= answers.pump(*handle, shared.largest, &mut self.outlet, out);
                }
                _ => {}
            }
        }
        for flow in drained {
            self.tell(out, Some(flow));
        }
        for (handle, error) in over {
            if error.condition == "amqp:link:stolen" {
                let counters = &shared.namespace.counters;
                counters.add(|counts| counts.stolen_links += 1);
            }
            self.end(handle, &error, shared, out);
        }
        if let Some((handle, strike)) = struck {
            let in_flight = self.outlet.unsettled() + 1;
            self.strike(strike, handle, (in_flight, 0), shared, out)?;
        }
        Ok(wait)
    }
}
