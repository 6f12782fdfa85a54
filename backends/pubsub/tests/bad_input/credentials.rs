//! Who asks is found in the environment, which only a new process may be given. Or nobody tells in time.

use crate::{event, told, within};
use anyhub_core::{ErrorKind, Hub, ProducerExt, ProducerOptions};
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use google_cloud_auth::{
    credentials::{CacheableResource, CredentialsProvider, EntityTag},
    errors::CredentialsError,
};
use std::{
    env,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

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

/// Tokens come, until they don't.
#[derive(Debug)]
struct Tokens(AtomicUsize);

impl CredentialsProvider for Tokens {
    async fn headers(
        &self,
        _: http::Extensions,
    ) -> Result<CacheableResource<http::HeaderMap>, CredentialsError> {
        let left = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        if left.is_err() {
            std::future::pending::<()>().await;
        }
        Ok(CacheableResource::New {
            entity_tag: EntityTag::new(),
            data: http::HeaderMap::new(),
        })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_token_is_not_written() {
    let server = crate::server();
    crate::hub(&server).await;
    // One, to open.
    let tokens = Tokens(AtomicUsize::new(1));
    let config = PubSubConfig::new("local")
        .endpoint(server.endpoint())
        .credentials(tokens.into());
    let hub = PubSubHub::new(config).unwrap();
    let options = ProducerOptions::new().deadline(Duration::from_secs(1));
    let producer = within(hub.producer("tweets", options)).await.unwrap();
    let error = within(producer.send(event("0"))).await.unwrap_err();
    told(&error, ErrorKind::Timeout, "no credentials");
    assert!(!error.is_indeterminate(), "{error}");
    assert_eq!(hub.usage().get("publish_requests"), 0);
    assert_eq!(server.counts().requests("Publish"), 0);
}
