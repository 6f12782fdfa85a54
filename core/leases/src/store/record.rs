//! Rows as text, for stores that keep text.

use crate::{Checkpoint, Lease, MemberRow, Row};
use anyhub_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// Raised when older versions could misread what is written.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Lease(LeaseRecord),
    Member(MemberRecord),
}

#[derive(Serialize, Deserialize)]
struct Formatted<T> {
    format: u32,
    #[serde(flatten)]
    record: T,
}

#[derive(Serialize, Deserialize)]
struct LeaseRecord {
    partition: Arc<str>,
    owner: Option<Arc<str>>,
    counter: u64,
    takes: u64,
    term_ms: u64,
    generation: u64,
    position: Option<Arc<str>>,
    finished: bool,
    parents: Vec<Arc<str>>,
    asked_by: Option<Arc<str>>,
}

#[derive(Serialize, Deserialize)]
struct MemberRecord {
    name: Arc<str>,
    counter: u64,
    term_ms: u64,
}

/// The row as JSON.
pub(super) fn encode(row: &Row) -> Result<Vec<u8>> {
    let record = match row {
        Row::Lease(lease) => Record::Lease(LeaseRecord {
            partition: lease.partition.clone(),
            owner: lease.owner.clone(),
            counter: lease.counter,
            takes: lease.takes,
            term_ms: millis(lease.term),
            generation: lease.checkpoint.generation,
            position: lease.checkpoint.position.clone(),
            finished: lease.checkpoint.finished,
            parents: lease.parents.clone(),
            asked_by: lease.asked_by.clone(),
        }),
        Row::Member(member) => Record::Member(MemberRecord {
            name: member.name.clone(),
            counter: member.counter,
            term_ms: millis(member.term),
        }),
    };
    let formatted = Formatted {
        format: FORMAT,
        record,
    };
    serde_json::to_vec(&formatted).map_err(|cause| {
        Error::new(
            ErrorKind::Unexpected,
            "leases",
            "write",
            "a row has no text",
        )
        .with_source(cause)
    })
}

/// The row that `text` is. Unsupported if a newer version wrote it, Unexpected if none did.
pub(super) fn decode(text: &[u8], place: &str) -> Result<Row> {
    let broken = |cause: serde_json::Error| {
        Error::new(
            ErrorKind::Unexpected,
            "leases",
            "list",
            format!("{place} is no row of leases"),
        )
        .with_advice(
            "it was damaged, or is none of anyhub's: remove it, and its group begins there anew",
        )
        .with_source(cause)
    };
    let Format { format } = serde_json::from_slice(text).map_err(broken)?;
    if format > FORMAT {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "leases",
            "list",
            format!("{place} has format {format}, and this version knows {FORMAT}"),
        )
        .with_advice("a newer version of anyhub wrote it; use that one"));
    }
    let formatted: Formatted<Record> = serde_json::from_slice(text).map_err(broken)?;
    Ok(match formatted.record {
        Record::Lease(record) => {
            let mut lease = Lease::new(record.partition, record.takes);
            lease.owner = record.owner;
            lease.counter = record.counter;
            lease.term = Duration::from_millis(record.term_ms);
            lease.checkpoint = Checkpoint::new(record.generation, record.position);
            lease.checkpoint.finished = record.finished;
            lease.parents = record.parents;
            lease.asked_by = record.asked_by;
            lease.into()
        }
        Record::Member(record) => {
            let term = Duration::from_millis(record.term_ms);
            MemberRow::new(record.name, record.counter, term).into()
        }
    })
}

/// Rounded up: nobody may wait less than was promised.
fn millis(term: Duration) -> u64 {
    term.as_nanos().div_ceil(1_000_000).min(u64::MAX.into()) as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_row_comes_back(
            texts: [Option<String>; 3], partition: String, numbers: [u64; 3], finished: bool,
            term in 0u64..1 << 50, parents: Vec<String>,
        ) {
            let [owner, position, asked_by] = texts.map(|text| text.map(Arc::from));
            let mut lease = Lease::new(partition, numbers[0]);
            lease.owner = owner;
            lease.counter = numbers[1];
            lease.term = Duration::from_millis(term);
            lease.checkpoint = Checkpoint::new(numbers[2], position);
            lease.checkpoint.finished = finished;
            lease.parents = parents.into_iter().map(Arc::from).collect();
            lease.asked_by = asked_by;
            let row = Row::from(lease);
            prop_assert_eq!(decode(&encode(&row).unwrap(), "row").unwrap(), row);
        }

        #[test]
        fn anything_is_read_or_refused(text: Vec<u8>) {
            prop_assert!(decode(&text, "row").is_err());
        }
    }

    #[test]
    fn a_newer_format_says_so() {
        let refused = decode(br#"{"format": 2, "tenancy": {}}"#, "row").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
    }
}
