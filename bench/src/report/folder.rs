//! The folder a report goes to, proved writable before anything is measured.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How the files end that hold the raw events of a failed verdict, after the hub's name.
pub(crate) const FAILED_EVENTS: &str = "-failed-events.ndjson";

/// A folder that could be written to when the run began.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// The folder can't be used.
#[derive(Debug, thiserror::Error)]
#[error("can't write the report to {}: {cause}; give another folder with --out", path.display())]
pub struct FolderError {
    path: PathBuf,
    cause: io::Error,
}

impl Folder {
    /// `out`, or a new folder by time (UTC) under `target/anyhub-bench`. An earlier report in `out` is removed: its files
    /// would be taken for this run's.
    pub fn prepare(out: Option<&Path>) -> Result<Self, FolderError> {
        let path = match out {
            Some(path) => path.to_owned(),
            None => by_time(Path::new("target/anyhub-bench"), SystemTime::now()),
        };
        let prove = || {
            fs::create_dir_all(&path)?;
            // A full disk or a read-only folder shows itself here, not after minutes of measuring.
            let probe = path.join(".anyhub-bench-probe");
            let written = fs::write(&probe, [0; 4096]);
            let removed = fs::remove_file(&probe);
            written.and(removed)?;
            remove_earlier(&path)
        };
        prove().map_err(|cause| FolderError {
            path: path.clone(),
            cause,
        })?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

fn by_time(parent: &Path, now: SystemTime) -> PathBuf {
    let stamp: String = humantime::format_rfc3339_seconds(now)
        .to_string()
        .chars()
        .filter_map(|c| match c {
            'T' => Some('-'),
            c if c.is_ascii_digit() => Some(c),
            _ => None,
        })
        .collect();
    let first = parent.join(&stamp);
    let later = (2..).map(|n| parent.join(format!("{stamp}-{n}")));
    std::iter::once(first.clone())
        .chain(later)
        .find(|path| !path.exists())
        .unwrap_or(first)
}

/// Only where a report.json shows that the folder is one of ours, and only files of our own names.
fn remove_earlier(folder: &Path) -> io::Result<()> {
    if !folder.join("report.json").is_file() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let ours = matches!(name, "report.json" | "report.md" | "report.html")
            || name.ends_with(".hlog")
            || name.ends_with(FAILED_EVENTS);
        if ours {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn folders_by_time_never_collide() {
        let parent = tempfile::tempdir().unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_385_101);
        let first = by_time(parent.path(), now);
        assert_eq!(first.file_name().unwrap(), "20261122-220501");
        fs::create_dir(&first).unwrap();
        assert_eq!(
            by_time(parent.path(), now).file_name().unwrap(),
            "20261122-220501-2"
        );
    }

    #[test]
    fn an_earlier_report_leaves_and_strangers_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "report.json",
            "report.html",
            "kafka-latency-1.hlog",
            "kafka-failed-events.ndjson",
            "notes.txt",
        ] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        Folder::prepare(Some(folder.path())).unwrap();
        let left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, ["notes.txt"]);
    }

    #[test]
    fn a_file_in_the_way_is_told_in_one_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let told = Folder::prepare(Some(&file.path().join("out")))
            .unwrap_err()
            .to_string();
        assert!(told.contains("--out") && !told.contains('\n'), "{told}");
    }
}
