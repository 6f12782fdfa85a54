use crate::{
    client::{Client, Namespace},
    config::Partitioning,
    connection::Connection,
    describe,
    error::HUB,
    hash,
    hub::CAPABILITIES,
    lanes::{Entry, Lane},
    message,
    native::NativeClient,
    send::Core,
    sender::Sender,
    usage::Counters,
};
use anyhub_core::{
    Event, Limits, Partition, Pending, Producer, ProducerOptions, Result,
    driver::{Buffer, Room, Submitted, check, check_producer},
};
use async_trait::async_trait;
use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

/// A producer: it checks, encodes and admits; the lanes' tasks send.
pub(crate) struct EventHubsProducer {
    buffer: Buffer,
    limits: Limits,
    largest: usize,
    partitioning: Partitioning,
    options: ProducerOptions,
    spread: Mutex<Spread>,
    core: Arc<Core>,
    native: NativeClient,
}

/// Links to the hub itself, where Event Hubs chooses: each takes the keys of its share.
const LINKS: usize = 8;

impl EventHubsProducer {
    /// Opens a producer on an event hub that is there. It keeps to the partitions that there are now.
    pub(crate) async fn open(
        namespace: &Namespace,
        topic: &str,
        options: ProducerOptions,
        counters: Arc<Counters>,
    ) -> Result<Arc<Self>> {
        check_producer(&options, HUB)?;
        let partitioning = namespace.config().partitioning;
        let client = Client::new(namespace, "producer", topic)?;
        let begin = move |connection: Arc<Connection>| async move {
            let there = describe::partitions(&connection, "producer").await?;
            let partitions = match partitioning {
                Partitioning::Hash => there.into_iter().map(Some).collect(),
                Partitioning::Service => vec![None; LINKS],
            };
            let first = Sender::open(connection, "producer", partitions[0]).await?;
            Ok((partitions, first))
        };
        let (partitions, first): (Vec<Option<u32>>, _) = client.ask("producer", begin).await?;
        let largest = first.largest;
        let lane = |partition: &Option<u32>| {
            let partition = partition.map(Partition::number);
            let seed = rand::random();
            Mutex::new(Lane::new(partition, largest, options.linger, seed))
        };
        let native = NativeClient(client.clone());
        let core = Arc::new(Core {
            lanes: partitions.iter().map(lane).collect(),
            client,
            counters,
            partitions,
            hurries: AtomicUsize::new(0),
        });
        core.start(first);
        let event_bytes = message::event_bytes(partitioning, largest);
        Ok(Arc::new(Self {
            buffer: Buffer::new(HUB, &options),
            limits: Limits::new(event_bytes, options.buffer_events, options.buffer_bytes),
            largest,
            partitioning,
            spread: Mutex::new(Spread::new(core.lanes.len())),
            options,
            core,
            native,
        }))
    }

    /// Which lane an event goes through.
    fn lane_of(&self, event: &Event, bytes: usize) -> usize {
        let lanes = self.core.lanes.len();
        match &event.key {
            Some(key) => hash::partition(key.as_bytes(), lanes),
            None => {
                let mut spread = self.spread.lock().unwrap_or_else(PoisonError::into_inner);
                spread.next(bytes)
            }
        }
    }

    /// Behind all that was admitted before, as `_turn` of the buffer is held.
    fn hand_over(&self, batch: &[Event], encoded: Vec<Vec<u8>>, room: Room) -> Pending {
        let (completer, pending) = Pending::new(batch.len());
        let now = Instant::now();
        let told = Submitted::new(HUB, completer, Some(room), now, self.options.deadline);
        let told = Arc::new(told);
        let mut by_lane: Vec<Vec<Entry>> = Vec::new();
        by_lane.resize_with(self.core.lanes.len(), Vec::new);
        for (index, (event, encoded)) in batch.iter().zip(encoded).enumerate() {
            let lane = self.lane_of(event, encoded.len());
            let key = match (self.partitioning, &event.key) {
                (Partitioning::Service, Some(key)) => key.as_str().map(Arc::from),
                _ => None,
            };
            by_lane[lane].push(Entry::new(encoded, key, told.clone(), index as u32));
        }
        let hurry = self.core.hurries.load(Ordering::Relaxed) > 0;
        for (lane, entries) in by_lane.into_iter().enumerate() {
            if !entries.is_empty() {
                self.core.lane(lane).submit(entries, now, hurry);
            }
        }
        pending
    }

    async fn drained(&self, operation: &'static str) -> Result<()> {
        let _hurry = Hurry::new(&self.core);
        self.buffer.drained(operation).await
    }
}

#[async_trait]
impl Producer for EventHubsProducer {
    async fn submit(&self, batch: Vec<Event>) -> Result<Pending> {
        for event in &batch {
            check(event, HUB, &CAPABILITIES)?;
        }
        let (_turn, room) = self.buffer.admit(&batch, &self.limits).await?;
        let encode = |event| message::encode(event, self.partitioning, self.largest);
        let encoded: Vec<_> = batch.iter().map(encode).collect::<Result<_>>()?;
        Ok(self.hand_over(&batch, encoded, room))
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
        self.core.each(|lane| lane.end(Instant::now()));
        flushed
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.native
    }
}

impl Drop for EventHubsProducer {
    fn drop(&mut self) {
        // What was admitted is still sent, until its deadline; then the tasks end.
        self.core.each(|lane| lane.end(Instant::now()));
    }
}

/// As long as it lives, nothing lingers.
struct Hurry<'a>(&'a Core);

impl<'a> Hurry<'a> {
    fn new(core: &'a Core) -> Self {
        core.hurries.fetch_add(1, Ordering::Relaxed);
        core.each(|lane| lane.hurry(Instant::now()));
        Self(core)
    }
}

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.hurries.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Spreads events without a key: a run of them to one lane, so that they travel together, then to the
/// next one.
#[derive(Debug)]
struct Spread {
    lanes: usize,
    lane: usize,
    left: usize,
}

/// Bytes of a run.
const RUN: usize = 16 << 10;

impl Spread {
    fn new(lanes: usize) -> Self {
        Self {
            lanes,
            // So that many producers don't all begin with the first.
            lane: rand::random_range(0..lanes),
            left: RUN,
        }
    }

    fn next(&mut self, bytes: usize) -> usize {
        if self.left == 0 {
            self.lane = (self.lane + 1) % self.lanes;
            self.left = RUN;
        }
        self.left = self.left.saturating_sub(bytes);
        self.lane
    }
}

impl fmt::Debug for EventHubsProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, in_flight) = (self.core.client.topic(), self.buffer.in_flight());
        write!(f, "EventHubsProducer({topic}, {in_flight} in flight)")
    }
}
