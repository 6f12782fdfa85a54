use super::{
    HUB,
    log::{ENTRY_BYTES, Keep},
};
use crate::{
    Error, ErrorKind, HubUrl, Limits, Result, Retention, TopicConfig, one_of, shown, unknown_option,
};
use serde::Deserialize;
use std::time::Duration;

/// How a memory hub keeps events. In a URL: `memory:/tweets?partitions=4&retention=consumed`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MemoryConfig {
    /// In a URL: creates its topic with so many partitions. None: topics are made by
    /// [`Admin`](crate::Admin) alone.
    pub partitions: Option<u32>,
    /// What a partition holds at most, in bytes; above it producers wait. 256 MiB; at least 4 KiB.
    pub capacity_bytes: u64,
    /// The largest event, in bytes. 1 MiB, and at most half of `capacity_bytes`.
    pub event_bytes: usize,
    /// What leaves when a partition is full. [`Keeping::All`].
    pub retention: Keeping,
    /// How long events are kept where a topic does not say, in milliseconds. For ever.
    pub retention_ms: Option<u64>,
    /// Bytes kept in each partition where a topic does not say; then the oldest leave, and
    /// producers never wait. None.
    pub retention_bytes: Option<u64>,
}

/// What leaves a full partition that has no retention by size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Keeping {
    /// Nothing: producers wait.
    #[default]
    All,
    /// What every consumer group of the topic has committed; else producers wait.
    Consumed,
}

const OPTIONS: [&str; 6] = [
    "partitions",
    "capacity_bytes",
    "event_bytes",
    "retention",
    "retention_ms",
    "retention_bytes",
];

/// The settings that a topic may have of its own, as [`TopicConfig::properties`].
const PROPERTIES: [&str; 2] = ["capacity_bytes", "retention"];

/// Events of one batch, at most.
const BATCH_EVENTS: u64 = 100_000;
/// Bytes of one batch, at most.
const BATCH_BYTES: u64 = 64 << 20;

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            partitions: None,
            capacity_bytes: 256 << 20,
            event_bytes: 1 << 20,
            retention: Keeping::All,
            retention_ms: None,
            retention_bytes: None,
        }
    }
}

impl MemoryConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The options of a URL. Config for one that is unknown or can't be.
    pub fn from_url(url: &HubUrl) -> Result<Self> {
        if url.scheme() != HUB || !url.authority().is_empty() {
            let error = config("connect", format!("{url} is no memory hub"));
            return Err(error.with_advice("it is written memory:/topic, without a host"));
        }
        url.refuse_unknown_options(&OPTIONS)?;
        let mut config = Self::new();
        for (name, value) in url.options() {
            match name {
                "partitions" => config.partitions = Some(number("connect", name, value)?),
                "capacity_bytes" => config.capacity_bytes = number("connect", name, value)?,
                "event_bytes" => config.event_bytes = number("connect", name, value)?,
                "retention" => config.retention = Keeping::parse("connect", value)?,
                "retention_ms" => config.retention_ms = Some(number("connect", name, value)?),
                "retention_bytes" => config.retention_bytes = Some(number("connect", name, value)?),
                other => return Err(unknown_option(HUB, other, &OPTIONS)),
            }
        }
        config.check()?;
        Ok(config)
    }

    /// Sets [`partitions`](Self::partitions).
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// Sets [`capacity_bytes`](Self::capacity_bytes).
    pub fn capacity_bytes(mut self, bytes: u64) -> Self {
        self.capacity_bytes = bytes;
        self
    }

    /// Sets [`event_bytes`](Self::event_bytes).
    pub fn event_bytes(mut self, bytes: usize) -> Self {
        self.event_bytes = bytes;
        self
    }

    /// Sets [`retention`](Self::retention).
    pub fn retention(mut self, keeping: Keeping) -> Self {
        self.retention = keeping;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        check_capacity("connect", self.capacity_bytes)?;
        if self.event_bytes == 0 {
            return Err(config("connect", "event_bytes is 0: no event would fit"));
        }
        check_retention(
            "connect",
            ErrorKind::Config,
            &self.retention_or(&Retention::new()),
        )
    }

    /// What a topic keeps, with this hub's defaults where it does not say.
    pub(super) fn retention_or(&self, retention: &Retention) -> Retention {
        let mut effective = *retention;
        effective.time = retention
            .time
            .or(self.retention_ms.map(Duration::from_millis));
        effective.bytes = retention.bytes.or(self.retention_bytes);
        effective
    }

    /// What the partitions of a new topic keep.
    pub(super) fn keep(&self, topic: &TopicConfig) -> Result<Keep> {
        const OPERATION: &str = "create_topic";
        let mut capacity = self.capacity_bytes;
        let mut keeping = self.retention;
        for (name, value) in &topic.properties {
            match name.as_str() {
                "capacity_bytes" => {
                    capacity = number(OPERATION, name, value)?;
                    check_capacity(OPERATION, capacity)?;
                }
                "retention" => keeping = Keeping::parse(OPERATION, value)?,
                other => return Err(unknown_option(HUB, other, &PROPERTIES)),
            }
        }
        let retention = self.retention_or(&topic.retention);
        check_retention(OPERATION, ErrorKind::Invalid, &retention)?;
        Ok(Keep {
            time: retention.time,
            bytes: retention.bytes,
            capacity,
            consumed: keeping == Keeping::Consumed,
        })
    }

    /// The largest event and batch of a topic: wherever its keys fall, a batch fits in a partition.
    pub(super) fn limits(&self, capacity: u64) -> Limits {
        let half = capacity / 2;
        let batch_events = (half / ENTRY_BYTES).min(BATCH_EVENTS) as usize;
        let batch_bytes = half.min(BATCH_BYTES) as usize;
        Limits::new(self.event_bytes.min(batch_bytes), batch_events, batch_bytes)
    }
}

impl Keeping {
    fn parse(operation: &'static str, value: &str) -> Result<Self> {
        let all = [("all", Self::All), ("consumed", Self::Consumed)];
        one_of(HUB, operation, "retention", value, &all)
    }
}

pub(super) fn check_retention(
    operation: &'static str,
    kind: ErrorKind,
    retention: &Retention,
) -> Result<()> {
    if retention.time.is_some_and(|time| time.is_zero()) || retention.bytes == Some(0) {
        return Err(
            Error::new(kind, HUB, operation, "a retention of 0 keeps nothing")
                .with_advice("leave it out to keep everything"),
        );
    }
    Ok(())
}

fn check_capacity(operation: &'static str, bytes: u64) -> Result<()> {
    if bytes < 4096 {
        let message = format!("capacity_bytes is {bytes}; it takes 4096 or more");
        return Err(config(operation, message));
    }
    Ok(())
}

fn number<N: std::str::FromStr>(operation: &'static str, name: &str, value: &str) -> Result<N> {
    value.parse().map_err(|_| {
        config(
            operation,
            format!("{name} is '{}'; it takes a whole number", shown(value)),
        )
    })
}

fn config(operation: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, HUB, operation, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<MemoryConfig> {
        MemoryConfig::from_url(&url.parse()?)
    }

    #[test]
    fn takes_its_options_and_no_other() {
        let config =
            parse("memory:/t?partitions=4&capacity_bytes=8192&retention=consumed").unwrap();
        let expected = MemoryConfig::new().partitions(4).capacity_bytes(8192);
        assert_eq!(config, expected.retention(Keeping::Consumed));
        for (url, said) in [
            ("memory:/t?partitons=4", "did you mean 'partitions'?"),
            ("memory:/t?partitions=-1", "partitions is '-1'"),
            (
                "memory:/t?retention=7d",
                "it is retention=all or retention=consumed",
            ),
            ("memory:/t?capacity_bytes=1", "4096 or more"),
            ("memory:/t?retention_bytes=0", "keeps nothing"),
            ("memory://host/t", "without a host"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(said), "{url}: {error}");
        }
    }

    #[test]
    fn the_largest_batch_fits_in_one_partition() {
        for capacity in [4096, 1 << 20, 1 << 40] {
            let limits = MemoryConfig::new().limits(capacity);
            let most = limits.batch_bytes as u64 + limits.batch_events as u64 * ENTRY_BYTES;
            assert!(most <= capacity && limits.event_bytes <= limits.batch_bytes);
            assert!(limits.batch_events > 0);
        }
    }
}
