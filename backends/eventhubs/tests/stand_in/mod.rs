//! The stand-in, with what a run changes of the settings.

use anyhub_conformance::{Harness, Settings, Stalling};
use anyhub_core::{Error, ErrorKind, Hub, Result, Retention, TopicConfig};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub, LeasesIn, Provisioner};
use anyhub_local::eventhubs::{EventHubs, Faults, Rate};
use async_trait::async_trait;
use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub(crate) struct StandIn {
    name: &'static str,
    change: fn(EventHubsConfig) -> EventHubsConfig,
    running: Mutex<Option<Arc<Local>>>,
}

const LEASE: Duration = Duration::from_secs(1);

/// The stand-in, and who makes its hubs.
struct Local {
    server: EventHubs,
    hubs: Mutex<BTreeSet<String>>,
}

impl Local {
    fn start() -> Result<Arc<Self>, String> {
        let server = EventHubs::builder().start();
        Ok(Arc::new(Self {
            server: server.map_err(|error| error.to_string())?,
            hubs: Mutex::default(),
        }))
    }

    /// By time; the backend refuses a size.
    fn retain(&self, hub: &str, retention: &Retention, operation: &'static str) -> Result<()> {
        let set = self.server.set_retention(hub, None, retention.time);
        set.map_err(|error| failed(ErrorKind::NotFound, operation, error))
    }

    fn hubs(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.hubs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(kind: ErrorKind, operation: &'static str, error: anyhub_local::Error) -> Error {
    Error::new(kind, "eventhubs", operation, error.to_string())
}

#[async_trait]
impl Provisioner for Local {
    async fn create_hub(&self, hub: &TopicConfig) -> Result<()> {
        let mut hubs = self.hubs();
        if !hubs.insert(hub.name.clone()) {
            let message = format!("there is an event hub '{}' already", hub.name);
            let kind = ErrorKind::AlreadyExists;
            return Err(Error::new(kind, "eventhubs", "create_topic", message));
        }
        let made = self.server.create_hub(&hub.name, hub.partitions);
        made.map_err(|error| failed(ErrorKind::Invalid, "create_topic", error))?;
        self.retain(&hub.name, &hub.retention, "create_topic")
    }

    async fn delete_hub(&self, hub: &str) -> Result<()> {
        self.hubs().remove(hub);
        let deleted = self.server.delete_hub(hub);
        deleted.map_err(|error| failed(ErrorKind::NotFound, "delete_topic", error))
    }

    async fn list_hubs(&self) -> Result<Vec<String>> {
        Ok(self.hubs().iter().cloned().collect())
    }

    async fn set_partitions(&self, hub: &str, partitions: u32) -> Result<()> {
        let set = self.server.set_partitions(hub, partitions);
        set.map_err(|error| failed(ErrorKind::Invalid, "set_partitions", error))
    }

    async fn set_retention(&self, hub: &str, retention: &Retention) -> Result<()> {
        self.retain(hub, retention, "set_retention")
    }

    async fn ensure_group(&self, hub: &str, group: &str) -> Result<()> {
        // An Err: it is there already.
        let _ = self.server.create_group(hub, group);
        Ok(())
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Local({})", self.server.endpoint())
    }
}

/// Its answers take longer than anyone waits.
struct Stalled(Arc<Local>);

impl Drop for Stalled {
    fn drop(&mut self) {
        if let Err(error) = self.0.server.set_faults(Faults::none()) {
            eprintln!("conformance: the stalled stand-in: {error}");
        }
    }
}

impl StandIn {
    pub(crate) fn new(name: &'static str, change: fn(EventHubsConfig) -> EventHubsConfig) -> Self {
        Self {
            name,
            change,
            running: Mutex::default(),
        }
    }

    fn hub(&self, local: &Arc<Local>) -> Result<Arc<dyn Hub>, String> {
        let config = EventHubsConfig::new()
            .namespace("localhost")
            .endpoint(local.server.endpoint())
            .provisioner(local.clone())
            .leases(LeasesIn::Memory)
            .lease_time(LEASE);
        let hub = EventHubsHub::new((self.change)(config)).map_err(|error| error.to_string())?;
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
        let local = match &*running {
            Some(local) => local.clone(),
            None => running.insert(Local::start()?).clone(),
        };
        self.hub(&local)
    }

    fn settings(&self) -> Settings {
        Settings::new()
            .patience(Duration::from_secs(30))
            .trial_timeout(Duration::from_secs(180))
            .tick(Duration::from_millis(20))
            .silence(LEASE)
    }

    fn forgetful(&self, topic: TopicConfig) -> Option<TopicConfig> {
        Some(topic.retention(Retention::new().time(Duration::from_secs(2))))
    }

    async fn stalling(&self, _: Arc<dyn Hub>, topic: TopicConfig) -> Result<Stalling, String> {
        // One that stands still would hold up every other trial, so it is another one.
        let local = Local::start()?;
        let hub = self.hub(&local)?;
        Ok(Stalling::by_server(hub, topic, move || {
            let hour = Duration::from_secs(3_600);
            let faults = Faults::none().slow_acks(Rate::share(1.0), hour);
            if let Err(error) = local.server.set_faults(faults) {
                eprintln!("conformance: the stand-in can't be stalled: {error}");
            }
            Stalled(local)
        }))
    }

    async fn stop(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(local) = running.take() {
            local.server.stop();
        }
    }
}
