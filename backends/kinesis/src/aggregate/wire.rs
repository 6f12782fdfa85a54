//! As much of protobuf's wire format as the KPL's messages need.
//!
//! Source: protobuf.dev, "Encoding" (read 2026-11-25).

use std::ops::Range;

/// The bytes are no message.
#[derive(Debug)]
pub(super) struct Unsound;

/// The value of one field.
#[derive(Debug)]
pub(super) enum Value {
    Varint(u64),
    /// Where its bytes lie.
    Bytes(Range<usize>),
    /// 32 or 64 fixed bits, which none of our fields has.
    Fixed,
}

/// Reads the next field of the message that ends at `end`, from `*at` on, which it moves; None at
/// the end. Groups are refused: nothing of ours has them, and they would nest.
#[inline]
pub(super) fn field(
    bytes: &[u8],
    at: &mut usize,
    end: usize,
) -> Result<Option<(u32, Value)>, Unsound> {
    if *at == end {
        return Ok(None);
    }
    let tag = varint(bytes, at, end)?;
    let number = u32::try_from(tag >> 3).map_err(|_| Unsound)?;
    if number == 0 || number > MOST_FIELDS {
        return Err(Unsound);
    }
    let value = match tag & 7 {
        VARINT => Value::Varint(varint(bytes, at, end)?),
        BYTES => {
            let len = varint(bytes, at, end)?;
            Value::Bytes(take(at, end, len)?)
        }
        FIXED64 => take(at, end, 8).map(|_| Value::Fixed)?,
        FIXED32 => take(at, end, 4).map(|_| Value::Fixed)?,
        _ => return Err(Unsound),
    };
    Ok(Some((number, value)))
}

/// The bytes that `value` takes as a varint.
pub(super) const fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// The bytes that a field of `len` bytes takes, for field numbers up to 15.
pub(super) const fn bytes_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// Writes `value`.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes how a field of `len` bytes begins, for field numbers up to 15.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, len: usize) {
    out.push((number as u8) << 3 | BYTES as u8);
    put_varint(out, len as u64);
}

/// Writes a whole number, for field numbers up to 15.
pub(super) fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    out.push((number as u8) << 3 | VARINT as u8);
    put_varint(out, value);
}

const MOST_FIELDS: u32 = (1 << 29) - 1;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

#[inline]
fn take(at: &mut usize, end: usize, len: u64) -> Result<Range<usize>, Unsound> {
    let start = *at;
    let len = usize::try_from(len).map_err(|_| Unsound)?;
    if len > end - start {
        return Err(Unsound);
    }
    *at = start + len;
    Ok(start..*at)
}

/// A varint may have superfluous bytes, which some writers use to leave room for a length, but
/// not more than ten, and not more than 64 bits.
#[inline]
fn varint(bytes: &[u8], at: &mut usize, end: usize) -> Result<u64, Unsound> {
    let bytes = bytes.get(*at..end).ok_or(Unsound)?;
    if let [byte @ 0..0x80, ..] = bytes {
        *at += 1;
        return Ok(u64::from(*byte));
    }
    let (value, len) = long_varint(bytes)?;
    *at += len;
    Ok(value)
}

fn long_varint(bytes: &[u8]) -> Result<(u64, usize), Unsound> {
    let mut value = 0;
    for (nth, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if nth == 9 && bits > 1 {
            return Err(Unsound);
        }
        value |= bits << (7 * nth);
        if *byte < 0x80 {
            return Ok((value, nth + 1));
        }
    }
    Err(Unsound)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(bytes: &[u8]) -> Option<u64> {
        let mut at = 0;
        let value = varint(bytes, &mut at, bytes.len()).ok()?;
        assert_eq!(at, bytes.len());
        Some(value)
    }

    #[test]
    fn varints_are_as_long_as_was_said() {
        let edges = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit]);
        for value in edges.chain([u64::MAX]) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
            assert_eq!(read(&out), Some(value));
        }
    }

    #[test]
    fn varints_that_are_too_long_are_refused() {
        assert_eq!(read(&[0x80, 0x80, 0x00]), Some(0));
        let nine = [0xff; 9];
        assert_eq!(read(&[&nine[..], &[1]].concat()), Some(u64::MAX));
        assert_eq!(read(&[&nine[..], &[2]].concat()), None);
        assert_eq!(read(&[&nine[..], &[0x80, 0]].concat()), None);
        assert_eq!(read(&nine), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn groups_and_field_zero_are_refused() {
        for tag in [0x0b_u8, 0x0c, 0x0e, 0x0f, 0x02, 0x00] {
            let bytes = [tag, 0, 0];
            assert!(field(&bytes, &mut 0, bytes.len()).is_err(), "{tag:#x}");
        }
    }

    #[test]
    fn a_length_past_the_end_is_refused() {
        assert!(field(&[0x0a, 3, 1, 2], &mut 0, 4).is_err());
        let most = [&[0x0a][..], &[0xff; 9], &[1]].concat();
        assert!(field(&most, &mut 0, most.len()).is_err());
        let (number, value) = field(&[0x0a, 2, 1, 2], &mut 0, 4).unwrap().unwrap();
        assert!(matches!((number, value), (1, Value::Bytes(range)) if range == (2..4)));
    }
}
