//! The stand-in, with what a run changes of the settings.

use anyhub_conformance::{Harness, Settings, Stalling};
use anyhub_core::{Hub, TopicConfig};
use anyhub_local::pubsub::{Faults, PubSub, Rate};
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use async_trait::async_trait;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub(crate) struct StandIn {
    name: &'static str,
    change: fn(PubSubConfig) -> PubSubConfig,
    running: Mutex<Option<Arc<PubSub>>>,
}

/// Its answers take longer than anyone waits.
struct Stalled(PubSub);

impl Drop for Stalled {
    fn drop(&mut self) {
        if let Err(error) = self.0.set_faults(Faults::none()) {
            eprintln!("conformance: the stalled stand-in: {error}");
        }
    }
}

impl StandIn {
    pub(crate) fn new(name: &'static str, change: fn(PubSubConfig) -> PubSubConfig) -> Self {
        Self {
            name,
            change,
            running: Mutex::default(),
        }
    }

    fn hub(&self, server: &PubSub) -> Result<Arc<dyn Hub>, String> {
        let config = PubSubConfig::new("local")
            .endpoint(server.endpoint())
            .ack_deadline(Duration::from_secs(10));
        let hub = PubSubHub::new((self.change)(config)).map_err(|error| error.to_string())?;
        Ok(Arc::new(hub))
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
        let server = match &*running {
            Some(server) => server.clone(),
            None => {
                let started = PubSub::builder().start();
                let server = started.map_err(|error| error.to_string())?;
                running.insert(Arc::new(server)).clone()
            }
        };
        self.hub(&server)
    }

    fn settings(&self) -> Settings {
        Settings::new()
            .patience(Duration::from_secs(40))
            .tick(Duration::from_millis(20))
            .max_processing(Duration::from_millis(500))
            .events(8_000)
            .threads(8)
    }

    fn forgetful(&self, _: TopicConfig) -> Option<TopicConfig> {
        // A subscription keeps what is not acknowledged for 10 minutes at least.
        None
    }

    async fn stalling(&self, _: Arc<dyn Hub>, topic: TopicConfig) -> Result<Stalling, String> {
        // A stand-in of its own: the others' requests are answered.
        let server = PubSub::builder()
            .start()
            .map_err(|error| error.to_string())?;
        let hub = self.hub(&server)?;
        Ok(Stalling::by_server(hub, topic, move || {
            let late = Faults::none().slow_answers(
                "Publish",
                Rate::share(1.0),
                Duration::from_secs(3_600),
            );
            if let Err(error) = server.set_faults(late) {
                eprintln!("conformance: the stalled stand-in: {error}");
            }
            Stalled(server)
        }))
    }

    async fn stop(&self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(server) = running {
            server.stop();
        }
    }
}
