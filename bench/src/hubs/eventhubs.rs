//! The stand-in for Event Hubs, and who makes its event hubs: AMQP can't.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhub::eventhubs::{EventHubsConfig, EventHubsHub, LeasesIn, Provisioner};
use anyhub::{Error, ErrorKind, Hub, Result, Retention, TopicConfig};
use anyhub_local::EventHubs;
use async_trait::async_trait;

/// A namespace that keeps all that a run publishes.
pub(super) struct Namespace {
    server: EventHubs,
    hubs: Mutex<BTreeSet<String>>,
}

/// As many as a namespace of the tier Standard may have.
const UNITS: u32 = 40;

const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Namespace {
    /// Starts it; an error is one line that says why not.
    pub(super) fn start(limits_on: bool) -> Result<(Arc<dyn Hub>, Arc<Self>), String> {
        let server = EventHubs::builder()
            .limits(limits_on)
            .throughput_units(limits_on.then_some(UNITS))
            .retention(usize::MAX, DAY)
            .start();
        let this = Arc::new(Self {
            server: server.map_err(|error| error.to_string())?,
            hubs: Mutex::default(),
        });
        let config = EventHubsConfig::new()
            .namespace("localhost")
            .endpoint(this.server.endpoint())
            .leases(LeasesIn::Memory)
            .provisioner(this.clone());
        let hub = EventHubsHub::new(config).map_err(|error| error.to_string())?;
        Ok((Arc::new(hub), this))
    }

    pub(super) fn url(&self) -> String {
        format!("eventhubs://localhost?endpoint={}", self.server.endpoint())
    }

    pub(super) fn cpu(&self) -> Option<Duration> {
        self.server.cpu()
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

#[async_trait]
impl Provisioner for Namespace {
    async fn create_hub(&self, hub: &TopicConfig) -> Result<()> {
        let made = self.server.create_hub(&hub.name, hub.partitions);
        made.map_err(|error| failed(ErrorKind::Invalid, "create_topic", error))?;
        self.retain(&hub.name, &hub.retention, "create_topic")?;
        self.hubs().insert(hub.name.clone());
        Ok(())
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

fn failed(kind: ErrorKind, operation: &'static str, error: anyhub_local::Error) -> Error {
    Error::new(kind, "eventhubs", operation, error.to_string())
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({})", self.server.endpoint())
    }
}
