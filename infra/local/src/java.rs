//! Finds a Java runtime.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::program::{Program, answer, in_home, on_path, side_by_side};
use crate::requirement::{Requirement, install};

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
        let fits = |version: &str| major(version).is_some_and(|major| major >= OLDEST);
        match Program::first(candidates, version, fits) {
            Ok(Program { path, version }) => Ok(Java { path, version }),
            Err(unfit) => {
                let fix = install(
                    "openjdk-17-jre-headless",
                    "openjdk",
                    "a Java runtime, 17 or newer (java-21-openjdk-headless or the like),",
                );
                Err(Error::Missing {
                    what: what(),
                    fix: fix + &unfit,
                })
            }
        }
    }

    /// What `JAVA_HOME` should be for this Java, for scripts that look there first.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        let real = self.path.canonicalize().ok()?;
        real.parent()?.parent().map(Path::to_owned)
    }

    pub(crate) fn requirement() -> Requirement {
        let found = Java::find().map(|java| (java.path, Some(java.version)));
        Requirement::of(what(), found, true)
    }
}

fn what() -> String {
    format!("Java {OLDEST} or newer")
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    // Homebrew's openjdk is not linked into PATH; a Linux system with an older default keeps the newer ones side by side.
    let brew = [
        "/opt/homebrew/opt/openjdk/bin/java",
        "/usr/local/opt/openjdk/bin/java",
    ];
    in_home("JAVA_HOME", "java")
        .into_iter()
        .chain(on_path("java"))
        .chain(brew.map(PathBuf::from))
        .chain(side_by_side(Path::new("/usr/lib/jvm"), "", "java"))
}

fn version(java: &Path) -> Option<String> {
    // On macOS /usr/bin/java is there without any Java: it answers with a status other than 0.
    let (_, told) = answer(java, &["-version"])?;
    quoted(&told)
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
    use crate::program::script;

    /// A program that answers as a Java of that version does.
    fn java(folder: &Path, version: &str) -> PathBuf {
        let line = format!("echo 'openjdk version \"{version}\" 2025' >&2");
        script(folder, version, &line)
    }

    #[test]
    fn the_first_that_is_new_enough_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let [old, fit, newer] = ["11.0.1", "17.0.2", "25"].map(|v| java(folder.path(), v));
        let all = [old.clone(), fit.clone(), newer];
        let found = Java::among(all.into_iter()).unwrap();
        assert_eq!((found.path, found.version.as_str()), (fit, "17.0.2"));

        let text = Java::among([old.clone()].into_iter())
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
