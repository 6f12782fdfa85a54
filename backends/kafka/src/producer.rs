use crate::{
    config::KafkaConfig,
    error::{HUB, closed, coded, failed},
    flights::{Flights, MOST},
    headers,
    hub::{Traffic, capabilities},
    property::Role,
    trouble::{self, Trouble},
};
use anyhub_core::{
    Capabilities, Error, ErrorKind, Event, Limits, Pending, Producer, ProducerOptions, Result,
    driver::{Buffer, Turn, check},
};
use async_trait::async_trait;
use rdkafka::{
    ClientContext, Message, bindings,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer},
    types::RDKafkaErrorCode,
};
use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{task::spawn_blocking, time::timeout};

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
    deadline: Duration,
    flights: Arc<Flights>,
    traffic: Arc<Traffic>,
}

/// A client that is dropped on a thread of its own, since that blocks.
struct Shell {
    client: Option<NativeClient>,
    deadline: Duration,
}

/// Where librdkafka reports what became of each event.
#[derive(Debug)]
pub struct Reports {
    flights: Arc<Flights>,
    traffic: Arc<Traffic>,
    trouble: Trouble,
    /// Set when the client can't go on.
    fatal: AtomicBool,
}

impl NativeProducer {
    /// The client, until the producer is closed. After an error that is fatal to an idempotent
    /// client there is a new one.
    pub fn with<T>(&self, use_it: impl FnOnce(&NativeClient) -> T) -> Option<T> {
        let shell = self.shell()?;
        shell.client.as_ref().map(use_it)
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
        check_options(&options)?;
        let flights = Arc::new(Flights::default());
        let settings = Settings {
            config: client_config(config, &options, most_bytes),
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
        let Some(client) = &shell.client else {
            return Err(closed("submit", "producer"));
        };
        if !client.client().context().fatal.load(Ordering::Relaxed) {
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

    async fn within_deadline(
        &self,
        operation: &'static str,
        waiting: impl Future<Output = ()>,
    ) -> Result<()> {
        timeout(self.options.deadline, waiting).await.map_err(|_| {
            Error::new(
                ErrorKind::Timeout,
                HUB,
                operation,
                format!(
                    "{} events are not resolved within {:?}",
                    self.buffer.in_flight(),
                    self.options.deadline
                ),
            )
        })
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
        let Some(client) = &shell.client else {
            return Err(closed("submit", "producer"));
        };
        let (completer, pending) = Pending::new(batch.len());
        if batch.is_empty() {
            return Ok(pending);
        }
        let deadline = Instant::now() + self.options.deadline;
        let first = self.flights.depart(completer, room, batch.len(), deadline);
        let mut bytes = 0;
        for (nth, event) in batch.iter().enumerate() {
            let record = BaseRecord {
                topic: self.topic.as_str(),
                partition: None,
                payload: (!event.is_tombstone()).then(|| &event.payload[..]),
                key: event.key.as_ref().map(|key| key.as_bytes()),
                timestamp: None,
                headers: headers::outgoing(event),
                delivery_opaque: first + nth,
            };
            if let Err((error, _)) = client.send(record) {
                client.client().context().met(&error);
                self.flights.failed(first + nth, failed("submit", &error));
            } else {
                bytes += event.size();
            }
        }
        self.traffic.sent(bytes);
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
                if let Some(client) = &shell.client {
                    client.flush(deadline).ok();
                }
            });
            drop(flushing);
        }
        self.within_deadline("flush", self.buffer.drained()).await
    }

    async fn close(&self) -> Result<()> {
        self.buffer.close();
        let flushed = self.flush().await;
        if let Some(shell) = self.native.replace(None) {
            if flushed.is_err()
                && let Some(client) = &shell.client
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

fn check_options(options: &ProducerOptions) -> Result<()> {
    let wrong = |message: String| Err(Error::new(ErrorKind::Config, HUB, "producer", message));
    if options.buffer_events == 0 || options.buffer_bytes == 0 {
        return wrong("a buffer of 0 admits nothing".to_owned());
    }
    if options.deadline < Duration::from_millis(10) {
        return wrong(format!(
            "a deadline of {:?} is too short: 10 ms or more",
            options.deadline
        ));
    }
    if options.linger >= options.deadline {
        return wrong(format!(
            "a linger of {:?} does not end before the deadline of {:?}",
            options.linger, options.deadline
        ));
    }
    Ok(())
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
    // Above our own bound, so that librdkafka's queue is never full.
    let events = options
        .buffer_events
        .saturating_add(1_000)
        .min(i32::MAX as usize);
    client.set("queue.buffering.max.messages", events.to_string());
    let kilobytes = (options.buffer_bytes / 512)
        .saturating_add(10_000)
        .min(i32::MAX as usize);
    client.set("queue.buffering.max.kbytes", kilobytes.to_string());
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
        let (config, reports) = (
            self.config.clone(),
            Reports {
                flights: self.flights.clone(),
                traffic: self.traffic.clone(),
                trouble: Trouble::default(),
                fatal: AtomicBool::new(false),
            },
        );
        let creating = spawn_blocking(move || config.create_with_context(reports));
        let created = creating.await.map_err(|_| closed("producer", "hub"))?;
        let client = created.map_err(|error| failed("producer", &error))?;
        Ok(Arc::new(Shell {
            client: Some(client),
            deadline: self.deadline,
        }))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let deadline = self.deadline;
            // What was admitted is still sent; what is not within its deadline is told so.
            crate::control::let_go(move || {
                client.flush(deadline).ok();
                drop(client);
            });
        }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        trouble::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.met(&error);
        self.trouble.note(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        tracing::trace!(target: "librdkafka", "{}", String::from_utf8_lossy(statistics));
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, report: &DeliveryResult<'_>, event: usize) {
        match report {
            Ok(message) => self
                .flights
                .written(event, message.partition(), message.offset()),
            Err((error, message)) => {
                // SAFETY: the message of a report is alive while the report is borrowed, and this
                // only reads its status.
                #[allow(unsafe_code)]
                let status = unsafe { bindings::rd_kafka_message_status(message.ptr()) };
                let size = message.payload_len() + message.key_len();
                self.traffic.unsent(size);
                self.flights.failed(event, self.not_told(error, status));
            }
        }
    }
}

impl Reports {
    /// After a fatal error the client takes nothing more.
    fn met(&self, error: &KafkaError) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.fatal.store(true, Ordering::Relaxed);
        }
    }

    fn not_told(&self, error: &KafkaError, status: bindings::rd_kafka_msg_status_t) -> Error {
        self.met(error);
        let code = error
            .rdkafka_error_code()
            .unwrap_or(RDKafkaErrorCode::Unknown);
        let told = match code {
            RDKafkaErrorCode::MessageTimedOut => match self.trouble.denied("submit") {
                Some(denied) => denied,
                None => coded("submit", code),
            },
            code => coded("submit", code),
        };
        if status == bindings::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED {
            told
        } else {
            told.with_indeterminate()
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
