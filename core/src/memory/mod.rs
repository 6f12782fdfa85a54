//! A hub in this process: partitions, consumer groups and retention without a server.
//!
//! It keeps the whole contract, so that tests and examples run on it unchanged, and it is fast
//! enough to measure a harness with. Nothing outlives the [`MemoryHub`].
//!
//! ```
//! use anyhub_core::{*, memory::MemoryHub};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
//! let hub = MemoryHub::from_url(&"memory:/tweets?partitions=4".parse()?)?;
//! let producer = hub.producer("tweets", ProducerOptions::new()).await?;
//! producer.send(Event::new("what a day").with_key("user-7")).await?;
//!
//! let mut consumer = hub.consumer("tweets", ConsumerOptions::new().group("score")).await?;
//! let batch = consumer.receive(100).await?;
//! assert_eq!(batch.deliveries[0].event.payload, "what a day");
//! consumer.acks().ack(&batch.tokens());
//! consumer.close().await?;
//! # Ok(()) }
//! ```
//!
//! # What it decides where the contract leaves room
//!
//! - **Memory is bounded.** A partition holds at most `capacity_bytes`: key, payload and headers of
//!   each event, and about 120 bytes beside them. A full one pushes back: `submit` waits, and
//!   answers Timeout at its deadline, with nothing written. With [`Retention::bytes`] the oldest
//!   events leave instead; with [`Retention::time`] they leave when their time has come; with
//!   `retention=consumed` what every consumer group has committed leaves when room is needed, and a
//!   topic without a group pushes back. While a producer waits there, acknowledgements are committed
//!   as they come, not only every `commit_interval`. See [`MemoryConfig`].
//! - **Partitions.** A key's partition is `(murmur2(key) & 0x7fffffff) % n`, as Kafka's Java client
//!   has it; keyless events go round. More partitions move keys: order across a resize is not kept.
//! - **A batch** is written at once, or waits until all of it has room. So every submitted event is
//!   resolved when `submit` returns, and `linger` has nothing to wait for.
//! - **Groups.** Partitions are shared evenly and move as little as possible. One that moves is no
//!   longer delivered; it goes with the last answer to its deliveries, or 500 ms later when its
//!   owner calls `receive`. A consumer that is dropped without `close` is as one that crashed:
//!   acknowledgements since its last commit come again to others. So do those of a consumer that
//!   has not called `receive` for `max_processing`; it joins again when it does.
//! - **Private readers** have to acknowledge too: the window of C4 is theirs as well.
//!
//! [`Retention::bytes`]: crate::Retention::bytes
//! [`Retention::time`]: crate::Retention::time

mod admin;
mod balance;
mod config;
mod consumer;
mod group;
mod hub;
mod log;
mod member;
mod producer;
mod rebalance;
mod slot;
#[cfg(test)]
mod tests;
mod topic;

pub use config::{Keeping, MemoryConfig};
pub use hub::MemoryHub;

/// The hub's name.
const HUB: &str = "memory";
