//! The shards of a stream, and who came from whom.

use crate::{
    aggregate::HashRange,
    client::{Link, Stream},
    error::{failed, incomplete},
};
use anyhub_core::{Partition, Result, driver::Sequence};
use aws_sdk_kinesis::types;
use std::sync::Arc;

/// A shard that is kept: one that takes records, or one that was split or merged and still has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) id: Arc<str>,
    /// The shards that it came from: one of a split, two of a merge. Some may be gone.
    pub(crate) parents: Vec<Arc<str>>,
    pub(crate) range: HashRange,
    /// Before all of its records.
    pub(crate) start: Sequence,
    /// Whether it takes records.
    pub(crate) open: bool,
}

impl Shard {
    pub(crate) fn partition(&self) -> Partition {
        Partition::named(&self.id)
    }

    fn read(operation: &'static str, shard: types::Shard) -> Result<Self> {
        let told = |what| incomplete(operation, what);
        let range = shard.hash_key_range.ok_or_else(|| told("hash key range"))?;
        let range = HashRange::parse(range.starting_hash_key(), range.ending_hash_key())
            .ok_or_else(|| told("hash key range that can be read"))?;
        let numbers = shard
            .sequence_number_range
            .ok_or_else(|| told("sequence number range"))?;
        let start = Sequence::at(numbers.starting_sequence_number(), 0)
            .ok_or_else(|| told("sequence number that can be read"))?;
        let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
        Ok(Self {
            id: shard.shard_id.into(),
            parents: parents.into_iter().flatten().map(Arc::from).collect(),
            range,
            start,
            open: numbers.ending_sequence_number.is_none(),
        })
    }
}

/// All shards that are kept, by id, which is the order in which they were made.
pub(crate) async fn list(
    link: &Link,
    operation: &'static str,
    stream: &Stream,
) -> Result<Vec<Shard>> {
    let client = link.patient(operation).await?;
    let mut shards = Vec::new();
    let mut token = None;
    loop {
        // With a token, the stream must not be named.
        let (name, arn) = match &token {
            None => (stream.name(), stream.arn()),
            Some(_) => (None, None),
        };
        let answer = client
            .list_shards()
            .set_stream_name(name)
            .set_stream_arn(arn)
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| failed(operation, stream.topic(), error))?;
        for shard in answer.shards.unwrap_or_default() {
            shards.push(Shard::read(operation, shard)?);
        }
        token = answer.next_token;
        if token.is_none() {
            break;
        }
    }
    shards.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(shards)
}
