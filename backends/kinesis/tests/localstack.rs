//! Kinesis against the whole contract, on LocalStack: another server than the stand-in, which shares
//! no code with it. What it can't serve stands in `localstack.exceptions`, each with the raw test of
//! `localstack_raw.rs` that shows it.

mod held;

use anyhub_conformance::{Harness, Settings, Stalling, run};
use anyhub_core::{Hub, TopicConfig};
use anyhub_kinesis::{KinesisConfig, KinesisHub, LeasesIn};
use anyhub_local::LocalStack;
use async_trait::async_trait;
use held::Gate;
use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::spawn_blocking;

#[derive(Default)]
struct Server(Arc<Mutex<Option<LocalStack>>>);

const LEASE: Duration = Duration::from_secs(2);

fn hub(endpoint: &str) -> Result<Arc<dyn Hub>, String> {
    let config = KinesisConfig::new()
        .region("us-east-1")
        .endpoint(endpoint)
        .max_batch_bytes(5 << 20)
        .leases(LeasesIn::Memory)
        .lease_time(LEASE);
    let hub = KinesisHub::new(config).map_err(|error| error.to_string())?;
    Ok(Arc::new(hub))
}

impl Server {
    async fn endpoint(&self) -> Result<String, String> {
        let running = self.0.clone();
        let starting = spawn_blocking(move || {
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            if running.is_none() {
                let server = LocalStack::builder().start();
                *running = Some(server.map_err(|error| error.to_string())?);
            }
            Ok(running
                .as_ref()
                .map(LocalStack::endpoint)
                .unwrap_or_default())
        });
        starting.await.map_err(|error| error.to_string())?
    }
}

#[async_trait]
impl Harness for Server {
    fn name(&self) -> &str {
        "kinesis on LocalStack"
    }

    fn runs_on(&self) -> &str {
        "emulator"
    }

    async fn start(&self) -> Result<Arc<dyn Hub>, String> {
        hub(&self.endpoint().await?)
    }

    fn settings(&self) -> Settings {
        Settings::new()
            .patience(Duration::from_secs(60))
            .trial_timeout(Duration::from_secs(400))
            .tick(Duration::from_millis(50))
            .max_processing(Duration::from_secs(1))
            .silence(LEASE)
            // It takes some hundreds of records a second.
            .events(2_000)
            .threads(4)
    }

    fn forgetful(&self, _: TopicConfig) -> Option<TopicConfig> {
        None
    }

    async fn stalling(&self, _: Arc<dyn Hub>, topic: TopicConfig) -> Result<Stalling, String> {
        let gate = Gate::open(&self.endpoint().await?).await?;
        let hub = hub(&gate.endpoint())?;
        Ok(Stalling::by_server(hub, topic, move || gate.close()))
    }

    fn exceptions(&self) -> &str {
        include_str!("localstack.exceptions")
    }

    async fn stop(&self) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(server) = running
            && let Err(error) = spawn_blocking(move || server.stop()).await
        {
            eprintln!("conformance: LocalStack could not be stopped: {error}");
        }
    }
}

fn main() -> ExitCode {
    run(Server::default())
}
