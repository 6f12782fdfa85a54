//! Starts event hubs on this machine, without containers: for tests, benchmarks and a first try.
//!
//! | Hub | What runs | What it needs |
//! |---|---|---|
//! | [`Kafka`] | Apache Kafka itself, one to five brokers | Java 17 or newer; Maven, once, to fetch the jars |
//! | `Kinesis` | ferrokinesis in this process, behind a layer with limits, faults and counts | the feature `kinesis`, on by default |
//! | `EventHubs` | a stand-in of our own in this process, with limits, faults and counts | the feature `eventhubs`, on by default |
//! | `PubSub` | our own stand-in in this process, gRPC and JSON, with limits, faults and counts | the feature `pubsub`, on by default |
//! | [`LocalStack`] | LocalStack, a second and independent Kinesis | Python 3.13, Node.js with npm; pip, once |
//! | [`PsTest`] | pstest, Google's own fake, a second and independent Pub/Sub | Go 1.26 or newer, once |
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
#[cfg(any(feature = "eventhubs", feature = "kinesis", feature = "pubsub"))]
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
pub mod pstest;
#[cfg(feature = "pubsub")]
pub mod pubsub;
mod python;
mod requirement;
mod running;

pub use cache::cache_dir;
pub use error::Error;
#[cfg(feature = "eventhubs")]
pub use eventhubs::EventHubs;
#[cfg(any(feature = "eventhubs", feature = "kinesis", feature = "pubsub"))]
pub use in_process::Rate;
pub use kafka::Kafka;
#[cfg(feature = "kinesis")]
pub use kinesis::Kinesis;
pub use localstack::LocalStack;
pub use pstest::PsTest;
#[cfg(feature = "pubsub")]
pub use pubsub::PubSub;
pub use requirement::{Requirement, State};
