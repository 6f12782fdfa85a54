//! The files of infra/interop/README.md: JSON, a value in each line.

use crate::Told;
use anyhub_core::{Event, Header};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fs, path::Path};

#[derive(Serialize, Deserialize)]
struct Line {
    key: Option<String>,
    body: String,
    headers: Vec<(String, String)>,
}

/// Writes the file `events`. Err for a key that is no text.
pub fn write_events(folder: &Path, events: &[Event]) -> Told<()> {
    let lines: Told<Vec<Line>> = events.iter().map(line).collect();
    write_lines(folder, "events", lines?)
}

fn line(event: &Event) -> Told<Line> {
    let pack = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    let text = |key: &anyhub_core::Key| key.as_str().map(str::to_owned);
    let key = event.key.as_ref();
    let headers = event.headers.iter();
    Ok(Line {
        key: key
            .map(|key| text(key).ok_or("a key is no text"))
            .transpose()?,
        body: pack(&event.payload),
        headers: headers
            .map(|header| (header.name().to_owned(), pack(header.value())))
            .collect(),
    })
}

/// Reads the file `events`.
pub fn read_events(folder: &Path) -> Told<Vec<Event>> {
    let lines = read_lines(folder, "events")?;
    lines.into_iter().map(event).collect()
}

fn event(line: Line) -> Told<Event> {
    let unpack = |text: &str| BASE64_STANDARD.decode(text).map_err(|e| e.to_string());
    let mut event = Event::new(unpack(&line.body)?);
    event.key = line.key.map(Into::into);
    for (name, value) in line.headers {
        event.headers.push(Header::new(name, unpack(&value)?));
    }
    Ok(event)
}

/// Writes a file of other lines.
pub fn write_lines(
    folder: &Path,
    name: &str,
    lines: impl IntoIterator<Item = impl Serialize>,
) -> Told<()> {
    let mut text = String::new();
    for line in lines {
        text += &serde_json::to_string(&line).map_err(|error| error.to_string())?;
        text.push('\n');
    }
    fs::write(folder.join(name), text).map_err(|error| format!("{name}: {error}"))
}

/// Reads a file of other lines.
pub fn read_lines<T: DeserializeOwned>(folder: &Path, name: &str) -> Told<Vec<T>> {
    let text = fs::read_to_string(folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|e| format!("{name}: {e}")));
    lines.collect()
}
