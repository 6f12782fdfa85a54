//! Starts event hubs on this machine, without containers: for tests, benchmarks and a first try.
//!
//! | Hub | What runs | What it needs |
//! |---|---|---|
//! | [`Kafka`] | Apache Kafka itself, one to five brokers | Java 17 or newer; Maven, once, to fetch the jars |
//! | `Kinesis` | ferrokinesis in this process, behind a layer with limits, faults and counts | the feature `kinesis`, on by default |
//! | `EventHubs` | a stand-in of our own in this process, with limits, faults and counts | the feature `eventhubs`, on by default |
//! | [`LocalStack`] | LocalStack, a second and independent Kinesis | Python 3.13, Node.js with npm; pip, once |
//!
//! Servers listen on 127.0.0.1 only, on free ports, and keep their data in memory or in a folder of their own. They end with
//! the process that started them, however that ends, a kill -9 included. Everything here blocks.

#[cfg(not(unix))]
compile_error!("anyhub-local starts its servers on Linux and macOS only");

mod cache;
mod error;
#[cfg(feature = "eventhubs")]
pub mod eventhubs;
mod fetch;
mod folder;
#[cfg(any(feature = "eventhubs", feature = "kinesis"))]
mod in_process;
mod java;
pub mod kafka;
#[cfg(feature = "kinesis")]
pub mod kinesis;
mod kinesis_url;
pub mod localstack;
mod log;
mod maven;
mod ports;
mod process;
mod program;
mod python;
mod requirement;

pub use cache::cache_dir;
pub use error::Error;
#[cfg(feature = "eventhubs")]
pub use eventhubs::EventHubs;
#[cfg(any(feature = "eventhubs", feature = "kinesis"))]
pub use in_process::Rate;
pub use kafka::Kafka;
#[cfg(feature = "kinesis")]
pub use kinesis::Kinesis;
pub use localstack::LocalStack;
pub use requirement::{Requirement, State};
