use crate::{Partition, Position, Result};
use async_trait::async_trait;
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// Topics and groups. Applications need none of it; what a hub can't do is Unsupported.
#[async_trait]
pub trait Admin: fmt::Debug + Send + Sync {
    /// Creates a topic and returns once it can be written and read. AlreadyExists if it is there,
    /// Invalid for 0 partitions.
    async fn create_topic(&self, topic: &TopicConfig) -> Result<()>;

    /// Deletes a topic and all that it keeps. NotFound if it is not there.
    async fn delete_topic(&self, topic: &str) -> Result<()>;

    /// What a topic is like now. NotFound if it is not there.
    async fn describe_topic(&self, topic: &str) -> Result<TopicInfo>;

    /// The names of all topics that are not the hub's own, sorted.
    async fn list_topics(&self) -> Result<Vec<String>>;

    /// Raises the number of partitions, and says whether keys keep their order meanwhile (C13).
    /// Invalid if it is not more than there are.
    async fn set_partitions(&self, topic: &str, partitions: u32) -> Result<Resized>;

    /// Changes what a topic keeps; a part that is None stays as it is.
    async fn set_retention(&self, topic: &str, retention: &Retention) -> Result<()>;

    /// In every partition, those included that take no more events but still hold some: the position
    /// of the first event published at or after `time`; right behind the newest event where there is
    /// none, or before all that can come where there never was one.
    async fn positions_at(
        &self,
        topic: &str,
        time: SystemTime,
    ) -> Result<Vec<(Partition, Position)>>;

    /// The consumer groups that have members or checkpoints on `topic`, sorted by name.
    async fn list_groups(&self, topic: &str) -> Result<Vec<GroupInfo>>;

    /// Removes a group and its checkpoints on all topics. NotFound if it is not there, Invalid
    /// while it has members.
    async fn delete_group(&self, group: &str) -> Result<()>;

    /// How far `group` is behind, for every partition of `topic`.
    async fn lag(&self, topic: &str, group: &str) -> Result<Vec<PartitionLag>>;
}

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicConfig {
    /// Its name.
    pub name: String,
    /// How many partitions. 1. On a hub without any, which spreads keys by itself, a topic is one whatever is asked for.
    pub partitions: u32,
    /// Copies of each partition, where the hub lets one choose. None: the hub's default.
    pub replication: Option<u16>,
    /// What it keeps. The hub's default.
    pub retention: Retention,
    /// Settings in the provider's own words; an unknown one is an error, never ignored.
    pub properties: Vec<(String, String)>,
}

impl TopicConfig {
    /// A topic with one partition and the hub's defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            partitions: 1,
            replication: None,
            retention: Retention::default(),
            properties: Vec::new(),
        }
    }

    /// Sets [`partitions`](Self::partitions).
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    /// Sets [`replication`](Self::replication).
    pub fn replication(mut self, copies: u16) -> Self {
        self.replication = Some(copies);
        self
    }

    /// Sets [`retention`](Self::retention).
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Adds one of the provider's own settings.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }
}

/// What a topic keeps. The default leaves both to the hub.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// How long an event is kept.
    pub time: Option<Duration>,
    /// Bytes kept in each partition.
    pub bytes: Option<u64>,
}

impl Retention {
    /// The hub's default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps events this long.
    pub fn time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// Keeps this many bytes in each partition.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }
}

/// What a topic is like.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its partitions that take events now, in order. What a resize replaced is not among them.
    pub partitions: Vec<PartitionInfo>,
    /// What it keeps, as far as the hub tells.
    pub retention: Retention,
}

impl TopicInfo {
    /// A topic and its partitions.
    pub fn new(name: impl Into<String>, partitions: Vec<PartitionInfo>) -> Self {
        Self {
            name: name.into(),
            partitions,
            retention: Retention::default(),
        }
    }

    /// Sets [`retention`](Self::retention).
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }
}

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// Which one.
    pub partition: Partition,
    /// The oldest event kept, where the hub tells.
    pub first: Option<Position>,
    /// Where the next event will stand, where the hub tells.
    pub next: Option<Position>,
}

impl PartitionInfo {
    /// A partition and what it holds.
    pub fn new(partition: Partition, first: Option<Position>, next: Option<Position>) -> Self {
        Self {
            partition,
            first,
            next,
        }
    }
}

/// What asking for more partitions did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resized {
    /// Whether each key keeps its order across the change (C13). Where it is false, a key may
    /// move to another partition while older events of it are still being read.
    pub key_order_kept: bool,
}

impl Resized {
    /// The answer of a hub.
    pub fn new(key_order_kept: bool) -> Self {
        Self { key_order_kept }
    }
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// How many members it has now; where the hub tells of none, those that were opened here.
    pub members: usize,
}

impl GroupInfo {
    /// A group of so many members.
    pub fn new(name: impl Into<String>, members: usize) -> Self {
        Self {
            name: name.into(),
            members,
        }
    }
}

/// How far a group is behind in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionLag {
    /// Which partition.
    pub partition: Partition,
    /// Where the group would resume: past the last finished event, and not past the next one. None
    /// where nothing is committed.
    pub committed: Option<Position>,
    /// Events between there and the end, where the hub counts them. Without a checkpoint: all that
    /// are kept.
    pub events: Option<u64>,
    /// How old the oldest of them is, where the hub tells.
    pub behind: Option<Duration>,
}

impl PartitionLag {
    /// The lag of one partition.
    pub fn new(partition: Partition, committed: Option<Position>) -> Self {
        Self {
            partition,
            committed,
            events: None,
            behind: None,
        }
    }

    /// Sets [`events`](Self::events).
    pub fn events(mut self, events: u64) -> Self {
        self.events = Some(events);
        self
    }

    /// Sets [`behind`](Self::behind).
    pub fn behind(mut self, behind: Duration) -> Self {
        self.behind = Some(behind);
        self
    }
}
