//! The portable heart of anyhub: events, the traits that every hub keeps, and a hub in memory.
//!
//! Applications depend on the crate `anyhub`, which re-exports what they need; this crate is for
//! those who write a backend (see [`driver`]) or want the memory hub alone. What every method
//! means, clause by clause, is CONTRACT.md at the root of the repository; names such as C4 in
//! these pages are its clauses.

mod acks;
mod admin;
mod buffer;
mod capabilities;
mod consumer;
pub mod driver;
mod error;
mod event;
mod event_check;
mod hub;
mod keyed;
mod lanes;
#[cfg(not(anyhub_loom))]
pub mod memory;
mod murmur2;
mod nearest;
mod opened;
mod options;
mod options_check;
mod outage;
mod pending;
mod position;
mod producer;
mod pulse;
mod secret;
mod sequence;
mod settings_file;
mod submitted;
mod sync;
mod url;
mod usage;
mod window;

pub use acks::{AckToken, Acks};
pub use admin::{
    Admin, GroupInfo, PartitionInfo, PartitionLag, Resized, Retention, TopicConfig, TopicInfo,
};
pub use capabilities::{Assignment, Capabilities, HeaderSupport};
pub use consumer::{Batch, Change, Consumer, ConsumerExt, Delivery, OwnedPartition};
pub use error::{BoxError, Error, ErrorKind, Result};
pub use event::{Event, Header, Key};
pub use hub::Hub;
pub use nearest::nearest;
pub use options::{ConsumerOptions, Point, ProducerOptions};
pub use pending::Pending;
pub use position::{ParsePositionError, Partition, Position};
pub use producer::{Limits, Producer, ProducerExt, Receipt};
pub use secret::{Secret, shown};
pub use settings_file::read_settings_file;
pub use url::{HubUrl, one_of, unknown_option};
pub use usage::Usage;
