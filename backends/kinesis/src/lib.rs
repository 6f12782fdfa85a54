//! Amazon Kinesis for anyhub.

#[doc(hidden)]
pub mod aggregate;
mod client;
mod config;
mod error;
mod fetch;
mod shards;
mod usage;

pub use config::{Aggregation, KinesisConfig, LeasesIn};
