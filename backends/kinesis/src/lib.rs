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
mod keeper;
mod leasing;
mod locate;
mod message;
mod pace;
mod reader;
mod shards;
mod shared;
mod slot;
mod start;
mod status;
mod streams;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod usage;

pub use config::{Aggregation, KinesisConfig, LeasesIn};
pub use consumer::NativeConsumer;
pub use streams::{StreamMode, Streams};

/// The version of the SDK's Kinesis client that this is built on.
pub fn sdk_version() -> &'static str {
    aws_sdk_kinesis::meta::PKG_VERSION
}
