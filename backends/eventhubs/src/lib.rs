//! Azure Event Hubs for anyhub.

mod access;
mod admin;
mod client;
mod config;
mod connection;
mod connection_string;
mod describe;
mod error;
mod hash;
mod hub;
mod io;
mod lanes;
mod message;
mod producer;
mod send;
mod sender;
mod usage;

pub use config::{EventHubsConfig, Identity, Partitioning};
pub use hub::EventHubsHub;
pub use producer::NativeProducer;
