use crate::ParsePositionError;
use std::{fmt, str::FromStr};

/// A place in a log whose records carry long decimal numbers and hold one or several events, as a
/// Kinesis shard's do: a sequence number below 2^192, and which event of the record. With `after`,
/// the place right behind that event, wherever the next one stands.
///
/// As text, `NUMBER.INDEX` or `NUMBER.INDEX+`. Places of one partition order as its events do.
///
/// ```
/// use anyhub_core::driver::Sequence;
/// let at: Sequence = "49590338271490256608559692538361571095921575989136588898.2".parse()?;
/// assert_eq!(at.index(), 2);
/// assert!(at < at.after());
/// assert_eq!(at.after().to_string(), format!("{at}+"));
/// # Ok::<(), anyhub_core::ParsePositionError>(())
/// ```
// The derived order is that of the log: number, then index, then before or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence {
    /// 64 bits each, the most significant first.
    number: [u64; 3],
    index: u32,
    after: bool,
}

/// As many decimal digits as one step of printing takes.
const DIGITS: usize = 18;
const STEP: u128 = 10u128.pow(DIGITS as u32);

impl Sequence {
    /// The lowest: no place comes before it.
    pub const MIN: Self = Self {
        number: [0; 3],
        index: 0,
        after: false,
    };

    /// The event `index` of the record with this decimal sequence number; None where that is none,
    /// or does not fit into 192 bits.
    pub fn at(number: &str, index: u32) -> Option<Self> {
        // Every record that is read or written comes through here: all digits are looked at at once, and
        // eight are taken at a time.
        let number = number.as_bytes();
        let digits = number
            .iter()
            .fold(true, |all, it| all & it.is_ascii_digit());
        if number.is_empty() || !digits {
            return None;
        }
        let (head, rest) = number.as_rchunks::<16>();
        let (ones, eights) = head.as_rchunks::<8>();
        let ones = ones.iter();
        let ones = ones.fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        let mut value = [0, 0, joined(ones, eights)];
        for sixteen in rest {
            let (eights, _) = sixteen.as_chunks::<8>();
            let mut carry = u128::from(joined(0, eights));
            for limb in value.iter_mut().rev() {
                let sum = u128::from(*limb) * 10u128.pow(16) + carry;
                *limb = sum as u64;
                carry = sum >> 64;
            }
            if carry > 0 {
                return None;
            }
        }
        Some(Self {
            number: value,
            index,
            after: false,
        })
    }

    /// The same for a number that is at hand, without its text.
    ///
    /// ```
    /// use anyhub_core::driver::Sequence;
    /// assert_eq!(Some(Sequence::of(u128::MAX, 7)), Sequence::at(&u128::MAX.to_string(), 7));
    /// ```
    pub fn of(number: u128, index: u32) -> Self {
        Self {
            number: [0, (number >> 64) as u64, number as u64],
            index,
            after: false,
        }
    }

    /// The record's sequence number; None where it has more than 128 bits.
    pub fn as_u128(self) -> Option<u128> {
        let [high, middle, low] = self.number;
        (high == 0).then_some(u128::from(middle) << 64 | u128::from(low))
    }

    /// The place right behind this event.
    pub fn after(self) -> Self {
        Self {
            after: true,
            ..self
        }
    }

    /// The event `index` of the same record.
    pub fn with_index(self, index: u32) -> Self {
        Self {
            index,
            after: false,
            ..self
        }
    }

    /// Which event of its record.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Whether it is the place behind the event and not the event's own.
    pub fn is_after(self) -> bool {
        self.after
    }

    /// Whether both are of one record.
    pub fn same_record(self, other: Self) -> bool {
        self.number == other.number
    }

    /// The record's sequence number, in decimal.
    pub fn number(self) -> String {
        let mut rest = self.number;
        let mut chunks = Vec::with_capacity(4);
        while rest != [0; 3] {
            let mut remainder = 0u128;
            for limb in &mut rest {
                let value = remainder << 64 | u128::from(*limb);
                *limb = (value / STEP) as u64;
                remainder = value % STEP;
            }
            chunks.push(remainder);
        }
        let mut text = chunks.pop().unwrap_or_default().to_string();
        for chunk in chunks.into_iter().rev() {
            text.push_str(&format!("{chunk:0DIGITS$}"));
        }
        text
    }
}

/// `value`, and so many times eight digits behind it.
fn joined(value: u64, eights: &[[u8; 8]]) -> u64 {
    let eights = eights.iter();
    eights.fold(value, |value, digits| value * 100_000_000 + eight(*digits))
}

/// The number that eight ASCII digits are: neighbours are joined, then pairs, then fours, all side by
/// side in one word.
fn eight(digits: [u8; 8]) -> u64 {
    let ones = u64::from_le_bytes(digits) - 0x3030_3030_3030_3030;
    let pairs = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) & 0xffff_ffff
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.number(), self.index)?;
        f.write_str(if self.after { "+" } else { "" })
    }
}

impl FromStr for Sequence {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        let (text, after) = match text.strip_suffix('+') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (number, index) = text.split_once('.').ok_or(ParsePositionError)?;
        // What `parse` would also take, and Display never writes.
        if index.starts_with('+') {
            return Err(ParsePositionError);
        }
        let index = index.parse().map_err(|_| ParsePositionError)?;
        let at = Self::at(number, index).ok_or(ParsePositionError)?;
        Ok(if after { at.after() } else { at })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(number in "[1-9][0-9]{0,56}", index: u32, after: bool) {
            if let Some(at) = Sequence::at(&number, index) {
                prop_assert_eq!(at.number(), number);
                let at = if after { at.after() } else { at };
                prop_assert_eq!(at.to_string().parse::<Sequence>().unwrap(), at);
            }
        }

        #[test]
        fn order_is_that_of_the_numbers(a in "[1-9][0-9]{0,55}", b in "[1-9][0-9]{0,55}") {
            let at = |text: &str| Sequence::at(text, 0).unwrap();
            prop_assert_eq!(at(&a).cmp(&at(&b)), (a.len(), &a).cmp(&(b.len(), &b)));
        }

        #[test]
        fn small_numbers_are_what_they_say(value: u64) {
            let at = Sequence::at(&value.to_string(), 0).unwrap();
            prop_assert_eq!(at.number, [0, 0, value]);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text: String) {
            let _ = text.parse::<Sequence>();
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        // 2^192 and one less.
        let most = "6277101735386680763835789423207666416102355444464034512895";
        let above = "6277101735386680763835789423207666416102355444464034512896";
        assert_eq!(Sequence::at(most, 0).unwrap().number(), most);
        assert_eq!(Sequence::at(above, 0), None);
        assert_eq!(Sequence::at("0", 0).unwrap().to_string(), "0.0");
        for text in [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "1.+1",
            "1.1++",
            "-1.0",
            "1.4294967296",
            "x.0",
        ] {
            assert!(text.parse::<Sequence>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_record_is_left_after_its_last_event() {
        let at = |index| Sequence::at("7", index).unwrap();
        let next = Sequence::at("8", 0).unwrap();
        assert!(at(0) < at(0).after() && at(0).after() < at(1) && at(1).after() < next);
        assert!(at(0).after().same_record(at(5)) && !at(0).same_record(next));
        assert!(!at(0).after().with_index(3).is_after());
    }
}
