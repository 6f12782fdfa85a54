//! Amazon Kinesis for anyhub.

mod admin;
#[doc(hidden)]
pub mod aggregate;
mod backlog;
mod checkpoint;
mod client;
mod config;
mod consumer;
mod decode;
mod envelope;
mod error;
mod fanout;
mod fetch;
mod group;
mod hub;
mod keeper;
mod lanes;
mod leasing;
mod locate;
mod message;
mod pace;
mod producer;
mod reader;
mod send;
mod shards;
mod shared;
mod slot;
mod start;
mod status;
mod streams;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod upkeep;
mod usage;

pub use config::{Aggregation, KinesisConfig, LeasesIn};
pub use consumer::NativeConsumer;
pub use hub::{KinesisHub, NativeHub};
pub use producer::NativeClient;
pub use streams::{StreamMode, Streams};

/// The version of the SDK's Kinesis client that this is built on.
pub fn sdk_version() -> &'static str {
    aws_sdk_kinesis::meta::PKG_VERSION
}

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
