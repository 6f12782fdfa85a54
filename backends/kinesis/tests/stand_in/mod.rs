//! The stand-in, with what a run changes of the settings.

use anyhub_conformance::{Harness, Settings, Stalling};
use anyhub_core::{Hub, TopicConfig};
use anyhub_kinesis::{KinesisConfig, KinesisHub, LeasesIn};
use anyhub_local::kinesis::{Faults, Kinesis, Rate};
use async_trait::async_trait;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub(crate) struct StandIn {
    name: &'static str,
    change: fn(KinesisConfig) -> KinesisConfig,
    running: Mutex<Option<Kinesis>>,
}

const LEASE: Duration = Duration::from_secs(1);

impl StandIn {
    pub(crate) fn new(name: &'static str, change: fn(KinesisConfig) -> KinesisConfig) -> Self {
        Self {
            name,
            change,
            running: Mutex::default(),
        }
    }

    fn hub(&self, kinesis: &Kinesis) -> Result<Arc<dyn Hub>, String> {
        let config = KinesisConfig::new()
            .region("us-east-1")
            .endpoint(kinesis.endpoint())
            .max_batch_bytes(5 << 20)
            .leases(LeasesIn::Memory)
            .lease_time(LEASE);
        let hub = KinesisHub::new((self.change)(config)).map_err(|error| error.to_string())?;
        Ok(Arc::new(hub))
    }
}

/// Its answers take longer than anyone waits.
struct Stalled(Kinesis);

impl Drop for Stalled {
    fn drop(&mut self) {
        if let Err(error) = self.0.set_faults(Faults::none()) {
            eprintln!("conformance: the stalled stand-in: {error}");
        }
    }
}

#[async_trait]
impl Harness for StandIn {
    fn name(&self) -> &str {
        self.name
    }

    fn runs_on(&self) -> &str {
        "stand-in"
    }

    async fn start(&self) -> Result<Arc<dyn Hub>, String> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            let kinesis = Kinesis::builder().shard_limit(100_000).start();
            *running = Some(kinesis.map_err(|error| error.to_string())?);
        }
        match &*running {
            Some(kinesis) => self.hub(kinesis),
            None => Err("the stand-in was stopped".to_owned()),
        }
    }

    fn settings(&self) -> Settings {
        Settings::new()
            .patience(Duration::from_secs(30))
            .trial_timeout(Duration::from_secs(180))
            .tick(Duration::from_millis(20))
            .silence(LEASE)
    }

    fn forgetful(&self, topic: TopicConfig) -> Option<TopicConfig> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let kinesis = running.as_ref()?;
        kinesis.keep(&topic.name, Duration::from_secs(1));
        Some(topic)
    }

    async fn stalling(&self, _: Arc<dyn Hub>, topic: TopicConfig) -> Result<Stalling, String> {
        // One that stands still would hold up every other trial, so it is another one.
        let kinesis = Kinesis::builder()
            .start()
            .map_err(|error| error.to_string())?;
        let hub = self.hub(&kinesis)?;
        Ok(Stalling::by_server(hub, topic, move || {
            let hour = Duration::from_secs(3_600);
            let faults = Faults::none().slow_answers("PutRecords", Rate::share(1.0), hour);
            if let Err(error) = kinesis.set_faults(faults) {
                eprintln!("conformance: the stand-in can't be stalled: {error}");
            }
            Stalled(kinesis)
        }))
    }

    async fn stop(&self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(kinesis) = running {
            kinesis.stop();
        }
    }
}
