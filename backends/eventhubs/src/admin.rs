use crate::{
    client::{Client, Namespace},
    connection::Connection,
    describe::{self, Ends, Management},
    error::{HUB, invalid, unanswered},
    locate,
    log::Numbered,
    name,
    provision::Provisioner,
};
use anyhub_core::{
    Admin, Error, ErrorKind, GroupInfo, Partition, PartitionInfo, PartitionLag, Position, Resized,
    Result, Retention, TopicConfig, TopicInfo,
};
use anyhub_groups::{Leasing, Part as _, Resume, StoredGroups};
use async_trait::async_trait;
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{sleep, timeout};

/// Event hubs and consumer groups, as far as AMQP tells of them.
#[derive(Debug)]
pub(crate) struct EventHubsAdmin {
    namespace: Namespace,
    leases: Leasing,
}

impl EventHubsAdmin {
    pub(crate) fn new(namespace: Namespace, leases: Leasing) -> Self {
        Self { namespace, leases }
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

/// What can't be done by AMQP.
fn elsewhere(operation: &'static str, what: &str, how: &str) -> Error {
    let message = format!("{what} by AMQP");
    let how = format!(
        "give subscription= and resource_group= for Azure Resource Manager to do it, or a Provisioner in \
         EventHubsConfig; or {how}"
    );
    Error::new(ErrorKind::Unsupported, HUB, operation, message).with_advice(how)
}

/// How long a new event hub may take until it answers.
const READY: Duration = Duration::from_secs(60);

impl EventHubsAdmin {
    /// The numbers of its partitions. NotFound if it is not there.
    async fn look(&self, operation: &'static str, topic: &str) -> Result<Vec<u32>> {
        self.namespace.check_open(operation)?;
        let client = Client::new(&self.namespace, operation, topic)?;
        let question = move |connection: Arc<Connection>| async move {
            describe::partitions(&connection, operation).await
        };
        let told = client.ask(operation, question).await;
        client.close().await;
        told
    }

    /// Config where no store was chosen.
    async fn groups(&self, operation: &'static str) -> Result<StoredGroups> {
        let store = self.leases.store(operation).await?;
        let place = self.namespace.place()?;
        Ok(StoredGroups::new(HUB, place, store, operation))
    }

    fn provisioner(
        &self,
        operation: &'static str,
        what: &str,
        how: &str,
    ) -> Result<Arc<dyn Provisioner>> {
        let provisioner = self.namespace.provisioner()?;
        provisioner.ok_or_else(|| elsewhere(operation, what, how))
    }
}

#[async_trait]
impl Admin for EventHubsAdmin {
    async fn create_topic(&self, topic: &TopicConfig) -> Result<()> {
        const CREATE: &str = "create_topic";
        self.namespace.check_open(CREATE)?;
        if topic.partitions == 0 {
            return Err(invalid(CREATE, "an event hub has 1 partition or more"));
        }
        if topic.retention.bytes.is_some() {
            let message = "Event Hubs keeps events by time, not by size";
            return Err(Error::new(ErrorKind::Unsupported, HUB, CREATE, message));
        }
        let how = "make it in the Azure portal, or by az eventhubs eventhub create";
        let provisioner = self.provisioner(CREATE, "an event hub can't be made", how)?;
        provisioner.create_hub(topic).await?;
        let ready = async {
            let mut pause = Duration::from_millis(10);
            loop {
                match self.look(CREATE, &topic.name).await {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    answer => return answer.map(drop),
                }
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        };
        let ready = timeout(READY, ready).await;
        ready.unwrap_or_else(|_| Err(unanswered(CREATE, "the new event hub")))
    }

    /// The checkpoints of its groups go with it: they mean nothing in another one of its name.
    async fn delete_topic(&self, topic: &str) -> Result<()> {
        const DELETE: &str = "delete_topic";
        self.look(DELETE, topic).await?;
        let how = "delete it in the Azure portal, or by az eventhubs eventhub delete";
        let provisioner = self.provisioner(DELETE, "an event hub can't be deleted", how)?;
        // Before it goes: if this fails, nothing has happened yet.
        let groups = match self.leases.is_set() {
            true => Some(self.groups(DELETE).await?),
            false => None,
        };
        provisioner.delete_hub(topic).await?;
        match groups {
            Some(groups) => groups.forget_topic(&topic.to_ascii_lowercase()).await,
            None => Ok(()),
        }
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
        const LIST: &str = "list_topics";
        self.namespace.check_open(LIST)?;
        let how = "list them by az eventhubs eventhub list";
        let provisioner = self.provisioner(LIST, "event hubs can't be listed", how)?;
        let mut names = provisioner.list_hubs().await?;
        names.sort_unstable();
        Ok(names)
    }

    async fn set_partitions(&self, topic: &str, partitions: u32) -> Result<Resized> {
        const RESIZE: &str = "set_partitions";
        let there = self.look(RESIZE, topic).await?;
        if there.len() as u64 >= u64::from(partitions) {
            let message = format!("'{topic}' has {} partitions already", there.len());
            return Err(invalid(RESIZE, message));
        }
        let how =
            "in the tiers Premium and Dedicated, by az eventhubs eventhub update --partition-count";
        let provisioner = self.provisioner(RESIZE, "partitions can't be added", how)?;
        provisioner.set_partitions(topic, partitions).await?;
        Ok(Resized::new(false))
    }

    async fn set_retention(&self, topic: &str, retention: &Retention) -> Result<()> {
        const RETAIN: &str = "set_retention";
        self.look(RETAIN, topic).await?;
        if retention.bytes.is_some() {
            let message = "Event Hubs keeps events by time, not by size";
            return Err(Error::new(ErrorKind::Unsupported, HUB, RETAIN, message));
        }
        let how = "change it by az eventhubs eventhub update --retention-time-in-hours";
        let provisioner = self.provisioner(RETAIN, "retention can't be changed", how)?;
        provisioner.set_retention(topic, retention).await
    }

    async fn positions_at(
        &self,
        topic: &str,
        time: SystemTime,
    ) -> Result<Vec<(Partition, Position)>> {
        const LOCATE: &str = "positions_at";
        self.namespace.check_open(LOCATE)?;
        let client = Client::new(&self.namespace, LOCATE, topic)?;
        let group = self.namespace.config().reader_group.clone();
        let found = locate::at(&client, LOCATE, &group, time).await;
        client.close().await;
        let named = |(number, at)| (Partition::number(number), Position::offset(at));
        Ok(found?.into_iter().map(named).collect())
    }

    async fn list_groups(&self, topic: &str) -> Result<Vec<GroupInfo>> {
        const LIST: &str = "list_groups";
        self.look(LIST, topic).await?;
        let groups = self.groups(LIST).await?;
        groups.list(&topic.to_ascii_lowercase()).await
    }

    /// Its checkpoints, on all event hubs. The consumer groups of that name stay: they keep nothing, and
    /// others may read by them.
    async fn delete_group(&self, group: &str) -> Result<()> {
        const DELETE: &str = "delete_group";
        self.namespace.check_open(DELETE)?;
        name::of_group(DELETE, group)?;
        let groups = self.groups(DELETE).await?;
        groups.delete(&group.to_ascii_lowercase()).await
    }

    async fn lag(&self, topic: &str, group: &str) -> Result<Vec<PartitionLag>> {
        const LAG: &str = "lag";
        self.namespace.check_open(LAG)?;
        name::of_group(LAG, group)?;
        let client = Client::new(&self.namespace, LAG, topic)?;
        let lag = self.lag_by(&client, topic, group).await;
        client.close().await;
        lag
    }
}

impl EventHubsAdmin {
    async fn lag_by(&self, client: &Client, topic: &str, group: &str) -> Result<Vec<PartitionLag>> {
        const LAG: &str = "lag";
        let there = partitions(client, LAG).await?;
        let groups = self.groups(LAG).await?;
        let (topic, group) = (topic.to_ascii_lowercase(), group.to_ascii_lowercase());
        let group = groups.group(&topic, &group).await?;
        let mut lag = Vec::with_capacity(there.len());
        // Partitions that were begun together have one time: each is looked for in all of them at once.
        let mut located: HashMap<SystemTime, HashMap<u32, i64>> = HashMap::new();
        for (number, ends) in there {
            let part = Numbered::from(number);
            let from = group.resume(&part)?;
            let at = match from {
                Resume::Start => ends.first,
                Resume::At(at) => at,
                Resume::Time(time) => {
                    let found = match located.entry(time) {
                        Entry::Occupied(found) => found.into_mut(),
                        Entry::Vacant(vacant) => {
                            let reader_group = &self.namespace.config().reader_group;
                            let found = locate::at(client, LAG, reader_group, time).await?;
                            vacant.insert(found.into_iter().collect())
                        }
                    };
                    found.get(&number).copied().unwrap_or(ends.next)
                }
            };
            let left = ends.next - at.clamp(ends.first, ends.next);
            let committed = from.place().map(Position::offset);
            let told = PartitionLag::new(part.partition(), committed);
            lag.push(told.events(u64::try_from(left).unwrap_or_default()));
        }
        Ok(lag)
    }
}
