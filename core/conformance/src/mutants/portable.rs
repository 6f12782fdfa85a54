use super::layer::{AdminFault, Fault, Faulty, ReadFault, Site, WriteFault};
use anyhub_core::{
    Admin, Batch, Capabilities, Change, Consumer, Error, ErrorKind, Event, Hub, PartitionLag,
    Pending, Producer, Receipt, Resized, Result, Retention, TopicConfig, driver::check,
};
use async_trait::async_trait;
use futures_util::FutureExt;
use std::sync::Arc;

/// The hub as one that keeps the portable contract and nothing beyond: what it does not declare it
/// refuses. So the trials of refusals have a hub to pass on.
pub fn portable(hub: Arc<dyn Hub>) -> Arc<dyn Hub> {
    let name = hub.name();
    Arc::new(Faulty::new(hub, layer(name), 0))
}

/// The same without the headers that [`HeaderSupport::Portable`](anyhub_core::HeaderSupport) has.
pub(super) fn without_headers(hub: Arc<dyn Hub>) -> Arc<dyn Hub> {
    let fault = layer(hub.name())
        .capabilities(|_| no_headers())
        .write(|site| Box::new(Refusing::untold(site, no_headers())));
    Arc::new(Faulty::new(hub, fault, 0))
}

fn no_headers() -> Capabilities {
    let mut capabilities = Capabilities::portable();
    capabilities.headers = anyhub_core::HeaderSupport::None;
    capabilities
}

fn layer(hub: &'static str) -> Fault {
    Fault::none()
        .capabilities(|inner| {
            let mut capabilities = Capabilities::portable();
            capabilities.assignment = inner.assignment;
            capabilities
        })
        .write(|site| Box::new(Refusing::untold(site, Capabilities::portable())))
        .read(|_| Box::new(Silent))
        .admin(Refuse(hub))
}

/// Refuses what the capabilities leave out, and turns receipts into others.
#[derive(Debug, Clone)]
pub(super) struct Refusing {
    hub: &'static str,
    capabilities: Capabilities,
    receipt: fn(Receipt) -> Receipt,
}

impl Refusing {
    pub(super) fn new(
        hub: &'static str,
        capabilities: Capabilities,
        receipt: fn(Receipt) -> Receipt,
    ) -> Self {
        Self {
            hub,
            capabilities,
            receipt,
        }
    }

    /// Receipts tell no positions.
    pub(super) fn untold(site: &Site, capabilities: Capabilities) -> Self {
        Self::new(site.hub.name(), capabilities, |_| Receipt::default())
    }
}

#[async_trait]
impl WriteFault for Refusing {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        for event in &batch {
            check(event, self.hub, &self.capabilities)?;
        }
        let events = batch.len();
        let mut told = inner.submit(batch).await?;
        let (completer, pending) = Pending::new(events);
        let receipt = self.receipt;
        let tell = move |outcomes: Vec<Result<Receipt>>| {
            for (nth, outcome) in outcomes.into_iter().enumerate() {
                completer.set(nth, outcome.map(receipt));
            }
        };
        match (&mut told).now_or_never() {
            Some(outcomes) => tell(outcomes),
            None => drop(tokio::spawn(async move { tell(told.await) })),
        }
        Ok(pending)
    }
}

/// Does not tell of overtaking.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl ReadFault for Silent {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        loop {
            let mut batch = inner.receive(max).await?;
            batch
                .changes
                .retain(|change| !matches!(change, Change::Overtaken { .. }));
            if !batch.is_empty() {
                return Ok(batch);
            }
        }
    }
}

/// Refuses to resize and to keep by size, and does not tell the lag in events.
#[derive(Debug)]
pub(super) struct Refuse(pub(super) &'static str);

const NO_SIZE: &str = "this hub has no retention by size";

impl Refuse {
    pub(super) fn unsupported(&self, operation: &'static str, message: &'static str) -> Error {
        Error::new(ErrorKind::Unsupported, self.0, operation, message)
    }
}

#[async_trait]
impl AdminFault for Refuse {
    fn create(&self, topic: TopicConfig) -> Result<TopicConfig> {
        match topic.retention.bytes {
            Some(_) => Err(self.unsupported("create_topic", NO_SIZE)),
            None => Ok(topic),
        }
    }

    async fn resize(&self, _: &dyn Admin, _: &str, _: u32) -> Result<Resized> {
        let message = "this hub has a fixed number of partitions";
        Err(self.unsupported("set_partitions", message))
    }

    fn lag(&self, lag: Vec<PartitionLag>) -> Vec<PartitionLag> {
        lag.into_iter()
            .map(|lag| PartitionLag::new(lag.partition, lag.committed))
            .collect()
    }

    async fn set_retention(&self, inner: &dyn Admin, topic: &str, to: &Retention) -> Result<()> {
        match to.bytes {
            Some(_) => Err(self.unsupported("set_retention", NO_SIZE)),
            None => inner.set_retention(topic, to).await,
        }
    }
}
