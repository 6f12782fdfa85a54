//! One Producer/Consumer trait over Apache Kafka, Amazon Kinesis, Azure Event Hubs and Google
//! Cloud Pub/Sub, with one meaning on all of them. Only the URL changes:
//!
//! ```
//! use anyhub::{ConsumerOptions, ErrorKind, Event, ProducerExt, ProducerOptions, TopicConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhub::Result<()> {
//! // or kafka://localhost:9092/tweets, kinesis://us-east-1/tweets?leases=memory,
//! // eventhubs://NAMESPACE.servicebus.windows.net/tweets?leases=memory, pubsub://PROJECT/tweets
//! // (leases=memory: how far a group has come is forgotten when the process ends; leases=sqlite:FILE keeps it)
//! let url = "memory:/tweets";
//! let (hub, topic) = (anyhub::connect(url)?, anyhub::topic(url)?);
//! let made = hub.admin().create_topic(&TopicConfig::new(&topic)).await;
//! if let Err(error) = made
//!     && !matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Unsupported) // an event hub has to be there
//! {
//!     return Err(error);
//! }
//! let producer = hub.producer(&topic, ProducerOptions::new()).await?;
//! producer.send(Event::new("what a day").with_key("user-7")).await?;
//!
//! let mut consumer = hub.consumer(&topic, ConsumerOptions::new().group("score")).await?;
//! let acks = consumer.acks();
//! let batch = consumer.receive(100).await?;
//! for delivery in &batch.deliveries {
//!     println!("{:?}", delivery.event);
//!     acks.ack(&[delivery.token]);
//! }
//! consumer.close().await?;
//! # Ok(()) }
//! ```
//!
//! Each hub is a feature, none on by default: `eventhubs`, `kafka`, `kinesis`, `pubsub`. The memory hub is
//! always there.

mod connect;

pub use anyhub_core::{
    AckToken, Acks, Admin, Assignment, Batch, BoxError, Capabilities, Change, Consumer,
    ConsumerExt, ConsumerOptions, Delivery, Error, ErrorKind, Event, GroupInfo, Header,
    HeaderSupport, Hub, HubUrl, Key, Limits, OwnedPartition, ParsePositionError, Partition,
    PartitionInfo, PartitionLag, Pending, Point, Position, Producer, ProducerExt, ProducerOptions,
    Receipt, Resized, Result, Retention, Secret, TopicConfig, TopicInfo, Usage, driver, memory,
};
pub use connect::{connect, schemes, topic};

#[cfg(feature = "eventhubs")]
pub use anyhub_eventhubs as eventhubs;
#[cfg(feature = "kafka")]
pub use anyhub_kafka as kafka;
#[cfg(feature = "kinesis")]
pub use anyhub_kinesis as kinesis;
#[cfg(feature = "pubsub")]
pub use anyhub_pubsub as pubsub;
