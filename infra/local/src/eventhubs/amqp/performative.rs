//! The performatives (part 2, 2.7): what a peer's says that matters here, and ours with all of their fields.

use bytes::{Bytes, BytesMut};

use super::read::{self, Malformed, Value};
use super::write::Compound;

/// The highest channel: the service's (seen in its open, 2026-11).
pub(crate) const CHANNELS: u16 = 4_999;

pub(crate) const OPEN: u64 = 0x10;
pub(crate) const BEGIN: u64 = 0x11;
pub(crate) const ATTACH: u64 = 0x12;
pub(crate) const FLOW: u64 = 0x13;
pub(crate) const TRANSFER: u64 = 0x14;
pub(crate) const DISPOSITION: u64 = 0x15;
pub(crate) const DETACH: u64 = 0x16;
pub(crate) const END: u64 = 0x17;
pub(crate) const CLOSE: u64 = 0x18;

/// What a frame's body begins with, and what follows it.
#[derive(Debug)]
pub(crate) struct Performative {
    pub(crate) code: u64,
    list: Bytes,
    pub(crate) payload: Bytes,
}

impl Performative {
    pub(crate) fn read(body: &Bytes) -> Result<Self, Malformed> {
        let length = read::length(body)?;
        let (descriptor, list) = read::described(&body[..length])?;
        let Value::Unsigned(code) = descriptor else {
            return Err(Malformed("a performative is described by no number"));
        };
        Ok(Performative {
            code,
            list: body.slice_ref(list),
            payload: body.slice(length..),
        })
    }

    pub(crate) fn fields(&self) -> Result<Fields<'_>, Malformed> {
        read::items(&self.list).map(Fields)
    }
}

/// The fields of a performative, or of another described list; those that are left out are null.
#[derive(Debug)]
pub(crate) struct Fields<'a>(Vec<&'a [u8]>);

impl<'a> Fields<'a> {
    /// Those of a described list, none for null.
    pub(crate) fn of(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match bytes {
            [0x40] => Ok(Fields(Vec::new())),
            _ => read::items(read::described(bytes)?.1).map(Fields),
        }
    }

    pub(crate) fn raw(&self, index: usize) -> &'a [u8] {
        self.0.get(index).copied().unwrap_or(&[0x40])
    }

    pub(crate) fn value(&self, index: usize) -> Result<Value<'a>, Malformed> {
        read::value(self.raw(index))
    }

    pub(crate) fn text(&self, index: usize) -> Result<Option<&'a str>, Malformed> {
        match self.value(index)? {
            Value::Null => Ok(None),
            value => value
                .text()
                .map(Some)
                .ok_or(Malformed("a text is something else")),
        }
    }

    pub(crate) fn flag(&self, index: usize) -> Result<bool, Malformed> {
        match self.value(index)? {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(flag),
            _ => Err(Malformed("a flag is something else")),
        }
    }

    pub(crate) fn number(&self, index: usize) -> Result<Option<u32>, Malformed> {
        match self.value(index)? {
            Value::Null => Ok(None),
            Value::Unsigned(number) => u32::try_from(number)
                .map(Some)
                .map_err(|_| Malformed("a number is too large")),
            _ => Err(Malformed("a number is something else")),
        }
    }

    /// A number that has to be there.
    pub(crate) fn needed(&self, index: usize) -> Result<u32, Malformed> {
        self.number(index)?.ok_or(Malformed("a number is missing"))
    }
}

/// An error as it is told to a peer (part 2, 2.8.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) condition: &'static str,
    pub(crate) description: String,
}

impl Error {
    pub(crate) fn new(condition: &'static str, description: impl Into<String>) -> Self {
        Error {
            condition,
            description: description.into(),
        }
    }

    pub(crate) fn write(&self, out: &mut BytesMut) {
        Compound::list(out, 0x1d)
            .symbol(self.condition)
            .string(told(&self.description))
            .nulls(1)
            .end();
    }
}

/// As much of a text as is told: it may have come from a peer.
pub(crate) fn told(text: &str) -> &str {
    &text[..text.floor_char_boundary(1_024)]
}

fn error(list: Compound<'_>, error: Option<&Error>) {
    match error {
        Some(error) => list.field(|out| error.write(out)).end(),
        None => list.nulls(1).end(),
    }
}

/// What becomes of a delivery (part 3, 3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    Rejected(Error),
    Released,
    Modified,
}

impl Outcome {
    fn write(&self, out: &mut BytesMut) {
        match self {
            Outcome::Accepted => Compound::list(out, 0x24).end(),
            Outcome::Rejected(reason) => error(Compound::list(out, 0x25), Some(reason)),
            Outcome::Released => Compound::list(out, 0x26).end(),
            // Delivery failed; elsewhere than here it may not.
            Outcome::Modified => Compound::list(out, 0x27).bool(true).nulls(2).end(),
        }
    }
}

pub(crate) fn open(out: &mut BytesMut, container: &str, largest: u32, idle: u32) {
    let list = Compound::list(out, 0x10).string(container).nulls(1);
    let list = list.uint(largest).ushort(CHANNELS);
    list.uint(idle).nulls(5).end();
}

pub(crate) fn begin(out: &mut BytesMut, channel: u16, window: u32, links: u32) {
    let list = Compound::list(out, 0x11).ushort(channel).uint(0);
    list.uint(window).uint(window).uint(links).nulls(3).end();
}

/// What an attach of ours answers to, and how.
#[derive(Debug)]
pub(crate) struct Attach<'a> {
    pub(crate) name: &'a str,
    pub(crate) handle: u32,
    /// True if we send.
    pub(crate) sends: bool,
    /// How deliveries are settled by who sends them, as the peer asked for it.
    pub(crate) settle_mode: u8,
    /// As they came; null where the link is refused.
    pub(crate) source: &'a [u8],
    pub(crate) target: &'a [u8],
    pub(crate) largest_message: u64,
    pub(crate) capabilities: &'a [&'a str],
}

pub(crate) fn attach(out: &mut BytesMut, attach: &Attach<'_>) {
    let list = Compound::list(out, 0x12)
        .string(attach.name)
        .uint(attach.handle)
        // A receiver's role is true.
        .bool(!attach.sends)
        .ubyte(attach.settle_mode)
        // What we receive is settled at once, whatever a peer would like.
        .ubyte(0)
        .raw(attach.source)
        .raw(attach.target)
        .nulls(1)
        .bool(false);
    let list = match attach.sends {
        true => list.uint(0),
        false => list.nulls(1),
    };
    let list = list.ulong(attach.largest_message);
    let list = match attach.capabilities {
        [] => list.nulls(1),
        some => list.array(0xb3, some.iter().copied()),
    };
    list.nulls(2).end();
}

/// A session's flow, and with it a link's.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) next_incoming: u32,
    pub(crate) window: u32,
    pub(crate) next_outgoing: u32,
    pub(crate) outgoing_window: u32,
    pub(crate) link: Option<LinkFlow>,
}

#[derive(Debug)]
pub(crate) struct LinkFlow {
    pub(crate) handle: u32,
    pub(crate) delivery_count: u32,
    pub(crate) credit: u32,
    pub(crate) drain: bool,
}

pub(crate) fn flow(out: &mut BytesMut, flow: &Flow) {
    let list = Compound::list(out, 0x13)
        .uint(flow.next_incoming)
        .uint(flow.window)
        .uint(flow.next_outgoing)
        .uint(flow.outgoing_window);
    let list = match &flow.link {
        Some(link) => list
            .uint(link.handle)
            .uint(link.delivery_count)
            .uint(link.credit)
            .nulls(1)
            .bool(link.drain),
        None => list.nulls(4).bool(false),
    };
    list.bool(false).nulls(1).end();
}

/// One frame's part of a delivery.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) handle: u32,
    pub(crate) delivery: u32,
    pub(crate) settled: bool,
    pub(crate) more: bool,
}

pub(crate) fn transfer(out: &mut BytesMut, transfer: &Transfer) {
    Compound::list(out, 0x14)
        .uint(transfer.handle)
        .uint(transfer.delivery)
        .binary(&transfer.delivery.to_be_bytes())
        .uint(0)
        .bool(transfer.settled)
        .bool(transfer.more)
        .nulls(2)
        .bool(false)
        .bool(false)
        .bool(false)
        .end();
}

/// Settles the deliveries from `first` to `last`; `receives`: of those that we received.
pub(crate) fn disposition(
    out: &mut BytesMut,
    receives: bool,
    first: u32,
    last: u32,
    outcome: &Outcome,
) {
    Compound::list(out, 0x15)
        .bool(receives)
        .uint(first)
        .uint(last)
        .bool(true)
        .field(|out| outcome.write(out))
        .bool(false)
        .end();
}

/// `closed`: for good, and not to come back to.
pub(crate) fn detach(out: &mut BytesMut, handle: u32, closed: bool, reason: Option<&Error>) {
    error(Compound::list(out, 0x16).uint(handle).bool(closed), reason);
}

pub(crate) fn end(out: &mut BytesMut, reason: Option<&Error>) {
    error(Compound::list(out, 0x17), reason);
}

pub(crate) fn close(out: &mut BytesMut, reason: Option<&Error>) {
    error(Compound::list(out, 0x18), reason);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The fields of each in the standard (part 2, 2.7), the optional ones included.
    #[test]
    fn every_field_is_written() {
        let error = Error::new("amqp:not-found", "it isn't there");
        type Write<'a> = Box<dyn Fn(&mut BytesMut) + 'a>;
        let attached = |sends| Attach {
            name: "l",
            handle: 1,
            sends,
            settle_mode: 2,
            source: &[0x40],
            target: &[0x40],
            largest_message: 1,
            capabilities: &[],
        };
        let flowing = |link| Flow {
            next_incoming: 1,
            window: 2,
            next_outgoing: 3,
            outgoing_window: 4,
            link,
        };
        let link = || LinkFlow {
            handle: 0,
            delivery_count: 1,
            credit: 2,
            drain: false,
        };
        let sent = || Transfer {
            handle: 0,
            delivery: 1,
            settled: true,
            more: false,
        };
        let written: [(u64, usize, Write<'_>); 12] = [
            (OPEN, 10, Box::new(|o| open(o, "c", 1, 2))),
            (BEGIN, 8, Box::new(|o| begin(o, 1, 2, 3))),
            (ATTACH, 14, Box::new(|o| attach(o, &attached(true)))),
            (ATTACH, 14, Box::new(|o| attach(o, &attached(false)))),
            (FLOW, 11, Box::new(|o| flow(o, &flowing(None)))),
            (FLOW, 11, Box::new(|o| flow(o, &flowing(Some(link()))))),
            (TRANSFER, 11, Box::new(|o| transfer(o, &sent()))),
            (
                DISPOSITION,
                6,
                Box::new(|o| disposition(o, true, 1, 2, &Outcome::Modified)),
            ),
            (DETACH, 3, Box::new(|o| detach(o, 1, true, Some(&error)))),
            (DETACH, 3, Box::new(|o| detach(o, 1, false, None))),
            (END, 1, Box::new(|o| end(o, None))),
            (CLOSE, 1, Box::new(|o| close(o, Some(&error)))),
        ];
        for (code, count, write) in written {
            let mut out = BytesMut::new();
            write(&mut out);
            let read = Performative::read(&out.freeze()).unwrap();
            assert_eq!((read.code, read.fields().unwrap().0.len()), (code, count));
        }
    }

    #[test]
    fn an_error_says_what_and_why() {
        let mut out = BytesMut::new();
        detach(
            &mut out,
            3,
            true,
            Some(&Error::new("amqp:not-found", "why")),
        );
        let read = Performative::read(&out.freeze()).unwrap();
        let fields = read.fields().unwrap();
        assert_eq!(fields.needed(0), Ok(3));
        assert_eq!(fields.flag(1), Ok(true));
        let error = Fields::of(fields.raw(2)).unwrap();
        assert_eq!(error.value(0), Ok(Value::Symbol("amqp:not-found")));
        assert_eq!(error.value(1), Ok(Value::String("why")));
    }
}
