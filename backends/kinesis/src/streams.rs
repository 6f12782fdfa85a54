//! What Kinesis can do with a stream and other hubs can't.

use crate::{
    aggregate::HashRange,
    client::{Link, NAMES, Stream, is_name},
    error::{HUB, failed, incomplete, invalid},
    shards::{self, Shard},
    status::{self, Summary, Wait},
};
use anyhub_core::{Error, ErrorKind, Partition, Result};
use aws_sdk_kinesis::{
    error::ProvideErrorMetadata,
    types::{self, ConsumerStatus},
};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Streams beyond what an [`Admin`](anyhub_core::Admin) can do: single shards, registered consumers,
/// capacity modes.
///
/// A stream goes by its name or its ARN. Changes wait for the stream to be ACTIVE, and return once it
/// is so again. Of all of them:
///
/// - NotFound if the stream is not there, or is being deleted;
/// - Denied without the right to do it;
/// - Timeout if nothing has changed for 5 minutes, or if no answer came: then what was asked for may
///   have been done, or may still be;
/// - Throttled at the account's quota, as of 10 changes of a stream's shards a day;
/// - Closed after the hub was closed.
#[derive(Debug, Clone)]
pub struct Streams {
    link: Link,
}

/// Who decides how many shards a stream has, and how it is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamMode {
    /// Whoever administers it.
    Provisioned,
    /// Kinesis, by the traffic.
    OnDemand,
}

/// A registered consumer may take as long as the stream to become ACTIVE.
const PATIENCE: Duration = status::PATIENCE;
/// An account may ask 20 times a second (API reference, DescribeStreamConsumer, 2026-11).
const PAUSE: Duration = Duration::from_millis(250);

impl Streams {
    pub(crate) fn new(link: Link) -> Self {
        Self { link }
    }

    /// Splits an open shard in two, at the hash key that the upper one is to begin with, or in the
    /// middle; answers the two. NotFound if there is no such shard, Invalid if it is closed, if it
    /// can't be split there, or if the stream is on demand.
    pub async fn split_shard(
        &self,
        stream: &str,
        shard: &str,
        at: Option<u128>,
    ) -> Result<Vec<Partition>> {
        const OPERATION: &str = "split_shard";
        let stream = &Stream::new(OPERATION, stream)?;
        self.provisioned(OPERATION, stream).await?;
        let listed = shards::list(&self.link, OPERATION, stream).await?;
        let parent = open(OPERATION, &listed, shard)?;
        let at = split_point(OPERATION, parent, at)?;
        let request = self.link.once(OPERATION).await?.split_shard();
        let request = request
            .set_stream_name(stream.name())
            .set_stream_arn(stream.arn())
            .shard_to_split(shard)
            .new_starting_hash_key(at.to_string());
        status::change(&self.link, OPERATION, stream, || request.clone().send()).await?;
        self.children(OPERATION, stream, shard).await
    }

    /// Merges two open shards whose hash keys adjoin; answers the one that comes of it. NotFound if
    /// either is not there, Invalid if either is closed, if they don't adjoin, or if the stream is on
    /// demand.
    pub async fn merge_shards(
        &self,
        stream: &str,
        shard: &str,
        adjacent: &str,
    ) -> Result<Partition> {
        const OPERATION: &str = "merge_shards";
        let stream = &Stream::new(OPERATION, stream)?;
        self.provisioned(OPERATION, stream).await?;
        let listed = shards::list(&self.link, OPERATION, stream).await?;
        let (one, other) = (
            open(OPERATION, &listed, shard)?,
            open(OPERATION, &listed, adjacent)?,
        );
        // Kinesis takes them in either order, servers that are like it in this one.
        let (lower, upper) = match one.range.start() <= other.range.start() {
            true => (one, other),
            false => (other, one),
        };
        if lower.range.end().checked_add(1) != Some(upper.range.start()) {
            let message = format!("{shard} and {adjacent} do not adjoin");
            return Err(invalid(OPERATION, message)
                .with_advice("merge shards of which one's hash keys follow the other's"));
        }
        let request = self.link.once(OPERATION).await?.merge_shards();
        let request = request
            .set_stream_name(stream.name())
            .set_stream_arn(stream.arn())
            .shard_to_merge(&*lower.id)
            .adjacent_shard_to_merge(&*upper.id);
        status::change(&self.link, OPERATION, stream, || request.clone().send()).await?;
        let merged = self.children(OPERATION, stream, shard).await?;
        let merged = merged.into_iter().next();
        merged.ok_or_else(|| incomplete(OPERATION, "merged shard"))
    }

    /// Registers a consumer for SubscribeToShard and answers its ARN once it is ACTIVE. Each has 2
    /// MiB a second of every shard for itself, and is billed for it. AlreadyExists if it is
    /// registered, Throttled if the stream has as many as it may, Invalid for a name that can't be.
    pub async fn register_fanout(&self, stream: &str, consumer: &str) -> Result<String> {
        const OPERATION: &str = "register_fanout";
        let stream = &Stream::new(OPERATION, stream)?;
        if !is_name(consumer) {
            let message = format!("'{consumer}' can't be a consumer's name");
            return Err(invalid(OPERATION, message).with_advice(NAMES));
        }
        let arn = status::usable(&self.link, OPERATION, stream).await?.arn;
        let registered = self.register(OPERATION, stream, &arn, consumer).await;
        registered.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                let message = format!(
                    "there is a consumer '{consumer}' of '{}' already",
                    stream.topic()
                );
                Error::new(error.kind(), HUB, OPERATION, message).with_source(error)
            }
            _ => error,
        })?;
        self.fanout_arn(OPERATION, stream, consumer).await
    }

    /// Takes a registered consumer away and returns once it is gone. NotFound if it is not there.
    pub async fn deregister_fanout(&self, stream: &str, consumer: &str) -> Result<()> {
        const OPERATION: &str = "deregister_fanout";
        let stream = &Stream::new(OPERATION, stream)?;
        let arn = status::describe(&self.link, OPERATION, stream).await?.arn;
        if self
            .fanout(OPERATION, stream, &arn, consumer)
            .await?
            .is_none()
        {
            let message = format!("there is no consumer '{consumer}' of '{}'", stream.topic());
            return Err(Error::new(ErrorKind::NotFound, HUB, OPERATION, message));
        }
        let client = self.link.once(OPERATION).await?;
        let request = client.deregister_stream_consumer();
        let request = request.stream_arn(&arn).consumer_name(consumer);
        status::paced(OPERATION, stream, || request.clone().send()).await?;
        let begun = Instant::now();
        while let Some(told) = self.fanout(OPERATION, stream, &arn, consumer).await? {
            wait(OPERATION, consumer, Some(told), begun).await?;
        }
        Ok(())
    }

    /// The names of the registered consumers, sorted.
    pub async fn list_fanout(&self, stream: &str) -> Result<Vec<String>> {
        const OPERATION: &str = "list_fanout";
        let stream = Stream::new(OPERATION, stream)?;
        let arn = status::describe(&self.link, OPERATION, &stream).await?.arn;
        let client = self.link.patient(OPERATION).await?;
        let mut pages = client
            .list_stream_consumers()
            .stream_arn(arn)
            .into_paginator()
            .send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(OPERATION, stream.topic(), error))?;
            let consumers = page.consumers.unwrap_or_default();
            names.extend(consumers.into_iter().map(|consumer| consumer.consumer_name));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Who decides how many shards the stream has.
    pub async fn mode(&self, stream: &str) -> Result<StreamMode> {
        let summary = status::describe(&self.link, "mode", &Stream::new("mode", stream)?).await?;
        Ok(mode(&summary))
    }

    /// Changes who decides, which Kinesis lets a stream do twice a day (API reference,
    /// UpdateStreamMode, 2026-11).
    pub async fn set_mode(&self, stream: &str, to: StreamMode) -> Result<()> {
        const OPERATION: &str = "set_mode";
        let stream = &Stream::new(OPERATION, stream)?;
        let summary = status::active(&self.link, OPERATION, stream).await?;
        if mode(&summary) == to {
            return Ok(());
        }
        let details = types::StreamModeDetails::builder().stream_mode(match to {
            StreamMode::Provisioned => types::StreamMode::Provisioned,
            StreamMode::OnDemand => types::StreamMode::OnDemand,
        });
        let request = self.link.once(OPERATION).await?.update_stream_mode();
        let request = request
            .stream_arn(summary.arn)
            .set_stream_mode_details(details.build().ok());
        status::begin(&self.link, OPERATION, stream, || request.clone().send()).await?;
        let changed = |summary: &Summary| summary.is_active() && mode(summary) == to;
        let wait = Wait::USUAL.until(&self.link, OPERATION, stream, changed);
        wait.await.map(|_| ())
    }

    async fn provisioned(&self, operation: &'static str, stream: &Stream) -> Result<()> {
        let summary = status::active(&self.link, operation, stream).await?;
        if summary.on_demand {
            let message = format!(
                "'{}' is on demand: Kinesis sees to its shards",
                stream.topic()
            );
            return Err(invalid(operation, message)
                .with_advice("make it provisioned first, by Streams::set_mode"));
        }
        Ok(())
    }

    async fn children(
        &self,
        operation: &'static str,
        stream: &Stream,
        parent: &str,
    ) -> Result<Vec<Partition>> {
        let listed = shards::list(&self.link, operation, stream).await?;
        let of_parent = |shard: &&Shard| shard.parents.iter().any(|id| **id == *parent);
        Ok(listed
            .iter()
            .filter(of_parent)
            .map(Shard::partition)
            .collect())
    }

    /// The ARN of a registered consumer once it is ACTIVE; it is registered if it is not there.
    pub(crate) async fn fanout_arn(
        &self,
        operation: &'static str,
        stream: &Stream,
        consumer: &str,
    ) -> Result<String> {
        let arn = status::usable(&self.link, operation, stream).await?.arn;
        let begun = Instant::now();
        loop {
            let told = match self.fanout(operation, stream, &arn, consumer).await? {
                Some(told) if told.consumer_status == ConsumerStatus::Active => {
                    return Ok(told.consumer_arn);
                }
                None => match self.register(operation, stream, &arn, consumer).await {
                    // Another member of the group was faster.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
                    answer => {
                        answer?;
                        None
                    }
                },
                told => told,
            };
            wait(operation, consumer, told, begun).await?;
        }
    }

    async fn register(
        &self,
        operation: &'static str,
        stream: &Stream,
        arn: &str,
        consumer: &str,
    ) -> Result<()> {
        let request = self.link.once(operation).await?.register_stream_consumer();
        let request = request.stream_arn(arn).consumer_name(consumer);
        status::paced(operation, stream, || request.clone().send()).await?;
        Ok(())
    }

    /// A registered consumer; None: there is none.
    async fn fanout(
        &self,
        operation: &'static str,
        stream: &Stream,
        arn: &str,
        consumer: &str,
    ) -> Result<Option<types::ConsumerDescription>> {
        let request = self
            .link
            .patient(operation)
            .await?
            .describe_stream_consumer();
        let request = request.stream_arn(arn).consumer_name(consumer);
        match request.send().await {
            Ok(answer) => Ok(answer.consumer_description),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(failed(operation, stream.topic(), error)),
        }
    }
}

fn mode(summary: &Summary) -> StreamMode {
    match summary.on_demand {
        true => StreamMode::OnDemand,
        false => StreamMode::Provisioned,
    }
}

fn open<'a>(operation: &'static str, listed: &'a [Shard], id: &str) -> Result<&'a Shard> {
    let Some(shard) = listed.iter().find(|shard| &*shard.id == id) else {
        let message = format!("there is no shard '{id}'");
        return Err(Error::new(ErrorKind::NotFound, HUB, operation, message)
            .with_advice("Admin::describe_topic names the open ones"));
    };
    match shard.open {
        true => Ok(shard),
        false => Err(invalid(
            operation,
            format!("{id} was split or merged before"),
        )),
    }
}

/// Where the upper of two shards is to begin.
fn split_point(operation: &'static str, shard: &Shard, at: Option<u128>) -> Result<u128> {
    let range: &HashRange = &shard.range;
    let middle = range.start() + (range.end() - range.start()).div_ceil(2);
    let at = at.unwrap_or(middle);
    // As Kinesis has it: neither half may be of one key alone.
    if range.start().saturating_add(1) < at && at < range.end() {
        return Ok(at);
    }
    let message = format!("{} can't be split at {at}", shard.id);
    Err(invalid(operation, message).with_advice(format!(
        "its hash keys are from {} to {}",
        range.start(),
        range.end()
    )))
}

async fn wait(
    operation: &'static str,
    consumer: &str,
    told: Option<types::ConsumerDescription>,
    begun: Instant,
) -> Result<()> {
    if begun.elapsed() < PATIENCE {
        sleep(PAUSE).await;
        return Ok(());
    }
    let state = told.map_or("unknown".to_owned(), |told| {
        told.consumer_status.to_string()
    });
    let message = format!("the consumer '{consumer}' is still {state}");
    Err(Error::new(ErrorKind::Timeout, HUB, operation, message)
        .with_advice("it may still become what it should"))
}
