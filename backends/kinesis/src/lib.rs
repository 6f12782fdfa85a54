//! Amazon Kinesis for anyhub.

#[doc(hidden)]
pub mod aggregate;
mod checkpoint;
mod client;
mod config;
mod error;
mod fetch;
mod leasing;
mod locate;
mod shards;
mod usage;

pub use config::{Aggregation, KinesisConfig, LeasesIn};
