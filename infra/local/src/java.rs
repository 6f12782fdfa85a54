//! Finds a Java runtime.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;
use crate::requirement::{Requirement, State, install};

/// The oldest Java that Kafka 4's brokers run on (Apache Kafka 4.0 upgrade notes, 2025-03-18).
const OLDEST: u32 = 17;

/// A Java runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Java {
    pub(crate) path: PathBuf,
    /// As it tells, for instance `17.0.15`.
    pub(crate) version: String,
}

impl Java {
    /// The first Java 17 or newer of `JAVA_HOME`, `PATH`, and the places where packages put one without naming it there.
    pub(crate) fn find() -> Result<Self, Error> {
        Java::among(candidates())
    }

    fn among(candidates: impl Iterator<Item = PathBuf>) -> Result<Self, Error> {
        let mut too_old = None;
        for path in candidates {
            let Some(version) = version(&path) else {
                continue;
            };
            if major(&version).is_some_and(|major| major >= OLDEST) {
                return Ok(Java { path, version });
            }
            too_old.get_or_insert((path, version));
        }
        let mut fix = install(
            "openjdk-17-jre-headless",
            "openjdk",
            "a Java runtime, 17 or newer (java-21-openjdk-headless or the like),",
        );
        if let Some((path, version)) = too_old {
            fix += &format!(" ({} is version {version})", path.display());
        }
        Err(Error::Missing { what: what(), fix })
    }

    /// What `JAVA_HOME` should be for this Java, for scripts that look there first.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        let real = self.path.canonicalize().ok()?;
        real.parent()?.parent().map(Path::to_owned)
    }

    pub(crate) fn requirement() -> Requirement {
        let state = match Java::find() {
            Ok(java) => State::Found {
                path: java.path,
                version: Some(java.version),
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
    format!("Java {OLDEST} or newer")
}

/// A program of that name in the folders of `PATH`.
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

fn candidates() -> impl Iterator<Item = PathBuf> {
    // Homebrew's openjdk is not linked into PATH; a Linux system with an older default keeps the newer ones side by side.
    let brew = [
        "/opt/homebrew/opt/openjdk/bin/java",
        "/usr/local/opt/openjdk/bin/java",
    ];
    let mut side_by_side: Vec<_> = std::fs::read_dir("/usr/lib/jvm")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin/java"))
        .collect();
    side_by_side.sort();
    in_home("JAVA_HOME", "java")
        .into_iter()
        .chain(on_path("java"))
        .chain(brew.map(PathBuf::from))
        .chain(side_by_side)
        .filter(|file| file.is_file())
}

fn version(java: &Path) -> Option<String> {
    // On macOS /usr/bin/java is there without any Java: it answers with a status other than 0.
    let output = Command::new(java)
        .arg("-version")
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    quoted(&String::from_utf8_lossy(&output.stderr))
}

/// `17.0.15` of `openjdk version "17.0.15" 2025-04-15`.
fn quoted(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains(" version \""))?;
    line.split('"').nth(1).map(str::to_owned)
}

/// 17 of `17.0.15`, 8 of `1.8.0_292`, 26 of `26-ea`.
fn major(version: &str) -> Option<u32> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// A program that answers as a Java of that version does.
    fn java(folder: &Path, version: &str) -> PathBuf {
        let path = folder.join(version);
        let script = format!("#!/bin/sh\necho 'openjdk version \"{version}\" 2025' >&2\n");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        // Another test that starts a process just now may hold the file open for writing for a moment.
        while Command::new(&path).output().is_err() {}
        path
    }

    #[test]
    fn the_first_that_is_new_enough_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let [old, fit, newer] = ["11.0.1", "17.0.2", "25"].map(|v| java(folder.path(), v));
        let broken = folder.path().join("broken");
        fs::write(&broken, "").unwrap();
        let all = [broken.clone(), old.clone(), fit.clone(), newer];
        let found = Java::among(all.into_iter()).unwrap();
        assert_eq!((found.path, found.version.as_str()), (fit, "17.0.2"));

        let text = Java::among([broken, old.clone()].into_iter())
            .unwrap_err()
            .to_string();
        assert!(text.contains("Java 17 or newer is missing"), "{text}");
        assert!(
            text.contains(&format!("{} is version 11.0.1", old.display())),
            "{text}"
        );
        let none = Java::among(std::iter::empty()).unwrap_err().to_string();
        assert!(none.contains("install"), "{none}");
    }

    #[test]
    fn versions_are_read() {
        let text = "Picked up JAVA_TOOL_OPTIONS: -Dx=\"y\"\nopenjdk version \"17.0.15\" 2025-04-15\nOpenJDK ...";
        assert_eq!(quoted(text).as_deref(), Some("17.0.15"));
        assert_eq!(quoted("Unable to locate a Java Runtime."), None);
        for (version, expected) in [("17.0.15", 17), ("1.8.0_292", 8), ("26-ea", 26), ("21", 21)] {
            assert_eq!(major(version), Some(expected), "{version}");
        }
        assert_eq!(major("x"), None);
    }
}
