//! Google Cloud Pub/Sub for anyhub: strict order for each ordering key, acks that are confirmed, outcomes that are true.
//!
//! Applications take it through the crate `anyhub` with its feature `pubsub`, as `pubsub://PROJECT/TOPIC`;
//! [`PubSubConfig`] says what can stand there, and where credentials come from.

mod admin;
mod api;
mod client;
mod config;
mod consumer;
mod error;
mod hub;
mod keeper;
mod keys;
mod message;
mod name;
mod native;
mod outbox;
mod producer;
mod send;
mod shared;
mod stream;
mod subscription;
mod usage;
mod wire;

pub use config::PubSubConfig;
/// The SDK's credentials, in the version that this crate is built on: for [`PubSubConfig::credentials`].
pub use google_cloud_auth;
/// The SDK itself, in the same way: for what [`NativeHub`] and the others hand out.
pub use google_cloud_pubsub;
pub use hub::PubSubHub;
pub use native::{NativeHub, NativeSubscription, NativeTopic};
