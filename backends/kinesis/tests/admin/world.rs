use anyhub_core::{
    Admin, Error, ErrorKind, Hub, Partition, Retention, TopicConfig, driver::Sequence,
};
use anyhub_kinesis::{KinesisConfig, KinesisHub, NativeHub, Streams};
use anyhub_leases::{Checkpoint, Lease, LeaseStore, MemoryLeases, Row, Scope};
use anyhub_local::kinesis::{Kinesis, KinesisBuilder};
use aws_sdk_kinesis::{Client, primitives::Blob};
use std::{fmt::Debug, sync::Arc, time::Duration};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

/// A stand-in, a hub that administers it, and the rows of its groups.
pub(crate) struct World {
    pub(crate) kinesis: Kinesis,
    pub(crate) hub: KinesisHub,
    pub(crate) store: Arc<MemoryLeases>,
}

/// A shard as the SDK tells of it.
pub(crate) struct Shard {
    pub(crate) id: String,
    pub(crate) start: Sequence,
    pub(crate) lowest: u128,
    pub(crate) highest: u128,
}

impl Shard {
    pub(crate) fn partition(&self) -> Partition {
        Partition::named(self.id.as_str())
    }
}

impl World {
    pub(crate) async fn start(
        builder: KinesisBuilder,
        set: impl FnOnce(KinesisConfig) -> KinesisConfig,
    ) -> Self {
        let kinesis = builder.start().unwrap();
        let config = KinesisConfig::new().region("us-east-1");
        let config = set(config.endpoint(kinesis.endpoint()));
        let hub = KinesisHub::new(config).unwrap();
        // The hub makes its client at the first use.
        assert!(hub.streams().mode("nowhere").await.is_err());
        Self {
            kinesis,
            hub,
            store: Arc::default(),
        }
    }

    pub(crate) async fn of(builder: KinesisBuilder) -> Self {
        let store = Arc::new(MemoryLeases::new());
        let this = Self::start(builder, |config| config.store(store.clone())).await;
        Self { store, ..this }
    }

    pub(crate) async fn new() -> Self {
        Self::of(Kinesis::builder()).await
    }

    /// With a stream `s`.
    pub(crate) async fn with_stream(shards: u32) -> Self {
        let this = Self::new().await;
        this.create("s", shards).await;
        this
    }

    pub(crate) fn admin(&self) -> &dyn Admin {
        self.hub.admin()
    }

    pub(crate) fn streams(&self) -> &Streams {
        self.hub.streams()
    }

    pub(crate) async fn create(&self, name: &str, shards: u32) {
        let topic = TopicConfig::new(name).partitions(shards);
        self.admin().create_topic(&topic).await.unwrap();
    }

    /// The SDK's client: what others do.
    pub(crate) fn client(&self) -> &Client {
        let native = self.hub.native().downcast_ref::<NativeHub>();
        native.and_then(NativeHub::client).unwrap()
    }

    pub(crate) async fn create_as_others(&self, name: &str) {
        let create = self.client().create_stream().stream_name(name);
        create.shard_count(1).send().await.unwrap();
    }

    pub(crate) async fn delete_as_others(&self, name: &str) {
        let delete = self.client().delete_stream().stream_name(name);
        delete.send().await.unwrap();
    }

    /// All shards of `s`.
    pub(crate) async fn shards(&self) -> Vec<Shard> {
        let listed = self.client().list_shards().stream_name("s").send().await;
        let shards = listed.unwrap().shards.unwrap_or_default();
        let shards = shards.into_iter().map(|shard| {
            let keys = shard.hash_key_range.unwrap();
            let numbers = shard.sequence_number_range.unwrap();
            Shard {
                id: shard.shard_id,
                start: Sequence::at(&numbers.starting_sequence_number, 0).unwrap(),
                lowest: keys.starting_hash_key.parse().unwrap(),
                highest: keys.ending_hash_key.parse().unwrap(),
            }
        });
        shards.collect()
    }

    /// Puts a record into the shard of `s` and tells where it stands.
    pub(crate) async fn put(&self, shard: &Shard, data: impl Into<Vec<u8>>) -> Sequence {
        let put = self.client().put_record().stream_name("s");
        let put = put.partition_key("k").data(Blob::new(data.into()));
        let put = put.explicit_hash_key(shard.lowest.to_string());
        let put = put.send().await.unwrap();
        assert_eq!(put.shard_id(), &*shard.id);
        Sequence::at(put.sequence_number(), 0).unwrap()
    }

    /// The names of the partitions.
    pub(crate) async fn partitions(&self, topic: &str) -> Vec<String> {
        let info = self.admin().describe_topic(topic).await.unwrap();
        let names = info.partitions.iter();
        names.map(|info| info.partition.to_string()).collect()
    }

    /// How many requests of this operation have come.
    pub(crate) fn requests(&self, operation: &str) -> u64 {
        self.kinesis.counts().requests(operation)
    }

    /// Whose leases the hub takes for those of `group` on `topic`.
    pub(crate) fn scope(&self, topic: &str, group: &str) -> Scope {
        let place = format!("kinesis:us-east-1:{}", self.kinesis.endpoint());
        let arn = match topic.starts_with("arn:") {
            true => topic.to_owned(),
            false => format!("arn:aws:kinesis:us-east-1:000000000000:stream/{topic}"),
        };
        Scope::new(&place, &arn, group)
    }

    /// A checkpoint of a group of which nobody is there.
    pub(crate) async fn commit(&self, scope: &Scope, shard: &str, position: Option<&str>) {
        self.write(scope, lease(shard, position)).await;
    }

    pub(crate) async fn write(&self, scope: &Scope, row: impl Into<Row>) {
        let written = self.store.write(scope, &row.into(), None).await;
        written.unwrap();
    }
}

pub(crate) fn lease(shard: &str, position: Option<&str>) -> Lease {
    let mut lease = Lease::new(shard, 1);
    lease.checkpoint = Checkpoint::new(0, position.map(Arc::from));
    lease
}

pub(crate) fn keeps(hours: u32) -> Retention {
    Retention::new().time(HOUR * hours)
}

/// The error of a call that has to fail so, with this in its text.
pub(crate) fn refused<T: Debug>(answer: Result<T, Error>, kind: ErrorKind, text: &str) -> Error {
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(text), "no '{text}' in: {error}");
    assert_eq!(error.hub(), "kinesis");
    error
}
