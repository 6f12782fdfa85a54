use crate::{
    config::KafkaConfig,
    error::{closed, coded, failed, no_topic},
    groups::{Committed, committed},
    native::each_ok,
    property::Role,
    trouble::{self, Trouble},
};
use anyhub_core::{Error, ErrorKind, Result, shown};
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    client::NativeClient,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    metadata::Metadata,
    types::RDKafkaErrorCode,
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::spawn_blocking;

/// Within this a question to the brokers is answered, or they can't be reached.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Asks about topics, on blocking threads, with a client of its own.
#[derive(Clone)]
pub(crate) struct Control(Arc<Inner>);

struct Inner {
    config: KafkaConfig,
    client: Mutex<State>,
}

enum State {
    Unopened,
    Open(Arc<BaseConsumer<Quiet>>),
    Closed,
}

/// Passes librdkafka's words on.
#[derive(Debug, Default)]
pub(crate) struct Quiet(pub(crate) Arc<Trouble>);

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        trouble::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.note(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        tracing::trace!(target: "librdkafka", "{}", String::from_utf8_lossy(statistics));
    }
}

impl ConsumerContext for Quiet {}

/// A partition and an offset in it.
pub(crate) type Places = Vec<(u32, i64)>;

impl Control {
    pub(crate) fn new(config: KafkaConfig) -> Self {
        Self(Arc::new(Inner {
            config,
            client: Mutex::new(State::Unopened),
        }))
    }

    /// How many partitions the topic has. NotFound if it is not there.
    pub(crate) async fn partitions(&self, operation: &'static str, topic: &str) -> Result<u32> {
        let topic = topic.to_owned();
        self.ask(operation, move |asker| asker.partitions(&topic))
            .await
    }

    /// Asks on a blocking thread.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        question: impl FnOnce(&Asker<'_, BaseConsumer<Quiet>>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let this = self.clone();
        let answer = spawn_blocking(move || {
            let client = this.client(operation)?;
            let answer = question(&Asker {
                client: &client,
                trouble: &client.context().0,
                brokers: &this.0.config.bootstrap,
                operation,
                deadline: Instant::now() + PATIENCE,
            });
            Ask::serve(&*client);
            answer
        });
        answer.await.map_err(|_| closed(operation, "hub"))?
    }

    /// The client itself, opened if it was not.
    pub(crate) fn client(&self, operation: &'static str) -> Result<Arc<BaseConsumer<Quiet>>> {
        let state = &mut *self.0.client.lock().unwrap_or_else(PoisonError::into_inner);
        match state {
            State::Open(client) => Ok(client.clone()),
            State::Closed => Err(closed(operation, "hub")),
            State::Unopened => {
                let config = self.0.config.client(Role::Consumer);
                let client: Result<BaseConsumer<Quiet>, _> =
                    config.create_with_context(Quiet::default());
                let client = Arc::new(client.map_err(|error| failed(operation, &error))?);
                *state = State::Open(client.clone());
                Ok(client)
            }
        }
    }

    /// Lets the client go; it may take a moment, so it does so on a thread of its own.
    pub(crate) fn close(&self) {
        let mut state = self.0.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(client) = std::mem::replace(&mut *state, State::Closed) {
            let_go(move || drop(client));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self
            .client
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let State::Open(client) = std::mem::replace(state, State::Closed) {
            let_go(move || drop(client));
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Control({})", shown(&self.0.config.bootstrap))
    }
}

/// Lets a client go on a thread of its own: librdkafka's destructors block.
pub(crate) fn let_go(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name("anyhub-kafka-close".to_owned());
    // Without a thread it is done here: slowly, but no worse.
    let _ = thread.spawn(work);
}

/// A client to ask, and until when. Its methods block.
pub(crate) struct Asker<'a, A> {
    pub(crate) client: &'a A,
    pub(crate) trouble: &'a Trouble,
    pub(crate) brokers: &'a str,
    pub(crate) operation: &'static str,
    pub(crate) deadline: Instant,
}

/// What a client of either kind can be asked. Blocks.
pub(crate) trait Ask {
    fn metadata(&self, topic: Option<&str>, timeout: Duration) -> KafkaResult<Metadata>;

    fn offsets_for_times(
        &self,
        list: TopicPartitionList,
        timeout: Duration,
    ) -> KafkaResult<TopicPartitionList>;

    fn committed(
        &self,
        list: TopicPartitionList,
        timeout: Duration,
    ) -> KafkaResult<TopicPartitionList>;

    fn native(&self) -> &NativeClient;

    /// Takes in the errors that wait to be told, where that can't take an event away.
    fn serve(&self);
}

impl Ask for BaseConsumer<Quiet> {
    fn metadata(&self, topic: Option<&str>, timeout: Duration) -> KafkaResult<Metadata> {
        self.fetch_metadata(topic, timeout)
    }

    fn offsets_for_times(
        &self,
        list: TopicPartitionList,
        timeout: Duration,
    ) -> KafkaResult<TopicPartitionList> {
        Consumer::offsets_for_times(self, list, timeout)
    }

    fn committed(
        &self,
        list: TopicPartitionList,
        timeout: Duration,
    ) -> KafkaResult<TopicPartitionList> {
        self.committed_offsets(list, timeout)
    }

    fn native(&self) -> &NativeClient {
        self.client().native_client()
    }

    fn serve(&self) {
        for _ in 0..32 {
            self.poll(Duration::ZERO);
        }
    }
}

impl<A: Ask> Asker<'_, A> {
    /// How many partitions the topic has, each with a leader. NotFound if it is not there.
    pub(crate) fn partitions(&self, topic: &str) -> Result<u32> {
        // A broker that has not heard of a new topic yet hears of it within moments.
        let mut unknown = 0;
        loop {
            let metadata =
                self.until_answered(|timeout| self.client.metadata(Some(topic), timeout))?;
            let topics = metadata.topics();
            let found = topics.iter().find(|found| found.name() == topic);
            let code = match found {
                Some(found) => found.error().map(RDKafkaErrorCode::from),
                None => Some(RDKafkaErrorCode::UnknownTopicOrPartition),
            };
            let led = found.map_or(0, |found| {
                let partitions = found.partitions();
                partitions
                    .iter()
                    .filter(|partition| partition.leader() >= 0)
                    .count()
            });
            match (found, code) {
                (Some(found), None) if led == found.partitions().len() && led > 0 => {
                    return Ok(led as u32);
                }
                (_, Some(RDKafkaErrorCode::UnknownTopicOrPartition)) => {
                    unknown += 1;
                    if unknown > 3 {
                        return Err(no_topic(self.operation, topic));
                    }
                }
                (_, Some(code)) if !is_passing(code) => return Err(coded(self.operation, code)),
                _ => {}
            }
            if Instant::now() >= self.deadline {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    crate::error::HUB,
                    self.operation,
                    format!("partitions of '{topic}' are without a leader"),
                )
                .with_advice("look at the brokers that hold it"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The oldest offset kept in each partition.
    pub(crate) fn first(&self, topic: &str, partitions: &[u32]) -> Result<Places> {
        self.list(topic, partitions, Offset::Beginning)
    }

    /// The offset of the next event of each partition; with `isolation.level=read_committed`, of
    /// the next one that could be read.
    pub(crate) fn next(&self, topic: &str, partitions: &[u32]) -> Result<Places> {
        self.list(topic, partitions, Offset::End)
    }

    /// The offset of the first event at or after `millis`; after the newest where there is none.
    pub(crate) fn at(&self, topic: &str, partitions: &[u32], millis: i64) -> Result<Places> {
        loop {
            // The end before the question: what comes in between is found by asking again.
            let before = self.next(topic, partitions)?;
            let mut places = self.list(topic, partitions, Offset::Offset(millis.max(0)))?;
            let behind = places.iter().any(|place| place.1 < 0);
            if !behind {
                return Ok(places);
            }
            let after = self.next(topic, partitions)?;
            let of = |list: &Places, partition| {
                list.iter()
                    .find(|end| end.0 == partition)
                    .map_or(0, |end| end.1)
            };
            let mut missed = false;
            for place in places.iter_mut().filter(|place| place.1 < 0) {
                place.1 = of(&after, place.0);
                missed |= of(&before, place.0) != place.1;
            }
            if !missed || Instant::now() >= self.deadline {
                return Ok(places);
            }
        }
    }

    /// The names of all topics that are not Kafka's own, sorted.
    pub(crate) fn topics(&self) -> Result<Vec<String>> {
        let metadata = self.until_answered(|timeout| self.client.metadata(None, timeout))?;
        let topics = metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned());
        let mut topics: Vec<_> = topics.filter(|name| !name.starts_with("__")).collect();
        topics.sort();
        Ok(topics)
    }

    /// Waits until nobody knows the topic any more.
    pub(crate) fn gone(&self, topic: &str) -> Result<()> {
        while Instant::now() < self.deadline {
            if !self.topics()?.iter().any(|name| name == topic) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let message = format!("'{topic}' is deleted, but still listed after {PATIENCE:?}");
        Err(Error::new(
            ErrorKind::Timeout,
            crate::error::HUB,
            self.operation,
            message,
        ))
    }

    /// What each of these groups has committed, on any topic.
    pub(crate) fn committed_by(&self, groups: &[&str]) -> Result<Vec<Committed>> {
        self.until_answered(|timeout| committed(self.client.native(), groups, timeout))
    }

    /// Where the client's group would resume; None where it has committed nothing.
    pub(crate) fn committed(
        &self,
        topic: &str,
        partitions: &[u32],
    ) -> Result<Vec<(u32, Option<i64>)>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let asked = || list(topic, partitions, Offset::Invalid);
        let answered = self.until_answered(|timeout| {
            let list = self.client.committed(asked()?, timeout)?;
            each_ok(&list)?;
            Ok(list)
        })?;
        let elements = answered.elements();
        Ok(elements
            .iter()
            .map(|element| {
                let offset = match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                };
                (element.partition() as u32, offset)
            })
            .collect())
    }

    /// librdkafka passes its marks for the two ends on as the special times that ListOffsets has
    /// for them: one request to each leader.
    fn list(&self, topic: &str, partitions: &[u32], at: Offset) -> Result<Places> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let answered = self.until_answered(|timeout| {
            let list = self
                .client
                .offsets_for_times(list(topic, partitions, at)?, timeout)?;
            each_ok(&list)?;
            Ok(list)
        })?;
        let elements = answered.elements();
        Ok(elements
            .iter()
            .map(|element| {
                let offset = element.offset().to_raw().unwrap_or(-1);
                (element.partition() as u32, offset)
            })
            .collect())
    }

    /// Asks until there is an answer or a refusal, or the deadline is over.
    pub(crate) fn until_answered<T>(
        &self,
        mut ask: impl FnMut(Duration) -> Result<T, KafkaError>,
    ) -> Result<T> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            // In slices, so that a refused password is told at once.
            let slice = left.clamp(Duration::from_millis(1), Duration::from_secs(2));
            let error = match ask(slice) {
                Ok(answer) => {
                    self.trouble.clear();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            self.client.serve();
            if let Some(denied) = self.trouble.denied(self.operation) {
                return Err(denied);
            }
            match error.rdkafka_error_code() {
                Some(code) if is_passing(code) => {}
                _ => return Err(failed(self.operation, &error)),
            }
            if Instant::now() >= self.deadline {
                return Err(self.trouble.explain(self.operation, self.brokers));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Asker<'_, BaseConsumer<Quiet>> {
    /// How many members a group has; None if there is no such group.
    pub(crate) fn members(&self, group: &str) -> Result<Option<usize>> {
        let list =
            self.until_answered(|timeout| self.client.fetch_group_list(Some(group), timeout))?;
        let mut groups = list.groups().iter().filter(|found| found.name() == group);
        let found = groups.find(|found| found.state() != "Dead");
        Ok(found.map(|found| found.members().len()))
    }
}

/// Whether it passes by itself.
pub(crate) fn is_passing(code: RDKafkaErrorCode) -> bool {
    matches!(
        crate::error::kind(code),
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Throttled
    ) || code == RDKafkaErrorCode::InProgress
        || code == RDKafkaErrorCode::WaitCache
}

/// Partitions of a topic at one offset.
pub(crate) fn list(
    topic: &str,
    partitions: &[u32],
    offset: Offset,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition_offset(topic, *partition as i32, offset)?;
    }
    Ok(list)
}

/// Partitions of a topic, each at its offset.
pub(crate) fn places(topic: &str, places: &[(u32, i64)]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (partition, offset) in places {
        list.add_partition_offset(topic, *partition as i32, Offset::Offset(*offset))?;
    }
    Ok(list)
}
