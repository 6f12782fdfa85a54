//! Amazon Kinesis for anyhub, on the AWS SDK: consumer groups, strict order for each key, and positions
//! that name an event, none of which Kinesis has by itself.
//!
//! Applications take it through the crate `anyhub` with its feature `kinesis`, as
//! `kinesis://us-east-1/STREAM?leases=sqlite:FILE`; [`KinesisConfig`] says what can stand there.
//!
//! | clause | on Kinesis |
//! |---|---|
//! | E1 | a record's partition key is the key; a keyless event gets a random one that begins with `anyhub.keyless.`, which no key may |
//! | E3 | headers only with `envelope=on`, in front of the payload: readers without it see them there |
//! | E5 | 1 MiB a record, key and data, less what aggregation may add |
//! | P2 | nothing in Kinesis tells a record that was sent again from the first: an answer that is lost may write events twice |
//! | P3 | a lane for each shard, with one request in flight and one record of a key in it; what failed inside a 200 goes first |
//! | C2, C10 | leases of `lease_time` in [`KinesisConfig::leases`], renewed at a third of it |
//! | C7 | End is found by reading: an idle shard takes some ten reads, at five a second |
//! | C8 | a seek moves the shards that are owned, on a stream that was resharded those that are still read: their children begin at their beginning, and what the group has finished stays behind. To pass over children, or to read everything again, take a new group with [`ConsumerOptions::start`](anyhub_core::ConsumerOptions), or delete this one |
//! | C11, C13 | children are begun when all their parents are acknowledged to the end: key order holds across a reshard |
//! | C14 | told where the last event that was read is gone itself: what came right after it may be, too. Of a shard that has ended, before its children are begun |
//! | lag | in time, not in events |
//!
//! A stream that is deleted and made again has other sequence numbers: Kinesis refuses the checkpoints of the
//! one before, which `receive` tells, as Invalid. [`Admin::delete_topic`](anyhub_core::Admin::delete_topic)
//! deletes the groups, too; [`Admin::delete_group`](anyhub_core::Admin::delete_group) does where the stream
//! was deleted elsewhere. With `leases=memory` each process is a group by itself, and reads everything:
//! several share one store, such as `leases=sqlite:FILE`.
//!
//! Events of one key that wait together travel in one record, in the KPL's format, which KCL and
//! Amazon's other libraries take apart; `aggregate=off` is for readers that can't.

mod admin;
#[doc(hidden)]
pub mod aggregate;
mod client;
mod config;
mod consumer;
mod decode;
mod envelope;
mod error;
mod fanout;
mod fetch;
mod hub;
mod lanes;
mod locate;
mod log;
mod message;
mod pace;
mod producer;
mod reader;
mod send;
mod shards;
mod start;
mod status;
mod streams;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod upkeep;
mod usage;

pub use anyhub_groups::LeasesIn;
/// Where consumer groups are kept, for [`KinesisConfig::store`]: `ObjectLeases` (feature
/// `object-store`) on S3, for the members on many machines.
pub use anyhub_leases as leases;
pub use config::{Aggregation, KinesisConfig};
pub use consumer::NativeConsumer;
pub use hub::{KinesisHub, NativeHub};
pub use producer::NativeClient;
pub use streams::{StreamMode, Streams};

/// The version of the SDK's Kinesis client that this is built on.
pub fn sdk_version() -> &'static str {
    aws_sdk_kinesis::meta::PKG_VERSION
}
