//! An SDK client that tries once, and a stream with its shards.

use std::ops::Range;

use anyhub_local::Kinesis;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::describe_stream_summary::DescribeStreamSummaryError;
use aws_sdk_kinesis::operation::get_records::{GetRecordsError, GetRecordsOutput};
use aws_sdk_kinesis::operation::put_records::{PutRecordsError, PutRecordsOutput};
use aws_sdk_kinesis::operation::update_shard_count::{
    UpdateShardCountError, UpdateShardCountOutput,
};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::builders::PutRecordsRequestEntryBuilder;
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, ScalingType, Shard, ShardIteratorType, StreamDescriptionSummary,
    StreamStatus,
};

pub(crate) fn client(kinesis: &Kinesis) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(kinesis.endpoint())
        .credentials_provider(Credentials::new("test", "test", None, None, "static"))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

pub(crate) async fn summary(
    client: &Client,
    stream: &str,
) -> Result<StreamDescriptionSummary, SdkError<DescribeStreamSummaryError>> {
    let asked = client.describe_stream_summary().stream_name(stream);
    let told = asked.send().await?;
    Ok(told.stream_description_summary.unwrap())
}

pub(crate) fn entry(key: &str, data: &str) -> PutRecordsRequestEntryBuilder {
    PutRecordsRequestEntry::builder()
        .partition_key(key)
        .data(Blob::new(data))
}

/// A batch of records `FIRST..FIRST+COUNT`, each its number.
pub(crate) fn numbered(key: &str, numbers: Range<usize>) -> Vec<PutRecordsRequestEntry> {
    numbers
        .map(|n| entry(key, &n.to_string()).build().unwrap())
        .collect()
}

#[derive(Clone)]
pub(crate) struct Shards {
    client: Client,
    stream: String,
}

impl Shards {
    /// Creates the stream, which is there at once.
    pub(crate) async fn create(client: &Client, stream: &str, shards: i32) -> Self {
        client
            .create_stream()
            .stream_name(stream)
            .shard_count(shards)
            .send()
            .await
            .unwrap();
        let summary = summary(client, stream).await.unwrap();
        assert_eq!(summary.stream_status(), &StreamStatus::Active);
        assert_eq!(summary.open_shard_count(), shards);
        Shards {
            client: client.clone(),
            stream: stream.to_owned(),
        }
    }

    pub(crate) async fn list(&self) -> Vec<Shard> {
        let answer = self
            .client
            .list_shards()
            .stream_name(&self.stream)
            .send()
            .await
            .unwrap();
        answer.shards.unwrap_or_default()
    }

    pub(crate) async fn open(&self) -> Vec<Shard> {
        let mut shards = self.list().await;
        shards.retain(|shard| {
            let range = shard.sequence_number_range.as_ref().unwrap();
            range.ending_sequence_number.is_none()
        });
        shards.sort_by_key(start);
        shards
    }

    pub(crate) async fn iterator(&self, shard: &str) -> String {
        let ask = self
            .client
            .get_shard_iterator()
            .stream_name(&self.stream)
            .shard_id(shard);
        let answer = ask
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
            .send()
            .await
            .unwrap();
        answer.shard_iterator.unwrap()
    }

    /// Puts the numbers with PutRecords.
    pub(crate) async fn put(
        &self,
        key: &str,
        numbers: Range<usize>,
    ) -> Result<PutRecordsOutput, SdkError<PutRecordsError>> {
        let put = self.client.put_records().stream_name(&self.stream);
        put.set_records(Some(numbered(key, numbers))).send().await
    }

    /// A single GetRecords.
    pub(crate) async fn read(
        &self,
        iterator: &str,
    ) -> Result<GetRecordsOutput, SdkError<GetRecordsError>> {
        let read = self.client.get_records().shard_iterator(iterator);
        read.send().await
    }

    pub(crate) async fn resize(
        &self,
        shards: i32,
    ) -> Result<UpdateShardCountOutput, SdkError<UpdateShardCountError>> {
        let update = self.client.update_shard_count().stream_name(&self.stream);
        let update = update.scaling_type(ScalingType::UniformScaling);
        update.target_shard_count(shards).send().await
    }

    /// What a shard holds, read until an answer is empty.
    pub(crate) async fn data(&self, shard: &str) -> Vec<String> {
        let mut iterator = Some(self.iterator(shard).await);
        let mut data = Vec::new();
        while let Some(next) = iterator {
            let answer = self.read(&next).await.unwrap();
            if answer.records().is_empty() {
                break;
            }
            let text = |blob: &Blob| String::from_utf8(blob.as_ref().to_vec()).unwrap();
            data.extend(answer.records().iter().map(|record| text(&record.data)));
            iterator = answer.next_shard_iterator;
        }
        data
    }
}

/// The first hash key of a shard.
pub(crate) fn start(shard: &Shard) -> u128 {
    shard
        .hash_key_range
        .as_ref()
        .unwrap()
        .starting_hash_key
        .parse()
        .unwrap()
}
