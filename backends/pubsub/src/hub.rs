use crate::{
    admin::PubSubAdmin, client::Client, config::PubSubConfig, consumer::PubSubConsumer, error::HUB,
    native::NativeHub, producer::PubSubProducer, shared::Shared,
};
use anyhub_core::{
    Admin, Assignment, Capabilities, Consumer, ConsumerOptions, HeaderSupport, Hub, HubUrl,
    Partition, Producer, ProducerOptions, Result, Usage, driver::Opened,
};
use async_trait::async_trait;
use futures_util::future::join_all;
use std::{
    any::Any,
    sync::{Arc, LazyLock},
};

/// Google Cloud Pub/Sub, or whatever speaks its protocol.
#[derive(Debug)]
pub struct PubSubHub {
    client: Client,
    admin: PubSubAdmin,
    native: NativeHub,
    producers: Opened<PubSubProducer>,
    consumers: Arc<Opened<Shared>>,
}

impl PubSubHub {
    /// The hub that a URL names (see [`PubSubConfig`]), without I/O. Config for an option that is none.
    pub fn from_url(url: &HubUrl) -> Result<Self> {
        Self::new(PubSubConfig::from_url(url)?)
    }

    /// The hub with this configuration, without I/O. Config for a value that can't be.
    pub fn new(config: PubSubConfig) -> Result<Self> {
        let client = Client::new(config)?;
        let consumers = Arc::<Opened<Shared>>::default();
        Ok(Self {
            admin: PubSubAdmin::new(client.clone(), consumers.clone()),
            native: NativeHub(client.clone()),
            client,
            producers: Opened::default(),
            consumers,
        })
    }
}

#[async_trait]
impl Hub for PubSubHub {
    fn name(&self) -> &'static str {
        HUB
    }

    fn capabilities(&self) -> Capabilities {
        *CAPABILITIES
    }

    async fn producer(&self, topic: &str, options: ProducerOptions) -> Result<Arc<dyn Producer>> {
        self.client.check_open("producer")?;
        let producer = PubSubProducer::open(&self.client, topic, options).await?;
        self.producers.add(&producer);
        if let Err(closed) = self.client.check_open("producer") {
            producer.close().await?;
            return Err(closed);
        }
        Ok(producer)
    }

    async fn consumer(&self, topic: &str, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        self.client.check_open("consumer")?;
        let consumer = PubSubConsumer::open(&self.client, topic, options).await?;
        self.consumers.add(consumer.shared());
        if let Err(closed) = self.client.check_open("consumer") {
            consumer.shared().close().await?;
            return Err(closed);
        }
        Ok(Box::new(consumer))
    }

    fn admin(&self) -> &dyn Admin {
        &self.admin
    }

    fn usage(&self) -> Usage {
        self.client.counters().usage()
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.native
    }

    async fn close(&self) -> Result<()> {
        // First, so that whoever opens something now closes it again.
        self.client.refuse();
        let mut result = Ok(());
        let producers = self.producers.left();
        for closed in join_all(producers.iter().map(|producer| producer.close())).await {
            result = result.and(closed);
        }
        let consumers = self.consumers.left();
        for closed in join_all(consumers.iter().map(|consumer| consumer.close())).await {
            result = result.and(closed);
        }
        result
    }
}

/// Pub/Sub has no partitions: a topic is one, which all members of a group share.
pub(crate) const PARTITION: Partition = Partition::number(0);

/// What Pub/Sub can do.
pub(crate) static CAPABILITIES: LazyLock<Capabilities> = LazyLock::new(|| {
    let mut can = Capabilities::portable();
    can.assignment = Assignment::Shared;
    can.headers = HeaderSupport::Portable;
    // There are no partitions that keys could move between.
    can.order_across_resize = true;
    can
});
