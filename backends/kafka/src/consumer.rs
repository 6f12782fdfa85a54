use crate::{
    config::KafkaConfig,
    control::{Control, Places},
    error::{HUB, closed},
    hub::Traffic,
    keeper::{beat, keep},
    machine::Machine,
    member::{NativeConsumer, Shell},
    shared::{Shared, fenced},
    slots::Mode,
    start::{begin, resolve},
    work::{Work, client_config, join},
};
use anyhub_core::{
    Acks, Batch, Consumer, ConsumerOptions, Error, ErrorKind, OwnedPartition, Partition, Point,
    Result, driver::check_consumer,
};
use async_trait::async_trait;
use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::Notify,
    task::{AbortHandle, coop, spawn_blocking},
    time::timeout,
};

/// A consumer on librdkafka, polled within `receive`, in the application's own task.
#[derive(Debug)]
pub(crate) struct KafkaConsumer {
    shared: Arc<Shared>,
    machine: Machine,
    acks: Acks,
    /// What came while it was opened.
    early: Option<Batch>,
    /// The hub was closed.
    ended: Arc<AtomicBool>,
    keeper: AbortHandle,
    heart: AbortHandle,
}

/// How long a commit waits for its answer.
const COMMIT: Duration = Duration::from_secs(30);

/// How long opening waits for the group's first assignment; it comes later, too.
const JOIN: Duration = Duration::from_secs(30);

impl KafkaConsumer {
    /// What the hub needs to close it.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) async fn open(
        config: KafkaConfig,
        control: Control,
        topic: &str,
        options: ConsumerOptions,
        traffic: Arc<Traffic>,
        ended: Arc<AtomicBool>,
    ) -> Result<Self> {
        check_consumer(&options, HUB)?;
        let count = control.partitions("consumer", topic).await?;
        let wake = Arc::new(Notify::new());
        let client = client_config(&config, &options);
        let (woken, name) = (wake.clone(), topic.to_owned());
        let opening = spawn_blocking(move || Shell::open(&client, &name, &woken, "consumer"));
        let shell = opening.await.map_err(|_| closed("consumer", "hub"))??;
        let native = NativeConsumer::new(shell);
        let shared = Shared::new(config, control, topic, options, native, wake, traffic);
        let shared = Arc::new(shared);
        let mut consumer = Self {
            acks: Acks::new(shared.lanes.clone()),
            machine: Machine::new(shared.clone()),
            early: None,
            ended,
            keeper: tokio::spawn(keep(Arc::downgrade(&shared), count)).abort_handle(),
            heart: tokio::spawn(beat(Arc::downgrade(&shared))).abort_handle(),
            shared,
        };
        consumer.begin(count).await?;
        Ok(consumer)
    }

    /// Makes the start concrete and joins; returns once there is a first assignment.
    async fn begin(&mut self, count: u32) -> Result<()> {
        let shared = &self.shared;
        if shared.options.group.is_none() {
            let partitions = (0..count).collect();
            self.machine.queue.push_back(Work::Locate {
                partitions,
                first: true,
            });
            return self.machine.settle().await;
        }
        if shared.options.start != Point::Start {
            // Before anyone can see it as a member; where the group has some, they have a start.
            let (topic, start) = (shared.topic.clone(), shared.options.start.clone());
            let all: Vec<u32> = (0..count).collect();
            let beginning = shared
                .ask("consumer", move |asker| {
                    begin(asker, &topic, count, &all, &start)
                })
                .await?;
            if !beginning.to_commit.is_empty()
                && let Err(error) = shared.commit_offsets(&beginning.to_commit).await
                && error.kind() != ErrorKind::Fenced
            {
                return Err(error);
            }
        }
        let joining = shared.clone();
        let joining = spawn_blocking(move || join(&joining));
        joining.await.map_err(|_| closed("consumer", "hub"))??;
        let deadline = Instant::now() + JOIN;
        while !self.machine.joined {
            self.machine.turn();
            let polled = self.machine.poll(1);
            if let Some(failure) = &self.machine.failure {
                return Err(failure.clone());
            }
            if polled.deliveries.is_empty() {
                self.machine.changes = polled.changes;
                self.machine.wait(Some(deadline)).await;
            } else {
                self.early = Some(polled);
                return Ok(());
            }
            if Instant::now() >= deadline {
                tracing::warn!(
                    hub = HUB,
                    "the group has assigned nothing yet; it goes on joining"
                );
                break;
            }
        }
        Ok(())
    }

    /// Drops what came of these partitions before they were moved.
    fn forget(&mut self, moved: &Places) {
        let Some(mut early) = self.early.take() else {
            return;
        };
        early.deliveries.retain(|delivery| {
            let of = delivery.partition.as_number();
            !moved.iter().any(|(partition, _)| of == Some(*partition))
        });
        self.early = Some(early).filter(|early| !early.is_empty());
    }

    fn check_open(&self, operation: &'static str) -> Result<()> {
        if self.ended.load(Ordering::Acquire) {
            return Err(closed(operation, "hub"));
        }
        if self.shared.is_closing() {
            return Err(closed(operation, "consumer"));
        }
        Ok(())
    }
}

#[async_trait]
impl Consumer for KafkaConsumer {
    async fn receive(&mut self, max: usize) -> Result<Batch> {
        coop::consume_budget().await;
        if max == 0 {
            let error = Error::new(ErrorKind::Invalid, HUB, "receive", "max is 0");
            return Err(error.with_advice("ask for one delivery or more"));
        }
        loop {
            self.check_open("receive")?;
            if let Some(early) = self.early.take() {
                return Ok(early);
            }
            self.machine.turn();
            if let Some(failure) = &self.machine.failure {
                return Err(failure.clone());
            }
            let batch = self.machine.poll(max);
            if !batch.is_empty() {
                return Ok(batch);
            }
            self.machine.wait(None).await;
        }
    }

    fn acks(&self) -> Acks {
        self.acks.clone()
    }

    async fn commit(&mut self) -> Result<()> {
        self.check_open("commit")?;
        let committed = timeout(COMMIT, self.shared.commit())
            .await
            .unwrap_or_else(|_| {
                let message = format!("the brokers did not answer within {COMMIT:?}");
                Err(Error::new(ErrorKind::Timeout, HUB, "commit", message)
                    .with_advice("it may still be done; a group that rebalances answers later"))
            });
        if self.shared.lanes.take_fenced() {
            return Err(fenced());
        }
        committed
    }

    async fn seek(&mut self, to: Point) -> Result<()> {
        self.check_open("seek")?;
        self.machine.settle().await?;
        let shared = self.shared.clone();
        let count = shared.control.partitions("seek", &shared.topic).await?;
        let owned = shared.slots().partitions();
        let asked = match &to {
            Point::Positions(_) => (0..count).collect(),
            _ => owned.clone(),
        };
        let (topic, point) = (shared.topic.clone(), to);
        let places = shared
            .control
            .ask("seek", move |asker| {
                resolve(asker, &topic, &asked, &point, "seek")
            })
            .await?;
        if let Some((stranger, _)) = places.iter().find(|place| !owned.contains(&place.0)) {
            return Err(Error::new(
                ErrorKind::Invalid,
                HUB,
                "seek",
                format!("partition {stranger} is not this consumer's"),
            )
            .with_advice("Consumer::assignment() says which are"));
        }
        let turn = shared.commits.lock().await;
        // First, so that a seek that fails leaves all as it was.
        if shared.options.group.is_some() && !places.is_empty() {
            shared.commit_offsets(&places).await?;
        }
        for &(partition, next) in &places {
            if let Some(slot) = shared.slots().get(partition) {
                slot.lane = shared.lanes.assign(&Partition::number(partition));
                slot.next = next;
                slot.checkpoint = next;
                slot.mode = Mode::Moving;
            }
        }
        drop(turn);
        self.forget(&places);
        self.machine.failure = None;
        self.machine.settle().await
    }

    fn assignment(&self) -> Vec<OwnedPartition> {
        self.shared.lanes.assignment()
    }

    async fn close(&mut self) -> Result<()> {
        self.keeper.abort();
        self.heart.abort();
        self.machine.stop();
        self.shared.close().await
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        &self.shared.native
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        self.keeper.abort();
        self.heart.abort();
        self.machine.stop();
        self.shared.revoke();
    }
}
