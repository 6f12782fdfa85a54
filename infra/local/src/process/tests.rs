//! Ends this process in every way it can end, for real: the tests run this very program again as the one that ends.
#![allow(clippy::unwrap_used)]
// Each child is waited for in `Started::ends`.
#![allow(clippy::zombie_processes)]

use std::env;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout};

use super::*;
use crate::folder::Folder;

const END: &str = "ANYHUB_TEST_END";
const SOON: Duration = Duration::from_secs(10);

fn sleeper() -> Command {
    let mut command = Command::new("sleep");
    command.arg("600");
    command
}

/// Not a test by itself: the other tests run it as a process of its own.
#[test]
fn child() {
    let Ok(end) = env::var(END) else { return };
    let folder = Folder::temporary("anyhub-test-").unwrap();
    let log = folder.path().join("log");
    let process = Process::start(&sleeper(), &log, folder.hold().unwrap()).unwrap();
    let group = process.shared.group.as_raw_nonzero();
    println!(
        "\nstarted {} {group} {}",
        process.pid(),
        folder.path().display()
    );
    match end.as_str() {
        "wait" => thread::sleep(Duration::from_secs(600)),
        "panic" => panic!("as asked"),
        "exit" => std::process::exit(0),
        "forget" => std::mem::forget((process, folder)),
        _ => {}
    }
}

struct Started {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    pid: Pid,
    group: Pid,
    folder: PathBuf,
}

fn start(end: &str) -> Started {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "process::tests::child", "--nocapture"])
        .env(END, end)
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    loop {
        let mut line = String::new();
        assert_ne!(
            stdout.read_line(&mut line).unwrap(),
            0,
            "the child said nothing"
        );
        if let Some(words) = line.trim().strip_prefix("started ") {
            let words: Vec<_> = words.split(' ').collect();
            let pid = |at: usize| Pid::from_raw(words[at].parse().unwrap()).unwrap();
            return Started {
                child,
                pid: pid(0),
                group: pid(1),
                folder: words[2].into(),
                _stdout: stdout,
            };
        }
    }
}

fn is_gone(pid: Pid) -> bool {
    let ps = Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.as_raw_nonzero().to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8_lossy(&ps.stdout);
    // Dead, but not yet waited for by whoever adopted it, is gone too.
    state.trim().is_empty() || state.trim().starts_with('Z')
}

fn await_that(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "after {SOON:?} it is not so that {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

impl Started {
    /// Everything goes, the folder too, and only for the reason given: it was all there before.
    fn ends(mut self, how: impl FnOnce(&Started)) {
        how(&self);
        await_that("the program is gone", || is_gone(self.pid));
        await_that("its watcher is gone", || is_gone(self.group));
        await_that("its group is empty", || {
            let ps = Command::new("ps")
                .args(["-A", "-o", "pgid=,stat="])
                .output()
                .unwrap();
            let group = self.group.as_raw_nonzero().to_string();
            !String::from_utf8_lossy(&ps.stdout).lines().any(|line| {
                let mut words = line.split_whitespace();
                words.next() == Some(&group) && !words.next().is_some_and(|s| s.starts_with('Z'))
            })
        });
        await_that("its folder is gone", || !self.folder.exists());
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    fn own_pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn is_there(&self) -> bool {
        !is_gone(self.pid) && !is_gone(self.group) && self.folder.exists()
    }
}

#[test]
fn nothing_stays_after_a_kill_9() {
    start("wait").ends(|started| {
        assert!(started.is_there());
        kill_process(started.own_pid(), Signal::KILL).unwrap();
    });
}

#[test]
fn nothing_stays_after_a_panic() {
    start("panic").ends(|_| {});
}

#[test]
fn nothing_stays_after_an_exit_without_drop() {
    start("exit").ends(|_| {});
    start("forget").ends(|_| {});
}

#[test]
fn a_frozen_program_goes_too() {
    start("wait").ends(|started| {
        kill_process(started.pid, Signal::STOP).unwrap();
        kill_process(started.own_pid(), Signal::KILL).unwrap();
    });
}

#[test]
fn ctrl_c_does_not_reach_the_program() {
    start("wait").ends(|started| {
        // What a terminal does: the signal goes to the whole foreground group, here that of the child.
        let foreground = started.own_pid();
        assert_ne!(foreground, started.group);
        assert_eq!(rustix::process::getpgid(Some(foreground)), Ok(foreground));
        kill_process_group(foreground, Signal::INT).unwrap();
        // Who runs in the background has its Ctrl-C ignored, and so have its children.
        kill_process_group(foreground, Signal::TERM).unwrap();
    });
}

fn running(log: &Path) -> Process {
    Process::start(&sleeper(), log, None).unwrap()
}

/// The shells of a group other than its leader: the guard.
fn guard_of(process: &Process) -> Pid {
    let ps = Command::new("ps")
        .args(["-A", "-o", "pid=,pgid="])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ps.stdout).into_owned();
    let group = process.shared.group.as_raw_nonzero().get();
    let pids = text.lines().filter_map(|line| {
        let mut words = line
            .split_whitespace()
            .map(|word| word.parse::<i32>().unwrap());
        let (pid, of) = (words.next().unwrap(), words.next().unwrap());
        (of == group && pid != group && pid.unsigned_abs() != process.pid()).then_some(pid)
    });
    let pids: Vec<_> = pids.collect();
    assert_eq!(pids.len(), 1, "{text}");
    Pid::from_raw(pids[0]).unwrap()
}

#[test]
fn a_killed_watcher_or_guard_takes_the_program_along() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");

    let process = running(&log);
    kill_process(process.shared.group, Signal::KILL).unwrap();
    assert_eq!(process.wait(SOON), Some(Exit::Signal(9)));
    await_that("the program is gone", || is_gone(process.pid));

    let process = running(&log);
    kill_process(guard_of(&process), Signal::KILL).unwrap();
    assert_eq!(process.wait(SOON), Some(Exit::Signal(9)));
    await_that("the program is gone", || is_gone(process.pid));
}

#[test]
fn how_a_program_ended_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let run = |script: &str| {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .env("WORD", "tulip")
            .current_dir(folder.path());
        Process::start(&command, &log, None).unwrap()
    };
    assert_eq!(
        run("echo $WORD; pwd; exit 3").wait(SOON),
        Some(Exit::Code(3))
    );
    let written = std::fs::read_to_string(&log).unwrap();
    assert!(written.starts_with("tulip\n/"), "{written}");
    assert_eq!(run("exit 0").wait(SOON), Some(Exit::Code(0)));

    let process = run("exec sleep 600");
    assert_eq!(process.wait(Duration::from_millis(20)), None);
    assert!(process.signal(Signal::TERM));
    assert_eq!(process.wait(SOON), Some(Exit::Signal(15)));
    assert!(!process.signal(Signal::TERM));

    let process = run("exec sleep 600");
    assert!(process.freeze() && is_frozen(process.pid()));
    assert!(process.signal(Signal::CONT));
    await_that("it goes on", || !is_frozen(process.pid()));
    assert_eq!(process.kill(), Some(Exit::Signal(9)));
    assert!(is_gone(process.pid));

    let missing = Process::start(&Command::new("/nonexistent/java"), &log, None).unwrap();
    assert_eq!(missing.wait(SOON), Some(Exit::Code(127)));
    assert!(
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("/nonexistent/java")
    );
}
