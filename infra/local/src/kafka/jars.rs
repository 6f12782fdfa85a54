//! Kafka's jars, fetched once by Maven, and an archive of its classes that halves the time of a start.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Phase, VERSION};
use crate::Error;
use crate::cache::{Check, Entry, cache_dir};
use crate::java::Java;
use crate::maven;
use crate::requirement::Requirement;

const POM: &str = include_str!("pom.xml");
const CLASSES: &str = "kafka.jsa";

/// The folder of the jars; fetches them where they aren't there.
pub(crate) fn get(java: &Java, check: Check, progress: &dyn Fn(Phase)) -> Result<PathBuf, Error> {
    let entry = entry()?;
    let folder = entry.get(
        check,
        || progress(Phase::Waiting),
        |folder| {
            progress(Phase::Fetching);
            let pom = folder.join("pom.xml");
            fs::write(&pom, POM).map_err(|e| Error::io("writing", &pom, e))?;
            maven::fetch(what(), java, &pom, entry.beside(".log"))
        },
    )?;
    Ok(folder.join("lib"))
}

/// What a class path takes: the jars by name, because the order in which a folder lists them may change.
pub(crate) fn class_path(lib: &Path) -> Result<String, Error> {
    let failed = |e| Error::io("reading", lib, e);
    let mut jars = Vec::new();
    for entry in fs::read_dir(lib).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "jar") {
            jars.push(path.display().to_string());
        }
    }
    jars.sort();
    Ok(jars.join(":"))
}

/// The class archive of these jars for this Java (JEP 350), written by `dump` where there is none; None where this Java can't
/// write one. It changes how fast classes are loaded and nothing else; a Java that it doesn't fit ignores it.
pub(crate) fn classes(
    java: &Java,
    lib: &Path,
    progress: &dyn Fn(Phase),
    dump: impl FnOnce(&Path) -> Result<(), Error>,
) -> Option<PathBuf> {
    // A Java takes the archive only for the very files that it was written from.
    let written = fs::metadata(lib).and_then(|lib| lib.modified()).ok()?;
    let recipe = format!(
        "{} {} {written:?} {}",
        java.path.display(),
        java.version,
        lib.display()
    );
    let entry = Entry::new(
        cache_dir().ok()?,
        &format!("kafka-{VERSION}-classes-{}", java.version),
        &recipe,
    );
    let folder = entry
        .get(
            Check::Sizes,
            || progress(Phase::Waiting),
            |folder| {
                progress(Phase::Archiving);
                match dump(&folder.join(CLASSES)) {
                    // This Java knows no such archives: complete without one, so that it isn't tried at each start.
                    Err(Error::Ended { .. }) => Ok(()),
                    other => other,
                }
            },
        )
        .ok()?;
    Some(folder.join(CLASSES)).filter(|archive| archive.exists())
}

/// What a start needs, and what is there.
pub(crate) fn requirements() -> Vec<Requirement> {
    let fix = "anyhub-local prepare kafka (54 MB, once)";
    let jars = Requirement::fetched(what(), entry().ok().as_ref(), VERSION, fix);
    let maven = maven::requirement(!jars.is_there());
    vec![Java::requirement(), jars, maven]
}

fn entry() -> Result<Entry, Error> {
    Ok(Entry::new(cache_dir()?, &format!("kafka-{VERSION}"), POM))
}

fn what() -> String {
    format!("the jars of Apache Kafka {VERSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_asks_for_the_version_that_is_told() {
        assert!(POM.contains(&format!("<kafka.version>{VERSION}</kafka.version>")));
    }
}
