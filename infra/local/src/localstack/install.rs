//! LocalStack in a Python environment of its own, with the Kinesis server that it runs, fetched once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Phase, VERSION};
use crate::Error;
use crate::cache::{Check, Entry, cache_dir};
use crate::java::on_path;
use crate::log::Log;
use crate::process::Process;
use crate::python::Python;
use crate::requirement::{Requirement, State, install};

/// 4.14.0 is the last release that needs no account. Later versions of the others it can't work with.
const PACKAGES: [&str; 6] = [
    "localstack-core[base-runtime,runtime]==4.14.0",
    "cbor2==5.7.1",
    "cryptography==43.0.3",
    "joserfc<1.5",
    "pyopenssl==24.2.1",
    "service_identity==24.2.0",
];

/// Where it has its servers, below its root.
pub(super) const SERVERS: &str = "usr/lib/localstack";

/// 150 MB from a slow mirror.
const TIMEOUT: Duration = Duration::from_secs(900);

/// What a start uses of the cache entry.
#[derive(Debug)]
pub(super) struct Installed {
    pub(super) python: PathBuf,
    /// Holds what LocalStack would have in `/usr/lib/localstack`: its Kinesis server.
    pub(super) servers: PathBuf,
}

/// Finds LocalStack, or fetches it with pip and npm.
pub(super) fn get(check: Check, progress: &dyn Fn(Phase)) -> Result<Installed, Error> {
    let python = Python::find()?;
    let entry = entry(&python)?;
    let folder = entry.get(
        check,
        || progress(Phase::Waiting),
        |folder| {
            npm()?;
            progress(Phase::Fetching);
            fetch(&python, folder, &Log::new(entry.beside(".log")))
        },
    )?;
    Ok(Installed {
        python: folder.join("venv/bin/python"),
        servers: folder.join("root").join(SERVERS),
    })
}

fn fetch(python: &Python, folder: &Path, log: &Log) -> Result<(), Error> {
    match fs::remove_file(log.path()) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("removing the old", log.path(), e));
        }
        _ => {}
    }
    let venv = folder.join("venv");
    let own = venv.join("bin/python");
    run(
        Command::new(&python.path).args(["-m", "venv"]).arg(&venv),
        log,
    )?;
    // A second name for lib, which would be taken for a file.
    let _ = fs::remove_file(venv.join("lib64"));
    let mut pip = Command::new(&own);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]);
    run(pip.args(PACKAGES), log)?;
    let mut servers = Command::new(&own);
    servers.args(["-m", "localstack.cli.lpm", "install", "kinesis-mock"]);
    settings(&mut servers, &folder.join("root"));
    run(&mut servers, log)
}

/// What LocalStack is told by its environment. All of its files are below `root`.
pub(super) fn settings(command: &mut Command, root: &Path) {
    command
        .env("FILESYSTEM_ROOT", root)
        // Inside of a container it would take the whole machine for its own.
        .env("OVERRIDE_IN_DOCKER", "0")
        // Otherwise it is a build for Java, which it fetches from where nobody else does.
        .env("KINESIS_MOCK_PROVIDER_ENGINE", "node")
        .env("SKIP_SSL_CERT_DOWNLOAD", "1")
        .env("DISABLE_EVENTS", "1")
        .env_remove("LOCALSTACK_AUTH_TOKEN")
        .env_remove("LOCALSTACK_API_KEY");
}

fn run(command: &mut Command, log: &Log) -> Result<(), Error> {
    let program = PathBuf::from(command.get_program());
    let process = Process::start(command, log.path(), None)
        .map_err(|e| Error::io("starting", &program, e))?;
    let failed = |cause| Error::Fetch {
        what: what(),
        cause,
        log: log.path().to_owned(),
    };
    match process.wait(TIMEOUT) {
        Some(exit) if exit.success() => Ok(()),
        Some(_) => Err(failed(log.first("ERROR").unwrap_or_else(|| log.cause()))),
        None => Err(failed(format!(
            "it was still at it after {} minutes",
            TIMEOUT.as_secs() / 60
        ))),
    }
}

/// What a start needs, and what is there.
pub(super) fn requirements() -> Vec<Requirement> {
    let entry = Python::find().and_then(|python| entry(&python)).ok();
    let found = entry.filter(|entry| entry.is_complete(Check::Sizes));
    let fetched = found.is_some();
    let state = match found {
        Some(entry) => State::Found {
            path: entry.path(),
            version: Some(VERSION.to_owned()),
        },
        None => State::Missing {
            fix: "anyhub-local prepare kinesis --with localstack (some minutes, once)".into(),
        },
    };
    let itself = Requirement {
        what: what(),
        state,
        // Fetched by the first start.
        needed: false,
    };
    vec![
        Python::requirement(),
        program("Node.js", node(), true),
        program("npm", npm(), !fetched),
        itself,
    ]
}

fn program(what: &str, found: Result<PathBuf, Error>, needed: bool) -> Requirement {
    let state = match found {
        Ok(path) => State::Found {
            path,
            version: None,
        },
        Err(Error::Missing { fix, .. }) => State::Missing { fix },
        Err(other) => State::Missing {
            fix: other.to_string(),
        },
    };
    Requirement {
        what: what.to_owned(),
        state,
        needed,
    }
}

/// Node.js runs the Kinesis server.
pub(super) fn node() -> Result<PathBuf, Error> {
    on_path("node").next().ok_or_else(|| Error::Missing {
        what: "Node.js".into(),
        fix: install("nodejs", "node", "Node.js (nodejs)"),
    })
}

fn npm() -> Result<PathBuf, Error> {
    on_path("npm").next().ok_or_else(|| Error::Missing {
        what: "npm".into(),
        fix: install("npm", "node", "npm"),
    })
}

fn entry(python: &Python) -> Result<Entry, Error> {
    let recipe = format!(
        "{} {} kinesis-mock/node",
        python.version,
        PACKAGES.join(" ")
    );
    Ok(Entry::new(
        cache_dir()?,
        &format!("localstack-{VERSION}"),
        &recipe,
    ))
}

fn what() -> String {
    format!("LocalStack {VERSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_is_told_is_the_one_that_is_fetched() {
        assert!(PACKAGES[0].ends_with(&format!("=={VERSION}")));
    }
}
