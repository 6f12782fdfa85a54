//! The examples, as they are typed.
#![allow(clippy::unwrap_used, missing_docs)]

use anyhub_local::EventHubs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

const EXAMPLES: [(&str, &str); 3] = [
    ("publish", env!("CARGO_BIN_EXE_publish")),
    ("consume", env!("CARGO_BIN_EXE_consume")),
    ("replay", env!("CARGO_BIN_EXE_replay")),
];

/// An example that runs, and what it prints: stdout's lines and stderr's.
fn start(program: &str, arguments: &[&str]) -> (Child, Receiver<String>) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (tell, told) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    let err = BufReader::new(child.stderr.take().unwrap());
    let telling = tell.clone();
    thread::spawn(move || out.lines().for_each(|line| drop(tell.send(line.unwrap()))));
    thread::spawn(move || {
        err.lines()
            .for_each(|line| drop(telling.send(line.unwrap())))
    });
    (child, told)
}

/// The first line with these words. Panics where there is none.
fn line(told: &Receiver<String>, words: &str) -> String {
    loop {
        let line = told.recv_timeout(Duration::from_secs(60)).unwrap();
        if line.contains(words) {
            return line;
        }
    }
}

/// Leases that outlive their member by far, so that what is let go of was let go of.
fn sqlite(server: &EventHubs, folder: &tempfile::TempDir) -> String {
    let file = folder.path().join("leases.db");
    let leases = format!("leases=sqlite:{}&lease_time=10m", file.display());
    server.url("tweets").replace("leases=memory", &leases)
}

#[test]
fn an_error_lets_go_of_the_partitions() {
    let server = EventHubs::builder().hub("tweets", 1).start().unwrap();
    server.create_group("tweets", "demo").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite(&server, &folder);
    let (code, _, err) = run(EXAMPLES[0].1, &[&url]);
    assert_eq!(code, Some(0), "{err}");
    let (mut member, told) = start(EXAMPLES[1].1, &[&url]);
    line(&told, "tweet 9");
    server.delete_hub("tweets").unwrap();
    line(&told, "error: ");
    assert_eq!(member.wait().unwrap().code(), Some(1));

    // Made again, and longer than the checkpoint says.
    server.create_hub("tweets", 1).unwrap();
    server.create_group("tweets", "demo").unwrap();
    for _ in 0..2 {
        let (code, _, err) = run(EXAMPLES[0].1, &[&url]);
        assert_eq!(code, Some(0), "{err}");
    }
    let (mut next, told) = start(EXAMPLES[1].1, &[&url]);
    line(&told, "tweet 9");
    next.kill().unwrap();
    next.wait().unwrap();
}

#[test]
fn a_member_that_has_nothing_to_do_says_that_it_waits() {
    let server = EventHubs::builder().hub("tweets", 1).start().unwrap();
    server.create_group("tweets", "demo").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite(&server, &folder);
    let (mut first, told) = start(EXAMPLES[1].1, &[&url]);
    line(&told, "waiting: ");
    let (code, _, err) = run(EXAMPLES[0].1, &[&url]);
    assert_eq!(code, Some(0), "{err}");
    line(&told, "tweet 9");
    let (mut second, of_second) = start(EXAMPLES[1].1, &[&url]);
    line(&of_second, "another member of the group");
    for member in [&mut first, &mut second] {
        member.kill().unwrap();
        member.wait().unwrap();
    }
}

/// The exit code, stdout and stderr.
fn run(program: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn help_shows_an_example() {
    for (name, program) in EXAMPLES {
        let (code, out, err) = run(program, &["--help"]);
        assert_eq!((code, &*err), (Some(0), ""));
        let example = format!("Example:\n  {name} 'kafka://");
        assert!(out.contains(&example), "{out}");
    }
}

#[test]
fn what_is_too_much_is_refused_by_name() {
    for (name, program) in EXAMPLES {
        let (code, out, err) = run(program, &["memory:/t", "1", "more"]);
        assert_eq!((code, &*out), (Some(2), ""), "{err}");
        let first = if name == "consume" { "'more'" } else { "'1'" };
        assert!(err.contains(first) && err.contains("Usage:"), "{err}");
    }
}

#[test]
fn a_count_is_one_or_more() {
    for count in ["0", "x", "-1", "1.5", ""] {
        let (code, out, err) = run(EXAMPLES[1].1, &["memory:/t", "--", count]);
        assert_eq!((code, &*out), (Some(2), ""), "{err}");
        assert!(err.contains("1 or more"), "{err}");
    }
    let (code, out, err) = run(EXAMPLES[1].1, &["memory:/t", "1"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("tweet 0"), "{out}");
}

#[test]
fn a_failure_is_told_in_one_line() {
    for (url, cause) in [
        ("memory:/", "topic"),
        // Nobody listens there, and the error has causes that say the same.
        (
            "eventhubs://localhost/t?endpoint=amqp://127.0.0.1:1&leases=memory",
            "refused",
        ),
    ] {
        for (_, program) in EXAMPLES {
            let (code, _, err) = run(program, &[url]);
            assert_eq!(code, Some(1), "{err}");
            assert_eq!(err.lines().count(), 1, "{err}");
            assert!(err.starts_with("error: ") && err.contains(cause), "{err}");
            assert_eq!(err.matches(cause).count(), 1, "{err}");
        }
    }
}

/// Where one is set for Azure, as on a machine that both are used from.
#[test]
fn the_url_of_the_local_server_is_for_it_whatever_the_environment_is_for() {
    let server = EventHubs::builder().hub("tweets", 1).start().unwrap();
    let url = server.url("tweets");
    let elsewhere = "Endpoint=sb://nowhere.invalid/;SharedAccessKeyName=a;SharedAccessKey=hunter2";
    let publish = |url: &str, set: &str| {
        let mut command = Command::new(EXAMPLES[0].1);
        let command = command.arg(url).env("EVENTHUBS_CONNECTION_STRING", set);
        let output = command.output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), err)
    };
    for set in ["", elsewhere] {
        assert_eq!(publish(&url, set), (Some(0), String::new()));
    }
    assert_eq!(server.counts().events_in, 20);
    let (code, err) = publish("eventhubs://localhost/tweets", elsewhere);
    assert_eq!(code, Some(1), "{err}");
    let says = "EVENTHUBS_CONNECTION_STRING is for nowhere.invalid, and the URL names localhost";
    assert!(err.contains(says) && err.contains("endpoint="), "{err}");
    assert!(!err.contains("hunter2"), "{err}");
}

/// Each keeps the group's leases in its own memory, as the URL of the local server says.
#[test]
fn two_members_on_the_url_of_the_local_server_are_told_to_share_their_leases() {
    let server = EventHubs::builder().hub("tweets", 1).start().unwrap();
    server.create_group("tweets", "demo").unwrap();
    let url = server.url("tweets");
    let (code, _, err) = run(EXAMPLES[0].1, &[&url]);
    assert_eq!(code, Some(0), "{err}");
    let (tell, told) = mpsc::channel();
    let member = || {
        let mut child = Command::new(EXAMPLES[1].1)
            .arg(&url)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let tell = tell.clone();
        let telling = thread::spawn(move || {
            for line in lines {
                let _ = tell.send(line.unwrap());
            }
        });
        (child, telling)
    };
    let members = [member(), member()];
    let line = told.recv_timeout(Duration::from_secs(60));
    for (mut child, telling) in members {
        child.kill().unwrap();
        child.wait().unwrap();
        telling.join().unwrap();
    }
    let line = line.unwrap();
    for words in ["WARN", "another reader has taken", "leases=sqlite:FILE"] {
        assert!(line.contains(words), "{line}");
    }
}
