//! Pub/Sub against the contract, on pstest: another server than the stand-in, which shares no code with it. It serves a part
//! only: what it can't stands in `pstest.exceptions`, each with the step of `pstest_raw.rs` that shows it.

mod foreseen;
mod pstest_server;

use anyhub_conformance::{Harness, Settings, Stalling, run};
use anyhub_core::{Hub, TopicConfig};
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use async_trait::async_trait;
use foreseen::Foreseen;
use pstest_server::Server;
use std::{
    process::{Command, ExitCode},
    sync::Arc,
    time::Duration,
};

struct Fake;

async fn start() -> Result<(Arc<Server>, Arc<dyn Hub>), String> {
    let server = Arc::new(Server::start().await?);
    let config = PubSubConfig::new("local")
        .endpoint(server.endpoint())
        .ack_deadline(Duration::from_secs(10));
    let hub = PubSubHub::new(config).map_err(|error| error.to_string())?;
    Ok((server.clone(), Arc::new(Foreseen::new(hub, server))))
}

/// It answers nothing until this is dropped.
struct Stopped(Arc<Server>);

impl Stopped {
    fn new(server: Arc<Server>) -> Self {
        signal(&server, "-STOP");
        Self(server)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(&self.0, "-CONT");
    }
}

fn signal(server: &Server, signal: &str) {
    // None: it has ended, and answers nothing either.
    let Some(pid) = server.pid() else { return };
    let sent = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    if !sent.as_ref().is_ok_and(|status| status.success()) {
        eprintln!("conformance: kill {signal} {pid}: {sent:?}");
    }
}

#[async_trait]
impl Harness for Fake {
    fn name(&self) -> &str {
        "pubsub on pstest"
    }

    fn runs_on(&self) -> &str {
        "emulator"
    }

    async fn start(&self) -> Result<Arc<dyn Hub>, String> {
        Ok(start().await?.1)
    }

    fn hub_for_each_trial(&self) -> bool {
        // A seek ends it, and gives messages of other topics, too.
        true
    }

    fn settings(&self) -> Settings {
        Settings::new()
            // It gives about 60 messages a second.
            .patience(Duration::from_secs(60))
            .tick(Duration::from_millis(20))
            .max_processing(Duration::from_millis(500))
            .events(400)
            // Most of them wait for what does not come.
            .threads(16)
    }

    fn forgetful(&self, _: TopicConfig) -> Option<TopicConfig> {
        None
    }

    async fn stalling(&self, _: Arc<dyn Hub>, topic: TopicConfig) -> Result<Stalling, String> {
        let (server, hub) = start().await?;
        Ok(Stalling::by_server(hub, topic, move || {
            Stopped::new(server)
        }))
    }

    fn exceptions(&self) -> &str {
        include_str!("pstest.exceptions")
    }

    fn serves_a_part(&self) -> bool {
        true
    }
}

fn main() -> ExitCode {
    run(Fake)
}
