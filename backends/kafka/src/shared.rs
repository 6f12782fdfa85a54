use crate::{
    config::KafkaConfig,
    control::{Asker, Control, PATIENCE, is_passing, let_go, places},
    error::{HUB, closed, coded, failed},
    hub::Traffic,
    member::NativeConsumer,
    native::NativeMember,
    slots::Slots,
    work::session,
};
use anyhub_core::{
    ConsumerOptions, Error, ErrorKind, Result,
    driver::{Lane, Lanes, Pulse},
};
use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, oneshot},
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// What a consumer shares with its acks, its keeper and the work that runs beside `receive`.
pub(crate) struct Shared {
    pub(crate) config: KafkaConfig,
    pub(crate) control: Control,
    pub(crate) topic: String,
    pub(crate) options: ConsumerOptions,
    pub(crate) lanes: Arc<Lanes<i64>>,
    pub(crate) native: NativeConsumer,
    pub(crate) wake: Arc<Notify>,
    pub(crate) traffic: Arc<Traffic>,
    slots: Mutex<Slots>,
    /// One commit at a time, so that a retried one can't undo a later one.
    pub(crate) commits: tokio::sync::Mutex<()>,
    /// Set by the first who closes; nothing is received any more.
    closing: AtomicBool,
    /// Held by who closes; Some once that is done, with what nobody was told yet.
    closed: tokio::sync::Mutex<Option<Result<()>>>,
    /// When the application was last seen in `receive`.
    alive: Mutex<Instant>,
    /// Set when it was not for too long: all lanes were lost.
    expired: AtomicBool,
    pub(crate) pulse: Pulse,
    /// Events that came, ever: what the watchdog looks at.
    pub(crate) progress: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        config: KafkaConfig,
        control: Control,
        topic: &str,
        options: ConsumerOptions,
        native: NativeConsumer,
        wake: Arc<Notify>,
        traffic: Arc<Traffic>,
    ) -> Self {
        let session = session(&config, &options);
        Self {
            lanes: Arc::new(Lanes::new(&options)),
            config,
            control,
            topic: topic.to_owned(),
            options,
            native,
            wake,
            traffic,
            slots: Mutex::default(),
            commits: tokio::sync::Mutex::default(),
            closing: AtomicBool::new(false),
            closed: tokio::sync::Mutex::default(),
            alive: Mutex::new(Instant::now()),
            expired: AtomicBool::new(false),
            pulse: Pulse::new(session * 2 / 3),
            progress: AtomicU64::new(0),
        }
    }

    pub(crate) fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, on a blocking thread, with the consumer's own client.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        question: impl FnOnce(&Asker<'_, NativeMember>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (shell, brokers) = (self.native.shell(), self.config.bootstrap.clone());
        let asking = spawn_blocking(move || {
            question(&Asker {
                client: &shell,
                trouble: &shell.events().trouble,
                brokers: &brokers,
                operation,
                deadline: Instant::now() + PATIENCE,
            })
        });
        asking.await.map_err(|_| closed(operation, "hub"))?
    }

    /// The application is in `receive`; what it owned is lost if it was away for too long (C2).
    pub(crate) fn is_alive(&self) {
        self.pulse.beat();
        self.expire();
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Takes the lanes of an application that has not called `receive` for too long (C2).
    pub(crate) fn expire(&self) {
        if self.options.group.is_none() || self.idle() <= self.options.max_processing {
            return;
        }
        if self.forfeit() {
            tracing::warn!(
                hub = HUB,
                topic = self.topic,
                limit = ?self.options.max_processing,
                "receive was not called for max_processing: the partitions go"
            );
        }
    }

    /// How long the application has not called `receive`.
    pub(crate) fn idle(&self) -> Duration {
        self.alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    /// Loses all lanes; true unless they were lost before, or there were none.
    fn forfeit(&self) -> bool {
        let slots = self.slots();
        let mut any = false;
        for (_, slot) in slots.iter() {
            any = true;
            self.lanes.lose(slot.lane);
        }
        let first = any && !self.expired.swap(true, Ordering::AcqRel);
        drop(slots);
        if first {
            self.wake.notify_one();
        }
        first
    }

    pub(crate) fn take_expired(&self) -> bool {
        self.expired.swap(false, Ordering::AcqRel)
    }

    /// Commits what is finished, if there is anything.
    ///
    /// Cancel-safe: dropped, the commit under way goes on, and no other one before it is done.
    pub(crate) async fn commit(self: &Arc<Self>) -> Result<()> {
        let this = self.clone();
        let committing = tokio::spawn(async move {
            let _turn = this.commits.lock().await;
            this.commit_lanes(this.lanes.uncommitted()).await
        });
        committing.await.map_err(|_| closed("commit", "hub"))?
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Commits, lets go of the lanes and leaves the group; does nothing once that is done.
    ///
    /// Cancel-safe: dropped, it is finished by the next call.
    pub(crate) async fn close(self: &Arc<Self>) -> Result<()> {
        self.closing.store(true, Ordering::Release);
        self.wake.notify_one();
        let mut closed = self.closed.lock().await;
        if let Some(untold) = closed.as_mut() {
            return std::mem::replace(untold, Ok(()));
        }
        self.expire();
        let committed = timeout(PATIENCE, self.commit()).await.unwrap_or_else(|_| {
            let message = format!("the last commit was not answered within {PATIENCE:?}");
            Err(Error::new(ErrorKind::Timeout, HUB, "close", message)
                .with_advice("what was acknowledged since the one before comes again"))
        });
        self.revoke();
        let result = match self.lanes.take_fenced() {
            true => Err(fenced()),
            false => committed,
        };
        // The leaving goes on by itself from here.
        *closed = Some(result.clone());
        let (shell, (done, left)) = (self.native.shell(), oneshot::channel());
        let_go(move || {
            shell.leave();
            done.send(()).ok();
        });
        if timeout(PATIENCE, left).await.is_err() {
            tracing::warn!(
                hub = HUB,
                "the group was not left in time; the leaving goes on"
            );
        }
        *closed = Some(Ok(()));
        result
    }

    /// Makes the tokens that are still held stale.
    pub(crate) fn revoke(&self) {
        for (_, slot) in self.slots().iter() {
            self.lanes.revoke(slot.lane);
        }
    }

    /// After a pause of the process nothing is delivered before the group has said that it still
    /// counts us in (C10).
    pub(crate) async fn reassure(&self) -> Result<()> {
        if !self.is_member().await? {
            self.forfeit();
        }
        self.pulse.reassured();
        Ok(())
    }

    /// Asks the group whether it still counts us in, by a commit of what is committed. librdkafka
    /// may not know: it looks away while a rebalance waits for an answer.
    pub(crate) async fn is_member(&self) -> Result<bool> {
        let _turn = self.commits.lock().await;
        let place = {
            let slots = self.slots();
            slots
                .iter()
                .next()
                .map(|(partition, slot)| (partition, slot.checkpoint))
        };
        let Some(place) = place.filter(|_| self.options.group.is_some()) else {
            return Ok(true);
        };
        match self.commit_offsets(&[place]).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Fenced => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes finished prefixes durable; the caller holds the turn to commit.
    pub(crate) async fn commit_lanes(&self, finished: Vec<Lane<i64>>) -> Result<()> {
        if self.options.group.is_none() || finished.is_empty() {
            return Ok(());
        }
        let offsets: Vec<_> = finished
            .iter()
            .filter_map(|lane| Some((lane.partition.as_number()?, lane.finished + 1)))
            .collect();
        let done = self.commit_offsets(&offsets).await;
        match &done {
            Ok(()) => {
                self.lanes.committed(&finished);
                let mut slots = self.slots();
                for (partition, offset) in offsets {
                    if let Some(slot) = slots.get(partition) {
                        slot.checkpoint = slot.checkpoint.max(offset);
                    }
                }
            }
            // Another owner has them by now.
            Err(error) if error.kind() == ErrorKind::Fenced => {
                self.forfeit();
            }
            Err(_) => {}
        }
        done
    }

    /// Commits these offsets as they are, and tries again while that may help.
    pub(crate) async fn commit_offsets(&self, offsets: &[(u32, i64)]) -> Result<()> {
        let started = Instant::now();
        for attempt in 1.. {
            let (shell, topic, offsets) =
                (self.native.shell(), self.topic.clone(), offsets.to_vec());
            let committing = spawn_blocking(move || {
                // As nobody's member it would be let through as that of a client without a group.
                if shell.assignment_lost() {
                    return Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::AssignmentLost));
                }
                shell.commit(&places(&topic, &offsets)?)
            });
            let done = committing.await.map_err(|_| closed("commit", "hub"))?;
            let Err(error) = done else {
                return Ok(());
            };
            let code = error
                .rdkafka_error_code()
                .unwrap_or(RDKafkaErrorCode::Unknown);
            let goes_on = match code {
                // The brokers answer in turn, so a commit waits behind a join, and comes with the
                // generation of before. The next one knows the new one.
                RDKafkaErrorCode::IllegalGeneration => attempt < 5,
                code if is_passing(code) => attempt < 3 || started.elapsed() < PATIENCE,
                _ => false,
            };
            if !goes_on {
                let error = failed("commit", &error);
                return Err(match error.kind() {
                    ErrorKind::Fenced => fenced(),
                    _ => error,
                });
            }
            tracing::debug!(%error, "a commit is tried again");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// Acks were lost to another owner (C3).
pub(crate) fn fenced() -> Error {
    Error::new(
        ErrorKind::Fenced,
        HUB,
        "commit",
        "acknowledged events were lost to another owner of their partitions",
    )
    .with_advice("they come again there; call receive more often than max_processing")
}

/// What a consumer can't go on after; None: librdkafka goes on by itself.
pub(crate) fn is_final(code: RDKafkaErrorCode) -> Option<Error> {
    let told = coded("receive", code);
    match told.kind() {
        ErrorKind::Denied | ErrorKind::Config | ErrorKind::Unsupported => Some(told),
        _ if code == RDKafkaErrorCode::Fatal => Some(told),
        _ => None,
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({})", self.topic)
    }
}
