//! Child processes that end with this process, however it ends.
//!
//! A program is run by a small shell watcher (`process/watch.sh`), in a process group of its own, so that a Ctrl-C in the
//! terminal doesn't reach it. Two shells see to it: one waits for the program, the other, the guard, reads a pipe whose only
//! write end is held here. However this process ends (return, exit, panic, kill -9), the kernel closes that end and the guard
//! kills the group. Should one of the two shells be killed, the threads below see it and kill the group themselves.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, test_kill_process_group,
    waitid,
};

const WATCH: &str = include_str!("process/watch.sh");

/// How long a killed process may take to be gone: the kernel has gigabytes to give back.
const GONE: Duration = Duration::from_secs(5);

/// A running program that ends with this process.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    shared: Arc<Shared>,
    /// Never written to: closing it is the message.
    _lifeline: ChildStdin,
}

#[derive(Debug)]
struct Shared {
    group: Pid,
    exit: Mutex<Option<Exit>>,
    ended: Condvar,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

impl Exit {
    pub(crate) fn success(self) -> bool {
        self == Exit::Code(0)
    }

    /// A shell answers 128 + n for a program that signal n ended.
    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) if code > 128 => Exit::Signal(code - 128),
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or(0)),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "status {code}"),
            Exit::Signal(9) => write!(f, "signal 9 (killed)"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl Process {
    /// Starts `command` (its program, arguments, environment and folder are used) with its output appended to `log`.
    /// `hold` is kept open by the program for as long as it lives.
    pub(crate) fn start(command: &Command, log: &Path, hold: Option<OwnedFd>) -> io::Result<Self> {
        let mut watcher = Command::new("/bin/sh");
        watcher
            .args(["-c", WATCH, "anyhub-local"])
            .arg(log)
            .arg(command.get_program())
            .args(command.get_args())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(hold.map_or_else(Stdio::null, Stdio::from));
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => watcher.env(name, value),
                None => watcher.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            watcher.current_dir(folder);
        }
        let mut child = watcher.spawn()?;
        let (Some(group), Some(lifeline), Some(mut reports)) = (
            i32::try_from(child.id()).ok().and_then(Pid::from_raw),
            child.stdin.take(),
            child.stdout.take(),
        ) else {
            return Err(io::Error::other("the watcher has no process id or pipes"));
        };
        // On an error from here on `lifeline` is dropped, and with it goes the group.
        let pid = match read_pid(&mut reports) {
            Ok(pid) => pid,
            Err(e) => {
                drop(lifeline);
                child.wait()?;
                return Err(e);
            }
        };
        let shared = Arc::new(Shared {
            group,
            exit: Mutex::new(None),
            ended: Condvar::new(),
        });
        let waiting = Arc::clone(&shared);
        thread::Builder::new()
            .name("anyhub-wait".into())
            .spawn(move || waiting.await_end(child))?;
        let guarding = Arc::clone(&shared);
        thread::Builder::new()
            .name("anyhub-guard".into())
            .spawn(move || guarding.await_guard(reports))?;
        Ok(Process {
            pid,
            shared,
            _lifeline: lifeline,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How the program ended, or None while it runs.
    pub(crate) fn exit(&self) -> Option<Exit> {
        *self.shared.exit()
    }

    /// Sends a signal to the program; false if it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        // The lock keeps the watcher, and with it the program, from being reaped meanwhile.
        let exit = self.shared.exit();
        exit.is_none() && kill_process(self.pid, signal).is_ok()
    }

    /// Stops the program with SIGSTOP and returns when none of its threads runs any more: on a busy machine some go on for a
    /// while after the signal was sent. False if it has ended.
    pub(crate) fn freeze(&self) -> bool {
        let deadline = Instant::now() + GONE;
        let sent = self.signal(Signal::STOP);
        while sent && self.exit().is_none() && !is_frozen(self.pid()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        sent
    }

    /// Waits until the program has ended, at most for `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Exit> {
        let exit = self.shared.exit();
        let waited = self
            .shared
            .ended
            .wait_timeout_while(exit, timeout, |exit| exit.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Kills the program with SIGKILL and waits until it is gone.
    pub(crate) fn kill(&self) -> Option<Exit> {
        self.signal(Signal::KILL);
        self.wait(GONE).or_else(|| {
            self.shared.kill_group();
            self.wait(GONE)
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shared {
    fn exit(&self) -> MutexGuard<'_, Option<Exit>> {
        self.exit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills what is left of the group, unless it has ended: then its number may be another's by now.
    fn kill_group(&self) {
        let exit = self.exit();
        if exit.is_none() {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
    }

    fn await_end(&self, mut watcher: Child) {
        let waited = waitid(
            WaitId::Pid(self.group),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        );
        let mut exit = self.exit();
        // Not reaped yet, the watcher keeps the group's number from being given away. Its guard goes here.
        let _ = kill_process_group(self.group, Signal::KILL);
        let status = match (waited, watcher.wait()) {
            (Ok(_), Ok(status)) => status,
            _ => ExitStatus::from_raw(9),
        };
        if status.signal().is_some() {
            // The watcher itself was killed, maybe before its program: that one is gone when the group is.
            let deadline = Instant::now() + GONE;
            while test_kill_process_group(self.group).is_ok() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(2));
            }
        }
        *exit = Some(Exit::of(status));
        self.ended.notify_all();
    }

    /// The guard holds the pipe for as long as it lives; without it nothing would end the program after a kill -9.
    fn await_guard(&self, mut reports: ChildStdout) {
        let _ = io::copy(&mut reports, &mut io::sink());
        self.kill_group();
    }
}

/// From Linux's `/proc` for each thread; elsewhere as `ps` tells for the process.
fn is_frozen(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        let ps = Command::new("ps")
            .args(["-o", "stat=", "-p", &pid.to_string()])
            .output();
        return ps.is_ok_and(|ps| ps.stdout.trim_ascii_start().starts_with(b"T"));
    };
    threads.flatten().all(|thread| {
        // "PID (NAME) STATE ...", where the name may hold anything. A thread that is gone meanwhile doesn't run either.
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_none_or(|(_, state)| state.starts_with('T'))
    })
}

fn read_pid(reports: &mut ChildStdout) -> io::Result<Pid> {
    let mut line = Vec::new();
    let mut byte = [0];
    while reports.read(&mut byte)? == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    std::str::from_utf8(&line)
        .ok()
        .and_then(|text| text.parse().ok())
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the watcher (/bin/sh) could not start"))
}

#[cfg(test)]
#[path = "process/tests.rs"]
mod tests;
