use crate::{
    batch::Topic,
    config::KafkaConfig,
    error::{HUB, closed, coded, failed, no_topic},
    flights::{Flights, MOST},
    headers,
    hub::{Traffic, capabilities},
    property::Role,
    reports::Reports,
};
use anyhub_core::{
    Capabilities, Error, ErrorKind, Event, Limits, Pending, Producer, ProducerOptions, Result,
    driver::{Buffer, Turn, check, check_producer},
};
use async_trait::async_trait;
use rdkafka::producer::{Producer as _, PurgeConfig, ThreadedProducer};
use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};
use tokio::task::spawn_blocking;

/// librdkafka's producer, with a thread that hands out its reports.
pub type NativeClient = ThreadedProducer<Reports>;

/// A producer on librdkafka, one client for each.
pub(crate) struct KafkaProducer {
    topic: String,
    native: NativeProducer,
    buffer: Buffer,
    limits: Limits,
    capabilities: Capabilities,
    options: ProducerOptions,
    flights: Arc<Flights>,
    settings: Settings,
    traffic: Arc<Traffic>,
}

/// librdkafka's producer, as [`Producer::native`] hands it out.
#[derive(Debug)]
pub struct NativeProducer(Mutex<Option<Arc<Shell>>>);

/// What a client is made from, once more after an error that is fatal to it.
struct Settings {
    config: rdkafka::ClientConfig,
    topic: String,
    deadline: Duration,
    flights: Arc<Flights>,
    traffic: Arc<Traffic>,
}

/// A client that is dropped on a thread of its own, since that blocks.
struct Shell {
    /// None once it is dropped.
    client: Option<(Topic, NativeClient)>,
    deadline: Duration,
}

impl NativeProducer {
    /// The client, until the producer is closed. After an error that is fatal to an idempotent
    /// client there is a new one.
    pub fn with<T>(&self, use_it: impl FnOnce(&NativeClient) -> T) -> Option<T> {
        let shell = self.shell()?;
        shell.client.as_ref().map(|(_, client)| use_it(client))
    }

    fn shell(&self) -> Option<Arc<Shell>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn replace(&self, shell: Option<Arc<Shell>>) -> Option<Arc<Shell>> {
        std::mem::replace(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            shell,
        )
    }
}

impl KafkaProducer {
    /// Opens a producer on a topic that is there and takes batches of `most_bytes` on the wire.
    pub(crate) async fn open(
        config: &KafkaConfig,
        topic: &str,
        options: ProducerOptions,
        most_bytes: usize,
        traffic: Arc<Traffic>,
    ) -> Result<Arc<Self>> {
        check_producer(&options, HUB)?;
        let flights = Arc::new(Flights::default());
        let settings = Settings {
            config: client_config(config, &options, most_bytes),
            topic: topic.to_owned(),
            deadline: options.deadline,
            flights: flights.clone(),
            traffic: traffic.clone(),
        };
        let shell = settings.create().await?;
        let events = options.buffer_events.min(MOST);
        let producer = Arc::new(Self {
            topic: topic.to_owned(),
            native: NativeProducer(Mutex::new(Some(shell))),
            buffer: Buffer::new(HUB, &options),
            limits: Limits::new(event_bytes(most_bytes), events, options.buffer_bytes),
            capabilities: capabilities(config),
            options,
            flights,
            settings,
            traffic,
        });
        tokio::spawn(expire(Arc::downgrade(&producer)));
        Ok(producer)
    }

    /// The client to send with: a new one if the last has met an error that is fatal to it. Nothing
    /// of the old one may come after what the new one sends.
    async fn shell(&self, _turn: &Turn<'_>) -> Result<Arc<Shell>> {
        let shell = self
            .native
            .shell()
            .ok_or_else(|| closed("submit", "producer"))?;
        let Some((_, client)) = &shell.client else {
            return Err(closed("submit", "producer"));
        };
        if !client.client().context().is_fatal() {
            return Ok(shell);
        }
        tracing::warn!(
            hub = HUB,
            topic = self.topic,
            "the client met a fatal error: opening another"
        );
        client.purge(PurgeConfig::default().queue().inflight());
        while client.in_flight_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let fresh = self.settings.create().await?;
        self.native.replace(Some(fresh.clone()));
        Ok(fresh)
    }

    fn check(&self, event: &Event) -> Result<()> {
        check(event, HUB, &self.capabilities)?;
        if event.headers.is_empty() {
            return Ok(());
        }
        if event
            .headers
            .iter()
            .any(|header| headers::is_cut_short(header.name()))
        {
            return Err(Error::new(
                ErrorKind::Invalid,
                HUB,
                "submit",
                "a header's name has a NUL in it",
            ));
        }
        // What limits leave for the lengths of headers is enough for some dozens.
        let lengths = event.headers.len() * HEADER_OVERHEAD;
        if lengths > HEADERS_RESERVE
            && event.size() + lengths - HEADERS_RESERVE > self.limits.event_bytes
        {
            return Err(Error::new(
                ErrorKind::TooLarge,
                HUB,
                "submit",
                format!("an event with {} headers does not fit", event.headers.len()),
            ));
        }
        Ok(())
    }
}

#[async_trait]
impl Producer for KafkaProducer {
    async fn submit(&self, batch: Vec<Event>) -> Result<Pending> {
        for event in &batch {
            self.check(event)?;
        }
        let (turn, room) = self.buffer.admit(&batch, &self.limits).await?;
        let shell = self.shell(&turn).await?;
        let Some((topic, client)) = &shell.client else {
            return Err(closed("submit", "producer"));
        };
        let (completer, pending) = Pending::new(batch.len());
        if batch.is_empty() {
            return Ok(pending);
        }
        let deadline = Instant::now() + self.options.deadline;
        let batch = Arc::new(batch);
        let first = self
            .flights
            .depart(completer, room, batch.clone(), deadline);
        // What is refused is counted out again when it is told.
        let bytes = batch.iter().map(Event::size).sum();
        self.traffic.sent(bytes);
        topic.send(client, &batch, first, |number, code| {
            client.client().context().met(code);
            self.traffic.unsent(batch[number - first].size());
            self.flights.failed(number, coded("submit", code));
        });
        Ok(pending)
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn flush(&self) -> Result<()> {
        let Some(shell) = self.native.shell() else {
            return Ok(());
        };
        if self.options.linger > SHORT_LINGER {
            // While it flushes, librdkafka does not linger.
            let (deadline, shell) = (self.options.deadline, shell.clone());
            let flushing = spawn_blocking(move || {
                if let Some((_, client)) = &shell.client {
                    client.flush(deadline).ok();
                }
            });
            drop(flushing);
        }
        self.buffer.drained("flush").await
    }

    async fn close(&self) -> Result<()> {
        self.buffer.close();
        let flushed = self.flush().await;
        if let Some(shell) = self.native.replace(None) {
            if flushed.is_err()
                && let Some((_, client)) = &shell.client
            {
                client.purge(PurgeConfig::default().queue().inflight());
            }
            drop(shell);
        }
        flushed.map_err(|error| {
            Error::new(error.kind(), HUB, "close", error.message().to_owned())
                .with_advice("they are told as indeterminate")
        })
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.native
    }
}

/// How long a new client looks for the leaders of its topic's partitions.
const CONNECT: Duration = Duration::from_secs(2);

/// A longer linger is cut short by a flush.
const SHORT_LINGER: Duration = Duration::from_millis(50);

/// Tells the outcome of what is past the deadline, whatever librdkafka does.
async fn expire(producer: Weak<KafkaProducer>) {
    loop {
        let pause = match producer.upgrade() {
            Some(producer) => {
                let deadline = producer.options.deadline;
                producer.flights.expire(Instant::now(), || {
                    Error::new(
                        ErrorKind::Timeout,
                        HUB,
                        "submit",
                        format!("no answer within {deadline:?}"),
                    )
                    .with_indeterminate()
                });
                deadline / 16
            }
            None => return,
        };
        tokio::time::sleep(pause.clamp(Duration::from_millis(10), Duration::from_millis(500)))
            .await;
    }
}

fn client_config(
    config: &KafkaConfig,
    options: &ProducerOptions,
    most_bytes: usize,
) -> rdkafka::ClientConfig {
    let mut client = config.client(Role::Producer);
    // librdkafka looks for what is overdue once a second; it should tell before we have to.
    let slack = (options.deadline / 4).min(Duration::from_secs(2));
    let timeout = (options.deadline - slack).as_millis().max(1);
    client.set(
        "message.timeout.ms",
        timeout.min(i32::MAX as u128).to_string(),
    );
    if !config.has("linger.ms") && !config.has("queue.buffering.max.ms") {
        let linger = options.linger.as_secs_f64() * 1e3;
        client.set("linger.ms", linger.min(900_000.0).to_string());
    }
    // Our own bound is the only one: librdkafka counts an event until all of the reports that it
    // came with are handed out, which is after we have given its room away.
    client.set("queue.buffering.max.messages", "0");
    client.set("queue.buffering.max.kbytes", i32::MAX.to_string());
    client.set("message.max.bytes", most_bytes.to_string());
    client
}

/// The largest event whose record batch is within what the topic takes (`max.message.bytes`).
///
/// A batch of one record adds 61 bytes, and the record its lengths, at most 5 bytes each, and
/// attributes (Kafka's protocol guide, "Record Batch", 2026-11).
fn event_bytes(most_bytes: usize) -> usize {
    most_bytes.saturating_sub(128 + HEADERS_RESERVE).max(1)
}

/// The lengths of a header's name and value, in bytes, at most.
const HEADER_OVERHEAD: usize = 8;
/// What is kept free for them.
const HEADERS_RESERVE: usize = 512;

impl Settings {
    async fn create(&self) -> Result<Arc<Shell>> {
        let reports = Reports::new(self.flights.clone(), self.traffic.clone());
        let (config, name, deadline) = (self.config.clone(), self.topic.clone(), self.deadline);
        let creating = spawn_blocking(move || {
            let client = config.create_with_context(reports);
            let client: NativeClient = client.map_err(|error| failed("producer", &error))?;
            let topic = Topic::of(&client, &name).ok_or_else(|| no_topic("producer", &name))?;
            // Connects to the partitions' leaders now; the first events would wait half a second
            // for that. Where it fails, their deadline decides.
            if let Err(error) = client.client().fetch_metadata(Some(&name), CONNECT) {
                tracing::debug!(%error, "a new producer found no leaders yet");
            }
            Ok(Arc::new(Shell {
                client: Some((topic, client)),
                deadline,
            }))
        });
        creating.await.map_err(|_| closed("producer", "hub"))?
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some((topic, client)) = self.client.take() {
            let deadline = self.deadline;
            // What was admitted is still sent; what is not within its deadline is told so.
            crate::control::let_go(move || {
                client.flush(deadline).ok();
                drop(topic);
                drop(client);
            });
        }
    }
}

impl fmt::Debug for KafkaProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KafkaProducer({}, {} in flight)",
            self.topic,
            self.buffer.in_flight()
        )
    }
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("librdkafka")
    }
}
