//! A lane's messages on their way: batches out, answers in.

use crate::{
    client::Client,
    lanes::{Answer, Lane, Request, Rest, Step},
    sender::Sender,
    usage::Counters,
};
use anyhub_core::{Error, ErrorKind};
use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep_until};

/// What the tasks of a producer share; it lives until all that was admitted is told.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) client: Client,
    pub(crate) counters: Arc<Counters>,
    pub(crate) lanes: Vec<Mutex<Lane>>,
    /// Of each lane: the partition that its link goes to. None: Event Hubs chooses.
    pub(crate) partitions: Vec<Option<u32>>,
    /// How many flushes wait.
    pub(crate) hurries: AtomicUsize,
}

/// How long an answer is awaited on a connection that lives; twice as long after each that did not
/// come: a batch of 1 MiB may take a while on a slow way.
const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_MOST: Duration = Duration::from_secs(60);

impl Core {
    pub(crate) fn lane(&self, index: usize) -> MutexGuard<'_, Lane> {
        let lane = &self.lanes[index];
        lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every lane.
    pub(crate) fn each(&self, mut what: impl FnMut(&mut Lane)) {
        for index in 0..self.lanes.len() {
            what(&mut self.lane(index));
        }
    }

    /// Starts the lanes' tasks; they end, and take leave, when the lanes are gone.
    pub(crate) fn start(self: &Arc<Self>, first: Sender) {
        let io = self.client.io().clone();
        io.spawn(supervise(self.clone(), first));
    }
}

/// Keeps each lane going.
async fn supervise(core: Arc<Core>, first: Sender) {
    let mut first = Some(first);
    let mut running = JoinSet::new();
    let start = |running: &mut JoinSet<()>, index: usize, link| {
        let core = core.clone();
        let begun = running.spawn(run(core, index, link));
        (begun.id(), index)
    };
    let mut indices: Vec<_> = (0..core.lanes.len())
        .map(|index| start(&mut running, index, first.take()))
        .collect();
    while let Some(ended) = running.join_next_with_id().await {
        if let Err(error) = ended {
            // The SDK has panicked; what was in flight is told as indeterminate.
            tracing::warn!(%error, "a lane is begun again");
            let index = indices.iter().find(|(id, _)| *id == error.id());
            let begun = index.map(|(_, index)| start(&mut running, *index, None));
            indices.extend(begun);
        }
    }
    core.client.close().await;
}

/// One lane, until the producer ends.
async fn run(core: Arc<Core>, index: usize, first: Option<Sender>) {
    let bell = core.lane(index).bell();
    let mut link = Link {
        partition: core.partitions[index],
        sender: first,
        patience: PATIENCE,
    };
    loop {
        let step = core.lane(index).next(Instant::now());
        match step {
            Step::Gone => return,
            Step::Wait(None) => bell.notified().await,
            Step::Wait(Some(until)) => {
                tokio::select! {
                    () = bell.notified() => {}
                    () = sleep_until(until.into()) => {}
                }
            }
            Step::Send(request) => {
                let rest = link.send(&core, index, request).await;
                core.lane(index).answered(rest, Instant::now());
            }
        }
    }
}

/// A lane's link, attached anew when it is lost.
struct Link {
    partition: Option<u32>,
    sender: Option<Sender>,
    patience: Duration,
}

impl Link {
    /// Sends a message of the lane's, and tells what gets late meanwhile.
    async fn send(&mut self, core: &Core, lane: usize, mut request: Request) -> Rest {
        let message = request.message();
        let handed_on = AtomicBool::new(false);
        let answer = {
            let mut sending = pin!(self.deliver(core, &message, &handed_on));
            loop {
                let in_flight = handed_on.load(Ordering::Relaxed);
                let now = Instant::now();
                let next = core.lane(lane).expire(&mut request, now, in_flight);
                let Some(deadline) = next else {
                    // Nobody waits for it any more, and the next ones shall not have to.
                    let late = "given up at the deadline of all of its events";
                    let late = Error::new(ErrorKind::Timeout, crate::error::HUB, "submit", late);
                    break match in_flight {
                        true => Answer::Lost(late),
                        false => Answer::Unwritten(late),
                    };
                };
                tokio::select! {
                    answer = &mut sending => break answer,
                    () = sleep_until(deadline.into()) => {}
                }
            }
        };
        request.back(message);
        match &answer {
            Answer::Written => {
                self.patience = PATIENCE;
                request
                    .sizes()
                    .into_iter()
                    .for_each(|size| core.counters.wrote(size));
            }
            Answer::Lost(_) => {
                // What may have been written may be billed.
                request
                    .sizes()
                    .into_iter()
                    .for_each(|size| core.counters.wrote(size));
                self.patience = (self.patience * 2).min(PATIENCE_MOST);
                self.sender = None;
            }
            Answer::Refused(_) | Answer::Unwritten(_) => {}
        }
        request.settle(answer)
    }

    async fn deliver(
        &mut self,
        core: &Core,
        message: &azure_core_amqp::AmqpMessage,
        handed_on: &AtomicBool,
    ) -> Answer {
        let sender = match self.sender.take() {
            Some(sender) if sender.is_alive() => sender,
            _ => match self.attach(core).await {
                Ok(sender) => sender,
                Err(error) if error.is_retryable() => return Answer::Unwritten(error),
                Err(error) => return Answer::Refused(error),
            },
        };
        handed_on.store(true, Ordering::Relaxed);
        let answer = sender.send(message, self.patience).await;
        // What is not put back is closed.
        if !matches!(answer, Answer::Lost(_)) {
            self.sender = Some(sender);
        }
        answer
    }

    async fn attach(&self, core: &Core) -> anyhub_core::Result<Sender> {
        let connection = core.client.connection("submit").await?;
        Sender::open(connection, "submit", self.partition).await
    }
}
