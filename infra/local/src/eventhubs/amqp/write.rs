//! Writes AMQP values.

use bytes::{BufMut, BytesMut};

/// A described list or a map that is being written: every field counts, nulls at the end too. The service writes them, and
/// Python's client reads fields by position.
#[derive(Debug)]
pub(crate) struct Compound<'a> {
    out: &'a mut BytesMut,
    /// Where its size goes.
    at: usize,
    count: u32,
}

impl<'a> Compound<'a> {
    /// A list described by this code.
    pub(crate) fn list(out: &'a mut BytesMut, descriptor: u8) -> Self {
        out.put_slice(&[0x00, 0x53, descriptor]);
        Compound::begin(out, 0xd0)
    }

    /// A map: keys and values in turn.
    pub(crate) fn map(out: &'a mut BytesMut) -> Self {
        Compound::begin(out, 0xd1)
    }

    fn begin(out: &'a mut BytesMut, code: u8) -> Self {
        out.put_u8(code);
        let at = out.len();
        out.put_u64(0);
        Compound { out, at, count: 0 }
    }

    pub(crate) fn end(self) {
        // The size counts what follows it, so the count too.
        let size = u32::try_from(self.out.len() - self.at - 4).unwrap_or(u32::MAX);
        if let Some(sizes) = self.out.get_mut(self.at..self.at + 8) {
            sizes[..4].copy_from_slice(&size.to_be_bytes());
            sizes[4..].copy_from_slice(&self.count.to_be_bytes());
        }
    }

    /// A field that writes itself.
    pub(crate) fn field(mut self, write: impl FnOnce(&mut BytesMut)) -> Self {
        write(self.out);
        self.count += 1;
        self
    }

    /// A field as it came from elsewhere.
    pub(crate) fn raw(self, value: &[u8]) -> Self {
        self.field(|out| out.put_slice(value))
    }

    pub(crate) fn nulls(mut self, count: u32) -> Self {
        for _ in 0..count {
            self = self.raw(&[0x40]);
        }
        self
    }

    pub(crate) fn bool(self, value: bool) -> Self {
        self.raw(&[if value { 0x41 } else { 0x42 }])
    }

    pub(crate) fn ubyte(self, value: u8) -> Self {
        self.raw(&[0x50, value])
    }

    pub(crate) fn ushort(self, value: u16) -> Self {
        self.field(|out| {
            out.put_u8(0x60);
            out.put_u16(value);
        })
    }

    pub(crate) fn uint(self, value: u32) -> Self {
        self.field(|out| match u8::try_from(value) {
            Ok(small) => out.put_slice(&[0x52, small]),
            Err(_) => {
                out.put_u8(0x70);
                out.put_u32(value);
            }
        })
    }

    pub(crate) fn ulong(self, value: u64) -> Self {
        self.field(|out| {
            out.put_u8(0x80);
            out.put_u64(value);
        })
    }

    pub(crate) fn int(self, value: i32) -> Self {
        self.field(|out| {
            out.put_u8(0x71);
            out.put_i32(value);
        })
    }

    pub(crate) fn long(self, value: i64) -> Self {
        self.field(|out| {
            out.put_u8(0x81);
            out.put_i64(value);
        })
    }

    /// Milliseconds since 1970.
    pub(crate) fn timestamp(self, value: i64) -> Self {
        self.field(|out| {
            out.put_u8(0x83);
            out.put_i64(value);
        })
    }

    pub(crate) fn string(self, value: &str) -> Self {
        self.field(|out| sized(out, 0xa1, value.as_bytes()))
    }

    pub(crate) fn symbol(self, value: &str) -> Self {
        self.field(|out| sized(out, 0xa3, value.as_bytes()))
    }

    pub(crate) fn binary(self, value: &[u8]) -> Self {
        self.field(|out| sized(out, 0xa0, value))
    }

    /// An array of strings or symbols: with code `0xb1` or `0xb3`.
    pub(crate) fn array<'t>(
        self,
        code: u8,
        values: impl ExactSizeIterator<Item = &'t str> + Clone,
    ) -> Self {
        self.field(|out| {
            let content: usize = values.clone().map(|value| 4 + value.len()).sum();
            out.put_u8(0xf0);
            out.put_u32(u32::try_from(4 + 1 + content).unwrap_or(u32::MAX));
            out.put_u32(u32::try_from(values.len()).unwrap_or(u32::MAX));
            out.put_u8(code);
            for value in values {
                out.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
                out.put_slice(value.as_bytes());
            }
        })
    }
}

/// A value of variable width, by the code of its narrow form; the wide one's is 0x10 more.
fn sized(out: &mut BytesMut, narrow: u8, value: &[u8]) {
    match u8::try_from(value.len()) {
        Ok(size) => out.put_slice(&[narrow, size]),
        Err(_) => {
            out.put_u8(narrow + 0x10);
            out.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        }
    }
    out.put_slice(value);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::read::{Value, described, items, symbols, value};
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let long = "l".repeat(300);
        let mut out = BytesMut::new();
        Compound::list(&mut out, 0x10)
            .string("a")
            .string(&long)
            .symbol("s")
            .binary(&[1, 2])
            .bool(true)
            .ubyte(7)
            .ushort(700)
            .uint(70_000)
            .ulong(8)
            .int(-1)
            .long(-2)
            .timestamp(9)
            .array(0xb3, ["x", "yz"].into_iter())
            .nulls(2)
            .end();
        let (descriptor, list) = described(&out).unwrap();
        assert_eq!(descriptor, Value::Unsigned(0x10));
        let fields = items(list).unwrap();
        let said: Vec<_> = fields[..12].iter().map(|f| value(f).unwrap()).collect();
        let expected = [
            Value::String("a"),
            Value::String(&long),
            Value::Symbol("s"),
            Value::Binary(&[1, 2]),
            Value::Bool(true),
            Value::Unsigned(7),
            Value::Unsigned(700),
            Value::Unsigned(70_000),
            Value::Unsigned(8),
            Value::Signed(-1),
            Value::Signed(-2),
            Value::Timestamp(9),
        ];
        assert_eq!(said, expected);
        assert_eq!(symbols(fields[12]).unwrap(), ["x", "yz"]);
        assert_eq!(fields[13..], [&[0x40][..], &[0x40]]);
    }
}
