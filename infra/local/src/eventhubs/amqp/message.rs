//! Messages (part 3, 3.2): taken apart where they lie, and written with the service's annotations.

use bytes::{BufMut, BytesMut};

use super::performative::told;
use super::read::{self, Entries, Malformed, Value};
use super::write::Compound;

/// The format of a message whose data sections are messages of their own, each an event.
pub(crate) const BATCH: u32 = 0x8001_3700;

const HEADER: u64 = 0x70;
const ANNOTATIONS: u64 = 0x72;
const PROPERTIES: u64 = 0x73;
const APPLICATION_PROPERTIES: u64 = 0x74;
const DATA: u64 = 0x75;
const FOOTER: u64 = 0x78;

const KEY: &str = "x-opt-partition-key";
const SEQUENCE: &str = "x-opt-sequence-number";
const OFFSET: &str = "x-opt-offset";
const ENQUEUED: &str = "x-opt-enqueued-time";

/// A message's sections, as they came.
#[derive(Debug, Default)]
pub(crate) struct Message<'a> {
    /// A map, or empty.
    annotations: &'a [u8],
    /// A list, or empty.
    properties: &'a [u8],
    /// A map, or empty.
    application: &'a [u8],
    /// What of the body is data sections.
    data: Vec<&'a [u8]>,
    /// Something that is no bytes stands among them.
    has_null: bool,
    /// All from the properties on: what the service never changes.
    bare: &'a [u8],
}

impl<'a> Message<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.is_empty() {
            return Err(Malformed("a message has no sections"));
        }
        let mut message = Message::default();
        let (mut rest, mut last) = (bytes, 0);
        while !rest.is_empty() {
            let (section, after) = read::split(rest)?;
            let (Value::Unsigned(code), value) = read::described(section)? else {
                return Err(Malformed("a section is described by no number"));
            };
            // Sections come in their order; only those of the body may come again.
            let again = code == last && (DATA..FOOTER).contains(&code);
            if !(HEADER..=FOOTER).contains(&code) || (code <= last && !again) {
                return Err(Malformed("the sections are out of order"));
            }
            match code {
                ANNOTATIONS => message.annotations = value,
                PROPERTIES => message.properties = value,
                APPLICATION_PROPERTIES => message.application = value,
                DATA => match read::value(value)? {
                    Value::Binary(data) => message.data.push(data),
                    Value::Null => message.has_null = true,
                    _ => return Err(Malformed("data is something else")),
                },
                _ => (),
            }
            if code > ANNOTATIONS && message.bare.is_empty() {
                message.bare = rest;
            }
            (rest, last) = (after, code);
        }
        Ok(message)
    }

    /// The events of a message of this format. They need no body: JavaScript's client writes null for none, which the service
    /// hands on (azure-sdk-for-java #32939), and Python's leaves it out.
    pub(crate) fn events(self, format: u32) -> Result<Vec<Message<'a>>, Malformed> {
        match format {
            BATCH if self.has_null => Err(Malformed("an event of a batch is null")),
            BATCH if self.data.is_empty() => Err(Malformed("a batch has no events")),
            BATCH => self.data.into_iter().map(Message::read).collect(),
            _ => Ok(vec![self]),
        }
    }

    /// The partition key; it has to be a text.
    pub(crate) fn key(&self) -> Result<Option<&'a str>, Malformed> {
        for (name, value) in self.annotations()? {
            if read::value(name)?.text() == Some(KEY) {
                return match read::value(value)? {
                    Value::Null => Ok(None),
                    key => key
                        .text()
                        .map(Some)
                        .ok_or(Malformed("a partition key is no text")),
                };
            }
        }
        Ok(None)
    }

    fn annotations(&self) -> Result<Entries<'a>, Malformed> {
        match self.annotations {
            [] => Ok(Vec::new()),
            map => read::entries(map),
        }
    }

    /// A field of the properties.
    pub(crate) fn property(&self, index: usize) -> Result<&'a [u8], Malformed> {
        let fields = match self.properties {
            [] => Vec::new(),
            list => read::items(list)?,
        };
        Ok(fields.get(index).copied().unwrap_or(&[0x40]))
    }

    /// A text among the application properties.
    pub(crate) fn application(&self, name: &str) -> Result<Option<&'a str>, Malformed> {
        let entries = match self.application {
            [] => Vec::new(),
            map => read::entries(map)?,
        };
        for (key, value) in entries {
            if read::value(key)?.text() == Some(name) {
                return Ok(read::value(value)?.text());
            }
        }
        Ok(None)
    }

    /// The text that the body is, where it is one.
    pub(crate) fn text(&self) -> Option<&'a str> {
        let mut rest = self.bare;
        while let Ok((section, after)) = read::split(rest) {
            match read::described(section) {
                Ok((Value::Unsigned(0x77), value)) => return read::value(value).ok()?.text(),
                Ok(_) => rest = after,
                Err(_) => return None,
            }
        }
        None
    }

    /// Writes the event as readers get it: without headers and annotations meant for the service alone.
    ///
    /// # Errors
    /// Malformed annotations; what has been written so far is to be thrown away.
    pub(crate) fn write(&self, out: &mut BytesMut, stored: &Stored<'_>) -> Result<(), Malformed> {
        out.put_slice(&[0x00, 0x53, 0x72]);
        let mut map = Compound::map(out)
            .symbol(SEQUENCE)
            .long(stored.sequence)
            .symbol(OFFSET)
            .string(&stored.offset.to_string())
            .symbol(ENQUEUED)
            .timestamp(stored.time);
        if let Some(key) = stored.key {
            map = map.symbol(KEY).string(key);
        }
        for (name, value) in self.annotations()? {
            let ours = read::value(name)?.text();
            if !matches!(ours, Some(SEQUENCE | OFFSET | ENQUEUED | KEY)) {
                map = map.raw(name).raw(value);
            }
        }
        map.end();
        out.put_slice(self.bare);
        Ok(())
    }
}

/// What the service knows of an event.
#[derive(Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) sequence: i64,
    pub(crate) offset: i64,
    /// Milliseconds since 1970.
    pub(crate) time: i64,
    pub(crate) key: Option<&'a str>,
}

/// An answer to a request: `correlation` as it came with the request.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) correlation: &'a [u8],
    pub(crate) status: i32,
    pub(crate) description: &'a str,
    pub(crate) condition: Option<&'a str>,
}

impl Answer<'_> {
    /// Writes it, with a body that is the value that `body` writes.
    pub(crate) fn write(&self, out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
        Compound::list(out, 0x73)
            .nulls(5)
            .raw(self.correlation)
            .nulls(7)
            .end();
        out.put_slice(&[0x00, 0x53, 0x74]);
        let mut map = Compound::map(out)
            .string("status-code")
            .int(self.status)
            .string("status-description")
            .string(told(self.description));
        if let Some(condition) = self.condition {
            map = map.string("error-condition").symbol(condition);
        }
        map.end();
        out.put_slice(&[0x00, 0x53, 0x77]);
        body(out);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A message with headers, annotations, a property and a body of data.
    fn message(key: Option<&str>, body: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        Compound::list(&mut out, 0x70).bool(true).end();
        out.put_slice(&[0x00, 0x53, 0x72]);
        let mut map = Compound::map(&mut out).symbol("x-mine").int(5);
        if let Some(key) = key {
            map = map.symbol(KEY).string(key);
        }
        // A peer's own idea of its place is not kept.
        map.symbol(SEQUENCE).long(99).end();
        Compound::list(&mut out, 0x73).string("an-id").end();
        data(&mut out, body);
        out.to_vec()
    }

    fn data(out: &mut BytesMut, body: &[u8]) {
        out.put_slice(&[0x00, 0x53, 0x75, 0xb0]);
        out.put_u32(u32::try_from(body.len()).unwrap());
        out.put_slice(body);
    }

    #[test]
    fn an_event_keeps_what_its_sender_wrote_and_gains_its_place() {
        let bytes = message(Some("k"), b"hello");
        let read = Message::read(&bytes).unwrap();
        assert_eq!(read.key(), Ok(Some("k")));
        assert_eq!(
            read::value(read.property(0).unwrap()),
            Ok(Value::String("an-id"))
        );
        let stored = Stored {
            sequence: 7,
            offset: 640,
            time: 1_000,
            key: Some("k"),
        };
        let mut out = BytesMut::new();
        read.write(&mut out, &stored).unwrap();
        let again = Message::read(&out).unwrap();
        assert_eq!((again.bare, again.key()), (read.bare, Ok(Some("k"))));
        let annotations: Vec<_> = again
            .annotations()
            .unwrap()
            .into_iter()
            .map(|(name, value)| {
                let name = read::value(name).unwrap().text().unwrap();
                (name, read::value(value).unwrap())
            })
            .collect();
        let expected = [
            (SEQUENCE, Value::Signed(7)),
            (OFFSET, Value::String("640")),
            (ENQUEUED, Value::Timestamp(1_000)),
            (KEY, Value::String("k")),
            ("x-mine", Value::Signed(5)),
        ];
        assert_eq!(annotations, expected);
        assert_eq!(again.data, [b"hello"]);
    }

    #[test]
    fn a_batch_is_its_events_and_one_bad_one_spoils_it() {
        let mut batch = BytesMut::new();
        data(&mut batch, &message(None, b"one"));
        data(&mut batch, &message(None, b"two"));
        fn events(bytes: &[u8]) -> Result<Vec<Message<'_>>, Malformed> {
            Message::read(bytes)?.events(BATCH)
        }
        let good = events(&batch).unwrap();
        assert_eq!(
            good.iter().map(|m| m.data.concat()).collect::<Vec<_>>(),
            [b"one", b"two"]
        );
        assert_eq!(Message::read(&batch).unwrap().events(0).unwrap().len(), 1);
        data(&mut batch, b"no message");
        assert!(events(&batch).is_err());
    }

    #[test]
    fn an_event_needs_no_body_and_a_batch_no_null() {
        let events = |bytes: &[u8], format| {
            let events = Message::read(bytes).and_then(|message| message.events(format));
            events.map(|events| events.len())
        };
        let null = [0x00, 0x53, 0x75, 0x40];
        let bodiless = [0x00, 0x53, 0x74, 0xc1, 0x01, 0x00];
        for event in [&null[..], &bodiless] {
            let mut batch = BytesMut::new();
            data(&mut batch, event);
            assert_eq!((events(event, 0), events(&batch, BATCH)), (Ok(1), Ok(1)));
            batch.put_slice(&null);
            assert!(events(&batch, BATCH).is_err());
        }
        let number = [0x00, 0x53, 0x75, 0x54, 0x01];
        assert!(Message::read(&number).is_err());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let good = message(Some("k"), b"hello");
        let mut sections = Vec::new();
        let mut rest = &good[..];
        while let Ok((_, after)) = read::split(rest) {
            sections.push(good.len() - after.len());
            rest = after;
        }
        assert_eq!((sections.len(), sections.pop()), (4, Some(good.len())));
        for cut in 0..good.len() {
            let read = Message::read(&good[..cut]).and_then(|message| message.events(0));
            assert_eq!(read.is_ok(), sections.contains(&cut), "{cut}");
        }
        let mut twice = message(None, b"x");
        twice.extend(message(None, b"y"));
        assert!(Message::read(&twice).is_err(), "sections out of order");
        assert!(Message::read(&[0x00, 0x53, 0x79, 0x40]).is_err());
    }
}
