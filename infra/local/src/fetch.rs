//! Runs the programs that fetch a server's files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::Error;
use crate::log::Log;
use crate::process::Process;

/// Files that are being fetched, and the log of it, which is new.
#[derive(Debug)]
pub(crate) struct Fetch {
    what: String,
    log: Log,
    /// What a line of the log holds that says why it failed.
    mark: &'static str,
    /// How long each program may take: a mirror that hangs must not hang us.
    timeout: Duration,
}

impl Fetch {
    pub(crate) fn new(
        what: String,
        log: PathBuf,
        mark: &'static str,
        timeout: Duration,
    ) -> Result<Self, Error> {
        match fs::remove_file(&log) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("removing the old", &log, e));
            }
            _ => {}
        }
        Ok(Fetch {
            what,
            log: Log::new(log),
            mark,
            timeout,
        })
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, command: &Command) -> Result<(), Error> {
        let program = PathBuf::from(command.get_program());
        let process = Process::start(command, self.log.path(), None)
            .map_err(|e| Error::io("starting", &program, e))?;
        let cause = match process.wait(self.timeout) {
            Some(exit) if exit.success() => return Ok(()),
            Some(_) => self
                .log
                .first(self.mark)
                .unwrap_or_else(|| self.log.cause()),
            None => format!(
                "it was still at it after {} minutes; what it has fetched is kept for the next try",
                self.timeout.as_secs() / 60
            ),
        };
        Err(Error::Fetch {
            what: self.what.clone(),
            cause,
            log: self.log.path().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_failure_is_told_by_the_line_that_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        fs::write(&path, "[ERROR] of an earlier try\n").unwrap();
        let timeout = Duration::from_secs(60);
        let fetch = Fetch::new("x".into(), path.clone(), "[ERROR]", timeout).unwrap();
        assert!(!path.exists());
        let shell = |line: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", line]);
            fetch.run(&command)
        };
        shell("echo some are fetched").unwrap();
        let error = shell("echo [ERROR] no such jar; echo [ERROR] advice; exit 1").unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("fetching x failed: [ERROR] no such jar;"),
            "{text}"
        );
        assert_eq!(error.log(), Some(path.as_path()));
    }
}
