//! The command as it is typed: exit codes, one clear line for each mistake, data on stdout and the rest on stderr.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anyhub-bench"));
    command
        .args(args)
        .env_remove("CI")
        .env("NO_COLOR", "1")
        .current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

fn run(args: &[&str]) -> Output {
    bench(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A short run on the memory hub, with a report in `out`.
fn short<'a>(out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let base = [
        "run", "--hubs", "memory", "-n", "5000", "-d", "300ms", "--warmup", "0", "--keys", "100",
        "--out",
    ];
    [&base[..], &[out.to_str().unwrap()], more].concat()
}

/// Ends with 2, one line on stderr that starts with `error: ` and says `told`, and nothing on stdout.
fn refused(args: &[&str], told: &str) {
    let output = run(args);
    let line = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {line}");
    assert!(output.stdout.is_empty(), "{args:?}: {}", stdout(&output));
    assert_eq!(line.lines().count(), 1, "{args:?}: {line}");
    assert!(
        line.starts_with("error: ") && line.contains(told),
        "{args:?}: {line}"
    );
}

#[test]
fn what_is_mistyped_is_named_with_the_nearest() {
    refused(&["rnu"], "run");
    refused(&["run", "--rat", "5"], "'--rate'");
    refused(&["run", "--hubs", "kafak"], "'kafka'");
    refused(&["run", "--hub", "kafak://127.0.0.1:9092"], "'kafka'");
    refused(&["run", "--hub", "127.0.0.1:9092"], "kafka://host:9092");
}

#[test]
fn a_password_in_a_url_is_never_repeated() {
    for url in [
        "kafka://a:1/t?sasl.passwrd=hunter2",
        "kafka://user:hunter2@a:1/t",
        "p=kafka://user:hun/ter2@a:1/t",
        "kafka://user:hunter2?@a:1",
        "kafak://user:hunter2@a:1",
        "kafka://a:1/t?sasl.password=%zzhunter2",
    ] {
        for more in [&[][..], &["--dry-run"][..]] {
            let output = run(&[&["run", "--hub", url], more].concat());
            let said = stdout(&output) + &stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(
                !said.contains("hunter2") && !said.contains("ter2"),
                "{said}"
            );
        }
    }
}

#[test]
fn more_mistakes_are_named_with_the_nearest() {
    refused(&["run", "--hub", "memory:/?partitons=4"], "memory");
    refused(
        &["run", "--assert", "memory.delivery.lots == 0"],
        "'delivery.lost'",
    );
    refused(
        &[
            "run",
            "--hubs",
            "memory",
            "--assert",
            "memroy.delivery.lost == 0",
        ],
        "'memory'",
    );
    refused(
        &[
            "run",
            "--phase",
            "throughput",
            "--assert",
            "memory.latency.publish_us.p99 < 1s",
        ],
        "--phase",
    );
}

#[test]
fn amounts_that_measure_nothing_are_refused() {
    refused(&["run", "--partitions", "0"], "partitions is 0");
    refused(&["run", "--rate", "0"], "above 0");
    refused(&["run", "-n", "0"], "events is 0");
    refused(&["run", "--runs", "0"], "runs is 0");
    refused(&["run", "-d", "10"], "30s");
    refused(&["run", "--payload", "1GiB"], "payload is");
}

#[test]
fn what_a_later_version_has_is_said_to_be_later() {
    for args in [
        &["run", "--fault", "kill"][..],
        &["run", "--baseline", "x"],
        &["run", "--guarantee", "exactly-once"],
        &["cost"],
        &["compare", "a", "b"],
    ] {
        refused(args, "not in this version");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let missing = folder
        .path()
        .join("missing.ndjson")
        .to_str()
        .unwrap()
        .to_owned();
    let binary = file("binary.csv", b"id,text\n1,\xff\xfe\n");
    let empty = file("empty.ndjson", b"");
    let cut = file("cut.json", b"[{\"text\": \"fine\"}, {\"text\": \"cut");
    let textless = file("textless.ndjson", b"{\"id\": 1}\n");
    for path in [&missing, &binary, &empty, &cut, &textless] {
        refused(&["run", "--hubs", "memory", "--tweets", path], path);
    }
    refused(&["run", &file("typo.toml", b"evnts = 5\n")], "events");
    refused(&["run", &missing], "missing.ndjson");
    refused(&["report", folder.path().to_str().unwrap()], "report.json");
    // A folder below a file can't be made.
    let below = format!("{empty}/out");
    refused(&["run", "--hubs", "memory", "--out", &below], "--out");
}

#[test]
fn a_dry_run_checks_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let output = run(&[
        "run",
        "--hubs",
        "memory",
        "--dry-run",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("memory"), "{}", stdout(&output));
    assert!(!out.exists());
    let output = run(&["run", "--dry-run"]);
    for hub in ["memory", "kafka", "kinesis", "eventhubs", "pubsub"] {
        let line = format!("hub         {hub}: ");
        assert!(stdout(&output).contains(&line), "{}", stdout(&output));
    }
}

#[test]
fn a_run_writes_its_report_and_can_be_redrawn() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let output = run(&short(
        &out,
        &[
            "--assert",
            "*.delivery.lost == 0",
            "--assert",
            "memory.delivery.verdict == pass",
        ],
    ));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let html = out.join("report.html");
    assert_eq!(
        stdout(&output).lines().last().unwrap(),
        format!("report: {}", html.display())
    );
    for name in ["report.json", "report.md"] {
        assert!(out.join(name).is_file(), "{name}");
    }

    fs::remove_file(&html).unwrap();
    let output = run(&["report", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(html.is_file());

    let output = run(&["report", "--json", out.to_str().unwrap()]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let memory = &report["hubs"][0];
    assert_eq!(memory["delivery"]["lost"], 0);
    assert_eq!(memory["throughput"]["events"], 5_000);
    assert_eq!(memory["latency"]["end_to_end_us"]["count"], 300);
}

#[test]
fn a_run_on_the_stand_in_says_so_and_did_the_same_work() {
    let folder = tempfile::tempdir().unwrap();
    for limits in ["on", "off"] {
        let args = short(folder.path(), &["--json", "--limits", limits]);
        let args: Vec<_> = args
            .iter()
            .map(|arg| {
                if *arg == "memory" {
                    "memory,kinesis,eventhubs,pubsub"
                } else {
                    arg
                }
            })
            .collect();
        // What is set for Azure is not for a server that is started here.
        let elsewhere = "Endpoint=sb://nowhere.invalid/;SharedAccessKeyName=a;SharedAccessKey=b";
        let mut command = bench(&args);
        let output = command.env("EVENTHUBS_CONNECTION_STRING", elsewhere);
        let output = output.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let memory = &report["hubs"][0];
        let of_each = [
            ("kinesis", "1 MiB/s", "put_records"),
            ("eventhubs", "a full bucket of one second", "ingress_events"),
            ("pubsub", "10 MB/s", "publish_bytes"),
        ];
        for (nth, (provider, of_quota, billed)) in of_each.into_iter().enumerate() {
            let hub = &report["hubs"][nth + 1];
            assert_eq!(
                (&hub["provider"], &hub["ran_on"]),
                (&provider.into(), &"stand-in".into())
            );
            assert_eq!(hub["limits"]["on"], limits == "on");
            let quota = hub["limits"]["quota"].as_str().unwrap();
            assert!(quota.contains(of_quota), "{quota}");
            assert_eq!(hub["delivery"]["verdict"], "pass");
            assert_eq!(hub["delivery"]["delivered"], 5_300);
            assert_eq!(hub["sentiment"]["digest"], memory["sentiment"]["digest"]);
            assert_eq!(hub["process"]["server_in_process"], true);
            assert!(hub["usage"][billed].as_u64().unwrap() > 0);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_stdout_or_stderr_is_a_failure_without_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for (json, full_stderr) in [(false, false), (true, false), (true, true)] {
        let full = || {
            std::fs::File::options()
                .write(true)
                .open("/dev/full")
                .unwrap()
        };
        let mut command = bench(&short(&out, if json { &["--json"] } else { &[] }));
        command.stdout(full());
        if full_stderr {
            command.stderr(full());
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        if !full_stderr {
            let told = stderr(&output);
            assert!(told.contains("error: can't write to stdout"), "{told}");
        }
    }
}

#[test]
fn a_url_in_the_wrong_place_shows_no_password() {
    let url = "kafka://127.0.0.1:1/t?sasl.password=hunter2";
    for args in [
        &["run", "--hubs", url][..],
        &["run", url],
        &[url],
        &["report", url],
        &["run", "--tweets", url],
        &["run", "--assert", url],
    ] {
        let output = bench(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let told = stderr(&output);
        assert!(!told.contains("hunter2"), "{args:?}: {told}");
    }
}

#[test]
fn an_assertion_that_does_not_hold_names_the_actual_value() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&short(
        folder.path(),
        &[
            "--phase",
            "throughput",
            "--assert",
            "memory.throughput.events == 7",
        ],
    ));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(
        told.contains("assertion failed: memory.throughput.events == 7: it is 5000"),
        "{told}"
    );
}

#[test]
fn a_named_hub_that_is_not_there_ends_with_3_and_keeps_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&short(
        folder.path(),
        &[
            "--phase",
            "throughput",
            "--hub",
            "away=kafka://127.0.0.1:1",
            "--json",
        ],
    ));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let away = &report["hubs"][1];
    assert_eq!(
        (&away["name"], &away["status"]),
        (&"away".into(), &"skipped".into())
    );
    assert!(!away["why"].as_str().unwrap().is_empty());
    assert_eq!(report["hubs"][0]["delivery"]["verdict"], "pass");
}

/// By AMQP neither groups nor event hubs can be made.
#[test]
fn an_event_hub_that_exists_is_read_by_a_group_that_exists() {
    let server = anyhub_local::EventHubs::builder()
        .hub("tweets", 4)
        .start()
        .unwrap();
    server.create_group("tweets", "bench").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mine = |url: &str, more: &[&str]| {
        let hub = format!("mine={url}");
        let args = [&["--hub", &hub, "--consumers", "2", "--json"], more].concat();
        let output = run(&short(folder.path(), &args));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (
            output.status.code(),
            report["hubs"][1].clone(),
            stderr(&output),
        )
    };

    let url = server.url("tweets");
    let (code, hub, told) = mine(&url, &["--group", "bench", "--runs", "2"]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(hub["delivery"]["verdict"], "pass", "{told}");
    assert_eq!(hub["delivery"]["delivered"], 10_600, "{told}");

    let no_topic = url.replacen("/tweets?", "?", 1);
    for (url, more, why) in [
        (
            &url,
            &[][..],
            "name a consumer group that is there by --group",
        ),
        (&url, &["--group", "mine=away"], "--group away: "),
        (&no_topic, &[], "its URL names no event hub"),
    ] {
        let (code, hub, told) = mine(url, more);
        assert_eq!(code, Some(3), "{told}");
        assert!(hub["why"].as_str().unwrap().contains(why), "{hub}");
        let lines: Vec<_> = told.lines().collect();
        let at = |part: &str| lines.iter().position(|line| line.contains(part));
        let (skipped, begun) = (at("mine: skipped, "), at("memory: "));
        assert!(
            skipped.is_some() && begun.is_none_or(|begun| skipped < Some(begun)),
            "{told}"
        );
    }
    refused(
        &["run", "--hub", &no_topic, "--group", "bench"],
        "names a topic",
    );
    refused(&["run", "--group", "bench"], "--hub");
}

#[test]
fn the_first_interrupt_drains_and_writes_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "run", "--hubs", "memory", "--phase", "latency", "-d", "1h", "--warmup", "0", "--keys",
        "100", "--out",
    ];
    let mut child = bench(&[&args[..], &[folder.path().to_str().unwrap()]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // The first line that tells a rate: events are under way.
    lines
        .find(|line| line.as_ref().unwrap().contains("/s, backlog"))
        .unwrap()
        .unwrap();
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    let report = fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let delivery = &report["hubs"][0]["delivery"];
    assert_eq!(delivery["lost"], 0);
    assert!(delivery["acked"].as_u64().unwrap() > 0);
}

#[test]
fn completions_and_help_go_to_stdout() {
    for args in [
        &["completions", "bash"][..],
        &["completions", "zsh"],
        &["--help"],
        &["run", "--help"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(stdout(&output).contains("anyhub-bench"), "{args:?}");
        assert!(output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn the_doctor_says_what_each_hub_needs() {
    let output = run(&["doctor"]);
    let text = stdout(&output);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{text}");
    for line in [
        "memory  ready",
        "kafka   ",
        "kinesis ready",
        "eventhubs ready",
        "pubsub  ready",
    ] {
        assert!(text.contains(line), "{text}");
    }
}
