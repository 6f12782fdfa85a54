//! The admin against the stand-in.

mod chain;
mod files;
mod groups;
mod lag;
mod positions;
mod states;
mod streams;
mod topics;

use super::KinesisAdmin;
use crate::{
    client::{Link, Stream},
    config::{KinesisConfig, LeasesIn},
    leasing::Leasing,
    shards::{self, Shard},
    streams::Streams,
};
use anyhub_core::{Admin, Error, ErrorKind, Retention, TopicConfig, driver::Sequence};
use anyhub_local::kinesis::{Kinesis, KinesisBuilder};
use aws_sdk_kinesis::{Client, primitives::Blob};
use std::{
    fmt::Debug,
    time::{Duration, SystemTime},
};

const HOUR: Duration = Duration::from_secs(3_600);
const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

/// A stand-in and all that administers it.
struct World {
    kinesis: Kinesis,
    link: Link,
    leasing: Leasing,
    admin: KinesisAdmin,
    streams: Streams,
}

impl World {
    fn start(builder: KinesisBuilder, set: impl FnOnce(KinesisConfig) -> KinesisConfig) -> Self {
        let kinesis = builder.start().unwrap();
        let config = KinesisConfig::new().region("us-east-1");
        let config = set(config.endpoint(kinesis.endpoint()));
        let leasing = Leasing::new(&config);
        let link = Link::new(config);
        Self {
            kinesis,
            admin: KinesisAdmin::new(link.clone(), leasing.clone()),
            streams: Streams::new(link.clone()),
            link,
            leasing,
        }
    }

    /// With groups in memory.
    fn new() -> Self {
        Self::start(Kinesis::builder(), |config| config.leases(LeasesIn::Memory))
    }

    /// With a stream `s`.
    async fn with_stream(shards: u32) -> Self {
        let this = Self::new();
        this.create("s", shards).await;
        this
    }

    async fn create(&self, name: &str, shards: u32) {
        let topic = TopicConfig::new(name).partitions(shards);
        self.admin.create_topic(&topic).await.unwrap();
    }

    /// The SDK's client: what others do.
    async fn client(&self) -> &Client {
        self.link.patient("test").await.unwrap()
    }

    async fn create_as_others(&self, name: &str) {
        let create = self.client().await.create_stream().stream_name(name);
        create.shard_count(1).send().await.unwrap();
    }

    async fn delete_as_others(&self, name: &str) {
        let delete = self.client().await.delete_stream().stream_name(name);
        delete.send().await.unwrap();
    }

    async fn shards(&self, stream: &str) -> Vec<Shard> {
        let stream = Stream::new(stream);
        shards::list(&self.link, "test", &stream).await.unwrap()
    }

    /// Puts a record into the shard of `s` and tells where it stands.
    async fn put(&self, shard: &Shard, data: impl Into<Vec<u8>>) -> Sequence {
        let put = self.client().await.put_record().stream_name("s");
        let put = put.partition_key("k").data(Blob::new(data.into()));
        let put = put.explicit_hash_key(shard.range.start().to_string());
        let put = put.send().await.unwrap();
        assert_eq!(put.shard_id(), &*shard.id);
        Sequence::at(put.sequence_number(), 0).unwrap()
    }

    /// The names of the partitions.
    async fn partitions(&self, topic: &str) -> Vec<String> {
        let info = self.admin.describe_topic(topic).await.unwrap();
        let names = info
            .partitions
            .iter()
            .map(|info| info.partition.to_string());
        names.collect()
    }
}

fn keeps(hours: u32) -> Retention {
    Retention::new().time(HOUR * hours)
}

/// The error of a call that has to fail so, with this in its text.
fn refused<T: Debug>(answer: Result<T, Error>, kind: ErrorKind, text: &str) -> Error {
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(text), "no '{text}' in: {error}");
    assert_eq!(error.hub(), "kinesis");
    error
}
