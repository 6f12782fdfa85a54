//! Finds programs, and of several versions of one the first that fits.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Programs of that name in the folders of `PATH`.
pub(crate) fn on_path(name: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .filter(|file| file.is_file())
        .collect::<Vec<_>>()
        .into_iter()
}

/// `bin/PROGRAM` of the folder that an environment variable names.
pub(crate) fn in_home(variable: &str, program: &str) -> Option<PathBuf> {
    let home = env::var_os(variable).filter(|home| !home.is_empty())?;
    let file = Path::new(&home).join("bin").join(program);
    file.is_file().then_some(file)
}

/// `bin/PROGRAM` of every version that a folder keeps side by side under names with this beginning, sorted.
pub(crate) fn side_by_side(folder: &Path, beginning: &str, program: &str) -> Vec<PathBuf> {
    let bin = Path::new("bin").join(program);
    let mut found: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(beginning))
        .map(|entry| entry.path().join(&bin))
        .collect();
    found.sort();
    found
}

/// A program that has told its version, for instance `17.0.15`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

impl Program {
    /// The first whose version fits. Err is what to add to a message where none does: the first that has another version.
    /// `version` asks a program, and tells None if it is not what it seems.
    pub(crate) fn first(
        candidates: impl Iterator<Item = PathBuf>,
        version: impl Fn(&Path) -> Option<String>,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Self, String> {
        let mut unfit = String::new();
        for path in candidates.filter(|path| path.is_file()) {
            let Some(version) = version(&path) else {
                continue;
            };
            if fits(&version) {
                return Ok(Program { path, version });
            }
            if unfit.is_empty() {
                unfit = format!(" ({} is version {version})", path.display());
            }
        }
        Err(unfit)
    }
}

/// What a program prints, on stdout and on stderr; None if it can't be run, or ends with a status other than 0.
pub(crate) fn answer(program: &Path, arguments: &[&str]) -> Option<(String, String)> {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let status = output.status;
    status
        .success()
        .then(|| (text(&output.stdout), text(&output.stderr)))
}

/// A program for tests, which is a shell script.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn script(folder: &Path, name: &str, lines: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    // Another test that starts a process just now may hold the file open for writing for a moment.
    while Command::new(&path).output().is_err() {}
    path
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_that_fits_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let tells = |version: &str| script(folder.path(), version, &format!("echo {version}"));
        let [old, fit, newer] = ["1", "2", "3"].map(tells);
        let broken = folder.path().join("broken");
        fs::write(&broken, "").unwrap();
        let first = |all: &[&PathBuf]| {
            let all = all.iter().map(|path| path.to_path_buf());
            let version = |path: &Path| answer(path, &[]).map(|(out, _)| out);
            Program::first(all, version, |version| version >= "2")
        };
        let absent = folder.path().join("absent");
        let found = first(&[&absent, &broken, &old, &fit, &newer]).unwrap();
        assert_eq!((found.path, found.version.as_str()), (fit, "2"));
        let unfit = format!(" ({} is version 1)", old.display());
        assert_eq!(first(&[&broken, &old]), Err(unfit));
        assert_eq!(first(&[]), Err(String::new()));
    }

    #[test]
    fn versions_side_by_side_come_sorted() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["3.13.1", "3.12.9", "3.13.0"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let found = side_by_side(folder.path(), "3.13", "python3");
        let due = ["3.13.0", "3.13.1"].map(|name| folder.path().join(name).join("bin/python3"));
        assert_eq!(found, due);
        assert!(side_by_side(&folder.path().join("none"), "", "x").is_empty());
    }
}
