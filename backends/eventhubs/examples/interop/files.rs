//! The files of infra/interop/README.md.

use anyhub_core::{Event, Header};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fs, path::Path};

/// A place in the log as the writer's own client reads it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) partition: usize,
    pub(crate) sequence: usize,
    /// Milliseconds since 1970.
    pub(crate) time: u64,
    /// Which event of the file is there.
    pub(crate) nth: usize,
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: Option<String>,
    body: String,
    headers: Vec<(String, String)>,
}

pub(crate) fn write_events(folder: &Path, events: &[Event]) {
    let pack = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    let line = |event: &Event| Line {
        key: event
            .key
            .as_ref()
            .map(|key| key.as_str().unwrap().to_owned()),
        body: pack(&event.payload),
        headers: (event.headers.iter())
            .map(|header| (header.name().to_owned(), pack(header.value())))
            .collect(),
    };
    write(&folder.join("events"), events.iter().map(line));
}

pub(crate) fn read_events(folder: &Path) -> Vec<Event> {
    let unpack = |text: &str| BASE64_STANDARD.decode(text).unwrap();
    let event = |line: Line| {
        let mut event = Event::new(unpack(&line.body));
        event.key = line.key.map(Into::into);
        let headers = line.headers.into_iter();
        event.headers = headers
            .map(|(name, value)| Header::new(name, unpack(&value)))
            .collect();
        event
    };
    read(&folder.join("events"))
        .into_iter()
        .map(event)
        .collect()
}

pub(crate) fn write_marks(folder: &Path, marks: &[Mark]) {
    write(&folder.join("marks"), marks.iter());
}

pub(crate) fn read_marks(folder: &Path) -> Vec<Mark> {
    read(&folder.join("marks"))
}

fn write(path: &Path, lines: impl Iterator<Item = impl Serialize>) {
    let lines = lines.map(|line| serde_json::to_string(&line).unwrap() + "\n");
    fs::write(path, lines.collect::<String>()).unwrap();
}

fn read<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
