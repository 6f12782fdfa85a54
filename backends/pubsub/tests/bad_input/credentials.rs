//! Who asks is found in the environment, which only a new process may be given.

use crate::{told, within};
use anyhub_core::{ErrorKind, Hub, ProducerOptions};
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use std::{env, process::Command};

const HERE: &str = "credentials::in_this_environment";

fn ended(file: Option<&str>, emulator: &str) -> std::process::Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", HERE, "--ignored", "--nocapture"])
        .env("HOME", "/nowhere")
        .env("PUBSUB_EMULATOR_HOST", emulator);
    match file {
        Some(file) => command.env("GOOGLE_APPLICATION_CREDENTIALS", file),
        None => command.env_remove("GOOGLE_APPLICATION_CREDENTIALS"),
    };
    command.output().unwrap()
}

#[test]
fn no_credentials() {
    // A file that is not there, or nothing at all, on a machine that is not Google's.
    for file in [Some("/nowhere/key.json"), None] {
        let missing = ended(file, "");
        let text = String::from_utf8_lossy(&missing.stdout);
        let wrong = String::from_utf8_lossy(&missing.stderr);
        let passed = missing.status.success() && text.contains("1 passed");
        assert!(passed, "{file:?}: {text}{wrong}");
    }
}

/// The emulator is asked by nobody, whatever else is there.
#[test]
fn an_emulator_by_the_environment() {
    let server = crate::server();
    let found = ended(Some("/nowhere/key.json"), &server.emulator_host());
    let text = String::from_utf8_lossy(&found.stdout);
    let wrong = String::from_utf8_lossy(&found.stderr);
    assert!(
        found.status.success() && text.contains("1 passed"),
        "{text}{wrong}"
    );
    assert!(server.counts().requests("GetTopic") > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the others, in a process of its own"]
async fn in_this_environment() {
    let hub = PubSubHub::new(PubSubConfig::new("p")).unwrap();
    let error = within(hub.producer("tweets", ProducerOptions::new()))
        .await
        .unwrap_err();
    match env::var("PUBSUB_EMULATOR_HOST").is_ok_and(|host| !host.is_empty()) {
        true => told(&error, ErrorKind::NotFound, "'tweets'"),
        false => {
            told(&error, ErrorKind::Denied, "no credentials");
            let advice = error.advice().unwrap();
            assert!(
                advice.contains("GOOGLE_APPLICATION_CREDENTIALS"),
                "{advice}"
            );
        }
    }
}
