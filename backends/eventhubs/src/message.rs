//! An event as AMQP carries it, and back.
//!
//! The payload is the body, as data; headers are application properties, text as text; the key is the
//! annotation `x-opt-partition-key` of every event, also where the partition was chosen here (as
//! Microsoft's buffered producer for Java has it since azure-sdk-for-java #43039), so that every
//! client reads it back.

use crate::{
    config::Partitioning,
    error::{HUB, failed},
};
use anyhub_core::{Error, ErrorKind, Event, Header, Key, Result};
use azure_core_amqp::{
    AmqpMessage, AmqpSimpleValue, AmqpSymbol, AmqpValue,
    message::{AmqpAnnotationKey, AmqpAnnotations, AmqpApplicationProperties, AmqpMessageBody},
};
use bytes::Bytes;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The annotations of Event Hubs (AMQP 1.0 protocol guide, 2026-11).
const KEY: &str = "x-opt-partition-key";
const SEQUENCE: &str = "x-opt-sequence-number";
const ENQUEUED: &str = "x-opt-enqueued-time";

/// A message that is a batch: each of its data sections is an encoded message.
pub(crate) const BATCH: u32 = 0x8001_3700;

/// What the key's annotation, a body's frame and a place in a batch add at most to an event without
/// headers.
const ADDED: usize = 64;

/// The bytes of the longest key: 128 characters of UTF-8.
const KEY_BYTES: usize = 512;

/// The most bytes of an event on a link that takes messages of `largest` bytes: what is sure to fit
/// whatever the key. Headers add some ten bytes each; one that does not fit for these is TooLarge all
/// the same.
pub(crate) fn event_bytes(partitioning: Partitioning, largest: usize) -> usize {
    let key = match partitioning {
        Partitioning::Hash => 0,
        Partitioning::Service => on_batch(KEY_BYTES),
    };
    largest.saturating_sub(ADDED + key)
}

/// The event, encoded. TooLarge if it can't travel in a message of `largest` bytes.
pub(crate) fn encode(event: &Event, partitioning: Partitioning, largest: usize) -> Result<Vec<u8>> {
    let message = AmqpMessage {
        body: AmqpMessageBody::Binary(vec![event.payload.to_vec()]),
        message_annotations: event.key.as_ref().and_then(annotations),
        application_properties: properties(event),
        ..AmqpMessage::default()
    };
    let encoded = AmqpMessage::serialize(&message);
    let encoded = encoded.map_err(|error| failed("submit", "", error))?;
    let key = match (partitioning, &event.key) {
        (Partitioning::Service, Some(key)) => on_batch(key.as_bytes().len()),
        _ => 0,
    };
    let size = key + in_batch(encoded.len());
    if size > largest {
        let message = format!("the event takes a message of {size} bytes, of {largest}");
        return Err(Error::new(ErrorKind::TooLarge, HUB, "submit", message)
            .with_advice("split it, or carry less in headers"));
    }
    Ok(encoded)
}

/// The bytes that an encoded event takes in a batch: a data section, short or long (AMQP 1.0, part 3,
/// 3.2.6; part 1, 1.6.19).
pub(crate) fn in_batch(encoded: usize) -> usize {
    encoded + if encoded < 256 { 5 } else { 8 }
}

/// The bytes that a key of so many takes on a batch: a section of annotations, a map of one, short or
/// long (AMQP 1.0, part 3, 3.2.3; part 1, 1.6.20 and 1.6.23).
pub(crate) fn on_batch(key: usize) -> usize {
    // The SDK takes the short form below 255 (serde_amqp 0.16).
    let text = key + if key < 255 { 2 } else { 5 };
    let pair = 2 + KEY.len() + text;
    pair + if pair < 255 { 6 } else { 12 }
}

/// A batch of encoded events; with a key, it decides on the partition of all.
pub(crate) fn batch(events: Vec<Vec<u8>>, key: Option<&str>) -> AmqpMessage {
    AmqpMessage {
        body: AmqpMessageBody::Binary(events),
        message_annotations: key.map(annotation),
        ..AmqpMessage::default()
    }
}

/// The events of a batch, back.
pub(crate) fn events(batch: AmqpMessage) -> Vec<Vec<u8>> {
    match batch.body {
        AmqpMessageBody::Binary(events) => events,
        _ => Vec::new(),
    }
}

fn annotations(key: &Key) -> Option<AmqpAnnotations> {
    // It was UTF-8 when it was checked.
    key.as_str().map(annotation)
}

fn annotation(key: &str) -> AmqpAnnotations {
    let mut annotations = AmqpAnnotations::new();
    annotations.insert(AmqpSymbol::from(KEY), key);
    annotations
}

fn properties(event: &Event) -> Option<AmqpApplicationProperties> {
    if event.headers.is_empty() {
        return None;
    }
    let mut properties = AmqpApplicationProperties::new();
    for header in &event.headers {
        let value = match std::str::from_utf8(header.value()) {
            Ok(text) => AmqpSimpleValue::from(text),
            Err(_) => AmqpSimpleValue::from(header.value().to_vec()),
        };
        properties.insert(header.name().to_owned(), value);
    }
    Some(properties)
}

/// An event that was read, and where it stood.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) at: i64,
    pub(crate) event: Event,
    pub(crate) published: Option<SystemTime>,
}

impl Read {
    /// Bytes that it keeps.
    pub(crate) fn size(&self) -> usize {
        self.event.size() + size_of::<Self>()
    }
}

/// The bytes of a message that came, about: those of data and texts.
pub(crate) fn bytes(message: &AmqpMessage) -> usize {
    let body = match &message.body {
        AmqpMessageBody::Binary(sections) => sections.iter().map(Vec::len).sum(),
        AmqpMessageBody::Value(value) => weight(value),
        AmqpMessageBody::Sequence(values) => {
            values.iter().flat_map(|list| &list.0).map(weight).sum()
        }
        AmqpMessageBody::Empty => 0,
    };
    let properties = message.application_properties.iter();
    let properties = properties.flat_map(|properties| properties.0.iter());
    let properties = properties.map(|(name, value)| name.len() + simple_weight(value));
    body + properties.sum::<usize>() + size_of::<AmqpMessage>()
}

fn weight(value: &AmqpValue) -> usize {
    let within = match value {
        AmqpValue::String(text) => text.len(),
        AmqpValue::Symbol(text) => text.0.len(),
        AmqpValue::Binary(bytes) => bytes.len(),
        AmqpValue::List(list) => list.0.iter().map(weight).sum(),
        AmqpValue::Array(values) => values.iter().map(weight).sum(),
        AmqpValue::Map(map) => map
            .iter()
            .map(|(key, value)| weight(key) + weight(value))
            .sum(),
        AmqpValue::Described(described) => weight(&described.value),
        _ => 0,
    };
    within + size_of::<AmqpValue>()
}

fn simple_weight(value: &AmqpSimpleValue) -> usize {
    let within = match value {
        AmqpSimpleValue::String(text) => text.len(),
        AmqpSimpleValue::Symbol(text) => text.0.len(),
        AmqpSimpleValue::Binary(bytes) => bytes.len(),
        AmqpSimpleValue::Described(described) => weight(&described.value),
        _ => 0,
    };
    within + size_of::<AmqpSimpleValue>()
}

/// The event of a message that came; None where Event Hubs' sequence number is missing.
pub(crate) fn decode(message: AmqpMessage) -> Option<Read> {
    let (mut at, mut key, mut published) = (None, None, None);
    let annotations = message.message_annotations.map(|annotations| annotations.0);
    for (name, value) in annotations.into_iter().flatten() {
        let AmqpAnnotationKey::Symbol(name) = name else {
            continue;
        };
        match (name.0.as_str(), value) {
            (SEQUENCE, AmqpValue::Long(number)) => at = Some(number),
            (SEQUENCE, AmqpValue::Int(number)) => at = Some(i64::from(number)),
            (KEY, AmqpValue::String(text)) => key = Some(text),
            (KEY, AmqpValue::Symbol(text)) => key = Some(text.0),
            (ENQUEUED, AmqpValue::TimeStamp(time)) => published = time.0,
            _ => {}
        }
    }
    let mut event = Event::new(body(message.body));
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        event.key = Some(Key::from(key));
    }
    let properties = message
        .application_properties
        .map(|properties| properties.0);
    for (name, value) in properties.into_iter().flatten() {
        event.headers.push(Header::new(name, text(value)));
    }
    Some(Read {
        at: at?,
        event,
        published,
    })
}

/// A body of data as it is; what others send of other kinds, as the text of it.
fn body(body: AmqpMessageBody) -> Bytes {
    match body {
        AmqpMessageBody::Binary(mut sections) if sections.len() == 1 => {
            sections.pop().unwrap_or_default().into()
        }
        AmqpMessageBody::Binary(sections) => sections.concat().into(),
        AmqpMessageBody::Value(AmqpValue::String(text)) => text.into(),
        AmqpMessageBody::Value(AmqpValue::Binary(bytes)) => bytes.into(),
        AmqpMessageBody::Value(AmqpValue::Null) | AmqpMessageBody::Empty => Bytes::new(),
        AmqpMessageBody::Value(value) => format!("{value:?}").into(),
        AmqpMessageBody::Sequence(values) => format!("{values:?}").into(),
    }
}

/// The text form of a value (E3).
fn text(value: AmqpSimpleValue) -> Bytes {
    use AmqpSimpleValue as Is;
    match value {
        Is::String(text) => text.into(),
        Is::Symbol(text) => text.0.into(),
        Is::Binary(bytes) => bytes.into(),
        Is::Null => Bytes::new(),
        Is::Boolean(value) => value.to_string().into(),
        Is::UByte(number) => number.to_string().into(),
        Is::Byte(number) => number.to_string().into(),
        Is::UShort(number) => number.to_string().into(),
        Is::Short(number) => number.to_string().into(),
        Is::UInt(number) => number.to_string().into(),
        Is::Int(number) => number.to_string().into(),
        Is::ULong(number) => number.to_string().into(),
        Is::Long(number) => number.to_string().into(),
        Is::Float(number) => number.to_string().into(),
        Is::Double(number) => number.to_string().into(),
        Is::Char(character) => character.to_string().into(),
        Is::Uuid(uuid) => uuid.to_string().into(),
        Is::TimeStamp(time) => time.0.map_or(0, millis).to_string().into(),
        other => format!("{other:?}").into(),
    }
}

/// Milliseconds since 1970.
fn millis(time: SystemTime) -> i64 {
    let whole = |time: Duration| time.as_millis() as u64;
    match time.duration_since(UNIX_EPOCH) {
        // The SDK takes a time before 1970 for an unsigned number (azure_core_amqp 1.2.0-beta.1).
        Ok(since) => whole(since).cast_signed(),
        Err(before) => whole(before.duration()).cast_signed().saturating_neg(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_that_just_fits_passes_and_one_byte_more_does_not() {
        let event = |size: usize| Event::new(vec![b'x'; size]).with_key("k");
        for partitioning in [Partitioning::Hash, Partitioning::Service] {
            let key = (partitioning == Partitioning::Service).then_some("k");
            for payload in [0, 1, 200, 255, 256, 1000] {
                let encode = |largest| encode(&event(payload), partitioning, largest);
                let whole = batch(vec![encode(usize::MAX).unwrap()], key);
                let whole = AmqpMessage::serialize(&whole).unwrap().len();
                assert!(encode(whole).is_ok());
                let refused = encode(whole - 1).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::TooLarge);
            }
        }
    }

    #[test]
    fn what_a_key_takes_on_a_batch_is_counted() {
        let size = |key: Option<&str>| {
            let batch = batch(vec![vec![0; 300], vec![0; 3]], key);
            AmqpMessage::serialize(&batch).unwrap().len()
        };
        assert_eq!(size(None), in_batch(300) + in_batch(3));
        for length in 1..=KEY_BYTES {
            let key = "k".repeat(length);
            assert_eq!(size(Some(&key)), size(None) + on_batch(length), "{length}");
        }
    }

    proptest! {
        #[test]
        fn without_headers_what_is_within_the_limit_fits(
            key in proptest::option::of(".{1,128}"),
            size in 0..2000_usize,
        ) {
            let mut event = Event::new(vec![b'x'; size]);
            event.key = key.map(Key::from);
            for partitioning in [Partitioning::Hash, Partitioning::Service] {
                let kept = usize::MAX - event_bytes(partitioning, usize::MAX);
                let largest = event.size() + kept;
                prop_assert_eq!(event_bytes(partitioning, largest), event.size());
                prop_assert!(encode(&event, partitioning, largest).is_ok());
            }
        }
    }

    #[test]
    fn values_of_other_types_are_text() {
        use AmqpSimpleValue as Is;
        for (value, expected) in [
            (Is::Long(-7), "-7"),
            (Is::Boolean(true), "true"),
            (Is::Double(1.5), "1.5"),
            (Is::Symbol(AmqpSymbol::from("s")), "s"),
            (Is::Null, ""),
        ] {
            assert_eq!(text(value), expected);
        }
        let after = |millis: i64| UNIX_EPOCH + Duration::from_millis(millis.cast_unsigned());
        for (time, expected) in [
            (after(1_500), "1500"),
            // As the SDK hands it out, and as it would be.
            (after(-724_380_211_014), "-724380211014"),
            (UNIX_EPOCH - Duration::from_millis(1), "-1"),
        ] {
            assert_eq!(text(Is::TimeStamp(time.into())), expected);
        }
        assert_eq!(body(AmqpMessageBody::Empty), "");
        assert_eq!(body(AmqpMessageBody::from(AmqpValue::from("text"))), "text");
        let sections = vec![b"a".to_vec(), b"b".to_vec()];
        assert_eq!(body(AmqpMessageBody::Binary(sections)), "ab");
    }

    #[test]
    fn a_message_without_a_sequence_number_is_none_of_event_hubs() {
        assert!(decode(AmqpMessage::default()).is_none());
    }
}
