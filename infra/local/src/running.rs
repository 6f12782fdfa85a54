//! A server that is one program, with a log and a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::Error;
use crate::folder::Folder;
use crate::log::Log;
use crate::process::Process;

/// A running one. Dropped, it is killed, and its folder removed, but for the log where it had ended by itself.
#[derive(Debug)]
pub(crate) struct Running {
    name: &'static str,
    log: Log,
    /// How long it has to stop in order; then it is killed.
    grace: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    process: Process,
    /// It is to be down: stopped from here.
    asked: bool,
    /// None once stopped.
    folder: Option<Folder>,
}

impl Running {
    /// Starts `command`, with its output appended to `log`.
    pub(crate) fn start(
        name: &'static str,
        command: &Command,
        log: Log,
        folder: Folder,
        grace: Duration,
    ) -> Result<Self, Error> {
        let process = Process::start(command, log.path(), folder.hold()?)
            .map_err(|e| Error::io("starting", Path::new(command.get_program()), e))?;
        let state = State {
            process,
            asked: false,
            folder: Some(folder),
        };
        Ok(Running {
            name,
            log,
            grace,
            state: Mutex::new(state),
        })
    }

    /// What it wrote to stdout and stderr.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Its folder, until it is stopped.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let state = self.state();
        state.folder.as_ref().map(|folder| folder.path().to_owned())
    }

    /// Its process id, or None once it has ended.
    pub(crate) fn pid(&self) -> Option<u32> {
        let state = self.state();
        state.process.exit().is_none().then(|| state.process.pid())
    }

    /// How and why it ended, if it did so by itself, and where its log is.
    pub(crate) fn failure(&self) -> Option<Error> {
        let exit = {
            let state = self.state();
            let exit = state.process.exit()?;
            (!state.asked).then_some(exit)?
        };
        Some(Error::Ended {
            server: self.name.into(),
            exit: exit.to_string(),
            cause: self.log.cause(),
            log: self.log.path().to_owned(),
            tail: self.log.tail(),
        })
    }

    /// Asks every `poll` what is still `missing`, until nothing is.
    ///
    /// # Errors
    /// Ended where it ends by itself; NotReady where that takes longer than `timeout`.
    pub(crate) fn await_ready(
        &self,
        timeout: Duration,
        poll: Duration,
        missing: impl Fn() -> Option<String>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            let Some(cause) = missing() else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(Error::NotReady {
                    server: self.name.into(),
                    after: timeout,
                    cause,
                    log: self.log.path().to_owned(),
                    tail: self.log.tail(),
                });
            }
            thread::sleep(poll);
        }
    }

    /// Stops it with SIGTERM, and kills it if that takes too long. If it had ended by itself, the log stays. A second call does
    /// nothing.
    pub(crate) fn stop(&self) {
        self.end(Signal::TERM, self.failure().is_some());
    }

    /// Kills it, and keeps the log.
    pub(crate) fn give_up(&self) {
        self.end(Signal::KILL, true);
    }

    /// Kills it, and keeps nothing: another one is started in its place.
    pub(crate) fn discard(&self) {
        self.end(Signal::KILL, false);
    }

    fn end(&self, signal: Signal, keep_log: bool) {
        let mut state = self.state();
        if state.process.exit().is_none() {
            state.asked = true;
            state.process.signal(signal);
            if state.process.wait(self.grace).is_none() {
                state.process.kill();
            }
        }
        if let Some(folder) = state.folder.take() {
            // A log elsewhere is not removed at all.
            let log = self.log.path().strip_prefix(folder.path()).ok();
            let log = log.and_then(Path::to_str).map(str::to_owned);
            folder.close(log.as_deref().filter(|_| keep_log));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(Signal::KILL, self.failure().is_some());
    }
}
