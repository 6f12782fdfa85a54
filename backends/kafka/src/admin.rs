use crate::{
    config::KafkaConfig,
    control::{Asker, Control, PATIENCE, Quiet, let_go},
    error::{HUB, closed, coded, failed, no_topic},
    groups,
    property::Role,
};
use anyhub_core::{
    Admin, Error, ErrorKind, GroupInfo, Partition, PartitionInfo, PartitionLag, Position, Resized,
    Result, Retention, TopicConfig, TopicInfo, shown,
};
use async_trait::async_trait;
use rdkafka::{
    admin::{
        AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewPartitions, NewTopic,
        ResourceSpecifier, TopicReplication,
    },
    config::RDKafkaLogLevel,
    types::RDKafkaErrorCode as Code,
};
use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::time::sleep;

type Client = AdminClient<Quiet>;

/// Topics and groups of Kafka.
#[derive(Debug)]
pub(crate) struct KafkaAdmin {
    config: KafkaConfig,
    control: Control,
    native: NativeAdmin,
}

/// rdkafka's administration client, as [`Hub::native`](anyhub_core::Hub::native) hands it out.
pub struct NativeAdmin(Mutex<State>);

enum State {
    Unopened,
    Open(Arc<Client>),
    Closed,
}

impl NativeAdmin {
    /// The client; None before the first call that needed it, and after the hub was closed.
    pub fn client(&self) -> Option<Arc<AdminClient<impl rdkafka::ClientContext + use<>>>> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Open(client) => Some(client.clone()),
            _ => None,
        }
    }
}

impl fmt::Debug for NativeAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("librdkafka")
    }
}

impl Drop for NativeAdmin {
    fn drop(&mut self) {
        self.close();
    }
}

impl NativeAdmin {
    fn close(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(client) = std::mem::replace(&mut *state, State::Closed) {
            let_go(move || drop(client));
        }
    }
}

impl KafkaAdmin {
    pub(crate) fn new(config: KafkaConfig, control: Control) -> Self {
        Self {
            config,
            control,
            native: NativeAdmin(Mutex::new(State::Unopened)),
        }
    }

    pub(crate) fn close(&self) {
        self.native.close();
    }

    pub(crate) fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.native
    }

    /// Bytes of a record batch that the topic takes (E5): its `max.message.bytes`, or what was
    /// configured here if that is less.
    pub(crate) async fn most_bytes(&self, topic: &str) -> Result<usize> {
        /// librdkafka's default, where the broker does not tell.
        const UNTOLD: usize = 1_000_000;
        let told = match self.properties("producer", topic).await {
            Ok(entries) => number(&entries, "max.message.bytes"),
            Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::Unsupported) => {
                None
            }
            Err(error) => return Err(error),
        };
        let told = told
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(UNTOLD);
        let own = self
            .config
            .number("message.max.bytes")
            .map(|bytes| bytes as usize);
        // librdkafka's own range.
        Ok(told
            .min(own.unwrap_or(usize::MAX))
            .clamp(1_000, 1_000_000_000))
    }

    /// The client. The first call makes sure that the brokers can be reached, and if not says why.
    async fn client(&self, operation: &'static str) -> Result<Arc<Client>> {
        {
            let state = self.native.0.lock().unwrap_or_else(PoisonError::into_inner);
            match &*state {
                State::Open(client) => return Ok(client.clone()),
                State::Closed => return Err(closed(operation, "hub")),
                State::Unopened => {}
            }
        }
        self.control
            .ask(operation, |asker| asker.topics().map(|_| ()))
            .await?;
        let mut config = self.config.client(Role::Both);
        // Nobody can fetch the log lines of this client; the other one has the same troubles.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let client: Client = config
            .create_with_context(Quiet::default())
            .map_err(|error| failed(operation, &error))?;
        let client = Arc::new(client);
        let mut state = self.native.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(other) => Ok(other.clone()),
            State::Closed => Err(closed(operation, "hub")),
            State::Unopened => {
                *state = State::Open(client.clone());
                Ok(client)
            }
        }
    }

    async fn properties(&self, operation: &'static str, topic: &str) -> Result<Vec<ConfigEntry>> {
        let client = self.client(operation).await?;
        let answered = client
            .describe_configs([&ResourceSpecifier::Topic(topic)], &options())
            .await
            .map_err(|error| failed(operation, &error))?;
        match answered.into_iter().next() {
            Some(Ok(resource)) => Ok(resource.entries),
            Some(Err(code)) => Err(coded(operation, code)),
            None => Ok(Vec::new()),
        }
    }

    /// Waits until the brokers tell of so many partitions, each with a leader.
    async fn await_partitions(
        &self,
        operation: &'static str,
        topic: &str,
        count: u32,
    ) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.control.partitions(operation, topic).await {
                Ok(there) if there >= count => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= deadline {
                let message = format!("'{topic}' is not ready within {PATIENCE:?}");
                return Err(Error::new(ErrorKind::Timeout, HUB, operation, message)
                    .with_advice("it may become so by itself"));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

#[async_trait]
impl Admin for KafkaAdmin {
    async fn create_topic(&self, topic: &TopicConfig) -> Result<()> {
        const OPERATION: &str = "create_topic";
        let invalid = |message: String| Error::new(ErrorKind::Invalid, HUB, OPERATION, message);
        let Ok(partitions @ 1..) = i32::try_from(topic.partitions) else {
            return Err(invalid(format!(
                "a topic can't have {} partitions",
                topic.partitions
            ))
            .with_advice("give it 1 or more"));
        };
        let mut properties = vec![(
            "message.timestamp.type".to_owned(),
            "LogAppendTime".to_owned(),
        )];
        properties.extend(retention(&topic.retention));
        for (name, value) in &topic.properties {
            properties.retain(|(known, _)| known != name);
            properties.push((name.clone(), value.clone()));
        }
        let copies = topic.replication.map_or(-1, i32::from);
        let mut new = NewTopic::new(&topic.name, partitions, TopicReplication::Fixed(copies));
        for (name, value) in &properties {
            new = new.set(name, value);
        }
        let client = self.client(OPERATION).await?;
        let answered = client.create_topics([&new], &options()).await;
        let answered = answered.map_err(|error| failed(OPERATION, &error))?;
        match answered.into_iter().next() {
            Some(Err((_, Code::TopicAlreadyExists))) => Err(Error::new(
                ErrorKind::AlreadyExists,
                HUB,
                OPERATION,
                format!("there is a topic '{}' already", topic.name),
            )),
            Some(Err((_, Code::InvalidTopic))) => Err(invalid(format!(
                "'{}' can't be a topic's name",
                shown(&topic.name)
            ))
            .with_advice("use up to 249 letters, digits, dots, dashes and underscores")),
            Some(Err((_, code))) => Err(coded(OPERATION, code)),
            _ => {
                self.await_partitions(OPERATION, &topic.name, topic.partitions)
                    .await
            }
        }
    }

    async fn delete_topic(&self, topic: &str) -> Result<()> {
        const OPERATION: &str = "delete_topic";
        let client = self.client(OPERATION).await?;
        let answered = client.delete_topics(&[topic], &options()).await;
        let answered = answered.map_err(|error| failed(OPERATION, &error))?;
        match answered.into_iter().next() {
            Some(Err((_, Code::UnknownTopicOrPartition))) => Err(no_topic(OPERATION, topic)),
            Some(Err((_, code))) => Err(coded(OPERATION, code)),
            _ => {
                let topic = topic.to_owned();
                self.control
                    .ask(OPERATION, move |asker| asker.gone(&topic))
                    .await
            }
        }
    }

    async fn describe_topic(&self, topic: &str) -> Result<TopicInfo> {
        const OPERATION: &str = "describe_topic";
        let count = self.control.partitions(OPERATION, topic).await?;
        let entries = self.properties(OPERATION, topic).await?;
        let name = topic.to_owned();
        let ends = move |asker: &Asker<'_, _>| {
            let all: Vec<u32> = (0..count).collect();
            Ok((asker.first(&name, &all)?, asker.next(&name, &all)?))
        };
        let (first, next) = self.control.ask(OPERATION, ends).await?;
        let of = |list: &[(u32, i64)], partition| {
            let found = list.iter().find(|place| place.0 == partition);
            found.map(|place| Position::offset(place.1))
        };
        let partitions = (0..count)
            .map(|partition| {
                let (first, next) = (of(&first, partition), of(&next, partition));
                PartitionInfo::new(Partition::number(partition), first, next)
            })
            .collect();
        let mut keeps = Retention::new();
        // -1 is for ever, or any size: no limit to tell.
        if let Some(millis) = number(&entries, "retention.ms").and_then(|it| u64::try_from(it).ok())
        {
            keeps = keeps.time(Duration::from_millis(millis));
        }
        if let Some(bytes) =
            number(&entries, "retention.bytes").and_then(|it| u64::try_from(it).ok())
        {
            keeps = keeps.bytes(bytes);
        }
        Ok(TopicInfo::new(topic, partitions).retention(keeps))
    }

    async fn list_topics(&self) -> Result<Vec<String>> {
        self.control
            .ask("list_topics", |asker| asker.topics())
            .await
    }

    async fn set_partitions(&self, topic: &str, partitions: u32) -> Result<Resized> {
        const OPERATION: &str = "set_partitions";
        let there = self.control.partitions(OPERATION, topic).await?;
        if partitions <= there {
            return Err(Error::new(
                ErrorKind::Invalid,
                HUB,
                OPERATION,
                format!("'{topic}' has {there} partitions: {partitions} are not more"),
            )
            .with_advice("Kafka can't take partitions away"));
        }
        let client = self.client(OPERATION).await?;
        let more = NewPartitions::new(topic, partitions as usize);
        let answered = client.create_partitions([&more], &options()).await;
        let answered = answered.map_err(|error| failed(OPERATION, &error))?;
        if let Some(Err((_, code))) = answered.into_iter().next() {
            return Err(coded(OPERATION, code));
        }
        self.await_partitions(OPERATION, topic, partitions).await?;
        Ok(Resized::new(false))
    }

    async fn set_retention(&self, topic: &str, keeps: &Retention) -> Result<()> {
        const OPERATION: &str = "set_retention";
        self.control.partitions(OPERATION, topic).await?;
        let wanted = retention(keeps);
        let entries = self.properties(OPERATION, topic).await?;
        // The call sets all that the topic has of its own, so what stays is told again.
        let mut all: Vec<(String, String)> = entries
            .into_iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic)
            .filter_map(|entry| Some((entry.name, entry.value?)))
            .filter(|(name, _)| !wanted.iter().any(|(other, _)| other == name))
            .collect();
        all.extend(wanted.iter().cloned());
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (name, value) in &all {
            change = change.set(name, value);
        }
        let client = self.client(OPERATION).await?;
        let answered = client.alter_configs([&change], &options()).await;
        answered.map_err(|error| failed(OPERATION, &error))?;
        // rdkafka does not pass the broker's refusal on: look whether it came to be.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.properties(OPERATION, topic).await?;
            let is_set = |(name, value): &(String, String)| {
                now.iter()
                    .any(|entry| entry.name == *name && entry.value.as_ref() == Some(value))
            };
            if wanted.iter().all(is_set) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let message = format!("the broker did not take the retention of '{topic}'");
                return Err(Error::new(ErrorKind::Invalid, HUB, OPERATION, message)
                    .with_advice("look at the brokers' policies and at this user's rights"));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn positions_at(
        &self,
        topic: &str,
        time: SystemTime,
    ) -> Result<Vec<(Partition, Position)>> {
        const OPERATION: &str = "positions_at";
        let count = self.control.partitions(OPERATION, topic).await?;
        let name = topic.to_owned();
        let places = self.control.ask(OPERATION, move |asker| {
            let all: Vec<u32> = (0..count).collect();
            asker.at(&name, &all, millis(time))
        });
        let mut places = places.await?;
        places.sort_unstable();
        Ok(places
            .into_iter()
            .map(|(partition, offset)| (Partition::number(partition), Position::offset(offset)))
            .collect())
    }

    async fn list_groups(&self, topic: &str) -> Result<Vec<GroupInfo>> {
        const OPERATION: &str = "list_groups";
        self.control.partitions(OPERATION, topic).await?;
        let name = topic.to_owned();
        self.control
            .ask(OPERATION, move |asker| groups::of(asker, &name))
            .await
    }

    async fn delete_group(&self, group: &str) -> Result<()> {
        const OPERATION: &str = "delete_group";
        let client = self.client(OPERATION).await?;
        let answered = client.delete_groups(&[group], &options()).await;
        let answered = answered.map_err(|error| failed(OPERATION, &error))?;
        match answered.into_iter().next() {
            Some(Err((_, Code::GroupIdNotFound))) => Err(no_group(OPERATION, group)),
            Some(Err((_, code))) => Err(coded(OPERATION, code)),
            _ => Ok(()),
        }
    }

    async fn lag(&self, topic: &str, group: &str) -> Result<Vec<PartitionLag>> {
        const OPERATION: &str = "lag";
        let count = self.control.partitions(OPERATION, topic).await?;
        let (topic, group) = (topic.to_owned(), group.to_owned());
        let asking = self.control.ask(OPERATION, move |asker| {
            let all: Vec<u32> = (0..count).collect();
            // Before the ends, so that no lag is negative.
            let committed = asker.committed_by(&[&group])?.swap_remove(0);
            let committed = groups::on_topic(&committed, &topic);
            if committed.is_empty() && asker.members(&group)?.is_none() {
                return Err(no_group(OPERATION, &group));
            }
            let (first, next) = (asker.first(&topic, &all)?, asker.next(&topic, &all)?);
            let of = |list: &[(u32, i64)], partition| {
                list.iter()
                    .find(|place| place.0 == partition)
                    .map(|place| place.1)
            };
            Ok(all
                .into_iter()
                .map(|partition| {
                    let at = of(&committed, partition);
                    let first = of(&first, partition).unwrap_or(0);
                    let next = of(&next, partition).unwrap_or(0);
                    let from = at.unwrap_or(first).max(first);
                    PartitionLag::new(Partition::number(partition), at.map(Position::offset))
                        .events(u64::try_from(next - from).unwrap_or(0))
                })
                .collect())
        });
        asking.await
    }
}

fn no_group(operation: &'static str, group: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        HUB,
        operation,
        format!("there is no group '{}'", shown(group)),
    )
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE))
}

fn number(entries: &[ConfigEntry], name: &str) -> Option<i64> {
    let entry = entries.iter().find(|entry| entry.name == name)?;
    entry.value.as_ref()?.parse().ok()
}

/// As the topic's properties.
fn retention(keeps: &Retention) -> Vec<(String, String)> {
    let time = keeps.time.map(|time| {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        ("retention.ms".to_owned(), millis.to_string())
    });
    let bytes = keeps.bytes.map(|bytes| {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        ("retention.bytes".to_owned(), bytes.to_string())
    });
    time.into_iter().chain(bytes).collect()
}

/// The first whole millisecond that is not earlier, since the log counts in those.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}
