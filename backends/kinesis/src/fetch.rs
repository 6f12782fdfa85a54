//! Reading a shard: where from, and the next page of records.

use crate::{
    client::Stream,
    error::{failed, incomplete},
};
use anyhub_core::{ErrorKind, Result, driver::Sequence};
use aws_sdk_kinesis::{
    Client,
    error::SdkError,
    operation::get_records::GetRecordsError,
    primitives::DateTime,
    types::{Record, ShardIteratorType},
};
use std::time::{Duration, SystemTime};

/// Where in a shard to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// At the oldest record that is kept.
    Horizon,
    /// Behind the newest record.
    Latest,
    /// At the first record that arrived then or later; for a time to come, as Latest.
    Time(SystemTime),
    /// At the record that this is of; where it is gone, at the next one.
    Record(Sequence),
}

/// By how much the clocks of this machine and of Kinesis may differ where it would matter.
pub(crate) const SKEW: Duration = Duration::from_secs(10);

/// A page of records.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) records: Vec<Record>,
    /// For the next page; None at the end of a shard that was split or merged.
    pub(crate) next: Option<String>,
    /// How far behind the newest record it is; 0: nothing is left for now.
    pub(crate) behind: Duration,
    /// Bytes of keys and data.
    pub(crate) bytes: usize,
}

/// A token from where to read; it is good for 5 minutes.
pub(crate) async fn iterator(
    client: &Client,
    operation: &'static str,
    stream: &Stream,
    shard: &str,
    origin: Origin,
) -> Result<String> {
    let request = client
        .get_shard_iterator()
        .set_stream_name(stream.name())
        .set_stream_arn(stream.arn())
        .shard_id(shard);
    let latest = request
        .clone()
        .shard_iterator_type(ShardIteratorType::Latest);
    let asked = match origin {
        Origin::Horizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        Origin::Latest => latest.clone(),
        Origin::Time(time) => request
            .shard_iterator_type(ShardIteratorType::AtTimestamp)
            .timestamp(DateTime::from(time)),
        Origin::Record(at) => request
            .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
            .starting_sequence_number(at.number()),
    };
    let answer = asked.send().await;
    let answer = answer.map_err(|error| failed(operation, stream.topic(), error));
    let answer = match (answer, origin) {
        // Kinesis refuses times to come, by its own clock.
        (Err(error), Origin::Time(time))
            if error.kind() == ErrorKind::Invalid && time > SystemTime::now() - SKEW =>
        {
            let answer = latest.send().await;
            answer.map_err(|error| failed(operation, stream.topic(), error))
        }
        (answer, _) => answer,
    };
    let iterator = answer?.shard_iterator;
    iterator.ok_or_else(|| incomplete(operation, "shard iterator"))
}

/// The next page, of up to `limit` records. None: the iterator has expired.
pub(crate) async fn page(
    client: &Client,
    operation: &'static str,
    stream: &Stream,
    iterator: &str,
    limit: i32,
) -> Result<Option<Page>> {
    let request = client
        .get_records()
        .set_stream_arn(stream.arn())
        .shard_iterator(iterator)
        .limit(limit);
    match request.send().await {
        Ok(answer) => {
            let bytes = |record: &Record| {
                record.data.as_ref().len() + record.partition_key().map_or(0, str::len)
            };
            Ok(Some(Page {
                bytes: answer.records.iter().map(bytes).sum(),
                records: answer.records,
                next: answer.next_shard_iterator,
                behind: Duration::from_millis(
                    answer
                        .millis_behind_latest
                        .and_then(|millis| u64::try_from(millis).ok())
                        .unwrap_or_default(),
                ),
            }))
        }
        Err(SdkError::ServiceError(refused))
            if matches!(refused.err(), GetRecordsError::ExpiredIteratorException(_)) =>
        {
            Ok(None)
        }
        Err(error) => Err(failed(operation, stream.topic(), error)),
    }
}

/// The place of a record's first event.
pub(crate) fn place(operation: &'static str, record: &Record) -> Result<Sequence> {
    Sequence::at(&record.sequence_number, 0)
        .ok_or_else(|| incomplete(operation, "sequence number that can be read"))
}
