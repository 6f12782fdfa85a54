//! Frames: where one ends and the next begins.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::read::Malformed;

/// What either side may send in one frame: the service's (seen in its open, 2026-11).
pub(crate) const LARGEST: u32 = 65_536;
/// Size, data offset, type and channel.
pub(crate) const HEADER: usize = 8;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Amqp,
    Sasl,
}

/// A frame as it came; its body is empty where it only keeps the connection alive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) channel: u16,
    pub(crate) body: Bytes,
}

/// Takes the next frame off, if it is there whole.
pub(crate) fn take(input: &mut BytesMut) -> Result<Option<Frame>, Malformed> {
    let &[a, b, c, d, offset, kind, high, low, ..] = &input[..] else {
        return Ok(None);
    };
    let size = u32::from_be_bytes([a, b, c, d]);
    if size > LARGEST {
        return Err(Malformed("a frame is larger than was agreed upon"));
    }
    let (size, offset) = (size as usize, usize::from(offset) * 4);
    if offset < HEADER || size < offset {
        return Err(Malformed("a frame is smaller than its header"));
    }
    let kind = match kind {
        0 => Kind::Amqp,
        1 => Kind::Sasl,
        _ => return Err(Malformed("a frame of an unknown type")),
    };
    if input.len() < size {
        return Ok(None);
    }
    let mut body = input.split_to(size).freeze();
    body.advance(offset);
    Ok(Some(Frame {
        kind,
        channel: u16::from_be_bytes([high, low]),
        body,
    }))
}

/// Writes a frame around what `body` writes.
pub(crate) fn put(out: &mut BytesMut, kind: Kind, channel: u16, body: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u32(0);
    out.put_u8(2);
    out.put_u8(match kind {
        Kind::Amqp => 0,
        Kind::Sasl => 1,
    });
    out.put_u16(channel);
    body(out);
    let size = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&size.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_frame_comes_when_it_is_whole() {
        let mut all = BytesMut::new();
        put(&mut all, Kind::Amqp, 7, |out| out.put_slice(b"body"));
        put(&mut all, Kind::Sasl, 0, |_| ());
        let mut input = BytesMut::new();
        let mut frames = Vec::new();
        for byte in all {
            input.put_u8(byte);
            frames.extend(take(&mut input).unwrap());
        }
        let frame = |kind, channel, body: &'static [u8]| Frame {
            kind,
            channel,
            body: Bytes::from_static(body),
        };
        assert_eq!(
            frames,
            [frame(Kind::Amqp, 7, b"body"), frame(Kind::Sasl, 0, b"")]
        );
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_is_whole() {
        for header in [
            [0, 1, 0, 1, 2, 0, 0, 0],
            [0, 0, 0, 7, 2, 0, 0, 0],
            [0, 0, 0, 8, 1, 0, 0, 0],
            [0, 0, 0, 8, 3, 0, 0, 0],
            [0, 0, 0, 8, 2, 9, 0, 0],
        ] {
            assert!(
                take(&mut BytesMut::from(&header[..])).is_err(),
                "{header:?}"
            );
        }
    }
}
