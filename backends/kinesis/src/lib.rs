//! Amazon Kinesis for anyhub.

#[doc(hidden)]
pub mod aggregate;
mod client;
mod config;
mod envelope;
mod error;
mod fetch;
mod keeper;
mod lanes;
mod message;
mod producer;
mod send;
mod shards;
mod usage;

pub use config::{Aggregation, KinesisConfig, LeasesIn};
pub use producer::NativeClient;

/// A producer without a hub: for this crate's tests and examples until there is one.
#[doc(hidden)]
pub async fn producer(
    config: KinesisConfig,
    topic: &str,
    options: anyhub_core::ProducerOptions,
) -> anyhub_core::Result<std::sync::Arc<dyn anyhub_core::Producer>> {
    let link = client::Link::new(config);
    let producer = producer::KinesisProducer::open(link, topic, options, Default::default());
    Ok(producer.await?)
}
