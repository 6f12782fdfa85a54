use anyhub_core::Event;
use bytes::{BufMut, Bytes, BytesMut};

/// What every event of a verification carries, so that it can be told apart, put in order and
/// checked: its key, its place among the events of the key, and its number of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Stamp {
    pub(crate) key: Option<u32>,
    pub(crate) seq: u32,
    pub(crate) id: u32,
}

const KEYLESS: u32 = u32::MAX;
const HEAD: usize = 16;

impl Stamp {
    /// The event with this stamp, `filler` bytes longer than the stamp itself.
    pub(crate) fn event(self, filler: usize) -> Event {
        let mut bytes = BytesMut::with_capacity(HEAD + filler);
        bytes.put_u32(self.key.unwrap_or(KEYLESS));
        bytes.put_u32(self.seq);
        bytes.put_u32(self.id);
        bytes.put_u32(0);
        bytes.extend(
            (0..filler).map(|nth| (nth as u32).wrapping_mul(31).wrapping_add(self.id) as u8),
        );
        let sum = checksum(self.key, &bytes);
        bytes[12..HEAD].copy_from_slice(&sum.to_be_bytes());
        let event = Event::new(bytes.freeze());
        match self.key {
            Some(key) => event.with_key(key_text(key)),
            None => event,
        }
    }

    /// The stamp of a received event; None if key or payload are not what was sent.
    pub(crate) fn read(event: &Event) -> Option<Self> {
        let payload: &Bytes = &event.payload;
        let field = |at: usize| {
            let bytes = payload.get(at..at + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        let key = Some(field(0)?).filter(|key| *key != KEYLESS);
        let stamp = Self {
            key,
            seq: field(4)?,
            id: field(8)?,
        };
        let same_key = match (&event.key, key) {
            (None, None) => true,
            (Some(got), Some(key)) => got.as_bytes() == key_text(key).as_bytes(),
            _ => false,
        };
        (same_key && field(12)? == checksum(key, payload)).then_some(stamp)
    }
}

pub(crate) fn key_text(key: u32) -> String {
    format!("key-{key}")
}

/// Over the key and all of the payload but the checksum itself.
fn checksum(key: Option<u32>, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&key.unwrap_or(KEYLESS).to_be_bytes());
    hasher.update(&payload[..12]);
    hasher.update(&payload[HEAD.min(payload.len())..]);
    hasher.finalize()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_seen() {
        let stamp = Stamp {
            key: Some(7),
            seq: 3,
            id: 99,
        };
        let event = stamp.event(9);
        assert_eq!(Stamp::read(&event), Some(stamp));
        for bit in 0..event.payload.len() * 8 {
            let mut bytes = event.payload.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let flipped = Event::new(bytes).with_key(event.key.clone().unwrap());
            assert_eq!(Stamp::read(&flipped), None, "bit {bit}");
        }
        assert_eq!(Stamp::read(&stamp.event(9).with_key("key-8")), None);
        assert_eq!(Stamp::read(&Event::new("short")), None);
    }
}
