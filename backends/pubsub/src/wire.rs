//! A publish request, encoded right from events.
//!
//! Google's message wants a map and two strings for each event, made for the encoder alone; this is the same on the wire.

use crate::message::{EMPTY, EMPTY_VALUE, ORDER, in_order, order};
use anyhub_core::Event;
use bytes::{Buf, BufMut};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint},
};
use std::{fmt, sync::Arc};

/// What has an event in it.
pub(crate) trait Holds: Send + Sync + 'static {
    fn event(&self) -> &Event;
}

/// `google.pubsub.v1.PublishRequest`.
pub(crate) struct Publish<T> {
    pub(crate) topic: Arc<str>,
    pub(crate) entries: Arc<Vec<T>>,
}

/// Fields of PublishRequest and PubsubMessage.
const TOPIC: u32 = 1;
const MESSAGES: u32 = 2;
const DATA: u32 = 1;
const ATTRIBUTES: u32 = 2;
const ORDERING_KEY: u32 = 5;

impl<T: Holds> Message for Publish<T> {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        put(TOPIC, self.topic.as_bytes(), buffer);
        for entry in self.entries.iter() {
            let event = entry.event();
            encode_key(MESSAGES, WireType::LengthDelimited, buffer);
            encode_varint(message_len(event) as u64, buffer);
            if !event.payload.is_empty() {
                put(DATA, &event.payload, buffer);
            }
            each_attribute(event, |name, value| {
                encode_key(ATTRIBUTES, WireType::LengthDelimited, buffer);
                encode_varint((len(name.len()) + len(value.len())) as u64, buffer);
                put(1, name, buffer);
                put(2, value, buffer);
            });
            if let Some(key) = &event.key {
                put(ORDERING_KEY, key.as_bytes(), buffer);
            }
        }
    }

    fn encoded_len(&self) -> usize {
        let messages = self
            .entries
            .iter()
            .map(|entry| len(message_len(entry.event())));
        len(self.topic.len()) + messages.sum::<usize>()
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: WireType,
        _: &mut impl Buf,
        _: DecodeContext,
    ) -> Result<(), DecodeError> {
        // It is sent, and never received.
        Ok(())
    }

    fn clear(&mut self) {}
}

fn message_len(event: &Event) -> usize {
    let mut bytes = match event.payload.len() {
        0 => 0,
        payload => len(payload),
    };
    each_attribute(event, |name, value| {
        bytes += len(len(name.len()) + len(value.len()))
    });
    bytes
        + event
            .key
            .as_ref()
            .map_or(0, |key| len(key.as_bytes().len()))
}

/// What an event is billed as before it has an id and a time, in bytes.
pub(crate) fn size(event: &Event) -> usize {
    let mut bytes = event.payload.len() + event.key.as_ref().map_or(0, |key| key.as_bytes().len());
    each_attribute(event, |name, value| bytes += name.len() + value.len());
    bytes
}

fn each_attribute(event: &Event, mut each: impl FnMut(&[u8], &[u8])) {
    if event.headers.is_empty() {
        if event.payload.is_empty() {
            each(EMPTY.as_bytes(), EMPTY_VALUE.as_bytes());
        }
        return;
    }
    for header in &event.headers {
        each(header.name().as_bytes(), header.value());
    }
    if !in_order(event) {
        each(ORDER.as_bytes(), order(event).as_bytes());
    }
}

/// What a field of so many bytes takes; all fields here have numbers below 16.
fn len(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}

fn put(field: u32, bytes: &[u8], buffer: &mut impl BufMut) {
    encode_key(field, WireType::LengthDelimited, buffer);
    encode_varint(bytes.len() as u64, buffer);
    buffer.put_slice(bytes);
}

impl<T> fmt::Debug for Publish<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Publish({}, {} messages)",
            self.topic,
            self.entries.len()
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        message::{bytes, decode},
        usage,
    };
    use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PublishRequest;

    impl Holds for Event {
        fn event(&self) -> &Event {
            self
        }
    }

    #[test]
    fn it_is_what_google_reads() {
        let events = vec![
            Event::new("hello")
                .with_key("k")
                .with_header("b", "2")
                .with_header("a", "1"),
            Event::new(""),
            Event::new("").with_key("k"),
            Event::new("").with_header("a", ""),
            Event::new(vec![7; 300]).with_header("n".repeat(256), "v".repeat(1_024)),
        ];
        let publish = Publish {
            topic: "projects/p/topics/t".into(),
            entries: Arc::new(events.clone()),
        };
        let encoded = publish.encode_to_vec();
        assert_eq!(encoded.len(), publish.encoded_len());
        assert!(encoded.len() <= events.iter().map(bytes).sum::<usize>() + 64);
        let read = PublishRequest::decode(encoded.as_slice()).unwrap();
        assert_eq!(read.topic, "projects/p/topics/t");
        let sizes: Vec<_> = read.messages.iter().map(usage::size).collect();
        assert_eq!(sizes, events.iter().map(size).collect::<Vec<_>>());
        let read: Vec<_> = read
            .messages
            .into_iter()
            .map(|it| decode(it).2.event)
            .collect();
        assert_eq!(read, events);
    }
}
