//! An event as Kinesis carries it, with a partition key and data, and back.

use crate::{
    aggregate::Aggregator,
    envelope,
    error::{HUB, invalid},
};
use anyhub_core::{Error, ErrorKind, Event, Key, Result};
use bytes::Bytes;

/// How the partition keys of keyless events begin; Kinesis has no record without a key.
const KEYLESS: &str = "anyhub.keyless.";
/// So many hexadecimal digits follow.
const DIGITS: usize = 16;

/// The largest event that is admitted, where a record is of so many bytes: what is left after a
/// key that stands twice, once for the record and once in an aggregate, and what is round it. An
/// event with a longer key or with many headers may not fit all the same: [`check`] tells.
pub(crate) fn event_bytes(max_record_bytes: usize) -> usize {
    max_record_bytes.saturating_sub(256)
}

/// Invalid for a key that stands for none, TooLarge for what fits into no record.
pub(crate) fn check(event: &Event, envelope: bool, max_record_bytes: usize) -> Result<()> {
    let key_len = match &event.key {
        Some(key) if key.as_bytes().starts_with(KEYLESS.as_bytes()) => {
            let message = format!("a key that begins with '{KEYLESS}' marks events without one");
            return Err(invalid("submit", message).with_advice("choose another key"));
        }
        Some(key) => key.as_bytes().len(),
        None => KEYLESS.len() + DIGITS,
    };
    let payload_len = match envelope {
        true => envelope::wrapped_len(event),
        false => event.payload.len(),
    };
    // Far below the limit, the exact size doesn't matter.
    if 2 * key_len + payload_len + ROUND <= max_record_bytes {
        return Ok(());
    }
    let size = size_of_one(event, envelope);
    if size <= max_record_bytes {
        return Ok(());
    }
    let message = format!(
        "the event takes a record of {size} bytes with its key, above the {max_record_bytes} of a record"
    );
    Err(
        Error::new(ErrorKind::TooLarge, HUB, "submit", message).with_advice(
            "split it, or raise the lower of the stream's MaxRecordSize and max_record_bytes",
        ),
    )
}

/// More than an aggregate of one event adds to its payload and, twice, its key.
const ROUND: usize = 128;

/// The bytes of the record that the event takes alone: partition key and data.
fn size_of_one(event: &Event, envelope: bool) -> usize {
    let payload = match envelope {
        true => envelope::wrap(event.clone()),
        false => event.payload.clone(),
    };
    match &event.key {
        Some(key) => Aggregator::size_of_one(key.as_str().unwrap_or_default(), None, &payload),
        // The longest hash key.
        None => Aggregator::size_of_one(&keyless(0), Some(u128::MAX), &payload),
    }
}

/// Its key, and its payload, in an envelope if it needs one.
pub(crate) fn encode(mut event: Event, envelope: bool) -> (Option<Bytes>, Bytes) {
    let key = event.key.take().map(Bytes::from);
    let payload = match envelope {
        true => envelope::wrap(event),
        false => event.payload,
    };
    (key, payload)
}

/// A partition key for events without one.
pub(crate) fn keyless(number: u64) -> String {
    format!("{KEYLESS}{number:0DIGITS$x}")
}

/// The event that a plain record is, or one event of an aggregate; it shares their memory.
pub(crate) fn event(partition_key: Bytes, payload: Bytes, envelope: bool) -> Event {
    let (headers, payload) = match envelope.then(|| envelope::unwrap(&payload)).flatten() {
        Some(found) => found,
        None => (Vec::new(), payload),
    };
    let mut event = Event::new(payload);
    event.headers = headers;
    if !partition_key.is_empty() && !is_keyless(&partition_key) {
        event.key = Some(Key::from(partition_key));
    }
    event
}

fn is_keyless(key: &[u8]) -> bool {
    let hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    key.strip_prefix(KEYLESS.as_bytes())
        .is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(hex))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(event: Event, envelope: bool) -> Event {
        let (key, payload) = encode(event, envelope);
        let key = key.unwrap_or_else(|| keyless(7).into());
        super::event(key, payload, envelope)
    }

    proptest! {
        #[test]
        fn events_come_back(key in proptest::option::of(".{1,9}"), payload: Vec<u8>, value: Vec<u8>) {
            let mut event = Event::new(payload);
            event.key = key.map(Key::from);
            prop_assert_eq!(&read(event.clone(), false), &event);
            prop_assert_eq!(&read(event.clone(), true), &event);
            let event = event.with_header("name", value);
            prop_assert_eq!(&read(event.clone(), true), &event);
        }

        #[test]
        fn whatever_passes_fits(
            key in proptest::option::of(".{1,128}"),
            size in 700..1100_usize,
            kpl: bool,
            headers in proptest::collection::vec(0..40_usize, 0..4),
        ) {
            let mut payload = vec![b'x'; size];
            if kpl {
                payload[..4].copy_from_slice(&crate::aggregate::MAGIC);
            }
            let mut event = Event::new(payload);
            event.key = key.clone().map(Key::from);
            for value in headers {
                event = event.with_header("h", vec![b'v'; value]);
            }
            let envelope = !event.headers.is_empty();
            let passed = check(&event, envelope, 1024).is_ok();
            let within = event.size() <= event_bytes(1024);
            let (_, payload) = encode(event, envelope);
            let mut aggregator = Aggregator::new();
            let key = key.map_or_else(|| (keyless(1), Some(u128::MAX)), |key| (key, None));
            prop_assert!(aggregator.try_push(usize::MAX, &key.0, key.1, &payload));
            let record = aggregator.finish().unwrap();
            let size = record.partition_key.len() + record.data.len();
            prop_assert_eq!(passed, size <= 1024);
            // Where it is within the limits, only long keys in an aggregate of one do not fit.
            prop_assert!(passed || !within || key.0.len() > 128);
        }

        #[test]
        fn any_record_is_an_event(key: Vec<u8>, data: Vec<u8>, envelope: bool) {
            let event = event(Bytes::from(key.clone()), Bytes::from(data), envelope);
            prop_assert_eq!(event.key.is_none(), key.is_empty() || is_keyless(&key));
        }
    }

    #[test]
    fn a_key_that_marks_keyless_events_is_refused() {
        let key = keyless(u64::MAX);
        assert_eq!(key, "anyhub.keyless.ffffffffffffffff");
        let refused = check(&Event::new("x").with_key(key), false, 1024).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        let refused = check(&Event::new("x").with_key("anyhub.keyless."), false, 1024);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
        assert!(check(&Event::new("x").with_key("anyhub.keyles"), false, 1024).is_ok());
        // Somebody else's key that only looks like one is a key.
        let event = event(Bytes::from_static(b"anyhub.keyless.F"), Bytes::new(), true);
        assert_eq!(event.key, Some(Key::from("anyhub.keyless.F")));
    }

    #[test]
    fn a_damaged_envelope_is_a_payload() {
        let (_, wrapped) = encode(Event::new("text").with_header("name", "value"), true);
        for cut in 0..wrapped.len() - "text".len() {
            let event = event(Bytes::from_static(b"k"), wrapped.slice(..cut), true);
            assert_eq!(event, Event::new(wrapped.slice(..cut)).with_key("k"));
        }
        // Who does not expect an envelope gets the bytes as they are.
        let event = event(Bytes::from_static(b"k"), wrapped.clone(), false);
        assert_eq!(event.payload, wrapped);
    }
}
