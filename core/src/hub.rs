use crate::{
    Admin, Capabilities, Consumer, ConsumerOptions, Producer, ProducerOptions, Result, Usage,
};
use async_trait::async_trait;
use std::{any::Any, fmt, sync::Arc};

/// An event hub: Kafka, Kinesis, Event Hubs, Pub/Sub or the one in memory.
///
/// The trait is for implementors; it has no default bodies, so that a wrapper can't miss a method
/// in silence. Applications get one from `anyhub::connect(url)`.
#[async_trait]
pub trait Hub: fmt::Debug + Send + Sync + 'static {
    /// The hub's name in errors and reports: `memory`, `kafka`, ...
    fn name(&self) -> &'static str;

    /// What it can do beyond the portable contract.
    fn capabilities(&self) -> Capabilities;

    /// Opens a producer on `topic`. NotFound if the topic is not there; who may not look is told by the first event.
    async fn producer(&self, topic: &str, options: ProducerOptions) -> Result<Arc<dyn Producer>>;

    /// Opens a consumer on `topic`; it resolves once the consumer will see later events.
    /// NotFound if the topic is not there.
    async fn consumer(&self, topic: &str, options: ConsumerOptions) -> Result<Box<dyn Consumer>>;

    /// Topics and groups.
    fn admin(&self) -> &dyn Admin;

    /// What the provider would bill for what went through this hub so far.
    fn usage(&self) -> Usage;

    /// The SDK's own client, for what the traits leave out. Outside the promise of versions.
    fn native(&self) -> &(dyn Any + Send + Sync);

    /// Closes the producers and consumers that this hub opened, then the hub. Calling it again
    /// does nothing.
    async fn close(&self) -> Result<()>;
}
