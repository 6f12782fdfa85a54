//! AMQP by hand, for what no client sends, and as fast as it can be sent. Blocking.

use std::io::{Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhub_local::EventHubs;

/// The format of a message whose data sections are events.
pub(crate) const BATCH: u32 = 0x8001_3700;

/// The performatives that come from the server.
pub(crate) const ATTACH: u8 = 0x12;
pub(crate) const FLOW: u8 = 0x13;
pub(crate) const TRANSFER: u8 = 0x14;
pub(crate) const DISPOSITION: u8 = 0x15;
pub(crate) const DETACH: u8 = 0x16;
pub(crate) const END: u8 = 0x17;
pub(crate) const CLOSE: u8 = 0x18;

/// A partition of the hub `h`, and the filter for all of its events.
pub(crate) const READ: &str = "h/ConsumerGroups/$Default/Partitions/0";
pub(crate) const ALL: &str = "amqp.annotation.x-opt-offset > '-1'";

/// What a connection begins with, SASL and then AMQP.
pub(crate) const SASL: [u8; 8] = *b"AMQP\x03\x01\x00\x00";
pub(crate) const AMQP: [u8; 8] = *b"AMQP\x00\x01\x00\x00";

/// A frame from the server: its performative's code, and all of its body.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) code: u8,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// True if a text is in it, wherever.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.body
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    }

    /// True if it settles with this outcome: 0x24 accepted, 0x25 rejected, 0x26 released, 0x27 modified.
    pub(crate) fn outcome(&self, code: u8) -> bool {
        self.code == DISPOSITION && self.body.windows(3).any(|part| part == [0x00, 0x53, code])
    }
}

/// Frames that may be under way: no end of them.
const WINDOW: u32 = u32::MAX / 2;

/// What PLAIN says for who may do everything.
pub(crate) const KEY: &[u8] = b"\0RootManageSharedAccessKey\0SAS_KEY_VALUE";

#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    next_delivery: u32,
}

impl Raw {
    /// A bare connection.
    pub(crate) fn connect(hubs: &EventHubs) -> Self {
        let stream = TcpStream::connect(hubs.endpoint().trim_start_matches("amqp://")).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        Raw {
            stream,
            next_delivery: 0,
        }
    }

    /// With the key, an open connection and a session, 0.
    pub(crate) fn open(hubs: &EventHubs) -> Self {
        let mut raw = Raw::connect(hubs);
        raw.login("PLAIN", KEY).unwrap();
        raw.begin();
        raw
    }

    /// An open connection and a session, after the login.
    pub(crate) fn begin(&mut self) {
        self.send(0, &open());
        self.expect(0x10);
        self.send(0, &begin());
        self.expect(0x11);
    }

    /// SASL; an error if the server doesn't go on.
    pub(crate) fn login(&mut self, mechanism: &str, said: &[u8]) -> Result<()> {
        self.stream.write_all(&SASL)?;
        let mut header = [0; 8];
        self.stream.read_exact(&mut header)?;
        assert_eq!(header, SASL);
        assert!(self.read()?.says(mechanism));
        let init = list(0x41, &[symbol(mechanism), binary(said)]);
        self.stream.write_all(&frame(1, 0, &init))?;
        assert_eq!(self.read()?.code, 0x44);
        self.stream.write_all(&AMQP)?;
        self.stream.read_exact(&mut header)?;
        assert_eq!(header, AMQP);
        Ok(())
    }

    pub(crate) fn send(&mut self, channel: u16, body: &[u8]) {
        self.stream.write_all(&frame(0, channel, body)).unwrap();
    }

    /// The next frame.
    pub(crate) fn read(&mut self) -> Result<Frame> {
        let mut header = [0; 8];
        self.stream.read_exact(&mut header)?;
        let size = u32::from_be_bytes(header[..4].try_into().unwrap()) as usize;
        let mut body = vec![0; size - 8];
        self.stream.read_exact(&mut body)?;
        Ok(Frame {
            code: body.get(2).copied().unwrap_or(0),
            body,
        })
    }

    /// The next frame, which is to be this performative.
    pub(crate) fn expect(&mut self, code: u8) -> Frame {
        let frame = self.read().unwrap();
        assert_eq!(frame.code, code, "{frame:?}");
        frame
    }

    /// A link for events to this address, with credit.
    pub(crate) fn publish_to(&mut self, handle: u32, address: &str) {
        self.send(0, &attach(handle, false, address, None, 0));
        self.expect(ATTACH);
        self.expect(FLOW);
    }

    /// A link for events from this address, by a filter; without credit.
    pub(crate) fn subscribe_to(&mut self, handle: u32, address: &str, selector: &str) {
        self.send(0, &attach(handle, true, address, Some(selector), 1));
        self.expect(ATTACH);
    }

    /// Credit for a link of ours that receives.
    pub(crate) fn credit(&mut self, handle: u32, credit: u32, drain: bool) {
        let flag = vec![if drain { 0x41 } else { 0x42 }];
        let fields = [uint(0), uint(WINDOW), uint(0), uint(WINDOW)];
        let link = [uint(handle), uint(0), uint(credit), null(), flag];
        self.send(0, &list(0x13, &[&fields[..], &link].concat()));
    }

    /// One delivery in frames that fit.
    pub(crate) fn transfer(&mut self, handle: u32, format: u32, payload: &[u8]) {
        let id = self.next_delivery;
        self.next_delivery += 1;
        let parts = payload.len().div_ceil(60_000).max(1);
        for n in 1..=parts {
            let part = &payload[(n - 1) * 60_000..payload.len().min(n * 60_000)];
            self.send(0, &transfer(handle, id, format, (n < parts, false), part));
        }
    }
}

/// A frame of a delivery, by what is not as usual with it: more of it comes, or it is given up.
pub(crate) fn transfer(
    handle: u32,
    id: u32,
    format: u32,
    (more, aborted): (bool, bool),
    payload: &[u8],
) -> Vec<u8> {
    let flag = |flag| vec![if flag { 0x41 } else { 0x42 }];
    let head = [
        uint(handle),
        uint(id),
        binary(&id.to_be_bytes()),
        uint(format),
        flag(false),
        flag(more),
        null(),
        null(),
        flag(false),
        flag(aborted),
    ];
    [list(0x14, &head), payload.to_vec()].concat()
}

pub(crate) fn open() -> Vec<u8> {
    list(0x10, &[string("raw"), string("localhost"), uint(65_536)])
}

pub(crate) fn begin() -> Vec<u8> {
    list(0x11, &[null(), uint(0), uint(WINDOW), uint(WINDOW)])
}

/// `mode`: how deliveries are settled; 1 as they are sent.
pub(crate) fn attach(
    handle: u32,
    receives: bool,
    address: &str,
    selector: Option<&str>,
    mode: u8,
) -> Vec<u8> {
    let filter = selector.map_or(null(), |selector| {
        let name = "apache.org:selector-filter:string";
        let described = [vec![0x00], symbol(name), string(selector)].concat();
        compound(0xd1, &[symbol(name), described])
    });
    let nulls = [null(), null(), null(), null(), null(), null()];
    let there = list(0x28, &[&[string(address)], &nulls[..], &[filter]].concat());
    let target = list(0x29, &[string(address)]);
    let source = if receives {
        there
    } else {
        list(0x28, &[string("raw")])
    };
    let role = vec![if receives { 0x41 } else { 0x42 }];
    let fields = [
        string(&format!("link-{handle}")),
        uint(handle),
        role,
        vec![0x50, mode],
        vec![0x50, 0],
        source,
        target,
        null(),
        null(),
        uint(0),
    ];
    list(0x12, &fields)
}

/// A message of this one data section.
pub(crate) fn event(body: &[u8]) -> Vec<u8> {
    let mut event = vec![0x00, 0x53, 0x75, 0xb0];
    event.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    event.extend(body);
    event
}

/// A batch of these messages.
pub(crate) fn batch(events: &[Vec<u8>]) -> Vec<u8> {
    events.iter().flat_map(|bytes| event(bytes)).collect()
}

pub(crate) fn frame(kind: u8, channel: u16, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
    let header = [2, kind, channel.to_be_bytes()[0], channel.to_be_bytes()[1]];
    [&size[..], &header, body].concat()
}

pub(crate) fn list(code: u8, fields: &[Vec<u8>]) -> Vec<u8> {
    [vec![0x00, 0x53, code], compound(0xd0, fields)].concat()
}

pub(crate) fn compound(code: u8, fields: &[Vec<u8>]) -> Vec<u8> {
    let content = fields.concat();
    let mut list = vec![code];
    list.extend(u32::try_from(content.len() + 4).unwrap().to_be_bytes());
    list.extend(u32::try_from(fields.len()).unwrap().to_be_bytes());
    list.extend(content);
    list
}

pub(crate) fn null() -> Vec<u8> {
    vec![0x40]
}

pub(crate) fn uint(value: u32) -> Vec<u8> {
    let mut bytes = vec![0x70];
    bytes.extend(value.to_be_bytes());
    bytes
}

fn sized(code: u8, bytes: &[u8]) -> Vec<u8> {
    let mut value = vec![code];
    value.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    value.extend(bytes);
    value
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    sized(0xb1, text.as_bytes())
}

pub(crate) fn symbol(text: &str) -> Vec<u8> {
    sized(0xb3, text.as_bytes())
}

pub(crate) fn binary(bytes: &[u8]) -> Vec<u8> {
    sized(0xb0, bytes)
}
