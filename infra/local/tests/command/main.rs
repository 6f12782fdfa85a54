//! The command, as it is typed: what it prints, how it ends, and what stays.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../processes/mod.rs"]
mod processes;
#[cfg(feature = "pubsub")]
mod pubsub;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use processes::{await_that, is_gone};
use serde_json::Value;

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_anyhub-local"))
}

fn can_run(test: &str) -> bool {
    processes::can_run(test, anyhub_local::kafka::requirements())
}

/// Runs `up` in a process group of its own, as a terminal would, and reads the line that says where the hub is.
fn up(arguments: &[&str]) -> (Child, String) {
    let mut child = command()
        .arg("up")
        .args(arguments)
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    (child, line)
}

/// What `up` with `--json` says.
fn described(arguments: &[&str]) -> (Child, Value) {
    let (child, line) = up(&[arguments, &["--json"]].concat());
    let said = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
    (child, said)
}

/// As Ctrl-C does it: the whole group is told, and the command ends well.
fn interrupt(child: &mut Child) {
    let told = Command::new("kill")
        .args(["-INT", "--", &format!("-{}", child.id())])
        .status()
        .unwrap();
    assert!(told.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A cluster that `up kafka` has started.
struct Cluster {
    child: Child,
    pids: Vec<u32>,
    data: PathBuf,
}

fn cluster(more: &[&str]) -> Cluster {
    let (child, said) = described(&[&["kafka"], more].concat());
    let brokers = said["brokers"].as_array().unwrap();
    assert_eq!(
        said["url"],
        format!("kafka://{}", said["bootstrap"].as_str().unwrap())
    );
    let pid = |broker: &Value| broker["pid"].as_u64().unwrap().try_into().unwrap();
    let cluster = Cluster {
        child,
        pids: brokers.iter().map(pid).collect(),
        data: said["data"].as_str().unwrap().into(),
    };
    assert!(cluster.data.is_dir() && cluster.pids.iter().all(|pid| !is_gone(*pid)));
    cluster
}

#[test]
fn a_kill_9_of_the_command_leaves_nothing() {
    if !can_run("a_kill_9_of_the_command_leaves_nothing") {
        return;
    }
    let mut up = cluster(&["--brokers", "2"]);
    assert_eq!(up.pids.len(), 2);
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    await_that("the brokers are gone", || {
        up.pids.iter().all(|pid| is_gone(*pid))
    });
    await_that("the data is gone", || !up.data.exists());
}

#[test]
fn ctrl_c_stops_the_hub_in_order() {
    if !can_run("ctrl_c_stops_the_hub_in_order") {
        return;
    }
    let logs = tempfile::tempdir().unwrap();
    let mut up = cluster(&["--logs", logs.path().to_str().unwrap()]);
    interrupt(&mut up.child);
    assert!(up.pids.iter().all(|pid| is_gone(*pid)) && !up.data.exists());
    let log = fs::read_to_string(logs.path().join("broker-0.log")).unwrap();
    assert!(
        log.contains("shut down completed"),
        "the broker was killed, not stopped"
    );
}

#[test]
fn what_was_fetched_once_is_not_fetched_again() {
    if !can_run("what_was_fetched_once_is_not_fetched_again") {
        return;
    }
    assert!(
        command()
            .args(["prepare", "kafka"])
            .status()
            .unwrap()
            .success()
    );
    let folder = tempfile::tempdir().unwrap();
    let (path, called) = without_maven(folder.path());
    let again = command()
        .args(["prepare", "kafka"])
        .env("PATH", &path)
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(!called.exists(), "Maven was called for what is there");

    // The other way round: with nothing there it is called, and its failure is told in a line.
    let empty = folder.path().join("cache");
    let failed = command()
        .args(["prepare", "kafka"])
        .env("PATH", &path)
        .env("ANYHUB_CACHE", &empty)
        .env_remove("MAVEN_HOME")
        .env_remove("M2_HOME")
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(called.exists());
    let said = text(&failed.stderr);
    let error = said.lines().last().unwrap();
    assert!(
        error.contains("[ERROR] no network") && error.contains("kafka-4.3.1.log"),
        "{said}"
    );
    assert!(!empty.join("kafka-4.3.1").exists());
}

/// A `PATH` that begins with a Maven that only leaves a mark and fails.
fn without_maven(folder: &Path) -> (String, PathBuf) {
    let called = folder.join("called");
    let mvn = folder.join("mvn");
    let script = format!(
        "#!/bin/sh\n: >'{}'\necho '[ERROR] no network'\nexit 1\n",
        called.display()
    );
    fs::write(&mvn, script).unwrap();
    fs::set_permissions(&mvn, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    (path, called)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn refused(arguments: &[&str], hint: &str) {
    let mut child = command()
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answered = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut answered)
        .unwrap();
    if !answered.is_empty() {
        // A hub that runs would do so until it is told to stop.
        child.kill().unwrap();
    }
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let said = text(&stderr);
    assert_eq!(answered, "", "{arguments:?}: {said}");
    assert_eq!(status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(hint), "{arguments:?}: {said}");
}

#[test]
fn mistakes_are_told_in_a_line() {
    for (arguments, hint) in [
        (&["up", "kafak"][..], "did you mean kafka?"),
        (&["up", "zebra"], "choose from kafka"),
        (&["prepare", "kafk"], "did you mean kafka?"),
        (&["up"], "<HUB>"),
        (&["up", "kafka", "--brokers", "0"], "choose 1 to 5"),
        (&["up", "kafka", "--brokers", "9"], "choose 1 to 5"),
        (&["up", "kafka", "--brokers", "-1"], "1 to 5"),
        (&["up", "kafka", "--brokers", "two"], "1 to 5"),
        (&["up", "kafka", "--set", "tulip"], "NAME=VALUE"),
        (&["up", "kafka", "--set", "listeners=x"], "can't be set"),
        (&["up", "kafka", "--broker", "3"], "--brokers"),
        (&["upp", "kafka"], "'up'"),
        (&["up", "kafka", "--limits"], "not for kafka"),
        (&["up", "kafka", "--event-hub", "a=1"], "not for kafka"),
        (
            &["up", "kafka", "--with", "localstack"],
            "--with is for kinesis and pubsub",
        ),
        (
            &["prepare", "kafka", "--with", "localstack"],
            "--with is for kinesis and pubsub",
        ),
        (
            &["up", "kinesis", "--with", "localstak"],
            "did you mean localstack?",
        ),
        (
            &["up", "kinesis", "--with", "localstack", "--limits"],
            "not for LocalStack",
        ),
    ] {
        refused(arguments, hint);
    }
}

#[cfg(feature = "kinesis")]
#[test]
fn mistakes_about_kinesis_are_told_in_a_line() {
    for (arguments, hint) in [
        (&["up", "kinesis", "--brokers", "1"][..], "not for kinesis"),
        (&["up", "kinesis", "--set", "a=b"], "not for kinesis"),
        (&["up", "kinesis", "--event-hub", "a=1"], "not for kinesis"),
        (&["up", "kinesis", "--logs", "x"], "writes none"),
    ] {
        refused(arguments, hint);
    }
}

#[test]
fn every_hub_takes_the_same_ports() {
    let mut hubs = vec![&["kafka"][..], &["kinesis", "--with", "localstack"]];
    if cfg!(feature = "kinesis") {
        hubs.push(&["kinesis"]);
    }
    if cfg!(feature = "eventhubs") {
        hubs.push(&["eventhubs"]);
    }
    for hub in hubs {
        for port in ["0", "-1", "70000", "x"] {
            let told = format!("--port {port} can't be used: choose a number from 1 to 65535");
            refused(&[&["up"], hub, &["--port", port]].concat(), &told);
        }
    }
}

/// Nobody else gets its port, and Ctrl-C frees it.
#[cfg(any(feature = "eventhubs", feature = "kinesis", feature = "pubsub"))]
fn until_it_is_told_to_stop(hub: &str, child: &mut Child, address: &str) {
    let port = address.rsplit(':').next().unwrap();
    let taken = command()
        .args(["up", hub, "--port", port])
        .output()
        .unwrap();
    assert_eq!(taken.status.code(), Some(1));
    assert!(text(&taken.stderr).contains("is in use"));
    interrupt(child);
    assert!(std::net::TcpStream::connect(address).is_err());
}

/// What `up` tells beside the URL has it in quotes, as a shell wants it: there is a ? in it, and mostly an &.
#[cfg(any(feature = "eventhubs", feature = "kinesis", feature = "pubsub"))]
fn can_be_copied(hub: &str, in_quotes: impl FnOnce(&str) -> String) {
    let mut child = command()
        .args(["up", hub])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    let mut url = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut url)
        .unwrap();
    child.kill().unwrap();
    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut told).unwrap();
    child.wait().unwrap();
    let url = url.trim();
    assert!(url.contains('?') && !url.contains('\''), "{url}");
    let command = format!("--bin publish -- '{}'", in_quotes(url));
    assert!(told.contains(&command), "{command}: {told}");
}

#[cfg(feature = "kinesis")]
#[test]
fn the_url_of_kinesis_can_be_copied_into_a_shell() {
    can_be_copied("kinesis", |url| url.replacen('?', "/tweets?", 1));
}

#[cfg(feature = "eventhubs")]
#[test]
fn the_url_of_an_event_hub_can_be_copied_into_a_shell() {
    can_be_copied("eventhubs", str::to_owned);
}

#[cfg(feature = "kinesis")]
#[test]
fn kinesis_answers_where_it_says_until_it_is_told_to_stop() {
    let (mut child, line) = up(&["kinesis", "--limits"]);
    let address = line
        .trim()
        .strip_prefix("kinesis://us-east-1?endpoint=http://")
        .and_then(|rest| rest.strip_suffix("&max_batch_bytes=5242880&leases=memory"))
        .unwrap_or_else(|| panic!("{line}"));
    use std::io::{Read, Write};
    use std::net::TcpStream;
    let mut stream = TcpStream::connect(address).unwrap();
    let ask = "POST / HTTP/1.0\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\nX-Amz-Date: 20260101T000000Z\r\n\
               Content-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\n\
               Authorization: A Credential=a, SignedHeaders=b, Signature=c\r\n\r\n{}";
    stream.write_all(ask.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(
        said.contains("200 OK") && said.contains("\"StreamNames\":[]"),
        "{said}"
    );

    until_it_is_told_to_stop("kinesis", &mut child, address);

    let port = address.rsplit(':').next().unwrap();
    let (mut child, said) = described(&["kinesis", "--port", port]);
    assert_eq!(said["endpoint"], format!("http://{address}"));
    assert_eq!(
        (&said["server"], &said["limits"]),
        (&Value::from("ferrokinesis"), &Value::from(false))
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[cfg(feature = "eventhubs")]
#[test]
fn mistakes_about_event_hubs_are_told_in_a_line() {
    for (arguments, hint) in [
        (&["up", "eventhub"][..], "did you mean eventhubs?"),
        (&["up", "eventhubs", "--brokers", "1"], "not for eventhubs"),
        (&["up", "eventhubs", "--logs", "x"], "writes none"),
        (
            &["up", "eventhubs", "--with", "localstack"],
            "has one server",
        ),
        (&["up", "eventhubs", "--event-hub", "a"], "NAME=PARTITIONS"),
        (&["up", "eventhubs", "--event-hub", "a=x"], "1 to 1024"),
        (&["up", "eventhubs", "--event-hub", "a=0"], "1 to 1024"),
        (&["up", "eventhubs", "--event-hub", "a/b=1"], "name"),
        (&["up", "eventhubs", "--event-hub", "a.=1"], "at either end"),
        (&["up", "eventhubs", "--event-hub", "=1"], "name"),
        (
            &["up", "eventhubs", "--first-sequence-number", "-1"],
            "0 to 2^52",
        ),
        (
            &[
                "up",
                "eventhubs",
                "--first-sequence-number",
                "4503599627370497",
            ],
            "4503599627370496 at most",
        ),
        (&["up", "eventhubs", "--group", ""], "up to 50 letters"),
        (&["up", "eventhubs", "--group", "$default"], "already"),
        (&["up", "eventhubs", "--group", "a/b"], "\"a/b\""),
        (&["up", "eventhubs", "--group", "a-"], "at either end"),
        (&["up", "eventhubs", "--group", &"x".repeat(51)], "up to 50"),
    ] {
        refused(arguments, hint);
    }
}

#[cfg(feature = "eventhubs")]
#[test]
fn event_hubs_answers_where_it_says_until_it_is_told_to_stop() {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    let hubs = ["--event-hub", "a=2", "--event-hub", "b=3"];
    let (mut child, said) = described(&[&["eventhubs", "--limits"], &hubs[..]].concat());
    assert_eq!(said["limits"], true);
    assert_eq!(said["event_hubs"][1]["partitions"], 3);
    let endpoint = said["endpoint"].as_str().unwrap();
    assert_eq!(
        said["url"],
        format!("eventhubs://localhost/a?endpoint={endpoint}&leases=memory")
    );
    let address = endpoint.strip_prefix("amqp://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let hello = *b"AMQP\x03\x01\x00\x00";
    stream.write_all(&hello).unwrap();
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, hello);

    until_it_is_told_to_stop("eventhubs", &mut child, address);
}

/// With a checkpoint of the server before, the first events of the next one would be passed over.
#[cfg(feature = "eventhubs")]
#[test]
fn event_hubs_begins_behind_the_server_before() {
    use azure_messaging_eventhubs::ProducerClient;
    let first = || {
        let (mut child, said) = described(&["eventhubs", "--event-hub", "t=1"]);
        let endpoint = said["endpoint"].as_str().unwrap().to_owned();
        let text = said["event_hubs"][0]["connection_string"].as_str().unwrap();
        let text = text.replace(endpoint.trim_start_matches("amqp://127.0.0.1"), "");
        let asking = async {
            let client = ProducerClient::builder().with_custom_endpoint(endpoint);
            let client = client.open_with_connection_string(&text, Some("t"));
            let client = client.await.unwrap();
            client.get_partition_properties("0").await.unwrap()
        };
        let runtime = tokio::runtime::Builder::new_current_thread();
        let told = { runtime }.enable_all().build().unwrap().block_on(asking);
        interrupt(&mut child);
        assert!(told.is_empty);
        let next = told.last_enqueued_sequence_number + 1;
        assert_eq!(told.beginning_sequence_number, next);
        next
    };
    let (before, after) = (first(), first());
    // There was room for an event in each microsecond.
    assert!(0 < before && before < after, "{before}, {after}");
}

#[test]
fn help_shows_an_example() {
    for arguments in [&["--help"][..], &["up", "--help"]] {
        let output = command().args(arguments).output().unwrap();
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("anyhub-local up kafka --brokers 3"));
    }
}
