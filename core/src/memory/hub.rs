use super::{
    HUB, config::MemoryConfig, consumer::MemoryConsumer, member::End, producer::MemoryProducer,
    topic::Topic,
};
use crate::{
    Admin, Assignment, Capabilities, Consumer, ConsumerOptions, Error, ErrorKind, HeaderSupport,
    Hub, HubUrl, Producer, ProducerOptions, Result, TopicConfig, Usage, nearest,
    opened::Opened,
    shown,
    sync::{Mutex, MutexGuard, lock},
};
use async_trait::async_trait;
use std::{
    any::Any,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

pub(super) const CAPABILITIES: Capabilities = Capabilities {
    assignment: Assignment::Exclusive,
    positions: true,
    receipts: true,
    headers: HeaderSupport::Any,
    binary_keys: true,
    tombstones: true,
    idempotent_producer: true,
    order_across_resize: false,
    resize: true,
    overtaken: true,
    retention_bytes: true,
    lag_in_events: true,
};

/// A hub in this process: partitions, groups and retention without a server. See the
/// [module](crate::memory).
#[derive(Debug, Default)]
pub struct MemoryHub {
    pub(super) config: MemoryConfig,
    topics: Mutex<BTreeMap<String, Arc<Topic>>>,
    producers: Opened<MemoryProducer>,
    counters: Arc<Counters>,
    ids: AtomicU64,
    closed: AtomicBool,
}

impl MemoryHub {
    /// An empty hub with the defaults of [`MemoryConfig`].
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty hub. Config for settings that can't be.
    pub fn with_config(config: MemoryConfig) -> Result<Self> {
        config.check()?;
        Ok(Self {
            config,
            ..Self::default()
        })
    }

    /// A hub of its own for a URL such as `memory:/tweets?partitions=4`; the options are the fields
    /// of [`MemoryConfig`]. With `partitions` the topic is there at once; without, the hub is
    /// empty. Config for an unknown option, Invalid for a topic that can't be.
    pub fn from_url(url: &HubUrl) -> Result<Self> {
        let hub = Self::with_config(MemoryConfig::from_url(url)?)?;
        if let Some(partitions) = hub.config.partitions {
            hub.create(&TopicConfig::new(url.topic()?).partitions(partitions))?;
        }
        Ok(hub)
    }

    /// The topics, unless the hub is closed.
    pub(super) fn topics(
        &self,
        operation: &'static str,
    ) -> Result<MutexGuard<'_, BTreeMap<String, Arc<Topic>>>> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::new(
                ErrorKind::Closed,
                HUB,
                operation,
                "the hub is closed",
            ));
        }
        Ok(lock(&self.topics))
    }

    pub(super) fn topic(&self, name: &str, operation: &'static str) -> Result<Arc<Topic>> {
        let topics = self.topics(operation)?;
        match topics.get(name) {
            Some(topic) => Ok(topic.clone()),
            None => Err(no_topic(name, &topics, operation)),
        }
    }
}

pub(super) fn no_topic(
    name: &str,
    topics: &BTreeMap<String, Arc<Topic>>,
    operation: &'static str,
) -> Error {
    let advice = match nearest(name, topics.keys().map(String::as_str)) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => "create it with Admin::create_topic".to_owned(),
    };
    let message = format!("there is no topic '{}'", shown(name));
    Error::new(ErrorKind::NotFound, HUB, operation, message).with_advice(advice)
}

#[async_trait]
impl Hub for MemoryHub {
    fn name(&self) -> &'static str {
        HUB
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn producer(&self, topic: &str, options: ProducerOptions) -> Result<Arc<dyn Producer>> {
        let topic = self.topic(topic, "producer")?;
        let producer = MemoryProducer::new(topic, self.counters.clone(), &options);
        let producer = Arc::new(producer);
        self.producers.add(&producer);
        if self.closed.load(Ordering::SeqCst) {
            producer.close_now();
        }
        Ok(producer)
    }

    async fn consumer(&self, topic: &str, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        let config = |message| Err(Error::new(ErrorKind::Config, HUB, "consumer", message));
        if options.group.as_deref() == Some("") {
            return config("the group's name is empty: name it, or leave it out to read alone");
        }
        if options.max_processing.is_zero() {
            return config("max_processing is 0: no partition could be kept");
        }
        let topic = self.topic(topic, "consumer")?;
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let consumer = MemoryConsumer::join(topic, self.counters.clone(), &options, id)?;
        Ok(Box::new(consumer))
    }

    fn admin(&self) -> &dyn Admin {
        self
    }

    fn usage(&self) -> Usage {
        self.counters.usage()
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::SeqCst);
        for producer in self.producers.left() {
            producer.close_now();
        }
        let topics = std::mem::take(&mut *lock(&self.topics));
        topics.values().for_each(|topic| topic.end(End::Closed));
        Ok(())
    }
}

/// What went through a hub.
#[derive(Debug, Default)]
pub(super) struct Counters {
    events_in: AtomicU64,
    bytes_in: AtomicU64,
    events_out: AtomicU64,
    bytes_out: AtomicU64,
}

impl Counters {
    pub(super) fn written(&self, events: u64, bytes: u64) {
        self.events_in.fetch_add(events, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn read(&self, events: u64, bytes: u64) {
        self.events_out.fetch_add(events, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for (unit, amount) in [
            ("events_in", &self.events_in),
            ("bytes_in", &self.bytes_in),
            ("events_out", &self.events_out),
            ("bytes_out", &self.bytes_out),
        ] {
            usage.add(unit, amount.load(Ordering::Relaxed));
        }
        usage
    }
}
