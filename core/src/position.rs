use std::{cmp::Ordering, fmt, str::FromStr};

/// A partition of a topic (a shard, on Kinesis): the scope of order and of assignment.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(u32);

impl Partition {
    /// The partition with this number, on hubs that number them from 0.
    pub fn number(number: u32) -> Self {
        Self(number)
    }

    /// The number, on hubs that number them.
    pub fn as_number(&self) -> Option<u32> {
        Some(self.0)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({})", self.0)
    }
}

impl FromStr for Partition {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        text.parse().map(Self).map_err(|_| ParsePositionError)
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
pub struct Position(i64);

impl Position {
    /// The position at this offset, on hubs that count their events.
    pub fn offset(offset: i64) -> Self {
        Self(offset)
    }

    /// The offset, on hubs that count their events.
    pub fn as_offset(&self) -> Option<i64> {
        Some(self.0)
    }

    /// Which of two positions of the *same* partition comes first. Positions of different
    /// partitions have no order, which is why this is no `Ord`.
    pub fn cmp_in_partition(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl From<i64> for Position {
    fn from(offset: i64) -> Self {
        Self(offset)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({})", self.0)
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        text.parse().map(Self).map_err(|_| ParsePositionError)
    }
}

/// The text is no position that a hub wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position: expected what a position or partition displays as, such as 42")]
pub struct ParsePositionError;
