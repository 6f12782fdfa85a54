//! What can go wrong, each in one line that says what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a local hub could not be prepared or started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option that can't be used.
    #[error("{0}")]
    Invalid(String),
    /// Something that this machine lacks.
    #[error("{what} is missing: {fix}")]
    #[non_exhaustive]
    Missing {
        /// What is needed, for instance `Java 17 or newer`.
        what: String,
        /// How to get it, for instance `apt-get install openjdk-17-jre-headless`.
        fix: String,
    },
    /// The server's files could not be fetched.
    #[error("fetching {what} failed: {cause}; the whole log: {}", log.display())]
    #[non_exhaustive]
    Fetch {
        /// What was being fetched.
        what: String,
        /// The line of the log that says why.
        cause: String,
        /// The log.
        log: PathBuf,
    },
    /// The port that was asked for is in use.
    #[error(
        "port {port} on 127.0.0.1 is in use: stop what listens there, choose another port, or leave it out to have a free one picked"
    )]
    #[non_exhaustive]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// A server ended by itself.
    #[error("{server} ended with {exit}: {cause}; its log is kept: {}", log.display())]
    #[non_exhaustive]
    Ended {
        /// The server, for instance `Kafka broker 0`.
        server: String,
        /// How it ended, for instance `status 1`.
        exit: String,
        /// The line of the log that says why.
        cause: String,
        /// The log, which is not removed.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// A server runs but did not answer in time.
    #[error("{server} did not answer within {} s: {cause}; its log is kept: {}", after.as_secs(), log.display())]
    #[non_exhaustive]
    NotReady {
        /// The server, for instance `Kafka broker 0`.
        server: String,
        /// How long was waited.
        after: Duration,
        /// What it answered last.
        cause: String,
        /// The log, which is not removed.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The file system or a process could not be used.
    #[error("{action} {} failed: {source}", path.display())]
    #[non_exhaustive]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Error::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// The last lines of the log of the server that failed, if one did.
    pub fn log_tail(&self) -> Option<&str> {
        match self {
            Error::Ended { tail, .. } | Error::NotReady { tail, .. } => Some(tail),
            _ => None,
        }
    }

    /// The kept log of what failed, if there is one.
    pub fn log(&self) -> Option<&Path> {
        match self {
            Error::Fetch { log, .. } | Error::Ended { log, .. } | Error::NotReady { log, .. } => {
                Some(log)
            }
            _ => None,
        }
    }
}
