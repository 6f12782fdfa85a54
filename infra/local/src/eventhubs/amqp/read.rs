//! Reads AMQP values where they lie, without copying.

/// Why bytes are no AMQP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

const SHORT: Malformed = Malformed("a value ends too early");

/// A value; compound ones are looked into by [`items`] and [`described`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    /// Milliseconds since 1970.
    Timestamp(i64),
    String(&'a str),
    Symbol(&'a str),
    Binary(&'a [u8]),
    /// A list's, map's or array's, or what isn't needed here: with its constructor, as it came.
    Other(&'a [u8]),
}

impl<'a> Value<'a> {
    /// A string's or symbol's text, or a binary's that is UTF-8: Python sends binaries for texts.
    pub(crate) fn text(self) -> Option<&'a str> {
        match self {
            Value::String(text) | Value::Symbol(text) => Some(text),
            Value::Binary(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub(crate) fn integer(self) -> Option<i64> {
        match self {
            Value::Unsigned(number) => i64::try_from(number).ok(),
            Value::Signed(number) => Some(number),
            _ => None,
        }
    }
}

/// How many bytes the first value of these takes, its constructor and descriptors included.
pub(crate) fn length(bytes: &[u8]) -> Result<usize, Malformed> {
    let (mut at, mut due) = (0_usize, 1_usize);
    while due > 0 {
        let code = *bytes.get(at).ok_or(SHORT)?;
        // A described value: its descriptor and then what it describes.
        if code == 0 {
            at += 1;
            due += 1;
            continue;
        }
        let rest = bytes.get(at + 1..).ok_or(SHORT)?;
        let width = match code >> 4 {
            0x4 => 0,
            0x5 => 1,
            0x6 => 2,
            0x7 => 4,
            0x8 => 8,
            0x9 => 16,
            0xa | 0xc | 0xe => 1 + usize::from(*rest.first().ok_or(SHORT)?),
            0xb | 0xd | 0xf => {
                let size = usize::try_from(number(rest, 4)?).map_err(|_| SHORT)?;
                size.checked_add(4).ok_or(SHORT)?
            }
            _ => return Err(Malformed("an unknown constructor")),
        };
        if rest.len() < width {
            return Err(SHORT);
        }
        at += 1 + width;
        due -= 1;
    }
    Ok(at)
}

/// Splits the first value off.
pub(crate) fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    Ok(bytes.split_at(length(bytes)?))
}

/// What one value, which these bytes are, says.
pub(crate) fn value(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    if length(bytes)? != bytes.len() {
        return Err(Malformed("something follows a value"));
    }
    let (code, rest) = bytes.split_first().ok_or(SHORT)?;
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Malformed("a text isn't UTF-8"));
    Ok(match *code {
        0x40 => Value::Null,
        0x41 => Value::Bool(true),
        0x42 => Value::Bool(false),
        0x56 => Value::Bool(rest.first() == Some(&1)),
        0x43 | 0x44 => Value::Unsigned(0),
        0x50 | 0x52 | 0x53 | 0x60 | 0x70 | 0x80 => Value::Unsigned(number(rest, rest.len())?),
        0x51 | 0x54 | 0x55 => Value::Signed(signed(rest)?),
        0x61 | 0x71 | 0x81 => Value::Signed(signed(rest)?),
        0x83 => Value::Timestamp(signed(rest)?),
        0xa0 => Value::Binary(rest.get(1..).ok_or(SHORT)?),
        0xb0 => Value::Binary(rest.get(4..).ok_or(SHORT)?),
        0xa1 => Value::String(text(rest.get(1..).ok_or(SHORT)?)?),
        0xb1 => Value::String(text(rest.get(4..).ok_or(SHORT)?)?),
        0xa3 => Value::Symbol(text(rest.get(1..).ok_or(SHORT)?)?),
        0xb3 => Value::Symbol(text(rest.get(4..).ok_or(SHORT)?)?),
        _ => Value::Other(bytes),
    })
}

/// What a list or map holds, each as it came; a map's keys and values in turn. Nothing for null.
pub(crate) fn items(bytes: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let (code, rest) = bytes.split_first().ok_or(SHORT)?;
    let (count, mut rest) = match *code {
        0x40 | 0x45 => return Ok(Vec::new()),
        0xc0 | 0xc1 => (
            number(rest.get(1..).ok_or(SHORT)?, 1)?,
            rest.get(2..).ok_or(SHORT)?,
        ),
        0xd0 | 0xd1 => (
            number(rest.get(4..).ok_or(SHORT)?, 4)?,
            rest.get(8..).ok_or(SHORT)?,
        ),
        _ => return Err(Malformed("neither a list nor a map")),
    };
    let mut items = Vec::new();
    for _ in 0..count {
        let (item, after) = split(rest)?;
        items.push(item);
        rest = after;
    }
    match rest {
        [] => Ok(items),
        _ => Err(Malformed("a list or map is longer than it says")),
    }
}

/// A map's keys and values, each as it came.
pub(crate) type Entries<'a> = Vec<(&'a [u8], &'a [u8])>;

/// A map's entries.
pub(crate) fn entries(bytes: &[u8]) -> Result<Entries<'_>, Malformed> {
    let items = items(bytes)?;
    let pairs = items.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(Malformed("a map ends with a key"));
    }
    Ok(pairs
        .filter_map(|pair| Some((*pair.first()?, *pair.last()?)))
        .collect())
}

/// A described value's descriptor and what it describes.
pub(crate) fn described(bytes: &[u8]) -> Result<(Value<'_>, &[u8]), Malformed> {
    match bytes.split_first() {
        Some((0, rest)) => {
            let (descriptor, described) = split(rest)?;
            Ok((value(descriptor)?, described))
        }
        _ => Err(Malformed("a descriptor is missing")),
    }
}

/// The symbols of a field that may hold one, or an array of them.
pub(crate) fn symbols(bytes: &[u8]) -> Result<Vec<&str>, Malformed> {
    let array = match value(bytes)? {
        Value::Null => return Ok(Vec::new()),
        Value::Symbol(symbol) => return Ok(vec![symbol]),
        Value::Other(array) => array,
        _ => return Err(Malformed("no symbols")),
    };
    let (code, rest) = array.split_first().ok_or(SHORT)?;
    let (count, rest) = match *code {
        0xe0 => (number(rest.get(1..).ok_or(SHORT)?, 1)?, rest.get(2..)),
        0xf0 => (number(rest.get(4..).ok_or(SHORT)?, 4)?, rest.get(8..)),
        _ => return Err(Malformed("no symbols")),
    };
    let (of, mut rest) = rest.and_then(<[u8]>::split_first).ok_or(SHORT)?;
    let wide = match *of {
        0xa3 => 1,
        0xb3 => 4,
        _ => return Err(Malformed("no symbols")),
    };
    let mut symbols = Vec::new();
    for _ in 0..count {
        let size = usize::try_from(number(rest, wide)?).map_err(|_| SHORT)?;
        let end = size.checked_add(wide).ok_or(SHORT)?;
        let symbol = rest.get(wide..end).ok_or(SHORT)?;
        symbols.push(std::str::from_utf8(symbol).map_err(|_| Malformed("a text isn't UTF-8"))?);
        rest = rest.get(end..).ok_or(SHORT)?;
    }
    Ok(symbols)
}

/// A big-endian number of this many bytes, at most eight.
fn number(bytes: &[u8], width: usize) -> Result<u64, Malformed> {
    let bytes = bytes.get(..width).ok_or(SHORT)?;
    Ok(bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn signed(bytes: &[u8]) -> Result<i64, Malformed> {
    let number = number(bytes, bytes.len())?.cast_signed();
    // The sign bit of a narrower number is moved to where it belongs.
    let unused = 64_u32.saturating_sub(u32::try_from(bytes.len()).map_err(|_| SHORT)? * 8);
    Ok(number.checked_shl(unused).unwrap_or(0) >> unused)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64Mcg;

    #[test]
    fn values_are_read_in_each_of_their_forms() {
        for (bytes, said) in [
            (&[0x40][..], Value::Null),
            (&[0x41], Value::Bool(true)),
            (&[0x56, 0], Value::Bool(false)),
            (&[0x43], Value::Unsigned(0)),
            (&[0x52, 200], Value::Unsigned(200)),
            (&[0x70, 0, 1, 0, 0], Value::Unsigned(65_536)),
            (&[0x55, 0xff], Value::Signed(-1)),
            (&[0x71, 0xff, 0xff, 0xff, 0xfe], Value::Signed(-2)),
            (&[0x81, 0, 0, 0, 0, 0, 0, 0, 5], Value::Signed(5)),
            (&[0x83, 0, 0, 0, 0, 0, 0, 1, 0], Value::Timestamp(256)),
            (&[0xa1, 2, b'h', b'i'], Value::String("hi")),
            (&[0xb3, 0, 0, 0, 1, b's'], Value::Symbol("s")),
            (&[0xa0, 1, 9], Value::Binary(&[9])),
        ] {
            assert_eq!(value(bytes), Ok(said), "{bytes:?}");
        }
        assert_eq!(symbols(&[0xa3, 1, b's']), Ok(vec!["s"]));
        let two = [0xe0, 7, 2, 0xa3, 1, b'a', 2, b'b', b'c'];
        assert_eq!(symbols(&two), Ok(vec!["a", "bc"]));
        let map = [0xc1, 5, 2, 0xa3, 1, b'k', 0x41];
        assert_eq!(entries(&map), Ok(vec![(&map[3..6], &map[6..])]));
    }

    #[test]
    fn what_lies_about_its_length_is_refused() {
        for bytes in [
            &[][..],
            &[0x00],
            &[0x00, 0x53],
            &[0x00, 0x53, 0x10],
            &[0xa1, 5, b'x'],
            &[0xd0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1],
            &[0xb0, 0x7f, 0xff, 0xff, 0xff],
            &[0x01],
        ] {
            assert!(length(bytes).is_err(), "{bytes:?}");
        }
        // Four thousand million items in a list of five bytes.
        assert!(items(&[0xd0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40]).is_err());
        assert!(items(&[0xc0, 3, 1, 0x40, 0x40]).is_err());
        assert!(entries(&[0xc1, 2, 1, 0x40]).is_err());
        // A million descriptors in descriptors.
        assert!(length(&[0; 1_000_000]).is_err());
    }

    #[test]
    fn nothing_that_comes_in_makes_it_panic() {
        let seed = 11;
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let codes = [
            0x00, 0x40, 0x45, 0x53, 0x80, 0x83, 0xa1, 0xb0, 0xc0, 0xc1, 0xd0, 0xd1, 0xe0, 0xf0,
            0xa3,
        ];
        for _ in 0..200_000 {
            let bytes: Vec<u8> = (0..rng.random_range(0..40))
                .map(|_| match rng.random_bool(0.5) {
                    true => codes[rng.random_range(0..codes.len())],
                    false => rng.random_range(0..16),
                })
                .collect();
            if let Ok(length) = length(&bytes) {
                assert!(length <= bytes.len(), "seed {seed}: {bytes:?}");
            }
            let _ = (value(&bytes), items(&bytes), entries(&bytes));
            let _ = (described(&bytes), symbols(&bytes));
        }
    }
}
