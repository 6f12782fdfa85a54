//! Apache Kafka for anyhub, on librdkafka.
//!
//! Applications take it through the crate `anyhub` with its feature `kafka`, as
//! `kafka://host:9092,host2:9092/topic?property=value`; [`KafkaConfig`] says what can stand there.
//!
//! | clause | on Kafka |
//! |---|---|
//! | P2 | `enable.idempotence` and `acks=all`; an event that timed out before it was sent is told as not written |
//! | C2 | `max_processing` under 6 s: tokens are stale in time, the partitions go after 6 s, the shortest session that brokers allow |
//! | C7 | new partitions are seen within about 5 s |
//! | C8, C9 | a seek commits the new offset before it returns |
//! | C13 | more partitions send keys elsewhere: their order does not hold across it |
//! | E3 | a header's name may not have a NUL in it; a null value is read as the empty one, and a name that is no UTF-8 with U+FFFD where it is not |
//! | E4 | a topic that [`Admin`](anyhub_core::Admin) made has `message.timestamp.type=LogAppendTime` |

mod admin;
mod batch;
mod config;
mod consumer;
mod control;
mod error;
mod events;
mod flights;
mod groups;
mod headers;
mod hub;
mod keeper;
mod machine;
mod member;
mod message;
mod native;
mod producer;
mod property;
mod read;
mod reports;
mod shared;
mod slots;
mod start;
mod trouble;
mod work;

pub use admin::NativeAdmin;
pub use config::KafkaConfig;
pub use events::Events;
pub use hub::{KafkaHub, Traffic};
pub use member::NativeConsumer;
pub use native::NativeMember;
pub use producer::{NativeClient, NativeProducer};
pub use reports::Reports;

/// The version of the librdkafka that this was built with, as `2.12.1`.
pub fn librdkafka_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}
