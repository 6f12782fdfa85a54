//! Finds Maven and fetches jars with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Error;
use crate::java::{Java, in_home, on_path};
use crate::log::Log;
use crate::process::Process;
use crate::requirement::{Requirement, State, install};

/// A mirror that hangs must not hang us: 54 MB in that time is 90 KB/s.
const TIMEOUT: Duration = Duration::from_secs(600);

/// `mvn` by `MAVEN_HOME`, `M2_HOME` or `PATH`.
pub(crate) fn find() -> Result<PathBuf, Error> {
    in_home("MAVEN_HOME", "mvn")
        .or_else(|| in_home("M2_HOME", "mvn"))
        .or_else(|| on_path("mvn").next())
        .ok_or_else(|| Error::Missing {
            what: "Maven".into(),
            fix: install("maven", "maven", "Apache Maven (maven)"),
        })
}

/// `needed` is false where the jars are there already.
pub(crate) fn requirement(needed: bool) -> Requirement {
    let state = match find() {
        Ok(path) => State::Found {
            version: version(&path),
            path,
        },
        Err(Error::Missing { fix, .. }) => State::Missing { fix },
        Err(other) => State::Missing {
            fix: other.to_string(),
        },
    };
    Requirement {
        what: "Maven".into(),
        state,
        needed,
    }
}

/// Copies the jars that the POM names, with all that they need at run time, to the folder `lib` beside it.
pub(crate) fn fetch(what: &str, java: &Java, pom: &Path, log: &Log) -> Result<(), Error> {
    let mvn = find()?;
    let mut command = Command::new(&mvn);
    command
        .args(["--quiet", "--batch-mode", "--strict-checksums", "--file"])
        .arg(pom)
        .arg("dependency:copy-dependencies");
    if let Some(folder) = pom.parent() {
        command.current_dir(folder);
    }
    if let Some(home) = java.home() {
        command.env("JAVA_HOME", home);
    }
    match fs::remove_file(log.path()) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("removing the old", log.path(), e));
        }
        _ => {}
    }
    let process =
        Process::start(&command, log.path(), None).map_err(|e| Error::io("starting", &mvn, e))?;
    let failed = |cause| Error::Fetch {
        what: what.to_owned(),
        cause,
        log: log.path().to_owned(),
    };
    match process.wait(TIMEOUT) {
        Some(exit) if exit.success() => Ok(()),
        Some(_) => Err(failed(log.first("[ERROR]").unwrap_or_else(|| log.cause()))),
        None => Err(failed(format!(
            "Maven was still at it after {} minutes; what it has fetched is kept for the next try",
            TIMEOUT.as_secs() / 60
        ))),
    }
}

fn version(mvn: &Path) -> Option<String> {
    let output = Command::new(mvn)
        .args(["--batch-mode", "--version"])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    released(&String::from_utf8_lossy(&output.stdout))
}

/// `3.8.7` of `Apache Maven 3.8.7 (...)`, which may be wrapped in colours.
fn released(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("Apache Maven ")?;
    let version = |c: &char| c.is_ascii_alphanumeric() || ".-".contains(*c);
    Some(rest.chars().take_while(version).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read() {
        let coloured = "\u{1b}[1mApache Maven 3.8.7\u{1b}[m\nMaven home: /usr/share/maven\n";
        assert_eq!(released(coloured).as_deref(), Some("3.8.7"));
        assert_eq!(
            released("Apache Maven 4.0.0-rc-3 (x)").as_deref(),
            Some("4.0.0-rc-3")
        );
        assert_eq!(released("none"), None);
    }
}
