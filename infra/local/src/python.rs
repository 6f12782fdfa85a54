//! Finds a Python.

use std::env;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::program::{Program, answer, on_path, side_by_side};
use crate::requirement::Requirement;

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
        let fits = |version: &str| version.starts_with(&format!("{WANTED}."));
        match Program::first(candidates, version, fits) {
            Ok(Program { path, version }) => Ok(Python { path, version }),
            Err(unfit) => Err(Error::Missing {
                what: what(),
                fix: format!(
                    "pyenv install {WANTED}, uv python install {WANTED}, brew install python@{WANTED}, or apt-get install \
                     python{WANTED}-venv (Debian 13 and newer, Ubuntu 25.04 and newer){unfit}"
                ),
            }),
        }
    }

    pub(crate) fn requirement() -> Requirement {
        let found = Python::find().map(|python| (python.path, Some(python.version)));
        Requirement::of(what(), found, true)
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
        side_by_side(&pyenv.join("versions"), WANTED, "python3"),
        side_by_side(
            &data.join("uv/python"),
            &format!("cpython-{WANTED}"),
            "python3",
        ),
    ];
    let brew = ["/opt/homebrew/bin", "/usr/local/bin"].map(|folder| Path::new(folder).join(&name));
    on_path(&name)
        .chain(on_path("python3"))
        .chain(apart.into_iter().flatten())
        .chain(brew)
}

fn version(python: &Path) -> Option<String> {
    Some(answer(python, &["-I", "-c", ASK])?.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::program::script;

    /// A program that answers as a Python of that version does.
    fn python(folder: &Path, version: &str, status: i32) -> PathBuf {
        script(folder, version, &format!("echo {version}\nexit {status}"))
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
