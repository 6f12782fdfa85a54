//! A member that tells on stdout what it owns and what came, a line each, before it acknowledges.

use crate::{GROUP, Outcome, STREAM, config, events, hub};
use anyhub_core::{Change, ConsumerOptions, Hub};
use anyhub_kinesis::LeasesIn;
use std::{
    fmt::Write as _,
    io::{Write as _, stdout},
    path::PathBuf,
    time::Duration,
};

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Owns(String),
    GaveUp(String),
    Event(u64),
}

impl Line {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ')?;
        Some(match kind {
            "+" => Self::Owns(rest.to_owned()),
            "-" => Self::GaveUp(rest.to_owned()),
            "e" => Self::Event(rest.parse().ok()?),
            _ => return None,
        })
    }
}

pub(crate) async fn run(endpoint: &str, leases: PathBuf, lease: Duration) -> Outcome {
    let config = config(endpoint)
        .leases(LeasesIn::Sqlite(leases))
        .lease_time(lease);
    let hub = hub(config)?;
    let options = ConsumerOptions::new()
        .group(GROUP)
        .commit_interval(Duration::from_millis(200));
    let mut consumer = hub.consumer(STREAM, options).await?;
    let acks = consumer.acks();
    loop {
        let batch = consumer.receive(500).await?;
        let mut lines = String::new();
        for change in &batch.changes {
            let (sign, partitions) = match change {
                Change::Assigned(partitions) => ('+', partitions),
                Change::Revoked(partitions) | Change::Lost(partitions) => ('-', partitions),
                _ => continue,
            };
            for partition in partitions {
                writeln!(lines, "{sign} {partition}")?;
            }
        }
        for delivery in &batch.deliveries {
            writeln!(lines, "e {}", events::number(delivery)?)?;
        }
        // Whole before anything of it is acknowledged.
        let mut out = stdout().lock();
        out.write_all(lines.as_bytes())?;
        out.flush()?;
        drop(out);
        acks.ack(&batch.tokens());
    }
}
