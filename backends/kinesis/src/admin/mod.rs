//! Streams, and the groups that read them.

mod topic;

use crate::{
    client::{Link, Stream},
    consumer::place,
    error::{HUB, failed, invalid},
    locate::{self, side_by_side},
    shards::{self, Shard},
    status::{self, Summary, Wait},
};
use anyhub_core::{
    Admin, Error, ErrorKind, GroupInfo, Partition, PartitionInfo, PartitionLag, Position, Resized,
    Result, Retention, TopicConfig, TopicInfo,
};
use anyhub_groups::{Leasing, StoredGroups};
use async_trait::async_trait;
use aws_sdk_kinesis::types::{ScalingType, StreamStatus};
use std::time::{Duration, SystemTime};
use topic::{NewStream, hours};

/// Streams and groups of Kinesis.
///
/// A topic is a stream, by its name or its ARN; its partitions are the shards that take records.
///
/// - [`create_topic`](Admin::create_topic) knows two properties: `mode`, `provisioned` or
///   `on-demand`, where the number of partitions doesn't count and Kinesis begins with four; and
///   `max_record_size`, in KiB.
/// - Shards are read to find positions, which takes of what a shard gives to all of its readers.
/// - Groups are those in the store of the leases; without one there are none.
#[derive(Debug)]
pub(crate) struct KinesisAdmin {
    link: Link,
    leases: Leasing,
}

impl KinesisAdmin {
    pub(crate) fn new(link: Link, leases: Leasing) -> Self {
        Self { link, leases }
    }

    /// Config where no store was chosen.
    async fn groups(&self, operation: &'static str) -> Result<StoredGroups> {
        let store = self.leases.store(operation).await?;
        let place = place(&self.link, operation).await?;
        Ok(StoredGroups::new(HUB, place, store, operation))
    }

    /// The shards that take records, once the stream can be read.
    async fn open_shards(
        &self,
        operation: &'static str,
        stream: &Stream,
    ) -> Result<(Summary, Vec<Shard>)> {
        let summary = status::usable(&self.link, operation, stream).await?;
        let mut shards = shards::list(&self.link, operation, stream).await?;
        shards.retain(|shard| shard.open);
        Ok((summary, shards))
    }

    /// Keeps the stream's records for so many hours.
    async fn keep(
        &self,
        operation: &'static str,
        stream: &Stream,
        summary: &Summary,
        hours: u32,
    ) -> Result<()> {
        let (link, client) = (&self.link, self.link.once(operation).await?);
        let number = i32::try_from(hours).unwrap_or(i32::MAX);
        if hours > summary.retention_hours {
            let request = client.increase_stream_retention_period();
            let request = request
                .set_stream_name(stream.name())
                .set_stream_arn(stream.arn())
                .retention_period_hours(number);
            status::change(link, operation, stream, || request.clone().send()).await?;
        } else if hours < summary.retention_hours {
            let request = client.decrease_stream_retention_period();
            let request = request
                .set_stream_name(stream.name())
                .set_stream_arn(stream.arn())
                .retention_period_hours(number);
            status::change(link, operation, stream, || request.clone().send()).await?;
        }
        Ok(())
    }

    /// The first event from `time` on, or right behind the newest one; None for a shard that takes no
    /// more events and holds none.
    async fn position_at(
        &self,
        operation: &'static str,
        stream: &Stream,
        shard: &Shard,
        time: SystemTime,
    ) -> Result<Option<(Partition, Position)>> {
        let link = &self.link;
        let place = match locate::at(link, operation, stream, shard, time).await? {
            Some(place) => place,
            None => locate::end(link, operation, stream, shard).await?,
        };
        let holds = shard.open || place != shard.start;
        Ok(holds.then(|| (shard.partition(), place.into())))
    }
}

#[async_trait]
impl Admin for KinesisAdmin {
    async fn create_topic(&self, topic: &TopicConfig) -> Result<()> {
        const OPERATION: &str = "create_topic";
        let new = NewStream::read(OPERATION, topic)?;
        let stream = &Stream::new(OPERATION, &topic.name)?;
        let client = self.link.once(OPERATION).await?;
        let request = client
            .create_stream()
            .stream_name(&topic.name)
            .set_shard_count(new.shards)
            .set_stream_mode_details(new.mode())
            .set_max_record_size_in_kib(new.max_record_kib);
        let answer = status::paced(OPERATION, stream, || request.clone().send()).await;
        answer.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                let message = format!("there is a stream '{}' already", topic.name);
                Error::new(error.kind(), HUB, OPERATION, message).with_source(error)
            }
            _ => error,
        })?;
        let new_one = Wait {
            is_new: true,
            ..Wait::USUAL
        };
        let made = new_one.until(&self.link, OPERATION, stream, Summary::is_active);
        let made = made.await?;
        match new.hours {
            Some(hours) => self.keep(OPERATION, stream, &made, hours).await,
            None => Ok(()),
        }
    }

    /// The checkpoints of its groups go with it: they mean nothing in another stream of its name.
    async fn delete_topic(&self, topic: &str) -> Result<()> {
        const OPERATION: &str = "delete_topic";
        let (link, stream) = (&self.link, &Stream::new(OPERATION, topic)?);
        let summary = status::describe(link, OPERATION, stream).await?;
        // Before the stream goes: if this fails, nothing has happened yet.
        let groups = match self.leases.is_set() {
            true => Some(self.groups(OPERATION).await?),
            false => None,
        };
        if summary.status != StreamStatus::Deleting {
            let request = link.once(OPERATION).await?.delete_stream();
            let request = request
                .set_stream_name(stream.name())
                .set_stream_arn(stream.arn())
                .enforce_consumer_deletion(true);
            status::begin(link, OPERATION, stream, || request.clone().send()).await?;
        }
        status::gone(link, OPERATION, stream).await?;
        match groups {
            Some(groups) => groups.forget_topic(&summary.arn).await,
            None => Ok(()),
        }
    }

    async fn describe_topic(&self, topic: &str) -> Result<TopicInfo> {
        const OPERATION: &str = "describe_topic";
        let (link, stream) = (&self.link, &Stream::new(OPERATION, topic)?);
        let (summary, shards) = self.open_shards(OPERATION, stream).await?;
        let first = shards
            .iter()
            .map(|shard| locate::first(link, OPERATION, stream, shard));
        let first = side_by_side(first).await?;
        let partitions = shards.iter().zip(first).map(|(shard, first)| {
            PartitionInfo::new(shard.partition(), first.map(Position::from), None)
        });
        let time = Duration::from_secs(u64::from(summary.retention_hours) * 3_600);
        let info = TopicInfo::new(topic, partitions.collect());
        Ok(info.retention(Retention::new().time(time)))
    }

    async fn list_topics(&self) -> Result<Vec<String>> {
        const OPERATION: &str = "list_topics";
        let client = self.link.patient(OPERATION).await?;
        let mut names: Vec<String> = Vec::new();
        loop {
            let request = client.list_streams();
            let request = request.set_exclusive_start_stream_name(names.last().cloned());
            let answer = request.send().await;
            let answer = answer.map_err(|error| failed(OPERATION, "", error))?;
            let is_last = !answer.has_more_streams || answer.stream_names.is_empty();
            names.extend(answer.stream_names);
            if is_last {
                names.sort_unstable();
                return Ok(names);
            }
        }
    }

    /// In steps of twice as many shards, since Kinesis takes no larger ones.
    async fn set_partitions(&self, topic: &str, partitions: u32) -> Result<Resized> {
        const OPERATION: &str = "set_partitions";
        let (link, stream) = (&self.link, &Stream::new(OPERATION, topic)?);
        let summary = status::active(link, OPERATION, stream).await?;
        if summary.on_demand {
            let message = format!("'{topic}' is on demand: its shards can't be chosen");
            return Err(invalid(OPERATION, message)
                .with_advice("it gets more by itself; or make it provisioned first"));
        }
        let mut open = summary.open_shards;
        if partitions <= open {
            let message = format!("'{topic}' has {open} shards: {partitions} are not more");
            return Err(
                invalid(OPERATION, message).with_advice("Streams::merge_shards makes fewer")
            );
        }
        while open < partitions {
            let step = partitions.min(open.saturating_mul(2));
            let count = i32::try_from(step)
                .map_err(|_| invalid(OPERATION, format!("a stream can't have {step} shards")))?;
            let request = link.once(OPERATION).await?.update_shard_count();
            let request = request
                .set_stream_name(stream.name())
                .set_stream_arn(stream.arn())
                .target_shard_count(count)
                .scaling_type(ScalingType::UniformScaling);
            status::begin(link, OPERATION, stream, || request.clone().send()).await?;
            let grown = |summary: &Summary| summary.is_active() && summary.open_shards >= step;
            let wait = Wait::USUAL.until(link, OPERATION, stream, grown);
            open = wait.await?.open_shards;
        }
        Ok(Resized::new(true))
    }

    async fn set_retention(&self, topic: &str, retention: &Retention) -> Result<()> {
        const OPERATION: &str = "set_retention";
        let hours = hours(OPERATION, retention)?;
        let stream = &Stream::new(OPERATION, topic)?;
        let summary = status::describe(&self.link, OPERATION, stream).await?;
        match hours {
            Some(hours) => self.keep(OPERATION, stream, &summary, hours).await,
            None => Ok(()),
        }
    }

    async fn positions_at(
        &self,
        topic: &str,
        time: SystemTime,
    ) -> Result<Vec<(Partition, Position)>> {
        const OPERATION: &str = "positions_at";
        let stream = &Stream::new(OPERATION, topic)?;
        status::usable(&self.link, OPERATION, stream).await?;
        let shards = shards::list(&self.link, OPERATION, stream).await?;
        let places = shards
            .iter()
            .map(|shard| self.position_at(OPERATION, stream, shard, time));
        let places: Vec<_> = side_by_side(places).await?;
        Ok(places.into_iter().flatten().collect())
    }

    async fn list_groups(&self, topic: &str) -> Result<Vec<GroupInfo>> {
        const OPERATION: &str = "list_groups";
        let summary =
            status::describe(&self.link, OPERATION, &Stream::new(OPERATION, topic)?).await?;
        self.groups(OPERATION).await?.list(&summary.arn).await
    }

    async fn delete_group(&self, group: &str) -> Result<()> {
        const OPERATION: &str = "delete_group";
        self.groups(OPERATION).await?.delete(group).await
    }

    /// `behind` is by this machine's clock or by Kinesis', whichever says more. Shards that were
    /// split or merged are told until the group has finished them.
    async fn lag(&self, topic: &str, group: &str) -> Result<Vec<PartitionLag>> {
        const OPERATION: &str = "lag";
        let (link, stream) = (&self.link, &Stream::new(OPERATION, topic)?);
        let summary = status::usable(link, OPERATION, stream).await?;
        let groups = self.groups(OPERATION).await?;
        let group = groups.group(&summary.arn, group).await?;
        let mut shards = shards::list(link, OPERATION, stream).await?;
        shards.retain(|shard| shard.open || group.has_to_finish(shard));
        let lag = async |shard: &Shard| {
            let from = group.resume(shard)?;
            let behind = locate::behind(link, OPERATION, stream, shard, from).await?;
            let committed = from.place().map(Position::from);
            Ok(PartitionLag::new(shard.partition(), committed).behind(behind))
        };
        side_by_side(shards.iter().map(lag)).await
    }
}
