use crate::sequence::Sequence;
use smol_str::SmolStr;
use std::{cmp::Ordering, fmt, str::FromStr};

/// A partition of a topic (a shard, on Kinesis): the scope of order and of assignment.
///
/// ```
/// use anyhub_core::Partition;
/// assert_eq!("3".parse(), Ok(Partition::number(3)));
/// let shard: Partition = "shardId-000000000003".parse()?;
/// assert_eq!((shard.as_number(), shard.as_name()), (None, Some("shardId-000000000003")));
/// # Ok::<(), anyhub_core::ParsePositionError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(Label);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Label {
    Number(u32),
    /// Up to 23 bytes without a pointer, as a shard's: a receipt and a delivery carry one, and a count
    /// that threads share costs more than the copy.
    Name(SmolStr),
}

impl Partition {
    /// The partition with this number, on hubs that number them from 0.
    pub const fn number(number: u32) -> Self {
        Self(Label::Number(number))
    }

    /// The partition with this name, on hubs that name them. A name that is a number is that number.
    pub fn named(name: impl AsRef<str>) -> Self {
        let name = name.as_ref();
        match name.parse::<u32>() {
            Ok(number) if number.to_string() == name => Self::number(number),
            _ => Self(Label::Name(name.into())),
        }
    }

    /// The number, on hubs that number them.
    pub fn as_number(&self) -> Option<u32> {
        match self.0 {
            Label::Number(number) => Some(number),
            Label::Name(_) => None,
        }
    }

    /// The name, on hubs that name them.
    pub fn as_name(&self) -> Option<&str> {
        match &self.0 {
            Label::Number(_) => None,
            Label::Name(name) => Some(name),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Label::Number(number) => number.fmt(f),
            Label::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({self})")
    }
}

impl FromStr for Partition {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        if text.is_empty() {
            return Err(ParsePositionError);
        }
        Ok(Self::named(text))
    }
}

/// Where an event stands in its partition: opaque, but it can be kept as text and sought again.
///
/// ```
/// use anyhub_core::Position;
/// let position: Position = "42".parse()?;
/// assert_eq!(position.to_string(), "42");
/// assert!(position.cmp_in_partition(&Position::offset(43)).is_lt());
/// # Ok::<(), anyhub_core::ParsePositionError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Position(Place);

// No text and no pointer: a delivery carries one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Offset(i64),
    Sequence(Sequence),
}

impl Position {
    /// The position at this offset, on hubs that count their events.
    pub fn offset(offset: i64) -> Self {
        Self(Place::Offset(offset))
    }

    /// The offset, on hubs that count their events.
    pub fn as_offset(&self) -> Option<i64> {
        match self.0 {
            Place::Offset(offset) => Some(offset),
            Place::Sequence(_) => None,
        }
    }

    /// The sequence number, on hubs that have those.
    pub fn as_sequence(&self) -> Option<Sequence> {
        match self.0 {
            Place::Offset(_) => None,
            Place::Sequence(sequence) => Some(sequence),
        }
    }

    /// Right behind this event: where reading goes on after it, and what a seek takes as well as an
    /// event's own position. On hubs that count, the next offset; elsewhere past this event and
    /// before the next one, whose own position only the hub knows.
    ///
    /// ```
    /// use anyhub_core::Position;
    /// assert_eq!(Position::offset(42).after(), Position::offset(43));
    /// let (at, next): (Position, Position) = ("4959.0".parse()?, "4981.0".parse()?);
    /// assert!(at.cmp_in_partition(&at.after()).is_lt() && at.after().cmp_in_partition(&next).is_lt());
    /// # Ok::<(), anyhub_core::ParsePositionError>(())
    /// ```
    pub fn after(&self) -> Self {
        match self.0 {
            Place::Offset(offset) => Self::offset(offset.saturating_add(1)),
            Place::Sequence(sequence) => Self::from(sequence.after()),
        }
    }

    /// Which of two positions of the *same* partition comes first. Positions of different
    /// partitions have no order, which is why this is no `Ord`.
    pub fn cmp_in_partition(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Place::Offset(a), Place::Offset(b)) => a.cmp(&b),
            (Place::Sequence(a), Place::Sequence(b)) => a.cmp(&b),
            // Of two hubs, so of no one partition.
            (Place::Offset(_), Place::Sequence(_)) => Ordering::Less,
            (Place::Sequence(_), Place::Offset(_)) => Ordering::Greater,
        }
    }
}

impl From<i64> for Position {
    fn from(offset: i64) -> Self {
        Self::offset(offset)
    }
}

impl From<Sequence> for Position {
    fn from(sequence: Sequence) -> Self {
        Self(Place::Sequence(sequence))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::Offset(offset) => offset.fmt(f),
            Place::Sequence(sequence) => sequence.fmt(f),
        }
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({self})")
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        if text.contains('.') {
            return text.parse::<Sequence>().map(Self::from);
        }
        text.parse()
            .map(Self::offset)
            .map_err(|_| ParsePositionError)
    }
}

/// The text is no position that a hub wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position: expected what a position or partition displays as, such as 42")]
pub struct ParsePositionError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_a_number_or_a_name() {
        for text in [
            "0",
            "4294967295",
            "shardId-000000000000",
            "007",
            "4294967296",
        ] {
            let partition: Partition = text.parse().unwrap_or(Partition::number(9));
            assert_eq!(partition.to_string(), text);
            assert_eq!(partition, Partition::named(text));
        }
        assert_eq!(Partition::named("12"), Partition::number(12));
        assert!("".parse::<Partition>().is_err());
    }

    #[test]
    fn a_position_comes_back_from_its_text() {
        for text in [
            "-2",
            "42",
            "4959033827149025660855.0",
            "4959033827149025660855.17+",
        ] {
            assert_eq!(
                text.parse::<Position>().map(|at| at.to_string()),
                Ok(text.to_owned())
            );
        }
        assert!("+".parse::<Position>().is_err());
    }
}
