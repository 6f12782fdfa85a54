//! Whether a log is what was sent: nothing missing, nothing twice, each key in order and in one partition.

use anyhub_core::{Event, Partition};
use anyhub_interop::{Left, Told, Whose, shown};
use std::{collections::HashMap, fmt};

/// Each partition's events, from sequence number 0 on.
pub(crate) type Log = Vec<Vec<Found>>;

/// An event that was read, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) partition: Partition,
    pub(crate) sequence: i64,
    /// Milliseconds since 1970.
    pub(crate) time: u64,
    pub(crate) event: Event,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "partition {}, sequence number {}: {}",
            self.partition,
            self.sequence,
            shown(&self.event)
        )
    }
}

/// Which event of `expected` each of the log is.
pub(crate) fn places(log: &Log, expected: &[Event]) -> Told<Vec<Vec<usize>>> {
    let mut left = Left::new(expected, 0..expected.len());
    let mut homes = HashMap::new();
    let mut places = Vec::new();
    for partition in log {
        let mut own = Vec::new();
        for (at, found) in partition.iter().enumerate() {
            if found.sequence != at as i64 {
                return Err(format!("event {at} of its partition is {found}"));
            }
            let place = format!("partition {}, {}", found.partition, found.sequence);
            own.push(left.take(&found.event, place)?);
            let whose = Whose::of(&found.event);
            let home = homes.entry(whose).or_insert(&found.partition);
            if *home != &found.partition {
                return Err(format!("its key is in partition {home} too: {found}"));
            }
        }
        places.push(own);
    }
    left.check_none()?;
    Ok(places)
}
