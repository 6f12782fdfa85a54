//! A stream on a local Kinesis, and producers for it.

use anyhub_core::{Event, Hub, Pending, Producer, ProducerOptions, Receipt, Result};
use anyhub_kinesis::{KinesisConfig, KinesisHub};
use anyhub_local::kinesis::{Kinesis, KinesisBuilder};
use aws_sdk_kinesis::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::Shard,
};
use aws_smithy_http_client::Builder;
use std::sync::Arc;

pub(crate) const STREAM: &str = "tweets";

pub(crate) struct Stream {
    pub(crate) kinesis: Kinesis,
    pub(crate) client: Client,
}

impl Stream {
    pub(crate) async fn new(shards: i32) -> Self {
        Self::on(Kinesis::builder(), shards).await
    }

    pub(crate) async fn on(builder: KinesisBuilder, shards: i32) -> Self {
        let kinesis = builder.start().unwrap();
        println!("the seed of the faults is {}", kinesis.seed());
        let http = Builder::new().build_http();
        let config = aws_sdk_kinesis::Config::builder()
            .http_client(http)
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("a", "b", None, None, "test"))
            .endpoint_url(kinesis.endpoint());
        let client = Client::from_conf(config.build());
        let create = client
            .create_stream()
            .stream_name(STREAM)
            .shard_count(shards);
        create.send().await.unwrap();
        Self { kinesis, client }
    }

    pub(crate) fn config(&self) -> KinesisConfig {
        KinesisConfig::new()
            .region("us-east-1")
            .endpoint(self.kinesis.endpoint())
            .max_batch_bytes(5 << 20)
    }

    pub(crate) async fn producer(&self) -> Arc<dyn Producer> {
        self.producer_as(self.config(), ProducerOptions::new())
            .await
    }

    pub(crate) async fn producer_as(
        &self,
        config: KinesisConfig,
        options: ProducerOptions,
    ) -> Arc<dyn Producer> {
        open(config, STREAM, options).await.unwrap()
    }

    /// All shards that are kept, by id.
    pub(crate) async fn shards(&self) -> Vec<Shard> {
        let listed = self
            .client
            .list_shards()
            .stream_name(STREAM)
            .send()
            .await
            .unwrap();
        let mut shards = listed.shards.unwrap();
        shards.sort_by(|a, b| a.shard_id.cmp(&b.shard_id));
        shards
    }

    pub(crate) async fn open_shards(&self) -> Vec<Shard> {
        let mut shards = self.shards().await;
        let is_open = |shard: &Shard| {
            shard
                .sequence_number_range
                .as_ref()
                .unwrap()
                .ending_sequence_number
                .is_none()
        };
        shards.retain(is_open);
        shards.sort_by_key(start);
        shards
    }

    pub(crate) async fn split(&self, shard: &Shard, at: u128) {
        let split = self.client.split_shard().stream_name(STREAM);
        let split = split.shard_to_split(shard.shard_id());
        split
            .new_starting_hash_key(at.to_string())
            .send()
            .await
            .unwrap();
    }

    pub(crate) async fn merge(&self, left: &Shard, right: &Shard) {
        let merge = self.client.merge_shards().stream_name(STREAM);
        let merge = merge.shard_to_merge(left.shard_id());
        merge
            .adjacent_shard_to_merge(right.shard_id())
            .send()
            .await
            .unwrap();
    }
}

/// A producer by a hub of its own.
pub(crate) async fn open(
    config: KinesisConfig,
    topic: &str,
    options: ProducerOptions,
) -> Result<Arc<dyn Producer>> {
    KinesisHub::new(config)?.producer(topic, options).await
}

pub(crate) fn start(shard: &Shard) -> u128 {
    shard
        .hash_key_range
        .as_ref()
        .unwrap()
        .starting_hash_key
        .parse()
        .unwrap()
}

pub(crate) fn end(shard: &Shard) -> u128 {
    shard
        .hash_key_range
        .as_ref()
        .unwrap()
        .ending_hash_key
        .parse()
        .unwrap()
}

/// The event `nth` of a key, `size` bytes long.
pub(crate) fn event(key: usize, nth: usize, size: usize) -> Event {
    let mut payload = format!("{key} {nth} ").into_bytes();
    payload.resize(size.max(payload.len()), b'.');
    Event::new(payload).with_key(format!("key-{key}"))
}

/// Which event of which key it is.
pub(crate) fn number(payload: &[u8]) -> (usize, usize) {
    let text = std::str::from_utf8(payload).unwrap();
    let mut parts = text.split(' ').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

/// Submits `count` events over `keys` keys, in batches; the outcomes in that order.
pub(crate) async fn publish(
    producer: &dyn Producer,
    keys: usize,
    count: usize,
    size: usize,
) -> Vec<((usize, usize), Result<Receipt>)> {
    let mut pending: Vec<(Vec<(usize, usize)>, Pending)> = Vec::new();
    let mut next = 0;
    while next < count {
        let batch: Vec<_> = (next..count.min(next + 500))
            .map(|n| (n % keys, n / keys))
            .collect();
        next += batch.len();
        let events = batch
            .iter()
            .map(|(key, nth)| event(*key, *nth, size))
            .collect();
        pending.push((batch, producer.submit(events).await.unwrap()));
    }
    let mut outcomes = Vec::with_capacity(count);
    for (batch, pending) in pending {
        outcomes.extend(batch.into_iter().zip(pending.await));
    }
    outcomes
}
