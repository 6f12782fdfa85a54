use crate::{
    api::{duration, from_duration},
    client::{Client, Line},
    error::{HUB, invalid, unsupported},
    hub::PARTITION,
    name,
    shared::Shared,
};
use anyhub_core::{
    Admin, GroupInfo, Partition, PartitionInfo, PartitionLag, Position, Resized, Result, Retention,
    TopicConfig, TopicInfo, driver::Opened, unknown_option,
};
use async_trait::async_trait;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1 as pb;
use std::{sync::Arc, time::SystemTime};

/// Topics, and subscriptions as groups.
#[derive(Debug)]
pub(crate) struct PubSubAdmin {
    client: Client,
    consumers: Arc<Opened<Shared>>,
}

/// What a topic's properties may be called; labels besides, as `label.NAME`.
const PROPERTIES: [&str; 3] = ["kms_key_name", "regions", "label.NAME"];

impl PubSubAdmin {
    pub(crate) fn new(client: Client, consumers: Arc<Opened<Shared>>) -> Self {
        Self { client, consumers }
    }

    fn line(&self, operation: &'static str) -> Result<Line> {
        self.client.check_open(operation)?;
        self.client.shared_line()
    }

    fn topic(&self, operation: &'static str, id: &str) -> Result<String> {
        name::topic(&self.client.config().project, id, operation)
    }

    /// How many consumers of this hub read a subscription now. Of others, nothing tells.
    fn members(&self, subscription: &str) -> usize {
        let consumers = self.consumers.left();
        let members = consumers.iter();
        members
            .filter(|one| one.subscription.name == subscription && !one.is_closing())
            .count()
    }
}

#[async_trait]
impl Admin for PubSubAdmin {
    async fn create_topic(&self, topic: &TopicConfig) -> Result<()> {
        let line = self.line("create_topic")?;
        if topic.partitions == 0 {
            return Err(invalid(
                "create_topic",
                "a topic has at least one partition",
            ));
        }
        if topic.replication.is_some() {
            return Err(unsupported(
                "create_topic",
                "Pub/Sub keeps copies in several zones by itself; their number can't be set",
            ));
        }
        if topic.retention.bytes.is_some() {
            return Err(no_size("create_topic"));
        }
        // Before it is looked for: here it is the name that is wrong.
        let name = self.topic("create_topic", &topic.name);
        let name = name.map_err(|error| {
            let refused = invalid("create_topic", error.message());
            refused.with_advice(error.advice().unwrap_or_default())
        })?;
        let kept = topic
            .retention
            .time
            .unwrap_or(self.client.config().topic_retention);
        let mut made = pb::Topic {
            name,
            message_retention_duration: Some(duration(kept)),
            ..pb::Topic::default()
        };
        for (property, value) in &topic.properties {
            match property.as_str() {
                "kms_key_name" => made.kms_key_name.clone_from(value),
                "regions" => {
                    made.message_storage_policy = Some(pb::MessageStoragePolicy {
                        allowed_persistence_regions: value.split(',').map(str::to_owned).collect(),
                        ..pb::MessageStoragePolicy::default()
                    });
                }
                property => match property.strip_prefix("label.") {
                    Some(label) => {
                        made.labels.insert(label.to_owned(), value.clone());
                    }
                    None => return Err(unknown_option(HUB, property, &PROPERTIES)),
                },
            }
        }
        line.create_topic(made).await
    }

    async fn delete_topic(&self, topic: &str) -> Result<()> {
        let name = self.topic("delete_topic", topic)?;
        self.line("delete_topic")?.delete_topic(&name).await
    }

    async fn describe_topic(&self, topic: &str) -> Result<TopicInfo> {
        let name = self.topic("describe_topic", topic)?;
        let line = self.line("describe_topic")?;
        let found = line.get_topic("describe_topic", &name).await?;
        let one = PartitionInfo::new(PARTITION, None, None);
        let mut retention = Retention::new();
        retention.time = from_duration(found.message_retention_duration);
        Ok(TopicInfo::new(topic, vec![one]).retention(retention))
    }

    async fn list_topics(&self) -> Result<Vec<String>> {
        let line = self.line("list_topics")?;
        let names = line.list_topics(&self.client.config().project).await?;
        let mut ids: Vec<_> = names.iter().map(|name| name::id(name).to_owned()).collect();
        ids.sort();
        Ok(ids)
    }

    async fn set_partitions(&self, topic: &str, _: u32) -> Result<Resized> {
        self.describe_topic(topic).await?;
        Err(unsupported(
            "set_partitions",
            "Pub/Sub has no partitions: it spreads keys by itself",
        ))
    }

    async fn set_retention(&self, topic: &str, retention: &Retention) -> Result<()> {
        let name = self.topic("set_retention", topic)?;
        let line = self.line("set_retention")?;
        if retention.bytes.is_some() {
            return Err(no_size("set_retention"));
        }
        let Some(time) = retention.time else {
            return line.get_topic("set_retention", &name).await.map(drop);
        };
        let changed = pb::Topic {
            name,
            message_retention_duration: Some(duration(time)),
            ..pb::Topic::default()
        };
        line.update_topic(changed, &["message_retention_duration"])
            .await
    }

    async fn positions_at(&self, topic: &str, _: SystemTime) -> Result<Vec<(Partition, Position)>> {
        self.describe_topic(topic).await?;
        Err(unsupported(
            "positions_at",
            "Pub/Sub tells no positions: seek to the time itself",
        ))
    }

    async fn list_groups(&self, topic: &str) -> Result<Vec<GroupInfo>> {
        let name = self.topic("list_groups", topic)?;
        let names = self.line("list_groups")?.list_subscriptions(&name).await?;
        // Another project's may be of our topic, too: here a group is one of this project.
        let ours = format!("projects/{}/subscriptions/", self.client.config().project);
        let groups = names.iter().filter(|name| !name::is_reader(name));
        let mut groups: Vec<_> = groups
            .filter_map(|name| {
                let id = name.strip_prefix(&ours)?;
                Some(GroupInfo::new(id, self.members(name)))
            })
            .collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    async fn delete_group(&self, group: &str) -> Result<()> {
        let name = name::subscription(&self.client.config().project, group, "delete_group")?;
        let line = self.line("delete_group")?;
        let members = self.members(&name);
        if members > 0 {
            let message = format!("the group '{group}' has {members} members here");
            return Err(invalid("delete_group", message).with_advice("close its consumers first"));
        }
        line.delete_subscription("delete_group", &name).await
    }

    async fn lag(&self, topic: &str, group: &str) -> Result<Vec<PartitionLag>> {
        let name = name::subscription(&self.client.config().project, group, "lag")?;
        let topic = self.topic("lag", topic)?;
        let line = self.line("lag")?;
        let found = line.get_subscription("lag", &name).await?;
        if found.topic != topic {
            let message = format!(
                "the subscription '{group}' is of another topic, {}",
                found.topic
            );
            return Err(invalid("lag", message)
                .with_advice("ask by its own topic: list_groups tells the groups of one"));
        }
        Err(unsupported(
            "lag",
            "Pub/Sub itself does not tell how far a subscription is behind",
        )
        .with_advice(
            "Cloud Monitoring does, as subscription/num_undelivered_messages and \
             subscription/oldest_unacked_message_age",
        ))
    }
}

fn no_size(operation: &'static str) -> anyhub_core::Error {
    unsupported(operation, "Pub/Sub keeps messages by time, and not by size")
}
