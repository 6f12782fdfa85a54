//! C13, and what is told of topics and groups.

use super::{
    Mutant,
    layer::{AdminFault, Fault},
    portable::portable,
};
use anyhub_core::{
    Admin, Error, ErrorKind, GroupInfo, Partition, PartitionLag, Position, Resized, Result,
    Retention, TopicConfig, TopicInfo,
};
use async_trait::async_trait;
use std::time::SystemTime;

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::new(
        "a_resize_says_that_key_order_holds",
        "C13_resize_says_whether_key_order_holds",
        "whether the resize says",
        || Fault::none().admin(SaysOrderHolds),
    ),
    Mutant::new(
        "an_undeclared_resize_is_ignored",
        "C13_undeclared_resize_is_unsupported",
        "the answer to a resize",
        || Fault::none().admin(IgnoresResize),
    )
    .on(portable),
    Mutant::new(
        "a_deleted_topic_stays",
        "Admin_topics_are_made_described_and_deleted",
        "a deleted topic to be gone",
        || Fault::none().admin(KeepsTopics),
    ),
    Mutant::new(
        "the_end_is_one_off",
        "Admin_topics_are_made_described_and_deleted",
        "where the next event will stand",
        || Fault::none().admin(EndOff),
    ),
    Mutant::new(
        "members_are_not_counted",
        "Admin_groups_and_their_lag_are_told",
        "the groups of the topic and their members",
        || Fault::none().admin(NoMembers),
    ),
    Mutant::new(
        "a_checkpoint_is_not_told",
        "Admin_groups_and_their_lag_are_told",
        "the checkpoint",
        || Fault::none().admin(NoCheckpoint),
    ),
    Mutant::new(
        "lag_is_one_off",
        "Admin_groups_and_their_lag_are_told",
        "the lag in events",
        || Fault::none().admin(LagOff),
    ),
    Mutant::new(
        "undeclared_lag_is_made_up",
        "Admin_undeclared_lag_in_events_is_not_told",
        "lag in events",
        || Fault::none().admin(LagOff),
    )
    .on(portable),
    Mutant::new(
        "positions_at_a_time_ignore_it",
        "Admin_positions_at_a_time",
        "the first position at",
        || Fault::none().admin(NoTime),
    ),
    Mutant::new(
        "retention_by_size_is_ignored",
        "Admin_retention_by_size_can_be_set",
        "the retention of a new topic",
        || Fault::none().admin(NoRetention),
    ),
    Mutant::new(
        "undeclared_retention_is_ignored",
        "Admin_undeclared_retention_by_size_is_unsupported",
        "the answer to a retention by size",
        || Fault::none().admin(NoRetention),
    )
    .on(portable),
    Mutant::new(
        "a_missing_topic_is_unexpected",
        "Checks_22_a_missing_topic_is_not_found",
        "the answer to",
        || {
            Fault::none().error(|error| match error.kind() {
                ErrorKind::NotFound => Error::new(
                    ErrorKind::Unexpected,
                    error.hub(),
                    "open",
                    "it does not work",
                ),
                _ => error,
            })
        },
    )
    .breaks(&[22]),
    Mutant::new(
        "a_topic_is_made_twice",
        "Checks_22_a_topic_that_is_there_already_exists",
        "was not refused",
        || Fault::none().admin(AnotherName),
    )
    .breaks(&[22]),
    Mutant::new(
        "no_partitions_become_one",
        "Checks_22_no_partitions_are_invalid",
        "was not refused",
        || Fault::none().admin(AtLeastOne),
    )
    .breaks(&[22]),
    Mutant::new(
        "closing_the_hub_does_nothing",
        "Checks_22_a_closed_hub_answers_closed",
        "valid tokens after the hub closed",
        || Fault::none().without_close(),
    )
    .breaks(&[20, 22]),
];

#[derive(Debug)]
struct SaysOrderHolds;

#[async_trait]
impl AdminFault for SaysOrderHolds {
    async fn resize(&self, inner: &dyn Admin, topic: &str, partitions: u32) -> Result<Resized> {
        inner
            .set_partitions(topic, partitions)
            .await
            .map(|_| Resized::new(true))
    }
}

#[derive(Debug)]
struct IgnoresResize;

#[async_trait]
impl AdminFault for IgnoresResize {
    async fn resize(&self, _: &dyn Admin, _: &str, _: u32) -> Result<Resized> {
        Ok(Resized::new(false))
    }
}

#[derive(Debug)]
struct KeepsTopics;

#[async_trait]
impl AdminFault for KeepsTopics {
    async fn delete(&self, _: &dyn Admin, _: &str) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct EndOff;

#[async_trait]
impl AdminFault for EndOff {
    fn info(&self, mut info: TopicInfo) -> TopicInfo {
        for partition in &mut info.partitions {
            partition.next = partition.next.as_ref().map(Position::after);
        }
        info
    }
}

#[derive(Debug)]
struct NoMembers;

impl AdminFault for NoMembers {
    fn groups(&self, mut groups: Vec<GroupInfo>) -> Vec<GroupInfo> {
        groups.iter_mut().for_each(|group| group.members = 0);
        groups
    }
}

#[derive(Debug)]
struct NoCheckpoint;

#[async_trait]
impl AdminFault for NoCheckpoint {
    fn lag(&self, mut lag: Vec<PartitionLag>) -> Vec<PartitionLag> {
        lag.iter_mut().for_each(|lag| lag.committed = None);
        lag
    }
}

#[derive(Debug)]
struct LagOff;

#[async_trait]
impl AdminFault for LagOff {
    fn lag(&self, lag: Vec<PartitionLag>) -> Vec<PartitionLag> {
        lag.into_iter()
            .map(|lag| {
                let events = lag.events.unwrap_or_default() + 1;
                lag.events(events)
            })
            .collect()
    }
}

#[derive(Debug)]
struct NoTime;

#[async_trait]
impl AdminFault for NoTime {
    async fn positions_at(
        &self,
        inner: &dyn Admin,
        topic: &str,
        _: SystemTime,
    ) -> Result<Vec<(Partition, Position)>> {
        inner.positions_at(topic, SystemTime::UNIX_EPOCH).await
    }
}

#[derive(Debug)]
struct NoRetention;

#[async_trait]
impl AdminFault for NoRetention {
    fn create(&self, topic: TopicConfig) -> Result<TopicConfig> {
        Ok(topic.retention(Retention::new()))
    }
}

#[derive(Debug)]
struct AnotherName;

#[async_trait]
impl AdminFault for AnotherName {
    fn create(&self, mut topic: TopicConfig) -> Result<TopicConfig> {
        // The second time it has two partitions, and goes elsewhere.
        if topic.partitions > 1 {
            topic.name.push_str("-again");
        }
        Ok(topic)
    }
}

#[derive(Debug)]
struct AtLeastOne;

#[async_trait]
impl AdminFault for AtLeastOne {
    fn create(&self, topic: TopicConfig) -> Result<TopicConfig> {
        let partitions = topic.partitions.max(1);
        Ok(topic.partitions(partitions))
    }
}
