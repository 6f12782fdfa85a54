//! Finds a Python.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;
use crate::java::on_path;
use crate::requirement::{Requirement, State};

/// The Python that LocalStack 4.14 was tried on; with 3.11 it doesn't start.
const WANTED: &str = "3.13";

/// Prints the version, if what an environment is made of is there: Debian has it in a package of its own.
const ASK: &str = "import sys, ensurepip, venv; print('%d.%d.%d' % sys.version_info[:3])";

/// A Python 3.13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Python {
    pub(crate) path: PathBuf,
    /// As it tells, for instance `3.13.0`.
    pub(crate) version: String,
}

impl Python {
    /// The first Python 3.13 of `PATH`, pyenv, uv and Homebrew.
    pub(crate) fn find() -> Result<Self, Error> {
        Python::among(candidates())
    }

    fn among(candidates: impl Iterator<Item = PathBuf>) -> Result<Self, Error> {
        for path in candidates {
            if let Some(version) = version(&path)
                && version.starts_with(&format!("{WANTED}."))
            {
                return Ok(Python { path, version });
            }
        }
        Err(Error::Missing {
            what: what(),
            fix: format!(
                "pyenv install {WANTED}, uv python install {WANTED}, brew install python@{WANTED}, or apt-get install \
                 python{WANTED}-venv (Debian 13 and newer, Ubuntu 25.04 and newer)"
            ),
        })
    }

    pub(crate) fn requirement() -> Requirement {
        let state = match Python::find() {
            Ok(python) => State::Found {
                path: python.path,
                version: Some(python.version),
            },
            Err(Error::Missing { fix, .. }) => State::Missing { fix },
            Err(other) => State::Missing {
                fix: other.to_string(),
            },
        };
        Requirement {
            what: what(),
            state,
            needed: true,
        }
    }
}

fn what() -> String {
    format!("Python {WANTED} with venv")
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    let name = format!("python{WANTED}");
    let home = env::home_dir().unwrap_or_default();
    let pyenv = env::var_os("PYENV_ROOT").map_or_else(|| home.join(".pyenv"), PathBuf::from);
    let data =
        env::var_os("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from);
    // A shim of pyenv on PATH answers only for versions that are switched on; the versions themselves stand beside it.
    let apart = [
        (pyenv.join("versions"), WANTED.to_owned()),
        (data.join("uv/python"), format!("cpython-{WANTED}")),
    ];
    let apart = apart
        .into_iter()
        .flat_map(|(folder, prefix)| beginning_with(&folder, &prefix));
    let brew = ["/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from);
    on_path(&name)
        .chain(on_path("python3"))
        .chain(apart.map(|version| version.join("bin/python3")))
        .chain(brew.into_iter().map(move |folder| folder.join(&name)))
        .filter(|file| file.is_file())
}

fn beginning_with(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn version(python: &Path) -> Option<String> {
    let output = Command::new(python)
        .args(["-I", "-c", ASK])
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A program that answers as a Python of that version does.
    fn python(folder: &Path, version: &str, status: i32) -> PathBuf {
        let path = folder.join(version);
        fs::write(&path, format!("#!/bin/sh\necho {version}\nexit {status}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        // Another test that starts a process just now may hold the file open for writing for a moment.
        while Command::new(&path).output().is_err() {}
        path
    }

    #[test]
    fn only_the_wanted_one_with_venv_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let old = python(folder.path(), "3.11.7", 0);
        let bare = python(folder.path(), "3.13.1", 1);
        let fit = python(folder.path(), "3.13.0", 0);
        let found = Python::among([old.clone(), bare.clone(), fit.clone()].into_iter()).unwrap();
        assert_eq!((found.path, found.version.as_str()), (fit, "3.13.0"));
        let text = Python::among([old, bare].into_iter())
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("Python 3.13 with venv is missing: pyenv install 3.13"),
            "{text}"
        );
    }
}
