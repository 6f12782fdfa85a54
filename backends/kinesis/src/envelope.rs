//! Headers on Kinesis, which has none: in front of the payload, with `envelope=on`.
//!
//! ```text
//! ff 61 6e 79 68 75 62 00 | version, 1 | headers | payload
//!
//! headers: how many, then of each: length of the name, name, length of the value, value
//! ```
//!
//! Numbers are varints of 7 bits a byte, the lowest first, as protobuf has them. No UTF-8 and no
//! KPL record begins with 0xff. An event without headers goes as it is, unless its payload begins
//! so itself.

use anyhub_core::{Event, Header};
use bytes::{BufMut, Bytes, BytesMut};

/// How an envelope begins.
const MAGIC: [u8; 8] = *b"\xffanyhub\0";
const VERSION: u8 = 1;

/// The bytes of [`wrap`]'s payload.
pub(crate) fn wrapped_len(event: &Event) -> usize {
    if !needs_one(event) {
        return event.payload.len();
    }
    let header = |header: &Header| text_len(header.name().len()) + text_len(header.value().len());
    MAGIC.len()
        + 1
        + varint_len(event.headers.len())
        + event.headers.iter().map(header).sum::<usize>()
        + event.payload.len()
}

/// The event's payload, in an envelope if it needs one.
pub(crate) fn wrap(event: Event) -> Bytes {
    if !needs_one(&event) {
        return event.payload;
    }
    let mut out = BytesMut::with_capacity(wrapped_len(&event));
    out.put_slice(&MAGIC);
    out.put_u8(VERSION);
    put_varint(&mut out, event.headers.len());
    for header in &event.headers {
        for text in [header.name().as_bytes(), header.value()] {
            put_varint(&mut out, text.len());
            out.put_slice(text);
        }
    }
    out.put_slice(&event.payload);
    out.freeze()
}

/// The headers and the payload, slices of what was read. None: it is in no envelope, or in none
/// that can be read.
pub(crate) fn unwrap(bytes: &Bytes) -> Option<(Vec<Header>, Bytes)> {
    if !bytes.starts_with(&MAGIC) || bytes.get(MAGIC.len()) != Some(&VERSION) {
        return None;
    }
    let mut rest = bytes.slice(MAGIC.len() + 1..);
    let count = take_varint(&mut rest)?;
    // Each takes two bytes at least: a hostile count reserves no more than was sent.
    let mut headers = Vec::with_capacity(count.min(rest.len() / 2));
    for _ in 0..count {
        let name = take_text(&mut rest)?;
        let value = take_text(&mut rest)?;
        headers.push(Header::from_bytes(name, value)?);
    }
    Some((headers, rest))
}

fn needs_one(event: &Event) -> bool {
    !event.headers.is_empty() || event.payload.starts_with(&MAGIC)
}

fn text_len(len: usize) -> usize {
    varint_len(len) + len
}

fn varint_len(value: usize) -> usize {
    (70 - (value as u64 | 1).leading_zeros() as usize) / 7
}

fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn take_varint(rest: &mut Bytes) -> Option<usize> {
    let mut value = 0_u64;
    // Five bytes hold 35 bits; no record is longer than that.
    for nth in 0..5 {
        let byte = *rest.get(nth)?;
        value |= u64::from(byte & 0x7f) << (7 * nth);
        if byte < 0x80 {
            let _ = rest.split_to(nth + 1);
            return usize::try_from(value).ok();
        }
    }
    None
}

fn take_text(rest: &mut Bytes) -> Option<Bytes> {
    let len = take_varint(rest)?;
    (len <= rest.len()).then(|| rest.split_to(len))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::aggregate;
    use proptest::prelude::*;

    fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
        proptest::collection::vec(
            (".{0,20}", proptest::collection::vec(any::<u8>(), 0..300)),
            0..6,
        )
    }

    fn made(headers: Vec<(String, Vec<u8>)>, payload: Vec<u8>) -> Event {
        let event = Event::new(payload);
        let with = |event: Event, (name, value)| event.with_header(name, value);
        headers.into_iter().fold(event, with)
    }

    proptest! {
        #[test]
        fn what_is_wrapped_comes_back(headers in headers(), payload: Vec<u8>, begun: bool) {
            let payload = if begun { [&MAGIC[..], &payload].concat() } else { payload };
            let event = made(headers, payload);
            let wrapped = wrap(event.clone());
            prop_assert_eq!(wrapped.len(), wrapped_len(&event));
            match unwrap(&wrapped) {
                Some((headers, payload)) => {
                    prop_assert_eq!(headers, event.headers);
                    prop_assert_eq!(payload, event.payload);
                }
                None => {
                    prop_assert!(event.headers.is_empty() && !begun);
                    prop_assert_eq!(wrapped, event.payload);
                }
            }
        }

        #[test]
        fn any_bytes_are_read_or_left(rest: Vec<u8>) {
            let bytes = Bytes::from([&MAGIC[..], &[VERSION], &rest].concat());
            if let Some((headers, payload)) = unwrap(&bytes) {
                let size: usize = headers.iter().map(|h| h.name().len() + h.value().len()).sum();
                prop_assert!(size + payload.len() < bytes.len());
            }
        }

        #[test]
        fn what_is_cut_off_is_no_envelope(headers in headers(), at: prop::sample::Index) {
            let event = made(headers, Vec::new()).with_header("last", "x");
            let wrapped = wrap(event);
            prop_assert_eq!(unwrap(&wrapped.slice(..at.index(wrapped.len()))), None);
        }
    }

    #[test]
    fn its_bytes_stay_as_they_are() {
        let event = Event::new("text").with_header("lang", "en");
        assert_eq!(&wrap(event)[..], b"\xffanyhub\0\x01\x01\x04lang\x02entext");
        let again = Event::new(&b"\xffanyhub\0!"[..]);
        assert_eq!(&wrap(again)[..], b"\xffanyhub\0\x01\x00\xffanyhub\0!");
    }

    #[test]
    fn nothing_else_begins_so() {
        assert!(std::str::from_utf8(&MAGIC[..1]).is_err());
        assert!(!aggregate::MAGIC.starts_with(&MAGIC[..1]));
        // UTF-16 with a mark of its byte order.
        assert_ne!(MAGIC[..2], [0xff, 0xfe]);
    }

    #[test]
    fn lengths_past_the_end_and_unknown_versions_are_left() {
        let with = |rest: &[u8]| Bytes::from([&MAGIC[..], rest].concat());
        for rest in [
            &[][..],
            &[2, 0],
            &[1],
            &[1, 0x80],
            &[1, 1, 4, b'a'],
            &[1, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            // A name that is no UTF-8.
            &[1, 1, 1, 0xff, 0],
        ] {
            assert_eq!(unwrap(&with(rest)), None, "{rest:?}");
        }
        assert_eq!(unwrap(&with(&[1, 0])), Some((Vec::new(), Bytes::new())));
    }
}
