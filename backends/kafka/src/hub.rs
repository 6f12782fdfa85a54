use crate::{
    admin::KafkaAdmin,
    config::KafkaConfig,
    consumer::KafkaConsumer,
    control::Control,
    error::{HUB, closed},
    producer::KafkaProducer,
    shared::Shared,
};
use anyhub_core::{
    Admin, Assignment, Capabilities, Consumer, ConsumerOptions, HeaderSupport, Hub, HubUrl,
    Producer, ProducerOptions, Result, Usage, driver::Opened,
};
use async_trait::async_trait;
use futures_util::future::join_all;
use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Apache Kafka, or whatever speaks its protocol.
#[derive(Debug)]
pub struct KafkaHub {
    config: KafkaConfig,
    control: Control,
    admin: KafkaAdmin,
    traffic: Arc<Traffic>,
    producers: Opened<KafkaProducer>,
    consumers: Opened<Shared>,
    closed: Arc<AtomicBool>,
}

impl KafkaHub {
    /// The hub that a URL names (see [`KafkaConfig`]), without I/O but for the properties file.
    /// Config for an option that is none.
    pub fn from_url(url: &HubUrl) -> Result<Self> {
        Self::new(KafkaConfig::from_url(url)?)
    }

    /// The hub with this configuration, without I/O. Config for a property that is none.
    pub fn new(config: KafkaConfig) -> Result<Self> {
        config.check()?;
        let control = Control::new(config.clone());
        Ok(Self {
            admin: KafkaAdmin::new(config.clone(), control.clone()),
            config,
            control,
            traffic: Arc::default(),
            producers: Opened::default(),
            consumers: Opened::default(),
            closed: Arc::default(),
        })
    }

    fn check_open(&self, operation: &'static str) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed(operation, "hub"));
        }
        Ok(())
    }
}

#[async_trait]
impl Hub for KafkaHub {
    fn name(&self) -> &'static str {
        HUB
    }

    fn capabilities(&self) -> Capabilities {
        capabilities(&self.config)
    }

    async fn producer(&self, topic: &str, options: ProducerOptions) -> Result<Arc<dyn Producer>> {
        self.check_open("producer")?;
        self.control.partitions("producer", topic).await?;
        let most_bytes = self.admin.most_bytes(topic).await?;
        let traffic = self.traffic.clone();
        let producer =
            KafkaProducer::open(&self.config, topic, options, most_bytes, traffic).await?;
        self.producers.add(&producer);
        if let Err(closed) = self.check_open("producer") {
            producer.close().await?;
            return Err(closed);
        }
        Ok(producer)
    }

    async fn consumer(&self, topic: &str, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        self.check_open("consumer")?;
        let (config, control) = (self.config.clone(), self.control.clone());
        let (traffic, ended) = (self.traffic.clone(), self.closed.clone());
        let consumer = KafkaConsumer::open(config, control, topic, options, traffic, ended).await?;
        self.consumers.add(consumer.shared());
        Ok(Box::new(consumer))
    }

    fn admin(&self) -> &dyn Admin {
        &self.admin
    }

    fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        usage.add("bytes_in", self.traffic.sent.load(Ordering::Relaxed));
        usage.add("bytes_out", self.traffic.received.load(Ordering::Relaxed));
        usage
    }

    /// The administration's client, an `AdminClient` of rdkafka, where it was used before.
    fn native(&self) -> &(dyn Any + Send + Sync) {
        self.admin.native()
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        let mut result = Ok(());
        for producer in self.producers.left() {
            result = result.and(producer.close().await);
        }
        // At once: each awaits its group.
        let consumers = self.consumers.left();
        for closed in join_all(consumers.iter().map(Shared::close)).await {
            result = result.and(closed);
        }
        self.control.close();
        self.admin.close();
        result
    }
}

/// What Kafka can do with these settings.
pub(crate) fn capabilities(config: &KafkaConfig) -> Capabilities {
    let mut can = Capabilities::portable();
    can.assignment = Assignment::Exclusive;
    can.positions = true;
    can.receipts = true;
    can.headers = HeaderSupport::Any;
    can.binary_keys = true;
    can.tombstones = true;
    can.idempotent_producer = config.is_idempotent();
    can.order_across_resize = false;
    can.resize = true;
    can.overtaken = true;
    can.retention_bytes = true;
    can.lag_in_events = true;
    can
}

/// Bytes of events through a hub, for its [`Usage`]: keys, payloads and headers as they were
/// given, and keys and payloads as they came.
#[derive(Debug, Default)]
pub struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// They were counted, and did not go.
    pub(crate) fn unsent(&self, bytes: usize) {
        self.sent.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
