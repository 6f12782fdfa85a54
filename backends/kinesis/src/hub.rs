use crate::{
    admin::KinesisAdmin,
    client::Link,
    config::KinesisConfig,
    consumer,
    error::{HUB, closed},
    log::KinesisLog,
    producer::KinesisProducer,
    streams::Streams,
    usage::Counters,
};
use anyhub_core::{
    Admin, Assignment, Capabilities, Consumer, ConsumerOptions, HeaderSupport, Hub, HubUrl,
    Producer, ProducerOptions, Result, Usage, driver::Opened,
};
use anyhub_groups::{Leasing, Shared};
use async_trait::async_trait;
use futures_util::future::join_all;
use std::{any::Any, sync::Arc};

/// Amazon Kinesis, or whatever speaks its protocol.
#[derive(Debug)]
pub struct KinesisHub {
    link: Link,
    leasing: Leasing,
    admin: KinesisAdmin,
    streams: Streams,
    native: NativeHub,
    counters: Arc<Counters>,
    producers: Opened<KinesisProducer>,
    consumers: Opened<Shared<KinesisLog>>,
}

/// The SDK's client, as [`Hub::native`] hands it out.
#[derive(Debug)]
pub struct NativeHub(Link);

impl NativeHub {
    /// The client; made at the hub's first use, None before.
    pub fn client(&self) -> Option<&aws_sdk_kinesis::Client> {
        self.0.made()
    }
}

impl KinesisHub {
    /// The hub that a URL names (see [`KinesisConfig`]), without I/O. Config for an option that is
    /// none.
    pub fn from_url(url: &HubUrl) -> Result<Self> {
        Self::new(KinesisConfig::from_url(url)?)
    }

    /// The hub with this configuration, without I/O. Config for a value that can't be.
    pub fn new(config: KinesisConfig) -> Result<Self> {
        config.check()?;
        let leasing = consumer::leasing(&config);
        let link = Link::new(config);
        Ok(Self {
            admin: KinesisAdmin::new(link.clone(), leasing.clone()),
            streams: Streams::new(link.clone()),
            native: NativeHub(link.clone()),
            leasing,
            link,
            counters: Arc::default(),
            producers: Opened::default(),
            consumers: Opened::default(),
        })
    }

    /// What Kinesis' streams can do beyond [`Admin`]: splits, merges, modes, registered consumers.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    fn check_open(&self, operation: &'static str) -> Result<()> {
        if self.link.is_closed() {
            return Err(closed(operation, "hub"));
        }
        Ok(())
    }
}

#[async_trait]
impl Hub for KinesisHub {
    fn name(&self) -> &'static str {
        HUB
    }

    fn capabilities(&self) -> Capabilities {
        capabilities(self.link.config())
    }

    async fn producer(&self, topic: &str, options: ProducerOptions) -> Result<Arc<dyn Producer>> {
        self.check_open("producer")?;
        let (link, counters) = (self.link.clone(), self.counters.clone());
        let producer = KinesisProducer::open(link, topic, options, counters).await?;
        self.producers.add(&producer);
        if let Err(closed) = self.check_open("producer") {
            producer.close().await?;
            return Err(closed);
        }
        Ok(producer)
    }

    async fn consumer(&self, topic: &str, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        self.check_open("consumer")?;
        let (link, counters) = (self.link.clone(), self.counters.clone());
        let consumer = consumer::open(link, &self.leasing, topic, options, counters).await?;
        self.consumers.add(consumer.shared());
        if let Err(closed) = self.check_open("consumer") {
            consumer.shared().close().await?;
            return Err(closed);
        }
        Ok(Box::new(consumer))
    }

    fn admin(&self) -> &dyn Admin {
        &self.admin
    }

    fn usage(&self) -> Usage {
        self.counters.usage()
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.native
    }

    async fn close(&self) -> Result<()> {
        // First, so that whoever opens something now closes it again; what is open closes on its own.
        self.link.refuse();
        let mut result = Ok(());
        let producers = self.producers.left();
        for closed in join_all(producers.iter().map(|producer| producer.close())).await {
            result = result.and(closed);
        }
        let consumers = self.consumers.left();
        for closed in join_all(consumers.iter().map(|consumer| consumer.close())).await {
            result = result.and(closed);
        }
        self.link.close();
        result
    }
}

/// What Kinesis can do with these settings.
pub(crate) fn capabilities(config: &KinesisConfig) -> Capabilities {
    let mut can = Capabilities::portable();
    can.assignment = Assignment::Exclusive;
    can.positions = true;
    can.receipts = true;
    can.headers = match config.envelope {
        true => HeaderSupport::Any,
        false => HeaderSupport::None,
    };
    can.binary_keys = false;
    can.tombstones = false;
    can.idempotent_producer = false;
    can.order_across_resize = true;
    can.resize = true;
    can.overtaken = true;
    can.retention_bytes = false;
    can.lag_in_events = false;
    can
}
