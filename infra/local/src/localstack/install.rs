//! LocalStack in a Python environment of its own, with the Kinesis server that it runs, fetched once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Phase, VERSION};
use crate::Error;
use crate::cache::{Check, Entry, cache_dir};
use crate::fetch::Fetch;
use crate::program::on_path;
use crate::python::Python;
use crate::requirement::{Requirement, install};

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
            let fetch = Fetch::new(what(), entry.beside(".log"), "ERROR", TIMEOUT)?;
            fill(folder, &python, &fetch)
        },
    )?;
    Ok(Installed {
        python: folder.join("venv/bin/python"),
        servers: folder.join("root").join(SERVERS),
    })
}

fn fill(folder: &Path, python: &Python, fetch: &Fetch) -> Result<(), Error> {
    let venv = folder.join("venv");
    let own = venv.join("bin/python");
    fetch.run(Command::new(&python.path).args(["-m", "venv"]).arg(&venv))?;
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
    fetch.run(pip.args(PACKAGES))?;
    let mut servers = Command::new(&own);
    servers.args(["-m", "localstack.cli.lpm", "install", "kinesis-mock"]);
    settings(&mut servers, &folder.join("root"));
    fetch.run(&servers)
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

/// What a start needs, and what is there.
pub(super) fn requirements() -> Vec<Requirement> {
    let entry = Python::find().and_then(|python| entry(&python)).ok();
    let fix = "anyhub-local prepare kinesis --with localstack (some minutes, once)";
    let itself = Requirement::fetched(what(), entry.as_ref(), VERSION, fix);
    let found = |program: Result<PathBuf, Error>| program.map(|path| (path, None));
    vec![
        Python::requirement(),
        Requirement::of("Node.js", found(node()), true),
        Requirement::of("npm", found(npm()), !itself.is_there()),
        itself,
    ]
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
