//! Kafka against the whole contract, on a real broker of its own.

use anyhub_conformance::{Harness, Settings, Stalling, run};
use anyhub_core::{Hub, Retention, TopicConfig};
use anyhub_kafka::{KafkaConfig, KafkaHub};
use anyhub_local::Kafka;
use async_trait::async_trait;
use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::spawn_blocking;

#[derive(Default)]
struct Broker(Arc<Mutex<Option<Kafka>>>);

/// The shortest that the broker allows (group.min.session.timeout.ms).
const SESSION: Duration = Duration::from_secs(6);

/// Kafka 4 takes no smaller segments, and retention removes nothing less.
const SEGMENT: u64 = 1 << 20;

fn hub(bootstrap: String) -> Result<Arc<dyn Hub>, String> {
    let session = SESSION.as_millis().to_string();
    let config = KafkaConfig::new(bootstrap).property("session.timeout.ms", session);
    let hub = KafkaHub::new(config).map_err(|error| error.to_string())?;
    Ok(Arc::new(hub))
}

/// It hears no request to stop.
struct Frozen(Kafka);

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill(0) {
            eprintln!("conformance: the frozen broker: {error}");
        }
    }
}

#[async_trait]
impl Harness for Broker {
    fn name(&self) -> &str {
        "kafka"
    }

    fn runs_on(&self) -> &str {
        "real broker"
    }

    async fn start(&self) -> Result<Arc<dyn Hub>, String> {
        let broker = self.0.clone();
        let bootstrap = spawn_blocking(move || {
            let mut broker = broker.lock().unwrap_or_else(PoisonError::into_inner);
            if broker.is_none() {
                // So that retention is seen within seconds, not within five minutes.
                let kafka = Kafka::builder()
                    .config("log.retention.check.interval.ms", "300")
                    .config("log.initial.task.delay.ms", "300");
                *broker = Some(kafka.start().map_err(|error| error.to_string())?);
            }
            Ok(broker.as_ref().map(Kafka::bootstrap).unwrap_or_default())
        });
        let bootstrap: Result<String, String> =
            bootstrap.await.map_err(|error| error.to_string())?;
        hub(bootstrap?)
    }

    fn settings(&self) -> Settings {
        Settings::new()
            .patience(Duration::from_secs(40))
            .trial_timeout(Duration::from_secs(240))
            .tick(Duration::from_millis(50))
            .max_processing(SESSION)
            // What `session.timeout.ms` is set to, below.
            .silence(SESSION)
            .overflow_bytes(6 * SEGMENT)
    }

    fn forgetful(&self, topic: TopicConfig) -> Option<TopicConfig> {
        let keeps = Retention::new().bytes(2 * SEGMENT);
        Some(
            topic
                .retention(keeps)
                .property("segment.bytes", SEGMENT.to_string()),
        )
    }

    async fn stalling(&self, _: Arc<dyn Hub>, topic: TopicConfig) -> Result<Stalling, String> {
        // A broker that stands still would hold up every other trial, so it is another one.
        let starting = spawn_blocking(|| Kafka::builder().start());
        let kafka = starting.await.map_err(|error| error.to_string())?;
        let kafka = kafka.map_err(|error| error.to_string())?;
        let hub = hub(kafka.bootstrap())?;
        Ok(Stalling::by_server(hub, topic, move || {
            let paused = kafka.pause(0);
            (Frozen(kafka), paused)
        }))
    }

    async fn stop(&self) {
        let broker = self.0.clone();
        let stopping = spawn_blocking(move || {
            let mut broker = broker.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(broker) = broker.take() {
                broker.stop();
            }
        });
        if let Err(error) = stopping.await {
            eprintln!("conformance: the broker could not be stopped: {error}");
        }
    }
}

fn main() -> ExitCode {
    run(Broker::default())
}
