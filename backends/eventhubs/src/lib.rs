//! Azure Event Hubs for anyhub.

mod access;
mod admin;
mod backlog;
mod client;
mod config;
mod connection;
mod connection_string;
mod consumer;
mod credit;
mod describe;
mod error;
mod hash;
mod hub;
mod io;
mod lanes;
mod locate;
mod message;
mod producer;
mod provision;
mod reader;
mod receiver;
mod send;
mod sender;
mod shared;
mod start;
mod usage;

pub use config::{EventHubsConfig, Identity, Partitioning};
pub use consumer::NativeConsumer;
pub use hub::EventHubsHub;
pub use producer::NativeProducer;
pub use provision::Provisioner;
