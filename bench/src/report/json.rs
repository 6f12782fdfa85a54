//! report.json: written, and read again to be redrawn.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::report::{Report, SCHEMA};

/// A report that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such file, or it can't be opened.
    #[error("can't read {}: {cause}; give the folder that `anyhub-bench run` named in its last line", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Written by another version.
    #[error("{} has schema {found}, this anyhub-bench reads {SCHEMA}: use the version that wrote it", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
    },
    /// No report.
    #[error("{} is no report: {cause}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where it went wrong.
        cause: serde_json::Error,
    },
}

/// The file's text, indented, with a newline at its end.
pub fn json(report: &Report) -> io::Result<String> {
    let mut text = serde_json::to_string_pretty(report).map_err(io::Error::other)?;
    text.push('\n');
    Ok(text)
}

/// Reads DIR/report.json.
pub fn read(folder: &Path) -> Result<Report, ReadError> {
    let path = folder.join("report.json");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(cause) => return Err(ReadError::Io { path, cause }),
    };
    let value: serde_json::Value = match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(cause) => return Err(ReadError::Shape { path, cause }),
    };
    // Before the shape: another schema's file would be told off for its fields.
    if let Some(found) = value.get("schema").and_then(serde_json::Value::as_u64)
        && found != u64::from(SCHEMA)
    {
        return Err(ReadError::Schema { path, found });
    }
    serde_json::from_value(value).map_err(|cause| ReadError::Shape { path, cause })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("report.json"), json(&sample()).unwrap()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), sample());
    }

    #[test]
    fn the_order_is_that_of_the_contract() {
        let text = json(&sample()).unwrap();
        let places: Vec<_> = [
            "\"schema\"",
            "\"run\"",
            "\"workload\"",
            "\"hubs\"",
            "\"status\"",
            "\"latency\"",
            "\"throughput\"",
            "\"runs\"",
        ]
        .map(|name| text.find(name).unwrap())
        .to_vec();
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn what_is_no_report_is_told_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let told = |text: &str| {
            fs::write(folder.path().join("report.json"), text).unwrap();
            read(folder.path()).unwrap_err().to_string()
        };
        assert!(told("{\"schema\": 2}").contains("schema 2"));
        assert!(told("{\"schema\": 1}").contains("missing field"));
        assert!(told("{").contains("is no report"));
        assert!(
            read(&folder.path().join("away"))
                .unwrap_err()
                .to_string()
                .contains("last line")
        );
    }
}
