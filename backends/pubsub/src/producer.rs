use crate::{
    client::Client,
    error::HUB,
    hub::CAPABILITIES,
    message::{self, EVENT_BYTES},
    name,
    native::NativeTopic,
    outbox::{Entry, Outbox},
    send::{self, Core},
};
use anyhub_core::{
    Event, Limits, Pending, Producer, ProducerOptions, Result,
    driver::{Buffer, Submitted, check, check_producer},
};
use async_trait::async_trait;
use std::{any::Any, fmt, sync::Arc, time::Instant};

/// A producer: it checks and admits; its task sends.
pub(crate) struct PubSubProducer {
    buffer: Buffer,
    limits: Limits,
    options: ProducerOptions,
    core: Arc<Core>,
    native: NativeTopic,
}

impl PubSubProducer {
    /// Opens a producer on a topic. NotFound where it is not there; where the account may not ask, the first event's
    /// outcome tells.
    pub(crate) async fn open(
        client: &Client,
        topic: &str,
        options: ProducerOptions,
    ) -> Result<Arc<Self>> {
        check_producer(&options, HUB)?;
        let topic = name::topic(&client.config().project, topic, "producer")?;
        let line = client.line()?;
        line.check_topic("producer", &topic).await?;
        let core = Core::new(line, topic.as_str().into(), Outbox::new(options.linger));
        let core = Arc::new(core);
        tokio::spawn(send::run(core.clone()));
        Ok(Arc::new(Self {
            buffer: Buffer::new(HUB, &options),
            limits: Limits::new(EVENT_BYTES, options.buffer_events, options.buffer_bytes),
            options,
            core,
            native: NativeTopic::new(client.clone(), topic),
        }))
    }

    async fn drained(&self, operation: &'static str) -> Result<()> {
        let _hurry = Hurry::new(&self.core);
        self.buffer.drained(operation).await
    }
}

#[async_trait]
impl Producer for PubSubProducer {
    async fn submit(&self, batch: Vec<Event>) -> Result<Pending> {
        for event in &batch {
            check(event, HUB, &CAPABILITIES)?;
            message::check(event)?;
        }
        let (_turn, room) = self.buffer.admit(&batch, &self.limits).await?;
        let (completer, pending) = Pending::new(batch.len());
        let now = Instant::now();
        let told = Submitted::new(HUB, completer, Some(room), now, self.options.deadline);
        let told = Arc::new(told);
        let entries = batch.into_iter().enumerate();
        let entries = entries.map(|(index, event)| Entry::new(event, told.clone(), index as u32));
        // Behind all that was admitted before, as the buffer's turn is held.
        self.core.with(|outbox| outbox.submit(entries, now));
        Ok(pending)
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
        self.core.with(|outbox| outbox.end(Instant::now()));
        flushed
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.native
    }
}

impl Drop for PubSubProducer {
    fn drop(&mut self) {
        // What was admitted is still sent, until its deadline; then the task ends.
        self.core.with(|outbox| outbox.end(Instant::now()));
    }
}

/// As long as it lives, nothing lingers.
struct Hurry<'a>(&'a Core);

impl<'a> Hurry<'a> {
    fn new(core: &'a Core) -> Self {
        core.with(|outbox| outbox.hurry(Instant::now()));
        Self(core)
    }
}

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.with(Outbox::rest);
    }
}

impl fmt::Debug for PubSubProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, in_flight) = (name::id(&self.core.topic), self.buffer.in_flight());
        write!(f, "PubSubProducer({topic}, {in_flight} in flight)")
    }
}
