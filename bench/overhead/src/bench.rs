use crate::{Arguments, KEYS, PARTITIONS, Result};
use anyhub_core::{Hub, Retention, TopicConfig};
use bytes::Bytes;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::{Builder, Runtime};

/// A hub under measurement, and what goes through it.
#[derive(Debug)]
pub struct Bench {
    /// The hub.
    pub hub: Box<dyn Hub>,
    /// Where both sides run: one worker, beside the SDK's own threads.
    pub runtime: Runtime,
    /// What every event carries.
    pub payload: Bytes,
    /// The keys, [`KEYS`] of them, in turn.
    pub keys: Vec<String>,
    /// How long a run takes.
    pub time: Duration,
    pub(crate) pairs: usize,
    pub(crate) warm_up: usize,
    retention: Retention,
}

impl Bench {
    /// With payloads of `size` bytes.
    pub fn new(hub: impl Hub, arguments: &Arguments, size: usize) -> Result<Self> {
        Ok(Self {
            hub: Box::new(hub),
            runtime: Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?,
            payload: Bytes::from(vec![b'x'; size]),
            keys: (0..KEYS).map(|nth| format!("user-{nth}")).collect(),
            time: arguments.time,
            pairs: arguments.pairs,
            warm_up: 2,
            retention: Retention::default(),
        })
    }

    /// Pairs that are run first and not measured. 2.
    pub fn warm_up(mut self, pairs: usize) -> Self {
        self.warm_up = pairs;
        self
    }

    /// What a topic keeps. The hub's default.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Makes a topic of [`PARTITIONS`] partitions, and tells its name.
    pub fn topic(&self) -> Result<String> {
        let name = fresh_name()?;
        let config = TopicConfig::new(&name)
            .partitions(PARTITIONS)
            .retention(self.retention);
        self.runtime
            .block_on(self.hub.admin().create_topic(&config))?;
        Ok(name)
    }

    /// Deletes a topic.
    pub fn delete(&self, topic: &str) -> Result<()> {
        Ok(self
            .runtime
            .block_on(self.hub.admin().delete_topic(topic))?)
    }

    /// Closes the hub.
    pub fn close(self) -> Result<()> {
        Ok(self.runtime.block_on(self.hub.close())?)
    }
}

/// A name that nobody else has.
pub(crate) fn fresh_name() -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    Ok(format!("overhead-{now}"))
}
