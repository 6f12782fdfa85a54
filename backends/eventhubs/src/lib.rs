//! Azure Event Hubs for anyhub, natively over AMQP: strict order for each key, receivers that go on
//! where they were, outcomes that are true.
//!
//! Applications take it through the crate `anyhub` with its feature `eventhubs`, as
//! `eventhubs://NAMESPACE.servicebus.windows.net/HUB`; [`EventHubsConfig`] says what can stand there, and
//! where credentials come from.
//!
//! | clause | on Event Hubs |
//! |---|---|
//! | E1 | the annotation `x-opt-partition-key`, on every event; all of Microsoft's clients read it back |
//! | E2 | no body is an empty payload; data that is null, which Microsoft's JavaScript client sends for a body of null, can't be read by the SDK: `receive` fails and says where, and a seek goes behind it |
//! | E3 | application properties; what others wrote as numbers and the like is read as its text |
//! | E5 | what a link takes, 1 MiB in most tiers, less what AMQP adds |
//! | P2 | nothing in Event Hubs tells an event that was sent again from the first: an answer that is lost may write events twice |
//! | P3 | a lane for each partition, with one batch in flight; what failed goes first. With `partitioning=service` a batch has one key, and lanes share the keys |
//! | P4 | the partition; no answer of Event Hubs tells where in it |
//! | C2, C10 | leases of `lease_time` in [`EventHubsConfig::leases`], renewed at a third of it; the epoch of a link rises with each owner of the partition, so that Event Hubs, too, lets no earlier owner read on |
//! | C7 | End is the next sequence number when it is asked for; partitions that are added are found within ten seconds |
//! | C8, C9 | checkpoints are kept with the leases: Event Hubs keeps none |
//! | C12 | reads as the consumer group `reader_group`, of which Event Hubs lets five readers at a partition |
//! | C13 | a producer keeps to the partitions that there were when it was opened; keys move where there are more |
//! | C14 | told where the event that was due is no longer kept |
//!
//! ## Groups
//!
//! A group reads as the consumer group of its name. Where the settings name `subscription` and
//! `resource_group`, or a [`Provisioner`] of one's own, it is made if it is not there; otherwise it has to be.
//! A consumer group is for one group of ours, or for readers of other kinds: a reader with a higher epoch
//! takes the partition away, and the group takes it back. With `leases=memory` members in other processes
//! are such readers, too: several processes share one store, such as `leases=sqlite:FILE`.
//!
//! An event hub counts its events from 0, and so does one that is made again by its name. A checkpoint
//! behind its end is told, as OutOfRange; but once it has become longer, nothing tells it from the one
//! before, and what stands before the checkpoint is passed over. So delete the groups with the event hub:
//! [`Admin::delete_topic`](anyhub_core::Admin::delete_topic) does, and
//! [`Admin::delete_group`](anyhub_core::Admin::delete_group) where it was deleted elsewhere.
//!
//! ## Partitioning
//!
//! With `partitioning=hash`, the default, the partition of a key is chosen here, by the hash that
//! Microsoft's .NET, Java, JavaScript and Rust clients use for their buffered producers. Microsoft warns
//! that Event Hubs itself may choose otherwise. So take `service` for an event hub that others write to
//! by key, which leaves the choice to Event Hubs for all; it costs batches of one key each.
//!
//! ## The SDK's own clients
//!
//! [`NativeClient`] opens them for what the traits leave out, and says what to mind with them.
//!
//! ## TLS
//!
//! The SDK takes the process's default provider of rustls, and panics where there are two in one program
//! and none was chosen. If none is, opening a producer or consumer chooses aws-lc-rs for the process; an
//! application that wants another one calls `CryptoProvider::install_default` before. Certificates are
//! checked as the platform does; on Linux `SSL_CERT_FILE` names others to trust.

mod access;
mod admin;
mod client;
mod config;
mod connection;
mod connection_string;
mod consumer;
mod credit;
mod describe;
mod early;
mod error;
mod hash;
mod hub;
mod io;
mod lanes;
mod locate;
mod log;
mod message;
mod name;
mod native;
mod producer;
mod provision;
mod reader;
mod receiver;
mod resource_manager;
mod send;
mod sender;
mod start;
mod usage;

pub use anyhub_groups::LeasesIn;
/// Where groups are kept, for [`EventHubsConfig::store`]: `ObjectLeases` (feature `object-store`) on
/// Azure Blob Storage, for the members on many machines.
pub use anyhub_leases as leases;
/// The SDK's foundation, in the version that this crate is built on: `TokenCredential`, for
/// [`EventHubsConfig::token_credential`].
pub use azure_core;
/// The SDK's AMQP, in the same way: for [`NativeClient::connection`].
pub use azure_core_amqp;
/// The SDK itself, in the same way: for [`NativeClient::producer_client`] and the like.
pub use azure_messaging_eventhubs;
pub use config::{EventHubsConfig, Identity, Partitioning};
pub use hash::partition_of;
pub use hub::EventHubsHub;
pub use native::{NativeClient, NativeHub};
pub use provision::Provisioner;
