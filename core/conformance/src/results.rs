//! What came out, as JSON lines that several hubs append to one file.

use serde::{Deserialize, Serialize};
use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
};

/// How one trial ended on one hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The hub.
    pub hub: String,
    /// What it ran on: `memory`, `stand-in`, `emulator`, `real broker` or `cloud`.
    pub runs_on: String,
    /// The clause.
    pub clause: String,
    /// The trial.
    pub trial: String,
    /// How it ended.
    pub result: Ended,
}

/// The result of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The hub keeps the clause.
    Pass,
    /// It does not.
    Fail,
    /// The server that it ran on can't serve the trial, whoever asks.
    Excepted,
    /// The hub does not declare what the trial is about; another trial proves the refusal.
    NotDeclared,
}

/// Appends one record as a line; whole lines, also from several threads and processes.
pub fn append(file: &Path, record: &Record) -> io::Result<()> {
    let mut line = serde_json::to_string(record)?;
    line.push('\n');
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(line.as_bytes())
}

/// Reads what was appended. Err names the line that is no record.
pub fn read(text: &str) -> Result<Vec<Record>, String> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(nth, line)| {
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", nth + 1))
        })
        .collect()
}
