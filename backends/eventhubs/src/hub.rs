use crate::{
    admin::EventHubsAdmin, client::Namespace, config::EventHubsConfig, consumer, error::HUB,
    log::EventHubsLog, native::NativeHub, producer::EventHubsProducer, usage::Counters,
};
use anyhub_core::{
    Admin, Assignment, Capabilities, Consumer, ConsumerOptions, HeaderSupport, Hub, HubUrl,
    Producer, ProducerOptions, Result, Usage, driver::Opened,
};
use anyhub_groups::{Leasing, Shared};
use async_trait::async_trait;
use futures_util::future::join_all;
use std::{
    any::Any,
    sync::{Arc, LazyLock},
};

/// Azure Event Hubs, or whatever speaks its protocol.
#[derive(Debug)]
pub struct EventHubsHub {
    namespace: Namespace,
    leasing: Leasing,
    admin: EventHubsAdmin,
    native: NativeHub,
    counters: Arc<Counters>,
    producers: Opened<EventHubsProducer>,
    consumers: Opened<Shared<EventHubsLog>>,
}

impl EventHubsHub {
    /// The hub that a URL names (see [`EventHubsConfig`]), without I/O. Config for an option that is
    /// none.
    pub fn from_url(url: &HubUrl) -> Result<Self> {
        Self::new(EventHubsConfig::from_url(url)?)
    }

    /// The hub with this configuration, without I/O. Config for a value that can't be.
    pub fn new(config: EventHubsConfig) -> Result<Self> {
        config.check()?;
        let leasing = consumer::leasing(&config);
        let namespace = Namespace::new(config);
        Ok(Self {
            admin: EventHubsAdmin::new(namespace.clone(), leasing.clone()),
            leasing,
            native: NativeHub(namespace.clone()),
            namespace,
            counters: Arc::default(),
            producers: Opened::default(),
            consumers: Opened::default(),
        })
    }
}

#[async_trait]
impl Hub for EventHubsHub {
    fn name(&self) -> &'static str {
        HUB
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = *CAPABILITIES;
        // In the tiers that let partitions be added; not by AMQP.
        let config = self.namespace.config();
        can.resize = config.provisioner.is_some() || config.subscription.is_some();
        can
    }

    async fn producer(&self, topic: &str, options: ProducerOptions) -> Result<Arc<dyn Producer>> {
        self.namespace.check_open("producer")?;
        let counters = self.counters.clone();
        let producer = EventHubsProducer::open(&self.namespace, topic, options, counters).await?;
        self.producers.add(&producer);
        if let Err(closed) = self.namespace.check_open("producer") {
            producer.close().await?;
            return Err(closed);
        }
        Ok(producer)
    }

    async fn consumer(&self, topic: &str, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        self.namespace.check_open("consumer")?;
        let counters = self.counters.clone();
        let (namespace, leasing) = (&self.namespace, &self.leasing);
        let consumer = consumer::open(namespace, leasing, topic, options, counters).await?;
        self.consumers.add(consumer.shared());
        if let Err(closed) = self.namespace.check_open("consumer") {
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
        // First, so that whoever opens something now closes it again.
        self.namespace.refuse();
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

/// What Event Hubs can do.
pub(crate) static CAPABILITIES: LazyLock<Capabilities> = LazyLock::new(|| {
    let mut can = Capabilities::portable();
    can.assignment = Assignment::Exclusive;
    can.positions = true;
    can.receipts = false;
    can.headers = HeaderSupport::Portable;
    can.lag_in_events = true;
    can.overtaken = true;
    can
});
