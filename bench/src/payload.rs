//! What travels in an event: who sent it, when it was due, the tweet, and a checksum over all of it.
//!
//! ```text
//!  0 magic  "ahb1"        16 key       u32     32 intended  u64 ns    56 text
//!  4 crc32                20 producer  u16     40 actual    u64 ns     … padding
//!  8 run    u64           22 incarnation u8    48 text length u32
//!                         23 phase     u8      52 whole length u32
//!                         24 sequence  u64
//! ```
//! Little-endian. The checksum covers everything from byte 8 on, then the key's name, so that an
//! event under a wrong key is as corrupt as one with a flipped bit. Times count from the start of
//! the run on one monotonic clock.

use anyhub_core::{Event, Key};
use bytes::Bytes;

use crate::keys::KeySpace;

/// Bytes before the text.
pub const HEADER_BYTES: usize = 56;
const MAGIC: [u8; 4] = *b"ahb1";
/// Where the part under the checksum begins.
const COVERED: usize = 8;

/// What an event says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The run and phase that it was made for.
    pub run: u64,
    /// The number of its key.
    pub key: u32,
    /// The producer that owns the key.
    pub producer: u16,
    /// How often that producer had been opened anew.
    pub incarnation: u8,
    /// Which phase: 0 warm-up, 1 latency, 2 throughput, 3 lead-in.
    pub phase: u8,
    /// Counts the events of the key from 0.
    pub sequence: u64,
    /// When it was due, in nanoseconds of the run.
    pub intended_ns: u64,
    /// When it was made.
    pub actual_ns: u64,
}

/// A payload that was read back whole.
#[derive(Debug, Clone, Copy)]
pub struct Decoded<'a> {
    /// What it says of itself.
    pub header: Header,
    /// The tweet, not yet checked to be UTF-8; what was sent is.
    pub text: &'a [u8],
}

/// Why a payload is not what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Not an event of this benchmark, or its first bytes are damaged.
    #[error("it does not begin as an event of this benchmark does")]
    Foreign,
    /// Bytes are missing or too many.
    #[error("its length is not what its header says")]
    Length,
    /// A bit differs.
    #[error("its checksum differs")]
    Checksum,
    /// The event came under another key than it was sent with.
    #[error("its key is not the one it was sent with")]
    Key,
}

/// Writes payloads: all events of a batch into one allocation, keys among them.
#[derive(Debug, Default)]
pub struct Encoder {
    chunk: Vec<u8>,
    /// Where each key and each payload ends.
    ends: Vec<(usize, usize)>,
    /// How long the last batch was, and so likely the next.
    likely: usize,
}

impl Encoder {
    /// Adds an event with this header and text under the key called `name`, padded to `at_least`
    /// bytes from `padding`, which has to be that long.
    pub fn add(
        &mut self,
        header: &Header,
        name: &[u8],
        text: &str,
        at_least: usize,
        padding: &[u8],
    ) {
        let chunk = &mut self.chunk;
        if chunk.is_empty() {
            chunk.reserve(self.likely);
        }
        let length = payload_bytes(text.len(), at_least);
        chunk.extend_from_slice(name);
        let start = chunk.len();
        let mut head = [0; HEADER_BYTES];
        head[..4].copy_from_slice(&MAGIC);
        head[8..16].copy_from_slice(&header.run.to_le_bytes());
        head[16..20].copy_from_slice(&header.key.to_le_bytes());
        head[20..22].copy_from_slice(&header.producer.to_le_bytes());
        head[22] = header.incarnation;
        head[23] = header.phase;
        head[24..32].copy_from_slice(&header.sequence.to_le_bytes());
        head[32..40].copy_from_slice(&header.intended_ns.to_le_bytes());
        head[40..48].copy_from_slice(&header.actual_ns.to_le_bytes());
        head[48..52].copy_from_slice(&(text.len() as u32).to_le_bytes());
        head[52..56].copy_from_slice(&(length as u32).to_le_bytes());
        chunk.extend_from_slice(&head);
        chunk.extend_from_slice(text.as_bytes());
        chunk.extend_from_slice(&padding[..length - HEADER_BYTES - text.len()]);
        let checksum = checksum(&chunk[start + COVERED..], name);
        chunk[start + 4..start + COVERED].copy_from_slice(&checksum.to_le_bytes());
        self.ends.push((start, chunk.len()));
    }

    /// How many were added.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether none were.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The events that were added, in order; the next batch begins.
    pub fn batch(&mut self) -> Vec<Event> {
        // An eighth more than the last one: batches differ by their texts.
        self.likely = self.chunk.len() + self.chunk.len() / 8;
        let chunk = Bytes::from(std::mem::take(&mut self.chunk));
        let mut start = 0;
        self.ends
            .drain(..)
            .map(|(key, end)| {
                let event =
                    Event::new(chunk.slice(key..end)).with_key(Key::from(chunk.slice(start..key)));
                start = end;
                event
            })
            .collect()
    }
}

/// The length of a payload with a text of `text` bytes, padded to `at_least`.
pub fn payload_bytes(text: usize, at_least: usize) -> usize {
    (HEADER_BYTES + text).max(at_least)
}

/// Reads a payload back and checks every byte of it, the key included.
pub fn decode<'a>(
    event: &'a Event,
    keys: &KeySpace,
) -> Result<Decoded<'a>, (Damage, Option<Header>)> {
    let payload: &[u8] = &event.payload;
    if payload.len() < HEADER_BYTES || payload[..4] != MAGIC {
        return Err((Damage::Foreign, None));
    }
    let header = Header {
        run: long(payload, 8),
        key: word(payload, 16),
        producer: u16::from_le_bytes([payload[20], payload[21]]),
        incarnation: payload[22],
        phase: payload[23],
        sequence: long(payload, 24),
        intended_ns: long(payload, 32),
        actual_ns: long(payload, 40),
    };
    let name = event.key.as_ref().map_or(&[][..], |key| key.as_bytes());
    if word(payload, 52) as usize != payload.len() {
        return Err((Damage::Length, Some(header)));
    }
    if word(payload, 4) != checksum(&payload[COVERED..], name) {
        let renamed = keys.name(header.key).is_some_and(|own| {
            own != name && word(payload, 4) == checksum(&payload[COVERED..], own)
        });
        let damage = if renamed {
            Damage::Key
        } else {
            Damage::Checksum
        };
        return Err((damage, Some(header)));
    }
    let text = payload
        .get(HEADER_BYTES..HEADER_BYTES + word(payload, 48) as usize)
        .ok_or((Damage::Length, Some(header)))?;
    Ok(Decoded { header, text })
}

#[inline]
fn checksum(covered: &[u8], name: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(covered);
    hasher.update(name);
    hasher.finalize()
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline]
fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PADDING: [u8; 1_000] = [b'.'; 1_000];

    fn header(key: u32) -> Header {
        Header {
            run: 0x0123_4567_89ab_cdef,
            key,
            producer: 513,
            incarnation: 2,
            phase: 1,
            sequence: 1 << 40 | 7,
            intended_ns: u64::MAX - 1,
            actual_ns: 12_345_678_901,
        }
    }

    fn event(text: &str, at_least: usize) -> (Event, KeySpace) {
        let keys = KeySpace::new(10, 1.05, 7);
        let name = keys.name(3).unwrap();
        let mut encoder = Encoder::default();
        encoder.add(&header(3), name, text, at_least, &PADDING);
        (encoder.batch().remove(0), keys)
    }

    #[test]
    fn comes_back_as_it_was() {
        for (text, at_least, bytes) in [
            ("", 0, 56),
            ("naïve 👩‍💻", 0, 74),
            ("short", 200, 200),
            ("short", 61, 61),
        ] {
            let (event, keys) = event(text, at_least);
            assert_eq!(event.payload.len(), bytes);
            assert_eq!(event.key.as_ref().unwrap().as_bytes(), b"user-3");
            let decoded = decode(&event, &keys).unwrap();
            assert_eq!(decoded.header, header(3));
            assert_eq!(decoded.text, text.as_bytes());
        }
    }

    #[test]
    fn a_batch_is_one_allocation() {
        let keys = KeySpace::new(10, 1.05, 7);
        let mut encoder = Encoder::default();
        for round in 0..3 {
            for key in 0..10 {
                encoder.add(
                    &header(key),
                    keys.name(key).unwrap(),
                    "hello",
                    100,
                    &PADDING,
                );
            }
            let events = encoder.batch();
            let start = events[0].key.as_ref().unwrap().as_bytes().as_ptr() as usize;
            for (index, event) in events.iter().enumerate() {
                assert_eq!(
                    event.payload.as_ptr() as usize,
                    start + index * 106 + 6,
                    "round {round}"
                );
                assert_eq!(decode(event, &keys).unwrap().header, header(index as u32));
            }
        }
    }

    #[test]
    fn another_key_is_told_from_other_damage() {
        let (event, keys) = event("hello", 0);
        let moved = event.clone().with_key("user-4");
        assert_eq!(
            decode(&moved, &keys).unwrap_err(),
            (Damage::Key, Some(header(3)))
        );
        let mut keyless = event.clone();
        keyless.key = None;
        assert_eq!(decode(&keyless, &keys).unwrap_err().0, Damage::Key);
        for (payload, damage) in [
            (Bytes::new(), Damage::Foreign),
            (
                Bytes::from_static(b"hello, this is somebody else's event, long enough to be ours"),
                Damage::Foreign,
            ),
            (event.payload.slice(..60), Damage::Length),
        ] {
            let mut cut = event.clone();
            cut.payload = payload;
            assert_eq!(decode(&cut, &keys).unwrap_err().0, damage);
        }
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_found(text in ".{0,200}", at_least in 0usize..400, place in any::<prop::sample::Index>()) {
            let (mut event, keys) = event(&text, at_least);
            let mut bytes = event.payload.to_vec();
            let bit = place.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            event.payload = bytes.into();
            prop_assert!(decode(&event, &keys).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), ours in any::<bool>()) {
            let (mut event, keys) = event("hello", 0);
            let mut bytes = bytes;
            if ours && bytes.len() > 4 {
                bytes[..4].copy_from_slice(&MAGIC);
            }
            event.payload = bytes.into();
            prop_assert!(decode(&event, &keys).is_err());
        }
    }
}
