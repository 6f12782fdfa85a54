//! LocalStack, through the library and the command: it answers, fails with a reason, and leaves nothing behind.
#![allow(clippy::unwrap_used, missing_docs)]

mod processes;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhub_local::{Error, LocalStack};
use processes::{await_that, is_gone};
use serde_json::Value;

fn can_run(test: &str) -> bool {
    processes::can_run(test, anyhub_local::localstack::requirements())
}

/// The processes whose command or folder has to do with a run: what it started, and what that started.
fn processes_in(folder: &Path) -> Vec<String> {
    let listed = Command::new("ps")
        .args(["-eo", "pid=,stat="])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed
        .lines()
        .filter_map(|line| {
            line.split_whitespace()
                .next()
                .zip(line.split_whitespace().nth(1))
        })
        .filter(|(_, state)| !state.starts_with('Z'))
        .filter(|(pid, _)| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(folder.to_str().unwrap())
        })
        .map(|(pid, _)| pid.to_owned())
        .collect()
}

fn ask(endpoint: &str, operation: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(endpoint.trim_start_matches("http://")).unwrap();
    let request = format!(
        "POST / HTTP/1.0\r\nX-Amz-Target: Kinesis_20131202.{operation}\r\nX-Amz-Date: 20260101T000000Z\r\n\
         Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=test/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said.replace(": ", ":")
}

#[test]
fn it_makes_streams_and_stops_with_all_that_it_started() {
    if !can_run("it_makes_streams_and_stops_with_all_that_it_started") {
        return;
    }
    let localstack = LocalStack::builder().start().unwrap();
    let data = localstack.data_dir().unwrap();
    let log = localstack.log().to_owned();
    let pid = localstack.pid().unwrap();
    assert!(log.is_file() && !is_gone(pid) && localstack.failure().is_none());
    let made = ask(
        &localstack.endpoint(),
        "CreateStream",
        r#"{"StreamName":"s","ShardCount":2}"#,
    );
    assert!(made.contains("200"), "{made}");
    await_that("the stream is active", || {
        let summary = r#"{"StreamName":"s"}"#;
        ask(&localstack.endpoint(), "DescribeStreamSummary", summary).contains("ACTIVE")
    });
    let put = r#"{"StreamName":"s","Records":[{"PartitionKey":"k","Data":"aGk="}]}"#;
    assert!(ask(&localstack.endpoint(), "PutRecords", put).contains("\"FailedRecordCount\":0"));
    if cfg!(target_os = "linux") {
        assert!(
            processes_in(&data).len() >= 2,
            "itself and its Kinesis server"
        );
    }
    localstack.stop();
    assert!(localstack.pid().is_none() && is_gone(pid));
    assert!(
        localstack.failure().is_none(),
        "what was asked for is no failure"
    );
    await_that("nothing runs", || processes_in(&data).is_empty());
    assert!(!data.exists());
    localstack.stop();
}

#[test]
fn a_kill_9_of_the_command_leaves_nothing() {
    if !can_run("a_kill_9_of_the_command_leaves_nothing") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // What was fetched once is not fetched again: the tools that would are not what they seem.
    let called = folder.path().join("called");
    for tool in ["npm", "pip", "pip3"] {
        let path = folder.path().join(tool);
        fs::write(
            &path,
            format!("#!/bin/sh\n: >'{}'\nexit 1\n", called.display()),
        )
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    LocalStack::prepare(|_| {}).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_anyhub-local"))
        .args(["up", "kinesis", "--with", "localstack", "--json"])
        .env(
            "PATH",
            format!(
                "{}:{}",
                folder.path().display(),
                std::env::var("PATH").unwrap()
            ),
        )
        .env("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let said: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
    assert_eq!(
        said["url"],
        format!(
            "kinesis://us-east-1?endpoint={}&max_batch_bytes=5242880&leases=memory",
            said["endpoint"].as_str().unwrap()
        )
    );
    let data = Path::new(said["data"].as_str().unwrap());
    assert!(data.is_dir());
    child.kill().unwrap();
    child.wait().unwrap();
    await_that("nothing runs", || processes_in(data).is_empty());
    await_that("the data is gone", || !data.exists());
    assert!(!called.exists());
}

#[test]
fn where_it_does_not_get_ready_the_log_is_kept() {
    if !can_run("where_it_does_not_get_ready_the_log_is_kept") {
        return;
    }
    LocalStack::prepare(|_| {}).unwrap();
    let error = LocalStack::builder()
        .start_timeout(Duration::ZERO)
        .start()
        .unwrap_err();
    let log = error.log().unwrap();
    assert!(matches!(error, Error::NotReady { .. }), "{error}");
    assert!(log.is_file());
    // Of the temporary folder only the log has stayed.
    let root = log.parent().unwrap();
    assert_eq!(fs::read_dir(root).unwrap().count(), 1);
    fs::remove_dir_all(root).unwrap();
}
