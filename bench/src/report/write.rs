//! All files of a report.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::report::json::json;
use crate::report::{Report, html, markdown};

/// A file of the report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("can't write {}: {cause}", path.display())]
pub struct WriteError {
    path: PathBuf,
    cause: io::Error,
}

/// Writes report.json, report.md and report.html; answers where the last one is. report.json comes first: from it the others
/// can be drawn again.
pub fn write(folder: &Path, report: &Report) -> Result<PathBuf, WriteError> {
    let path = folder.join("report.json");
    let text = json(report).map_err(|cause| WriteError {
        path: path.clone(),
        cause,
    })?;
    replace(path, &text)?;
    redraw(folder, report)
}

/// Writes what is drawn from report.json, and leaves that alone.
pub fn redraw(folder: &Path, report: &Report) -> Result<PathBuf, WriteError> {
    replace(folder.join("report.md"), &markdown(report))?;
    replace(folder.join("report.html"), &html(report))
}

/// All or nothing: a full disk leaves no half of a report.
fn replace(path: PathBuf, text: &str) -> Result<PathBuf, WriteError> {
    let mut half = path.clone().into_os_string();
    half.push(".part");
    let half = PathBuf::from(half);
    match fs::write(&half, text).and_then(|()| fs::rename(&half, &path)) {
        Ok(()) => Ok(path),
        Err(cause) => {
            // Gone or not: what matters is the first error.
            let _ = fs::remove_file(&half);
            Err(WriteError { path, cause })
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn leaves_three_files_and_no_halves() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), &sample()).unwrap();
        assert_eq!(path, folder.path().join("report.html"));
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["report.html", "report.json", "report.md"]);
    }

    #[test]
    fn a_full_disk_is_told_with_the_file() {
        // Linux's own full disk.
        let full = Path::new("/dev/full");
        if full.exists() {
            let cause = fs::write(full, "x").unwrap_err();
            let told = WriteError {
                path: "out/report.html".into(),
                cause,
            }
            .to_string();
            assert!(
                told.starts_with("can't write out/report.html: No space left"),
                "{told}"
            );
        }
        assert!(write(Path::new("/no/such/folder"), &sample()).is_err());
    }
}
