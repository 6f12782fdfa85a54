//! Our side of `make interop`: `write FOLDER SEED` writes captures and what a reader must find in
//! them, `read FOLDER` reads captures that another program wrote and compares.
//! infra/interop/README.md says what the files hold.
#![allow(clippy::unwrap_used, missing_docs)]

mod captures;
mod files;

use anyhub_kinesis::aggregate::Aggregate;
use clap::Parser;
use files::{Capture, Event};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Our side of `make interop` with KCL and PyPI's aws_kinesis_agg
#[derive(Parser)]
#[command(after_help = "Example:\n  interop write /tmp/interop 7")]
enum Arguments {
    /// Writes captures, and what a reader must find in them
    Write { folder: PathBuf, seed: u64 },
    /// Reads captures that another program wrote, and compares
    Read { folder: PathBuf },
}

fn main() -> ExitCode {
    match Arguments::parse() {
        Arguments::Write { folder, seed } => {
            write(&folder, seed);
            ExitCode::SUCCESS
        }
        Arguments::Read { folder } => read(&folder),
    }
}

fn write(folder: &Path, seed: u64) {
    for written in captures::all(seed) {
        let name = written.name;
        files::write_capture(&folder.join(format!("{name}.capture")), &written.records);
        files::write_events(&folder.join(format!("{name}.events")), &written.events);
        println!(
            "anyhub wrote {name}: {} events in {} records, of which {} are to be read (seed {seed})",
            written.made,
            written.records.len(),
            written.events.len()
        );
    }
}

fn read(folder: &Path) -> ExitCode {
    let mut names: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "capture")
        })
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no capture in {}", folder.display());
    let mut code = ExitCode::SUCCESS;
    for path in names {
        let expected = files::read_events(&path.with_extension("events"));
        let records = files::read_capture(&path);
        let name = path.file_stem().unwrap().to_string_lossy();
        let found: Vec<_> = records.iter().enumerate().flat_map(events).collect();
        let differs =
            (0..found.len().max(expected.len())).find(|nth| found.get(*nth) != expected.get(*nth));
        match differs {
            None => println!(
                "anyhub read {name}: {} events of {} records, all as expected",
                found.len(),
                records.len()
            ),
            Some(nth) => {
                eprintln!(
                    "anyhub read {name}: event {nth} of {} (expected {}) differs:\n  found    {}\n  expected {}",
                    found.len(),
                    expected.len(),
                    shown(found.get(nth)),
                    shown(expected.get(nth))
                );
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn shown(event: Option<&Event>) -> String {
    event.map_or("nothing".into(), Event::to_string)
}

/// The events that the record of this number counts for.
fn events((nth, capture): (usize, &Capture)) -> Vec<Event> {
    match Aggregate::parse(&capture.data) {
        None => vec![Event {
            record: nth as u32,
            sub: None,
            key: capture.key.clone(),
            hash: None,
            payload: capture.data.clone(),
        }],
        Some(aggregate) if !aggregate.lies_within(&capture.range) => Vec::new(),
        Some(aggregate) => aggregate
            .into_iter()
            .map(|record| Event {
                record: nth as u32,
                sub: Some(record.index),
                key: String::from_utf8(record.partition_key.into()).unwrap(),
                hash: record.hash_key,
                payload: record.payload,
            })
            .collect(),
    }
}
