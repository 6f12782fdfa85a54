//! How a link begins, or why it doesn't.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;

use super::address::{self, Address};
use super::amqp::performative::{self, Attach, Error, Fields};
use super::amqp::read::{self, Malformed};
use super::answers::Answers;
use super::connection::Stop;
use super::hub::{Hub, Partition};
use super::intake::Intake;
use super::limits;
use super::publisher::{Publisher, not_found};
use super::readers::Reader;
use super::session::{HANDLES, Link, Session};
use super::shared::Shared;
use super::start;
use super::subscriber::{Opening, Subscriber};

/// What a client asks for where the ends of the partition are to come with each event.
const METRICS: &str = "com.microsoft:enable-receiver-runtime-metric";
/// A sender's ways to settle: as it sends, and now so, now so.
const SETTLED: u8 = 1;
const MIXED: u8 = 2;
/// What an attach takes at most beside the texts that come back with it.
const ROOM: usize = 256;

/// What a peer's attach says.
struct Asked<'a> {
    name: &'a str,
    handle: u32,
    /// True if the peer receives.
    receives: bool,
    settle_mode: u8,
    source: &'a [u8],
    target: &'a [u8],
    initial: u32,
    metrics: bool,
    epoch: Option<i64>,
    receiver: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn read(fields: &Fields<'a>) -> Result<Self, Malformed> {
        let mode = fields.number(3)?.map_or(Ok(MIXED), u8::try_from);
        let mut asked = Asked {
            name: fields.text(0)?.ok_or(Malformed("a link has no name"))?,
            handle: fields.needed(1)?,
            receives: fields.flag(2)?,
            settle_mode: mode.map_err(|_| Malformed("an unknown settle mode"))?,
            source: fields.raw(5),
            target: fields.raw(6),
            initial: fields.number(9)?.unwrap_or(0),
            metrics: read::symbols(fields.raw(12))?.contains(&METRICS),
            epoch: None,
            receiver: None,
        };
        for (name, value) in read::entries(fields.raw(13))? {
            match read::value(name)?.text() {
                Some("com.microsoft:epoch") => asked.epoch = read::value(value)?.integer(),
                Some("com.microsoft:receiver-name") => asked.receiver = read::value(value)?.text(),
                _ => {}
            }
        }
        Ok(asked)
    }

    /// The address at our end.
    fn address(&self) -> Result<&'a str, Malformed> {
        address_of(if self.receives {
            self.source
        } else {
            self.target
        })
    }
}

/// The address of a source or target.
fn address_of(end: &[u8]) -> Result<&str, Malformed> {
    Ok(Fields::of(end)?.text(0)?.unwrap_or_default())
}

impl Session {
    pub(super) fn attach(
        &mut self,
        fields: &Fields<'_>,
        shared: &mut Shared,
        out: &mut BytesMut,
    ) -> Result<(), Stop> {
        let asked = Asked::read(fields)?;
        if asked.handle > HANDLES {
            let why = format!("Handles end with {HANDLES}.");
            return Err(Stop::Close(Error::new(
                "amqp:connection:framing-error",
                why,
            )));
        }
        if self.links.contains_key(&asked.handle) {
            let why = format!("The handle {} is in use.", asked.handle);
            return Err(Stop::End(Error::new("amqp:session:handle-in-use", why)));
        }
        let echoed = asked.name.len() + asked.source.len() + asked.target.len();
        if echoed + ROOM > shared.largest {
            let why = "The answer to an attach doesn't fit into a frame.";
            return Err(Stop::End(Error::new("amqp:frame-size-too-small", why)));
        }
        match open(&asked, shared) {
            Ok(link) => {
                let refused = false;
                self.put(out, |out| answer(out, &asked, refused));
                self.links.insert(asked.handle, link);
                self.refill(asked.handle, shared, out);
            }
            Err(error) => {
                // Without ends, as the service does it, so that nobody takes it for open.
                self.put(out, |out| answer(out, &asked, true));
                self.end(asked.handle, &error, shared, out);
            }
        }
        Ok(())
    }
}

fn answer(out: &mut BytesMut, asked: &Asked<'_>, refused: bool) {
    let attach = Attach {
        name: asked.name,
        handle: asked.handle,
        sends: asked.receives,
        settle_mode: asked.settle_mode,
        source: if refused { &[0x40] } else { asked.source },
        target: if refused { &[0x40] } else { asked.target },
        largest_message: limits::MESSAGE as u64,
        capabilities: if asked.metrics { &[METRICS] } else { &[] },
    };
    performative::attach(out, &attach);
}

fn open(asked: &Asked<'_>, shared: &Shared) -> Result<Link, Error> {
    let unread = |Malformed(why)| Error::new("amqp:invalid-field", why);
    let text = asked.address().map_err(unread)?;
    let target = address_of(asked.target).map_err(unread)?;
    let receiver = asked.receiver.unwrap_or_default();
    if target.len().max(receiver.len()) > limits::TEXT {
        let why = format!("A name or address has {} bytes at most.", limits::TEXT);
        return Err(Error::new("amqp:invalid-field", why));
    }
    match (Address::parse(text), asked.receives) {
        (node @ (Address::Cbs | Address::Management), true) => Ok(Link::Answers(Answers {
            node,
            target: target.to_owned(),
            settled: asked.settle_mode == SETTLED,
            count: 0,
            credit: 0,
            queue: VecDeque::new(),
        })),
        (node @ (Address::Cbs | Address::Management), false) => {
            Ok(Link::Requests(node, Intake::new(asked.initial)))
        }
        (Address::Hub { hub, partition }, false) => {
            permit(shared, text, "Send")?;
            let hub = shared.namespace.hub(&hub).ok_or_else(|| not_found(&hub))?;
            let partition = partition.map(|id| hub.partition(&id)).transpose()?;
            hub.connect(&shared.wake);
            Ok(Link::Publisher(Publisher::new(
                address::path(text),
                hub,
                partition,
                asked.initial,
            )))
        }
        (
            Address::Group {
                hub,
                group,
                partition,
            },
            true,
        ) => {
            permit(shared, text, "Listen")?;
            // As the service names it, by a number of its own (logstash-input-azure_event_hubs #32).
            let entity = || not_found(&format!("local:eventhub:{hub}~32766|{group}"));
            let hub = shared.namespace.hub(&hub).ok_or_else(|| not_found(&hub))?;
            if !hub.has_group(&group) {
                return Err(entity());
            }
            let partition = hub.partition(&partition)?;
            subscribe(asked, shared, (hub, group, partition)).map(Link::Subscriber)
        }
        _ => Err(not_found(text)),
    }
}

fn subscribe(
    asked: &Asked<'_>,
    shared: &Shared,
    (hub, group, partition): (Arc<Hub>, String, Arc<Partition>),
) -> Result<Subscriber, Error> {
    let invalid = |why: String| Error::new("com.microsoft:argument-out-of-range", why);
    let start = start::of_source(asked.source)
        .map_err(|why| Error::new("com.microsoft:argument-error", why))?;
    // Found before it joins: one that asks for what isn't there takes the partition from nobody.
    let next = partition.log().find(&start).map_err(invalid)?;
    let reader = Reader::new(asked.receiver, asked.epoch, &shared.wake);
    partition.readers.join(&group, &reader)?;
    hub.connect(&shared.wake);
    let opening = Opening {
        address: address::path(asked.address().unwrap_or_default()).to_owned(),
        partition,
        group,
        reader,
        next,
        settled: asked.settle_mode == SETTLED,
        metrics: asked.metrics,
        hub,
    };
    Ok(Subscriber::new(&shared.namespace, opening))
}

fn permit(shared: &Shared, address: &str, claim: &str) -> Result<(), Error> {
    match shared.grants.cover(address) {
        true => Ok(()),
        false => Err(Error::new(
            "amqp:unauthorized-access",
            format!(
                "Unauthorized access. '{claim}' claim(s) are required to perform this operation. Resource: '{address}'."
            ),
        )),
    }
}
