use crate::{
    aggregate::hash_key,
    client::{Link, Stream},
    config::{Aggregation, KinesisConfig},
    error::HUB,
    hub::capabilities,
    lanes::{Entry, Lanes, Settings, Together},
    message,
    send::Core,
    shards, status,
    upkeep::{expire, keep_map},
    usage::Counters,
};
use anyhub_core::{
    Capabilities, Error, ErrorKind, Event, Limits, Pending, Producer, ProducerOptions, Result,
    driver::{Buffer, Room, Submitted, check, check_producer},
};
use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex},
    time::Instant,
};

/// A producer: it checks and admits; the lanes' tasks send.
pub(crate) struct KinesisProducer {
    native: NativeClient,
    buffer: Buffer,
    limits: Limits,
    capabilities: Capabilities,
    envelope: bool,
    max_record_bytes: usize,
    options: ProducerOptions,
    core: Arc<Core>,
}

/// The SDK's client, as [`Producer::native`] hands it out.
#[derive(Debug, Clone)]
pub struct NativeClient(pub Client);

impl KinesisProducer {
    /// Opens a producer on a stream that is there; one that is being made is waited for.
    pub(crate) async fn open(
        link: Link,
        topic: &str,
        options: ProducerOptions,
        counters: Arc<Counters>,
    ) -> Result<Arc<Self>> {
        check_producer(&options, HUB)?;
        let stream = Stream::new("producer", topic)?;
        let config = link.config().clone();
        let summary = status::usable(&link, "producer", &stream).await?;
        let largest = summary.max_record_bytes.unwrap_or(usize::MAX);
        let max_record_bytes = largest.min(config.max_record_bytes);
        let listed = shards::list(&link, "producer", &stream).await?;
        let client = link.once("producer").await?.clone();
        let core = Arc::new(Core {
            client: client.clone(),
            stream,
            counters,
            lanes: Mutex::new(Lanes::new(settings(&config, &options))),
        });
        let born = core.lanes().mapped(listed, Instant::now());
        core.start(born);
        tokio::spawn(keep_map(core.clone(), link));
        tokio::spawn(expire(core.clone(), options.deadline));
        let event_bytes = message::event_bytes(max_record_bytes);
        Ok(Arc::new(Self {
            native: NativeClient(client),
            buffer: Buffer::new(HUB, &options),
            limits: Limits::new(event_bytes, options.buffer_events, options.buffer_bytes),
            capabilities: capabilities(&config),
            envelope: config.envelope,
            max_record_bytes,
            options,
            core,
        }))
    }

    fn check(&self, event: &Event) -> Result<()> {
        if !event.headers.is_empty() && !self.envelope {
            let message = "Kinesis carries headers only in an envelope";
            return Err(Error::new(ErrorKind::Unsupported, HUB, "submit", message)
                .with_advice("add envelope=on to the URL, and to those of the readers"));
        }
        check(event, HUB, &self.capabilities)?;
        message::check(event, self.envelope, self.max_record_bytes)
    }

    /// Behind all that was admitted before, as `_turn` of the buffer is held.
    fn hand_over(&self, batch: Vec<Event>, room: Room) -> Pending {
        let (completer, pending) = Pending::new(batch.len());
        let now = Instant::now();
        let told = Arc::new(Submitted::new(
            HUB,
            completer,
            Some(room),
            now,
            self.options.deadline,
        ));
        let entry = |(index, event)| {
            let (key, payload) = message::encode(event, self.envelope);
            let hash = key.as_deref().map_or(0, hash_key);
            Entry::new(hash, key, payload, told.clone(), index as u32)
        };
        let entries: Vec<Entry> = batch.into_iter().enumerate().map(entry).collect();
        self.core.lanes().submit(entries, now);
        pending
    }

    async fn drained(&self, operation: &'static str) -> Result<()> {
        let _hurry = Hurry::new(&self.core);
        self.buffer.drained(operation).await
    }
}

#[async_trait]
impl Producer for KinesisProducer {
    async fn submit(&self, batch: Vec<Event>) -> Result<Pending> {
        for event in &batch {
            self.check(event)?;
        }
        let (_turn, room) = self.buffer.admit(&batch, &self.limits).await?;
        Ok(self.hand_over(batch, room))
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn flush(&self) -> Result<()> {
        self.drained("flush").await
    }

    async fn close(&self) -> Result<()> {
        self.buffer.close();
        let flushed = self.drained("close").await;
        self.core.lanes().end(Instant::now());
        flushed
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.native
    }
}

impl Drop for KinesisProducer {
    fn drop(&mut self) {
        // What was admitted is still sent, until its deadline; then the tasks end.
        self.core.lanes().end(Instant::now());
    }
}

/// As long as it lives, nothing lingers.
struct Hurry<'a>(&'a Core);

impl<'a> Hurry<'a> {
    fn new(core: &'a Core) -> Self {
        core.lanes().hurry(Instant::now());
        Self(core)
    }
}

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.lanes().unhurry();
    }
}

fn settings(config: &KinesisConfig, options: &ProducerOptions) -> Settings {
    Settings {
        together: match config.aggregate {
            Aggregation::Key => Together::Key,
            Aggregation::Shard => Together::Shard,
            Aggregation::Off => Together::Off,
        },
        batch_bytes: config.max_batch_bytes,
        linger: options.linger,
        seed: rand::random(),
    }
}

impl fmt::Debug for KinesisProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, in_flight) = (self.core.stream.topic(), self.buffer.in_flight());
        write!(f, "KinesisProducer({topic}, {in_flight} in flight)")
    }
}
