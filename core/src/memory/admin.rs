use super::{
    HUB,
    config::check_retention,
    hub::{MemoryHub, no_topic},
    member::End,
    topic::Topic,
};
use crate::{
    Admin, Error, ErrorKind, GroupInfo, Partition, PartitionInfo, PartitionLag, Position, Resized,
    Result, Retention, TopicConfig, TopicInfo, nearest, shown,
};
use async_trait::async_trait;
use std::{collections::btree_map::Entry, sync::Arc, time::SystemTime};

/// Partitions of one topic, at most.
const PARTITIONS: u32 = 10_000;

impl MemoryHub {
    /// [`Admin::create_topic`], which needs no waiting here.
    pub(super) fn create(&self, topic: &TopicConfig) -> Result<()> {
        const OPERATION: &str = "create_topic";
        let invalid =
            |message: String| Err(Error::new(ErrorKind::Invalid, HUB, OPERATION, message));
        let name = topic.name.as_str();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !(1..=249).contains(&name.len()) || !name.chars().all(fits) || matches!(name, "." | "..")
        {
            return invalid(format!(
                "'{}' is no name for a topic: 1 to 249 letters, digits, '.', '_' and '-'",
                shown(name)
            ));
        }
        if !(1..=PARTITIONS).contains(&topic.partitions) {
            return invalid(format!(
                "a topic has 1 to {PARTITIONS} partitions, not {}",
                topic.partitions
            ));
        }
        if topic.replication.is_some_and(|copies| copies != 1) {
            return invalid("this hub keeps one copy of each partition".to_owned());
        }
        let keep = self.config.keep(topic)?;
        let limits = self.config.limits(keep.capacity);
        match self.topics(OPERATION)?.entry(topic.name.clone()) {
            Entry::Occupied(_) => Err(Error::new(
                ErrorKind::AlreadyExists,
                HUB,
                OPERATION,
                format!("the topic '{name}' is there already"),
            )),
            Entry::Vacant(vacant) => {
                vacant.insert(Arc::new(Topic::new(name, topic.partitions, keep, limits)));
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Admin for MemoryHub {
    async fn create_topic(&self, topic: &TopicConfig) -> Result<()> {
        self.create(topic)
    }

    async fn delete_topic(&self, topic: &str) -> Result<()> {
        let mut topics = self.topics("delete_topic")?;
        match topics.remove(topic) {
            Some(topic) => {
                topic.end(End::TopicDeleted);
                Ok(())
            }
            None => Err(no_topic(topic, &topics, "delete_topic")),
        }
    }

    async fn describe_topic(&self, topic: &str) -> Result<TopicInfo> {
        let topic = self.topic(topic, "describe_topic")?;
        let partitions = each_partition(&topic, |partition, first, next, _| {
            PartitionInfo::new(partition, Some(first), Some(next))
        });
        Ok(TopicInfo::new(&topic.name, partitions).retention(topic.retention()))
    }

    async fn list_topics(&self) -> Result<Vec<String>> {
        Ok(self.topics("list_topics")?.keys().cloned().collect())
    }

    async fn set_partitions(&self, topic: &str, partitions: u32) -> Result<Resized> {
        let invalid = |message| Error::new(ErrorKind::Invalid, HUB, "set_partitions", message);
        let topic = self.topic(topic, "set_partitions")?;
        if partitions > PARTITIONS {
            return Err(invalid(format!(
                "a topic has at most {PARTITIONS} partitions"
            )));
        }
        match topic.grow(partitions) {
            Ok(()) => Ok(Resized::new(super::hub::CAPABILITIES.order_across_resize)),
            Err(present) => Err(invalid(format!(
                "'{}' has {present} partitions, and {partitions} is not more",
                topic.name
            ))),
        }
    }

    async fn set_retention(&self, topic: &str, retention: &Retention) -> Result<()> {
        let topic = self.topic(topic, "set_retention")?;
        let before = topic.retention();
        let mut retention = *retention;
        retention.time = retention.time.or(before.time);
        retention.bytes = retention.bytes.or(before.bytes);
        check_retention("set_retention", ErrorKind::Invalid, &retention)?;
        topic.set_retention(&retention);
        Ok(())
    }

    async fn positions_at(
        &self,
        topic: &str,
        time: SystemTime,
    ) -> Result<Vec<(Partition, Position)>> {
        let topic = self.topic(topic, "positions_at")?;
        Ok(each_partition(&topic, |partition, _, _, log| {
            (partition, Position::offset(log.offset_at(time)))
        }))
    }

    async fn list_groups(&self, topic: &str) -> Result<Vec<GroupInfo>> {
        let groups = self.topic(topic, "list_groups")?.groups();
        let groups = groups.into_iter();
        Ok(groups
            .map(|(name, group)| GroupInfo::new(name, group.members()))
            .collect())
    }

    async fn delete_group(&self, group: &str) -> Result<()> {
        let topics: Vec<_> = self.topics("delete_group")?.values().cloned().collect();
        let all: Vec<_> = topics.iter().flat_map(|topic| topic.groups()).collect();
        let mine: Vec<_> = all.iter().filter(|(name, _)| name == group).collect();
        if mine.is_empty() {
            let known = all.iter().map(|(name, _)| name.as_str());
            return Err(no_group(group, known, "delete_group"));
        }
        if mine.iter().any(|(_, group)| group.members() > 0)
            || !mine.iter().all(|(_, group)| group.forget())
        {
            let message = format!("the group '{group}' has members");
            return Err(Error::new(ErrorKind::Invalid, HUB, "delete_group", message)
                .with_advice("close its consumers first"));
        }
        Ok(())
    }

    async fn lag(&self, topic: &str, group: &str) -> Result<Vec<PartitionLag>> {
        let groups = self.topic(topic, "lag")?.groups();
        match groups.iter().find(|(name, _)| name == group) {
            Some((_, group)) => Ok(group.lag()),
            None => {
                let known = groups.iter().map(|(name, _)| name.as_str());
                Err(no_group(group, known, "lag"))
            }
        }
    }
}

fn each_partition<T>(
    topic: &Topic,
    each: impl Fn(Partition, Position, Position, &super::log::Inner) -> T,
) -> Vec<T> {
    let logs = topic.logs();
    let logs = logs.iter().zip(0..);
    logs.map(|(log, number)| {
        let log = log.now();
        let (first, next) = (Position::offset(log.first()), Position::offset(log.next()));
        each(Partition::number(number), first, next, &log)
    })
    .collect()
}

fn no_group<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    operation: &'static str,
) -> Error {
    let message = format!("there is no group '{}'", shown(name));
    let error = Error::new(ErrorKind::NotFound, HUB, operation, message);
    match nearest(name, known) {
        Some(nearest) => error.with_advice(format!("did you mean '{nearest}'?")),
        None => error,
    }
}
