use crate::{Failure, Harness, Outcome, Settings};
use anyhub_core::{
    Assignment, Consumer, ConsumerOptions, Delivery, Hub, Producer, ProducerOptions, TopicConfig,
};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::{sleep, timeout};

/// What one run of one trial works with: the hub, names of its own, a seed, and patience.
#[derive(Clone)]
pub(crate) struct Context(Arc<Inner>);

struct Inner {
    harness: Arc<dyn Harness>,
    hub: Arc<dyn Hub>,
    settings: Settings,
    trial: &'static str,
    seed: u64,
    /// What the trial waits for, for the message of its timeout.
    waiting: Mutex<String>,
    topics: Mutex<Vec<String>>,
    names: AtomicU32,
    run: u64,
}

impl Context {
    pub(crate) fn new(
        harness: Arc<dyn Harness>,
        hub: Arc<dyn Hub>,
        settings: Settings,
        trial: &'static str,
        seed: u64,
    ) -> Self {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = now.unwrap_or_default().as_millis() as u64;
        let nth = u64::from(RUNS.fetch_add(1, Ordering::Relaxed));
        Self(Arc::new(Inner {
            harness,
            hub,
            settings,
            trial,
            seed,
            waiting: Mutex::default(),
            topics: Mutex::default(),
            names: AtomicU32::new(0),
            // Names must be new on a hub that outlives this process.
            run: (millis << 20) | (u64::from(std::process::id()) << 10 & 0xf_fc00) | (nth & 0x3ff),
        }))
    }

    pub(crate) fn hub(&self) -> &Arc<dyn Hub> {
        &self.0.hub
    }

    pub(crate) fn harness(&self) -> &dyn Harness {
        &*self.0.harness
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn tick(&self) -> Duration {
        self.0.settings.tick
    }

    /// Whether all members of a group share the topic, as on a hub without partitions: then its topics have one, and
    /// a key is what goes from one member to another.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.hub.capabilities().assignment == Assignment::Shared
    }

    /// How many partitions a topic has that was made with so many.
    pub(crate) fn partitions(&self, made: usize) -> usize {
        if self.is_shared() { 1 } else { made }
    }

    /// What a delivery is in order with, and is acknowledged behind: its partition, or its key.
    pub(crate) fn lane(&self, delivery: &Delivery) -> String {
        match self.is_shared() {
            true => format!("{:?}", delivery.event.key),
            false => delivery.partition.to_string(),
        }
    }

    /// A source of choices; each `stream` of a seed is its own.
    pub(crate) fn rng(&self, stream: u64) -> Pcg64Mcg {
        Pcg64Mcg::seed_from_u64(self.0.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream)
    }

    /// A name that nobody else uses.
    pub(crate) fn name(&self) -> String {
        let nth = self.0.names.fetch_add(1, Ordering::Relaxed);
        let clause = self.0.trial.split('_').next().unwrap_or_default();
        let clause = clause.to_ascii_lowercase();
        format!("anyhub-{clause}-{:x}-{nth}", self.0.run)
    }

    /// A new topic with so many partitions.
    pub(crate) async fn topic(&self, partitions: u32) -> Outcome<String> {
        let config = TopicConfig::new(self.name()).partitions(partitions);
        self.create(config).await
    }

    pub(crate) async fn create(&self, config: TopicConfig) -> Outcome<String> {
        let created = self.0.hub.admin().create_topic(&config);
        self.within("the topic to be created", created).await??;
        lock(&self.0.topics).push(config.name.clone());
        Ok(config.name)
    }

    /// Deletes the topics that the trial made, as far as they are still there.
    pub(crate) async fn clean_up(&self) {
        let topics = std::mem::take(&mut *lock(&self.0.topics));
        for topic in topics {
            let deleted = self.0.hub.admin().delete_topic(&topic);
            if timeout(self.0.settings.patience, deleted).await.is_err() {
                eprintln!(
                    "{}: topic {topic} could not be deleted in time",
                    self.0.trial
                );
            }
        }
    }

    pub(crate) async fn producer(&self, topic: &str) -> Outcome<Arc<dyn Producer>> {
        self.producer_with(
            topic,
            ProducerOptions::new().linger(Duration::from_millis(1)),
        )
        .await
    }

    pub(crate) async fn producer_with(
        &self,
        topic: &str,
        options: ProducerOptions,
    ) -> Outcome<Arc<dyn Producer>> {
        let opened = self.0.hub.producer(topic, options);
        Ok(self.within("the producer to open", opened).await??)
    }

    /// Options of a group's member whose acks are durable and whose nacks are due within a tick.
    pub(crate) fn member(&self, group: &str) -> ConsumerOptions {
        self.reader().group(group)
    }

    /// The same for a private reader.
    pub(crate) fn reader(&self) -> ConsumerOptions {
        ConsumerOptions::new()
            .commit_interval(self.tick())
            .nack_delay(self.tick(), self.tick() * 8)
    }

    pub(crate) async fn consumer(
        &self,
        topic: &str,
        options: ConsumerOptions,
    ) -> Outcome<Box<dyn Consumer>> {
        let opened = self.0.hub.consumer(topic, options);
        Ok(self.within("the consumer to open", opened).await??)
    }

    /// Notes what is being waited for: the message of a timeout.
    pub(crate) fn waiting_for(&self, what: impl Into<String>) {
        *lock(&self.0.waiting) = what.into();
    }

    pub(crate) fn waited_for(&self) -> String {
        lock(&self.0.waiting).clone()
    }

    /// Awaits a step, but no longer than the hub's patience.
    pub(crate) async fn within<T>(
        &self,
        what: impl Into<String>,
        step: impl Future<Output = T>,
    ) -> Outcome<T> {
        let what = what.into();
        self.waiting_for(&what);
        let patience = self.0.settings.patience;
        timeout(patience, step)
            .await
            .map_err(|_| Failure::new(format!("waited {patience:?} for {what}")))
    }

    /// Asks again and again until the answer is Some, but no longer than the hub's patience.
    pub(crate) async fn until<T, F>(
        &self,
        what: impl Into<String>,
        mut ask: impl FnMut() -> F,
    ) -> Outcome<T>
    where
        F: Future<Output = Outcome<Option<T>>>,
    {
        let pause = self.tick() / 2;
        let asking = async {
            loop {
                if let Some(answer) = ask().await? {
                    return Ok(answer);
                }
                sleep(pause).await;
            }
        };
        self.within(what, asking).await?
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
