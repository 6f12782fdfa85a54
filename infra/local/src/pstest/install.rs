//! pstest as a program, built once by Go.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Phase, VERSION};
use crate::Error;
use crate::cache::{Check, Entry, cache_dir};
use crate::fetch::Fetch;
use crate::program::{Program, answer, on_path};
use crate::requirement::{Requirement, install};

const MODULE: &str = include_str!("go.mod");
const MAIN: &str = include_str!("main.go");
const PROGRAM: &str = "pstest";

/// What go.mod asks for at least.
const GO: (u32, u32) = (1, 26);
/// 100 MB of modules from a slow mirror, and a build.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Finds the program, or builds it.
pub(super) fn get(check: Check, progress: &dyn Fn(Phase)) -> Result<PathBuf, Error> {
    let entry = entry()?;
    let folder = entry.get(
        check,
        || progress(Phase::Waiting),
        |folder| {
            let go = go()?;
            progress(Phase::Fetching);
            build(&go.path, folder, entry.beside(".log"))
        },
    )?;
    Ok(folder.join(PROGRAM))
}

fn build(go: &Path, folder: &Path, log: PathBuf) -> Result<(), Error> {
    for (name, text) in [("go.mod", MODULE), ("main.go", MAIN)] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|e| Error::io("writing", &path, e))?;
    }
    let fetch = Fetch::new(what(), log, "error", TIMEOUT)?;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(go);
        command
            .args(arguments)
            .current_dir(folder)
            .env("GOFLAGS", "-mod=mod")
            .env("CGO_ENABLED", "0");
        fetch.run(&command)
    };
    run(&["mod", "tidy"])?;
    run(&["build", "-trimpath", "-o", PROGRAM, "."])
}

/// What a start needs, and what is there.
pub(super) fn requirements() -> Vec<Requirement> {
    let fix = "anyhub-local prepare pubsub --with pstest (a minute or two, once)";
    let entry = entry().ok();
    let itself = Requirement::fetched(what(), entry.as_ref(), VERSION, fix);
    let found = go().map(|go| (go.path, Some(go.version)));
    vec![Requirement::of(wanted(), found, !itself.is_there()), itself]
}

fn go() -> Result<Program, Error> {
    let version = |go: &Path| {
        let (told, _) = answer(go, &["env", "GOVERSION"])?;
        Some(told.trim_start_matches("go").to_owned())
    };
    let candidates = on_path("go").chain([PathBuf::from("/usr/local/go/bin/go")]);
    Program::first(candidates, version, fits).map_err(|unfit| Error::Missing {
        what: wanted(),
        fix: install("golang-go", "go", "Go") + &unfit,
    })
}

fn fits(version: &str) -> bool {
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= GO,
        _ => false,
    }
}

fn entry() -> Result<Entry, Error> {
    let recipe = format!("{MODULE}{MAIN}");
    Ok(Entry::new(
        cache_dir()?,
        &format!("pstest-{VERSION}"),
        &recipe,
    ))
}

fn wanted() -> String {
    format!("Go {}.{} or newer", GO.0, GO.1)
}

fn what() -> String {
    format!("pstest {VERSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_asks_for_the_version_that_is_told() {
        assert!(MODULE.contains(&format!("pubsub/v2 v{VERSION}")));
        assert!(MODULE.contains(&format!("go {}.{}", GO.0, GO.1)));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, fit) in [
            ("1.26", true),
            ("1.26.3", true),
            ("2.0", true),
            ("1.9.7", false),
            ("1.25.4", false),
            ("devel", false),
        ] {
            assert_eq!(fits(version), fit, "{version}");
        }
    }
}
