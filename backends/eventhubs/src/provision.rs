use anyhub_core::{Result, Retention, TopicConfig};
use async_trait::async_trait;
use std::fmt;

/// Who makes, changes and deletes event hubs and consumer groups, which can't be done by AMQP: for
/// [`EventHubsConfig::provisioner`](crate::EventHubsConfig). In Azure that is Azure Resource Manager, which
/// `subscription` and `resource_group` in the settings bring; one of your own goes another way.
#[async_trait]
pub trait Provisioner: fmt::Debug + Send + Sync {
    /// Makes an event hub. AlreadyExists if it is there.
    async fn create_hub(&self, hub: &TopicConfig) -> Result<()>;

    /// Deletes an event hub. NotFound if it is not there.
    async fn delete_hub(&self, hub: &str) -> Result<()>;

    /// The names of all event hubs of the namespace.
    async fn list_hubs(&self) -> Result<Vec<String>>;

    /// Raises the number of partitions.
    async fn set_partitions(&self, hub: &str, partitions: u32) -> Result<()>;

    /// Changes what an event hub keeps; a part that is None stays as it is.
    async fn set_retention(&self, hub: &str, retention: &Retention) -> Result<()>;

    /// Makes a consumer group of an event hub, if it is not there.
    async fn ensure_group(&self, hub: &str, group: &str) -> Result<()>;
}
