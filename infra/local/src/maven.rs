//! Finds Maven and fetches jars with it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Error;
use crate::fetch::Fetch;
use crate::java::Java;
use crate::program::{answer, in_home, on_path};
use crate::requirement::{Requirement, install};

/// 54 MB in that time is 90 KB/s.
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
    let found = find().map(|path| {
        let version = version(&path);
        (path, version)
    });
    Requirement::of("Maven", found, needed)
}

/// Copies the jars that the POM names, with all that they need at run time, to the folder `lib` beside it.
pub(crate) fn fetch(what: String, java: &Java, pom: &Path, log: PathBuf) -> Result<(), Error> {
    let mut command = Command::new(find()?);
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
    Fetch::new(what, log, "[ERROR]", TIMEOUT)?.run(&command)
}

fn version(mvn: &Path) -> Option<String> {
    let (told, _) = answer(mvn, &["--batch-mode", "--version"])?;
    released(&told)
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
