//! Amazon Kinesis for anyhub.

#[doc(hidden)]
pub mod aggregate;
mod client;
mod config;
mod envelope;
mod error;
mod fetch;
mod message;
mod shards;
mod usage;

pub use config::{Aggregation, KinesisConfig, LeasesIn};
