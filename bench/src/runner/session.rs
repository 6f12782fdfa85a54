//! One run on one hub: its topic, producers and consumers, opened before the first phase and
//! closed after the last.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhub_core::{
    ConsumerOptions, Error, ErrorKind, Hub, Point, Producer, ProducerOptions, Result, TopicConfig,
    shown,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    clock::Clock,
    consume::{Reader, Reading},
    phase::lock,
};
use crate::{
    hubs::{Given, Running},
    keys::KeySpace,
    workload::Workload,
};

/// Within this every send resolves. Event Hubs asks those that it finds busy to stay away for 4 s, and a lane may find it
/// so several times in turn while others are let in.
const DEADLINE: Duration = Duration::from_secs(60);
/// Often enough that a hub which keeps what is not committed needs little room, and rare beside
/// thousands of events.
const COMMIT_INTERVAL: Duration = Duration::from_millis(200);
/// What opening and closing may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the consumers of a group may take to share the partitions.
const SHARING: Duration = Duration::from_secs(30);

pub(super) struct Session {
    pub(super) hub: Arc<dyn Hub>,
    /// The hub's server, where it is ours.
    pub(super) server: Option<Arc<Running>>,
    pub(super) topic: String,
    pub(super) producers: Vec<Arc<dyn Producer>>,
    pub(super) reading: Arc<Reading>,
    /// A consumer has failed; nothing more is to be waited for.
    pub(super) broken: CancellationToken,
    why_broken: Arc<Mutex<Option<String>>>,
    /// What went on that is worth a line.
    pub(super) notes: Vec<String>,
    group: String,
    owns_topic: bool,
    /// The group is ours alone; one that was there before may have a place of its own, and stays.
    owns_group: bool,
    readers: Vec<JoinHandle<Result<()>>>,
    /// The partitions are shared out.
    settled: CancellationToken,
    close: CancellationToken,
}

impl Session {
    /// Opens everything. `given` is there already; without it, a topic called `name` is made, and
    /// deleted by [`close`](Self::close), and so is a group of that name where none is given.
    pub(super) async fn open(
        hub: Arc<dyn Hub>,
        given: Option<&Given>,
        name: String,
        workload: &Workload,
        producers: usize,
        keys: Arc<KeySpace>,
        clock: Clock,
    ) -> Result<Self> {
        let assignment = hub.capabilities().assignment;
        let owns_topic = given.is_none();
        let given_group = given.and_then(|given| given.group.clone());
        if owns_topic {
            let config = TopicConfig::new(&name).partitions(workload.partitions);
            within(PATIENCE, "create_topic", hub.admin().create_topic(&config)).await?;
        }
        let consumers = workload.consumers as usize;
        let mut session = Self {
            topic: given.map_or(&name, |given| &given.topic).clone(),
            producers: Vec::new(),
            reading: Arc::new(Reading::new(
                keys,
                clock,
                consumers,
                assignment,
                !owns_topic,
            )),
            broken: CancellationToken::new(),
            why_broken: Arc::default(),
            notes: Vec::new(),
            owns_group: given_group.is_none(),
            group: given_group.unwrap_or(name),
            owns_topic,
            readers: Vec::new(),
            settled: CancellationToken::new(),
            close: CancellationToken::new(),
            server: None,
            hub,
        };
        match session.open_clients(workload, producers).await {
            Ok(()) => Ok(session),
            Err(error) => {
                // The first error is the one to tell.
                let _ = session.close().await;
                Err(error)
            }
        }
    }

    async fn open_clients(&mut self, workload: &Workload, producers: usize) -> Result<()> {
        let info = within(
            PATIENCE,
            "describe_topic",
            self.hub.admin().describe_topic(&self.topic),
        )
        .await?;
        // On a topic that others use, what was there before is theirs.
        let start = if self.owns_topic {
            Point::Start
        } else {
            Point::End
        };
        for number in 0..workload.consumers as usize {
            let options = ConsumerOptions::new()
                .group(&self.group)
                .start(start.clone())
                .commit_interval(COMMIT_INTERVAL);
            let consumer = within(
                PATIENCE,
                "consumer",
                self.hub.consumer(&self.topic, options),
            )
            .await?;
            let reader = Reader {
                number,
                consumer,
                shared: self.reading.clone(),
                batch: workload.batch as usize,
                to_end: (!self.owns_group).then(|| self.settled.clone()),
                close: self.close.clone(),
            };
            let (broken, why) = (self.broken.clone(), self.why_broken.clone());
            self.readers.push(tokio::spawn(async move {
                let read = reader.run().await;
                if let Err(error) = &read {
                    lock(&why).get_or_insert(error.to_string());
                    broken.cancel();
                }
                read
            }));
        }
        for _ in 0..producers {
            let options = ProducerOptions::new().deadline(DEADLINE);
            self.producers.push(
                within(
                    PATIENCE,
                    "producer",
                    self.hub.producer(&self.topic, options),
                )
                .await?,
            );
        }
        let partitions = info.partitions.len();
        if !self
            .becomes(SHARING, |reading| reading.is_assigned(partitions))
            .await
        {
            let told = format!(
                "the consumers did not share the {partitions} partitions within {} s",
                SHARING.as_secs()
            );
            if !self.owns_group {
                let group = shown(&self.group);
                return Err(self.error("consumer", &told).with_advice(format!(
                    "does anybody else read by the group '{group}'? Give one of its own by --group"
                )));
            }
            self.notes.push(told);
        }
        if !self.owns_group {
            // What the group has left unread is none of this run's.
            self.settled.cancel();
            let consumers = self.readers.len();
            let moved = self.becomes(PATIENCE, |reading| reading.at_end() == consumers);
            if !moved.await {
                return Err(self.error("seek", "the group did not move to the end in time"));
            }
        }
        Ok(())
    }

    /// Waits for what has to be so before anything is timed; false if it is not within `limit`. A
    /// consumer that failed ends the wait, too.
    async fn becomes(&self, limit: Duration, so: impl Fn(&Reading) -> bool) -> bool {
        let begun = Instant::now();
        while !so(&self.reading) && !self.broken.is_cancelled() {
            if begun.elapsed() > limit {
                return false;
            }
            sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Closes everything and deletes what [`open`](Self::open) made; the first error of a consumer
    /// or producer.
    pub(super) async fn close(&mut self) -> Result<()> {
        self.close.cancel();
        let mut closed = Ok(());
        for reader in std::mem::take(&mut self.readers) {
            let abort = reader.abort_handle();
            let read = match timeout(PATIENCE, reader).await {
                Ok(Ok(read)) => read,
                Ok(Err(_)) => Err(self.error("receive", "the consumer's task broke off")),
                Err(_) => {
                    abort.abort();
                    Err(self.error("close", "a consumer did not close in time"))
                }
            };
            closed = closed.and(read);
        }
        for producer in std::mem::take(&mut self.producers) {
            closed = closed.and(within(PATIENCE, "close", producer.close()).await);
        }
        // What can't be deleted is told; it changes no number.
        let admin = self.hub.admin();
        if self.owns_group
            && let Err(error) =
                within(PATIENCE, "delete_group", admin.delete_group(&self.group)).await
            && !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported)
            && closed.is_ok()
        {
            self.notes
                .push(format!("the group {} is still there: {error}", self.group));
        }
        if self.owns_topic
            && let Err(error) =
                within(PATIENCE, "delete_topic", admin.delete_topic(&self.topic)).await
        {
            self.notes
                .push(format!("the topic {} is still there: {error}", self.topic));
        }
        closed
    }

    /// What the first consumer that failed said.
    pub(super) fn why_broken(&self) -> Option<String> {
        lock(&self.why_broken).clone()
    }

    fn error(&self, operation: &'static str, what: &str) -> Error {
        Error::new(ErrorKind::Unexpected, self.hub.name(), operation, what)
    }
}

/// A hub that does not answer is an error like any other.
pub(super) async fn within<T>(
    limit: Duration,
    operation: &'static str,
    what: impl Future<Output = Result<T>>,
) -> Result<T> {
    timeout(limit, what).await.unwrap_or_else(|_| {
        let message = format!("no answer within {} s", limit.as_secs());
        Err(Error::new(
            ErrorKind::Timeout,
            "anyhub-bench",
            operation,
            message,
        ))
    })
}
