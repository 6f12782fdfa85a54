//! What a local hub needs from this machine, and how to get what is missing.

use std::path::PathBuf;

use crate::Error;
use crate::cache::{Check, Entry};

/// One thing that a local hub needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirement {
    /// What it is, for instance `Java 17 or newer`.
    pub what: String,
    /// Whether it is there.
    pub state: State,
    /// False if the hub starts without it as things are: Maven, once the jars are there.
    pub needed: bool,
}

/// Whether a requirement is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is there.
    Found {
        /// Where.
        path: PathBuf,
        /// Its version, where it tells.
        version: Option<String>,
    },
    /// It isn't, or is unfit.
    Missing {
        /// What to do, for instance `apt-get install maven`.
        fix: String,
    },
}

impl Requirement {
    /// What was looked for, and its version where it tells.
    pub(crate) fn of(
        what: impl Into<String>,
        found: Result<(PathBuf, Option<String>), Error>,
        needed: bool,
    ) -> Self {
        let state = match found {
            Ok((path, version)) => State::Found { path, version },
            Err(Error::Missing { fix, .. }) => State::Missing { fix },
            Err(other) => State::Missing {
                fix: other.to_string(),
            },
        };
        Requirement {
            what: what.into(),
            state,
            needed,
        }
    }

    /// What the first start fetches, if `entry` is not there already.
    pub(crate) fn fetched(
        what: String,
        entry: Option<&Entry>,
        version: &str,
        fix: &'static str,
    ) -> Self {
        let found = entry.filter(|entry| entry.is_complete(Check::Sizes));
        let found = found.map(|entry| (entry.path(), Some(version.to_owned())));
        let missing = || Error::Missing {
            what: what.clone(),
            fix: fix.to_owned(),
        };
        Requirement::of(what.clone(), found.ok_or_else(missing), false)
    }

    /// True if it is there.
    pub(crate) fn is_there(&self) -> bool {
        matches!(self.state, State::Found { .. })
    }

    /// The same, but nothing has to be done about it.
    #[must_use]
    pub fn optional(self) -> Self {
        Requirement {
            needed: false,
            ..self
        }
    }

    /// True if nothing has to be done about it.
    pub fn is_met(&self) -> bool {
        !self.needed || self.is_there()
    }
}

/// How to install a package on this system: by its name on Debian and Ubuntu, on macOS, and in words elsewhere.
pub(crate) fn install(debian: &str, brew: &str, elsewhere: &str) -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    match System::of(std::env::consts::OS, &release) {
        System::Debian => format!("apt-get install {debian}"),
        System::MacOs => format!("brew install {brew}"),
        System::Other => format!("install {elsewhere} with your package manager"),
    }
}

#[derive(Debug, PartialEq)]
enum System {
    Debian,
    MacOs,
    Other,
}

impl System {
    /// From `/etc/os-release` (freedesktop.org, os-release(5)): ID, and ID_LIKE for what derives from it.
    fn of(os: &str, release: &str) -> Self {
        if os == "macos" {
            return System::MacOs;
        }
        let debian = release
            .lines()
            .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")))
            .flat_map(|ids| ids.trim_matches('"').split_whitespace())
            .any(|id| id == "debian" || id == "ubuntu");
        if debian {
            System::Debian
        } else {
            System::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_told_apart() {
        assert_eq!(System::of("macos", ""), System::MacOs);
        assert_eq!(System::of("linux", "NAME=x\nID=debian\n"), System::Debian);
        let mint = "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n";
        assert_eq!(System::of("linux", mint), System::Debian);
        assert_eq!(System::of("linux", "ID=fedora\n"), System::Other);
        assert_eq!(
            System::of("linux", "NAME=\"not debian\"\nVERSION_ID=debian\n"),
            System::Other
        );
    }
}
