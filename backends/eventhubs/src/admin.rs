use crate::{
    client::{Client, Namespace},
    connection::Connection,
    describe::{self, Ends, Management},
    error::{HUB, invalid},
};
use anyhub_core::{
    Admin, Error, ErrorKind, GroupInfo, Partition, PartitionInfo, PartitionLag, Position, Resized,
    Result, Retention, TopicConfig, TopicInfo,
};
use async_trait::async_trait;
use std::{sync::Arc, time::SystemTime};

/// Event hubs and consumer groups, as far as AMQP tells of them.
#[derive(Debug)]
pub(crate) struct EventHubsAdmin {
    namespace: Namespace,
}

impl EventHubsAdmin {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Self { namespace }
    }
}

/// The hub's partitions, and where each stands.
pub(crate) async fn partitions(
    client: &Client,
    operation: &'static str,
) -> Result<Vec<(u32, Ends)>> {
    let question = move |connection: Arc<Connection>| async move {
        let management = Management::open(&connection, operation).await?;
        let told = async {
            let numbers = management.partitions().await?;
            let ends = management.all_ends(&numbers).await?;
            Ok(numbers.into_iter().zip(ends).collect())
        };
        let told = told.await;
        management.close().await;
        told
    };
    client.ask(operation, question).await
}

/// What only Azure Resource Manager can do.
fn elsewhere(operation: &'static str, what: &str, how: &str) -> Error {
    let message = format!("{what} by AMQP, which is all that is spoken here");
    Error::new(ErrorKind::Unsupported, HUB, operation, message).with_advice(how)
}

#[async_trait]
impl Admin for EventHubsAdmin {
    async fn create_topic(&self, topic: &TopicConfig) -> Result<()> {
        self.namespace.check_open("create_topic")?;
        if topic.partitions == 0 {
            return Err(invalid("create_topic", "an event hub has 1 partition or more"));
        }
        Err(elsewhere(
            "create_topic",
            "an event hub can't be made",
            "make it in the Azure portal, or by az eventhubs eventhub create",
        ))
    }

    async fn delete_topic(&self, topic: &str) -> Result<()> {
        self.namespace.check_open("delete_topic")?;
        self.partitions_of("delete_topic", topic).await?;
        Err(elsewhere(
            "delete_topic",
            "an event hub can't be deleted",
            "delete it in the Azure portal, or by az eventhubs eventhub delete",
        ))
    }

    async fn describe_topic(&self, topic: &str) -> Result<TopicInfo> {
        self.namespace.check_open("describe_topic")?;
        let client = Client::new(&self.namespace, "describe_topic", topic)?;
        let told = partitions(&client, "describe_topic").await;
        client.close().await;
        let partitions = told?.into_iter().map(|(number, ends)| {
            let at = |number| Some(Position::offset(number));
            PartitionInfo::new(Partition::number(number), at(ends.first), at(ends.next))
        });
        Ok(TopicInfo::new(topic, partitions.collect()))
    }

    async fn list_topics(&self) -> Result<Vec<String>> {
        self.namespace.check_open("list_topics")?;
        Err(elsewhere(
            "list_topics",
            "event hubs can't be listed",
            "list them by az eventhubs eventhub list",
        ))
    }

    async fn set_partitions(&self, topic: &str, partitions: u32) -> Result<Resized> {
        self.namespace.check_open("set_partitions")?;
        let there = self.partitions_of("set_partitions", topic).await?;
        if there.len() as u64 >= u64::from(partitions) {
            let message = format!("'{topic}' has {} partitions already", there.len());
            return Err(invalid("set_partitions", message));
        }
        Err(elsewhere(
            "set_partitions",
            "partitions can't be added",
            "in the tiers Premium and Dedicated, by az eventhubs eventhub update --partition-count; keys move to other partitions then",
        ))
    }

    async fn set_retention(&self, topic: &str, _: &Retention) -> Result<()> {
        self.namespace.check_open("set_retention")?;
        self.partitions_of("set_retention", topic).await?;
        Err(elsewhere(
            "set_retention",
            "retention can't be changed",
            "change it by az eventhubs eventhub update --retention-time",
        ))
    }

    async fn positions_at(
        &self,
        topic: &str,
        _time: SystemTime,
    ) -> Result<Vec<(Partition, Position)>> {
        self.namespace.check_open("positions_at")?;
        self.partitions_of("positions_at", topic).await?;
        Err(elsewhere("positions_at", "not yet", ""))
    }

    async fn list_groups(&self, topic: &str) -> Result<Vec<GroupInfo>> {
        self.namespace.check_open("list_groups")?;
        self.partitions_of("list_groups", topic).await?;
        Err(elsewhere("list_groups", "not yet", ""))
    }

    async fn delete_group(&self, _group: &str) -> Result<()> {
        self.namespace.check_open("delete_group")?;
        Err(elsewhere("delete_group", "not yet", ""))
    }

    async fn lag(&self, topic: &str, _group: &str) -> Result<Vec<PartitionLag>> {
        self.namespace.check_open("lag")?;
        self.partitions_of("lag", topic).await?;
        Err(elsewhere("lag", "not yet", ""))
    }
}

impl EventHubsAdmin {
    /// NotFound if it is not there.
    async fn partitions_of(&self, operation: &'static str, topic: &str) -> Result<Vec<u32>> {
        let client = Client::new(&self.namespace, operation, topic)?;
        let question = move |connection: Arc<Connection>| async move {
            describe::partitions(&connection, operation).await
        };
        let told = client.ask(operation, question).await;
        client.close().await;
        told
    }
}
