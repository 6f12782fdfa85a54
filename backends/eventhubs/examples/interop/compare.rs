//! Whether a log is what was sent: nothing missing, nothing twice, each key in order and in one partition.

use crate::Told;
use anyhub_core::{Event, Partition};
use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
};

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

/// Events of the same are in order; one without a key is alone, known by its number.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Whose {
    Key(Bytes),
    Alone(Option<Bytes>),
}

impl Whose {
    fn of(event: &Event) -> Self {
        match &event.key {
            Some(key) => Self::Key(key.clone().into()),
            None => {
                let number = event.headers.iter().find(|header| header.name() == "n");
                Self::Alone(number.map(|header| header.value().clone()))
            }
        }
    }
}

/// Which event of `expected` each of the log is.
pub(crate) fn places(log: &Log, expected: &[Event]) -> Told<Vec<Vec<usize>>> {
    let mut left: HashMap<Whose, VecDeque<usize>> = HashMap::new();
    for (nth, event) in expected.iter().enumerate() {
        left.entry(Whose::of(event)).or_default().push_back(nth);
    }
    let mut homes = HashMap::new();
    let mut places = Vec::new();
    for partition in log {
        let mut own = Vec::new();
        for (at, found) in partition.iter().enumerate() {
            if found.sequence != at as i64 {
                return Err(format!("event {at} of its partition is {found}"));
            }
            let whose = Whose::of(&found.event);
            let nth = left.get_mut(&whose).and_then(VecDeque::pop_front);
            let nth = nth.ok_or_else(|| format!("not sent, or sent once only: {found}"))?;
            if found.event != expected[nth] {
                let expected = shown(&expected[nth]);
                return Err(format!("differs: {found}\n  expected {expected}"));
            }
            let home = homes.entry(whose).or_insert(&found.partition);
            if *home != &found.partition {
                return Err(format!("its key is in partition {home} too: {found}"));
            }
            own.push(nth);
        }
        places.push(own);
    }
    let missing: usize = left.values().map(VecDeque::len).sum();
    match missing {
        0 => Ok(places),
        _ => Err(format!(
            "{missing} of {} events are missing",
            expected.len()
        )),
    }
}

fn shown(event: &Event) -> String {
    let start = &event.payload[..event.payload.len().min(20)];
    let (key, length, headers) = (&event.key, event.payload.len(), &event.headers);
    format!("{key:?}, {length} bytes {start:?}, {headers:?}")
}
