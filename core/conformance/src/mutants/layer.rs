//! A layer that wraps any hub and calls a fault wherever an event, a token or an answer passes.

use anyhub_core::{
    Acks, Admin, Batch, Capabilities, Consumer, ConsumerOptions, Error, Event, GroupInfo, Hub,
    Limits, OwnedPartition, Partition, PartitionLag, Pending, Point, Position, Producer,
    ProducerOptions, Resized, Result, Retention, TopicConfig, TopicInfo, Usage,
};
use async_trait::async_trait;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

/// Which parts of a hub are faulty, and how. What is not set passes through.
pub(crate) struct Fault {
    pub(crate) capabilities: fn(Capabilities) -> Capabilities,
    pub(crate) producer_options: fn(ProducerOptions) -> ProducerOptions,
    pub(crate) consumer_options: fn(ConsumerOptions) -> ConsumerOptions,
    pub(crate) write: Option<Make<dyn WriteFault>>,
    pub(crate) read: Option<Make<dyn ReadFault>>,
    pub(crate) admin: Box<dyn AdminFault>,
    pub(crate) error: fn(Error) -> Error,
    pub(crate) close: bool,
}

/// Makes the fault of one producer or consumer.
type Make<F> = Box<dyn Fn(&Site) -> Box<F> + Send + Sync>;

impl Fault {
    pub(crate) fn none() -> Self {
        Self {
            capabilities: |capabilities| capabilities,
            producer_options: |options| options,
            consumer_options: |options| options,
            write: None,
            read: None,
            admin: Box::new(NoFault),
            error: |error| error,
            close: true,
        }
    }

    pub(crate) fn capabilities(mut self, change: fn(Capabilities) -> Capabilities) -> Self {
        self.capabilities = change;
        self
    }

    pub(crate) fn producer_options(
        mut self,
        change: fn(ProducerOptions) -> ProducerOptions,
    ) -> Self {
        self.producer_options = change;
        self
    }

    pub(crate) fn consumer_options(
        mut self,
        change: fn(ConsumerOptions) -> ConsumerOptions,
    ) -> Self {
        self.consumer_options = change;
        self
    }

    pub(crate) fn write(
        mut self,
        fault: impl Fn(&Site) -> Box<dyn WriteFault> + Send + Sync + 'static,
    ) -> Self {
        self.write = Some(Box::new(fault));
        self
    }

    pub(crate) fn read(
        mut self,
        fault: impl Fn(&Site) -> Box<dyn ReadFault> + Send + Sync + 'static,
    ) -> Self {
        self.read = Some(Box::new(fault));
        self
    }

    /// What an error of opening something is turned into.
    pub(crate) fn error(mut self, change: fn(Error) -> Error) -> Self {
        self.error = change;
        self
    }

    /// Closing the hub does nothing.
    pub(crate) fn without_close(mut self) -> Self {
        self.close = false;
        self
    }

    pub(crate) fn admin(mut self, fault: impl AdminFault) -> Self {
        self.admin = Box::new(fault);
        self
    }
}

/// Where a fault sits: the hub beneath, the topic, the options, and what the faults of one hub
/// share.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) topic: String,
    pub(crate) options: ConsumerOptions,
    pub(crate) shared: Arc<Shared>,
    pub(crate) seed: u64,
}

impl Site {
    pub(crate) fn rng(&self) -> Pcg64Mcg {
        Pcg64Mcg::seed_from_u64(self.seed)
    }
}

/// What all faults of one hub share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Partitions that were assigned so far, again and again.
    pub(crate) assigned: AtomicU64,
    ids: AtomicU64,
}

impl Shared {
    /// A number that no other fault of this hub has.
    pub(crate) fn id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }
}

/// A fault in one producer.
#[async_trait]
pub(crate) trait WriteFault: fmt::Debug + Send + Sync + 'static {
    async fn submit(&self, inner: &Arc<dyn Producer>, batch: Vec<Event>) -> Result<Pending> {
        inner.submit(batch).await
    }

    fn limits(&self, inner: &dyn Producer) -> Limits {
        inner.limits()
    }

    async fn close(&self, inner: &dyn Producer) -> Result<()> {
        inner.close().await
    }
}

/// A fault in one consumer.
#[async_trait]
pub(crate) trait ReadFault: fmt::Debug + Send + Sync + 'static {
    /// Once, when the consumer has opened.
    async fn opened(&mut self, _inner: &mut Box<dyn Consumer>) -> Result<()> {
        Ok(())
    }

    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        loop {
            let mut batch = inner.receive(max).await?;
            self.batch(inner, &mut batch);
            if !batch.is_empty() {
                return Ok(batch);
            }
        }
    }

    /// What a batch is turned into; left empty, the next one is received instead.
    fn batch(&mut self, _inner: &mut Box<dyn Consumer>, _batch: &mut Batch) {}

    fn acks(&self, inner: Acks) -> Acks {
        inner
    }

    async fn commit(&mut self, inner: &mut Box<dyn Consumer>) -> Result<()> {
        inner.commit().await
    }

    async fn seek(&mut self, inner: &mut Box<dyn Consumer>, to: Point) -> Result<()> {
        inner.seek(to).await
    }

    fn assignment(&self, inner: &dyn Consumer) -> Vec<OwnedPartition> {
        inner.assignment()
    }

    async fn close(&mut self, inner: &mut Box<dyn Consumer>) -> Result<()> {
        inner.close().await
    }
}

/// A fault in what is told of topics and groups.
#[async_trait]
pub(crate) trait AdminFault: fmt::Debug + Send + Sync + 'static {
    fn create(&self, topic: TopicConfig) -> Result<TopicConfig> {
        Ok(topic)
    }

    fn info(&self, info: TopicInfo) -> TopicInfo {
        info
    }

    async fn resize(&self, inner: &dyn Admin, topic: &str, partitions: u32) -> Result<Resized> {
        inner.set_partitions(topic, partitions).await
    }

    fn lag(&self, lag: Vec<PartitionLag>) -> Vec<PartitionLag> {
        lag
    }

    fn names(&self, names: Vec<String>) -> Vec<String> {
        names
    }

    fn groups(&self, groups: Vec<GroupInfo>) -> Vec<GroupInfo> {
        groups
    }

    async fn delete(&self, inner: &dyn Admin, topic: &str) -> Result<()> {
        inner.delete_topic(topic).await
    }

    async fn positions_at(
        &self,
        inner: &dyn Admin,
        topic: &str,
        time: SystemTime,
    ) -> Result<Vec<(Partition, Position)>> {
        inner.positions_at(topic, time).await
    }

    async fn set_retention(
        &self,
        inner: &dyn Admin,
        topic: &str,
        retention: &Retention,
    ) -> Result<()> {
        inner.set_retention(topic, retention).await
    }
}

#[derive(Debug)]
struct NoFault;

impl AdminFault for NoFault {}

/// A hub with a fault.
pub(crate) struct Faulty {
    inner: Arc<dyn Hub>,
    fault: Fault,
    shared: Arc<Shared>,
    seed: u64,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Hub>, fault: Fault, seed: u64) -> Self {
        Self {
            inner,
            fault,
            shared: Arc::default(),
            seed,
        }
    }

    fn site(&self, topic: &str, options: &ConsumerOptions) -> Site {
        Site {
            hub: self.inner.clone(),
            topic: topic.to_owned(),
            options: options.clone(),
            shared: self.shared.clone(),
            seed: self.seed,
        }
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faulty").field(&self.inner).finish()
    }
}

#[async_trait]
impl Hub for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        (self.fault.capabilities)(self.inner.capabilities())
    }

    async fn producer(&self, topic: &str, options: ProducerOptions) -> Result<Arc<dyn Producer>> {
        let options = (self.fault.producer_options)(options);
        let inner = self
            .inner
            .producer(topic, options)
            .await
            .map_err(self.fault.error)?;
        Ok(match &self.fault.write {
            None => inner,
            Some(fault) => {
                let fault = fault(&self.site(topic, &ConsumerOptions::new()));
                Arc::new(FaultyProducer { inner, fault })
            }
        })
    }

    async fn consumer(&self, topic: &str, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        let options = (self.fault.consumer_options)(options);
        let opened = self.inner.consumer(topic, options.clone()).await;
        let mut inner = opened.map_err(self.fault.error)?;
        Ok(match &self.fault.read {
            None => inner,
            Some(fault) => {
                let mut fault = fault(&self.site(topic, &options));
                fault.opened(&mut inner).await?;
                Box::new(FaultyConsumer { inner, fault })
            }
        })
    }

    fn admin(&self) -> &dyn Admin {
        self
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        self.inner.native()
    }

    async fn close(&self) -> Result<()> {
        if self.fault.close {
            self.inner.close().await
        } else {
            Ok(())
        }
    }
}

#[derive(Debug)]
struct FaultyProducer {
    inner: Arc<dyn Producer>,
    fault: Box<dyn WriteFault>,
}

#[async_trait]
impl Producer for FaultyProducer {
    async fn submit(&self, batch: Vec<Event>) -> Result<Pending> {
        self.fault.submit(&self.inner, batch).await
    }

    fn limits(&self) -> Limits {
        self.fault.limits(&*self.inner)
    }

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    async fn close(&self) -> Result<()> {
        self.fault.close(&*self.inner).await
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        self.inner.native()
    }
}

#[derive(Debug)]
struct FaultyConsumer {
    inner: Box<dyn Consumer>,
    fault: Box<dyn ReadFault>,
}

#[async_trait]
impl Consumer for FaultyConsumer {
    async fn receive(&mut self, max: usize) -> Result<Batch> {
        self.fault.receive(&mut self.inner, max).await
    }

    fn acks(&self) -> Acks {
        self.fault.acks(self.inner.acks())
    }

    async fn commit(&mut self) -> Result<()> {
        self.fault.commit(&mut self.inner).await
    }

    async fn seek(&mut self, to: Point) -> Result<()> {
        self.fault.seek(&mut self.inner, to).await
    }

    fn assignment(&self) -> Vec<OwnedPartition> {
        self.fault.assignment(&*self.inner)
    }

    async fn close(&mut self) -> Result<()> {
        self.fault.close(&mut self.inner).await
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        self.inner.native()
    }
}

#[async_trait]
impl Admin for Faulty {
    async fn create_topic(&self, topic: &TopicConfig) -> Result<()> {
        let topic = self.fault.admin.create(topic.clone())?;
        self.inner.admin().create_topic(&topic).await
    }

    async fn delete_topic(&self, topic: &str) -> Result<()> {
        self.fault.admin.delete(self.inner.admin(), topic).await
    }

    async fn describe_topic(&self, topic: &str) -> Result<TopicInfo> {
        let info = self.inner.admin().describe_topic(topic).await?;
        Ok(self.fault.admin.info(info))
    }

    async fn list_topics(&self) -> Result<Vec<String>> {
        let names = self.inner.admin().list_topics().await?;
        Ok(self.fault.admin.names(names))
    }

    async fn set_partitions(&self, topic: &str, partitions: u32) -> Result<Resized> {
        self.fault
            .admin
            .resize(self.inner.admin(), topic, partitions)
            .await
    }

    async fn set_retention(&self, topic: &str, retention: &Retention) -> Result<()> {
        self.fault
            .admin
            .set_retention(self.inner.admin(), topic, retention)
            .await
    }

    async fn positions_at(
        &self,
        topic: &str,
        time: SystemTime,
    ) -> Result<Vec<(Partition, Position)>> {
        self.fault
            .admin
            .positions_at(self.inner.admin(), topic, time)
            .await
    }

    async fn list_groups(&self, topic: &str) -> Result<Vec<GroupInfo>> {
        let groups = self.inner.admin().list_groups(topic).await?;
        Ok(self.fault.admin.groups(groups))
    }

    async fn delete_group(&self, group: &str) -> Result<()> {
        self.inner.admin().delete_group(group).await
    }

    async fn lag(&self, topic: &str, group: &str) -> Result<Vec<PartitionLag>> {
        let lag = self.inner.admin().lag(topic, group).await?;
        Ok(self.fault.admin.lag(lag))
    }
}

/// Locks, and goes on after a panic elsewhere.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
