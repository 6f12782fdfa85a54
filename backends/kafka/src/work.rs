//! What has to be done between the group, the lanes and librdkafka. Each piece runs as a task of
//! its own, one after the other, so that a dropped `receive` loses nothing of it.

use crate::{
    config::KafkaConfig,
    control::{Asker, Places, list, places},
    error::{HUB, failed},
    events::Rebalance,
    member::Shell,
    native::each_ok,
    property::Role,
    shared::Shared,
    slots::{Mode, Slots},
    start::{Beginning, begin, resolve},
};
use anyhub_core::{ConsumerOptions, Point, Result, driver::LaneId};
use rdkafka::{ClientConfig, Offset, error::KafkaError};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

/// A piece of work.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Find out where to read these from; for the first time at the start of a private reader.
    Locate { partitions: Vec<u32>, first: bool },
    /// Tell librdkafka to read these.
    TakeUp(Places),
    /// Await the answers to what is delivered of these, commit, and let go of their lanes.
    Revoke(Vec<u32>),
    /// These are gone: tell librdkafka to read them no more.
    Lose(Vec<u32>),
    /// Tell librdkafka to read these no more.
    GiveUp(Vec<u32>),
    /// The lanes of these were lost, but the group may not have noticed: where do they go on?
    Readopt(Vec<u32>),
    /// Pause, move and resume what the slots say.
    Settle(Moves),
    /// Which offsets are kept?
    Range(Vec<u32>),
    /// Is the topic still there?
    Topic,
    /// Does the group still count us in?
    Reassure,
    /// Open another client in the place of one that stalls.
    Restart,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Done {
    Located(Beginning),
    TakenUp,
    /// Those that were read, each with whether acks were lost with it.
    Revoked {
        partitions: Vec<u32>,
        lost: Vec<(u32, bool)>,
    },
    GivenUp,
    Readopted(Beginning),
    Settled(Moves),
    /// Oldest and next offset of each.
    Range(Vec<(u32, i64, i64)>),
    Restarted(Shell),
    Nothing,
}

/// What librdkafka has to be told of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moves {
    pub(crate) pause: Vec<u32>,
    pub(crate) moved: Places,
    resume: Vec<u32>,
    /// All that are read, which the eager protocol wants to hear again.
    all: Places,
}

impl Moves {
    pub(crate) fn of(slots: &Slots) -> Self {
        let mut moves = Self::default();
        for (partition, slot) in slots.iter() {
            moves.all.push((partition, slot.next));
            match slot.mode {
                Mode::Full(_) if !slot.paused => moves.pause.push(partition),
                Mode::Moving => {
                    moves.moved.push((partition, slot.next));
                    if slot.paused {
                        moves.resume.push(partition);
                    }
                }
                _ => {}
            }
        }
        moves
    }
}

/// Runs a piece of work beside the consumer.
pub(crate) fn start(shared: &Arc<Shared>, work: Work) -> JoinHandle<Result<Done>> {
    tracing::trace!(?work);
    let shared = shared.clone();
    tokio::spawn(async move {
        match work {
            Work::Locate { partitions, first } => {
                persist(|| locate(&shared, partitions.clone(), first))
                    .await
                    .map(Done::Located)
            }
            Work::TakeUp(places) => shared.take_up(places).await.map(|()| Done::TakenUp),
            Work::Revoke(partitions) => {
                let lost = revoke(&shared, &partitions).await;
                Ok(Done::Revoked { partitions, lost })
            }
            Work::Lose(partitions) | Work::GiveUp(partitions) => {
                shared.give_up(partitions).await;
                Ok(Done::GivenUp)
            }
            Work::Readopt(partitions) => {
                if !persist(|| shared.is_member()).await? {
                    // The group will say so.
                    return Ok(Done::Nothing);
                }
                persist(|| locate(&shared, partitions.clone(), false))
                    .await
                    .map(Done::Readopted)
            }
            Work::Settle(moves) => settle(&shared, moves).await.map(Done::Settled),
            Work::Range(partitions) => persist(|| range(&shared, partitions.clone()))
                .await
                .map(Done::Range),
            Work::Topic => {
                let there = persist(|| shared.control.partitions("receive", &shared.topic)).await;
                there.map(|_| Done::Nothing)
            }
            Work::Reassure => persist(|| shared.reassure()).await.map(|()| Done::Nothing),
            Work::Restart => restart(&shared).await.map(Done::Restarted),
        }
    })
}

/// The settings of a consumer's client.
pub(crate) fn client_config(config: &KafkaConfig, options: &ConsumerOptions) -> ClientConfig {
    let mut client = config.client(Role::Consumer);
    // librdkafka reads only as somebody; without a group it never tells the brokers.
    let group = options
        .group
        .clone()
        .unwrap_or_else(|| "anyhub-private".to_owned());
    client.set("group.id", group);
    client.set("enable.auto.commit", "false");
    client.set("enable.auto.offset.store", "false");
    client.set("auto.offset.reset", "error");
    let most = options.prefetch_events.clamp(1, 10_000_000);
    client.set("queued.min.messages", most.to_string());
    let kilobytes = (options.prefetch_bytes / 1024).clamp(1, 2_097_151);
    client.set("queued.max.messages.kbytes", kilobytes.to_string());
    let session = session(config, options).as_millis() as u64;
    client.set("session.timeout.ms", session.to_string());
    // After our own limit, which has taken the tokens by then.
    let poll = processing(options).max(session) + 500;
    client.set("max.poll.interval.ms", poll.to_string());
    if !config.has("heartbeat.interval.ms") {
        // Members learn of a rebalance by it: librdkafka's 3 s would be 6 s for one in two rounds.
        client.set("heartbeat.interval.ms", "1000");
    }
    client
}

/// How long the group waits for a silent member: never longer than an application may take, and
/// by default no shorter than brokers allow (`group.min.session.timeout.ms`).
pub(crate) fn session(config: &KafkaConfig, options: &ConsumerOptions) -> Duration {
    let session = config.number("session.timeout.ms").unwrap_or(45_000);
    Duration::from_millis(session.min(processing(options).max(6_000)))
}

/// In milliseconds, within librdkafka's range.
fn processing(options: &ConsumerOptions) -> u64 {
    options.max_processing.as_millis().clamp(1, 86_400_000) as u64
}

impl Shared {
    /// Tells librdkafka to read these; they may be none, which a rebalance ends with all the same.
    async fn take_up(self: &Arc<Self>, at: Places) -> Result<()> {
        let this = self.clone();
        let taking = spawn_blocking(move || {
            let shell = this.native.shell();
            shell.take_up(&places(&this.topic, &at)?)
        });
        let taken = taking
            .await
            .map_err(|_| crate::error::closed("receive", "hub"))?;
        taken.map_err(|error| failed("receive", &error))
    }

    async fn give_up(self: &Arc<Self>, partitions: Vec<u32>) {
        let this = self.clone();
        let giving = spawn_blocking(move || {
            let shell = this.native.shell();
            shell.give_up(&list(&this.topic, &partitions, Offset::Invalid)?)
        });
        if let Ok(Err(error)) = giving.await {
            tracing::debug!(%error, "partitions were gone before they were given up");
        }
    }
}

/// Tries again, as long as that may help.
async fn persist<T, F: Future<Output = Result<T>>>(mut attempt: impl FnMut() -> F) -> Result<T> {
    loop {
        match attempt().await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(hub = HUB, %error, "tried again");
                sleep(Duration::from_millis(500)).await;
            }
            done => return done,
        }
    }
}

async fn locate(shared: &Arc<Shared>, partitions: Vec<u32>, first: bool) -> Result<Beginning> {
    if partitions.is_empty() {
        return Ok(Beginning::default());
    }
    let (topic, start) = (shared.topic.clone(), shared.options.start.clone());
    if shared.options.group.is_none() {
        let start = if first { start } else { Point::Start };
        let ask =
            move |asker: &Asker<'_, _>| resolve(asker, &topic, &partitions, &start, "consumer");
        let places = shared.ask("consumer", ask).await?;
        return Ok(Beginning {
            places,
            ..Beginning::default()
        });
    }
    let count = shared.control.partitions("consumer", &topic).await?;
    let ask = move |asker: &Asker<'_, _>| begin(asker, &topic, count, &partitions, &start);
    let beginning = shared.ask("consumer", ask).await?;
    if !beginning.to_commit.is_empty() {
        let turn = shared.commits.lock().await;
        shared.commit_offsets(&beginning.to_commit).await?;
        drop(turn);
    }
    Ok(beginning)
}

/// Delivers no more of these partitions; their lanes.
pub(crate) fn leave(shared: &Shared, partitions: &[u32]) -> Vec<(u32, LaneId)> {
    let mut slots = shared.slots();
    let lanes = partitions.iter().filter_map(|partition| {
        let slot = slots.get(*partition)?;
        if slot.mode != Mode::Forfeited {
            slot.mode = Mode::Leaving;
        }
        Some((*partition, slot.lane))
    });
    lanes.collect()
}

/// How long a partition that is to be given up waits for the answers to its deliveries.
const DRAIN: Duration = Duration::from_millis(500);

async fn revoke(shared: &Arc<Shared>, partitions: &[u32]) -> Vec<(u32, bool)> {
    let lanes = leave(shared, partitions);
    let since = Instant::now();
    while lanes
        .iter()
        .any(|(_, lane)| shared.lanes.has_deliveries(*lane))
        && since.elapsed() < DRAIN
    {
        // Acks wake the consumer, who may not be listening: so this looks by itself.
        sleep(Duration::from_millis(2)).await;
    }
    let turn = shared.commits.lock().await;
    // Answers that come while a commit is under way want another one.
    for _ in 0..3 {
        let mut finished = shared.lanes.uncommitted();
        finished.retain(|done| lanes.iter().any(|(_, lane)| *lane == done.id));
        if finished.is_empty() {
            break;
        }
        if let Err(error) = shared.commit_lanes(finished).await {
            tracing::warn!(hub = HUB, %error, "what was acknowledged comes again elsewhere");
            break;
        }
    }
    let lost = lanes
        .iter()
        .map(|(partition, lane)| (*partition, shared.lanes.lose(*lane)))
        .collect();
    drop(turn);
    lost
}

async fn settle(shared: &Arc<Shared>, moves: Moves) -> Result<Moves> {
    let this = shared.clone();
    let settling = spawn_blocking(move || {
        let done = settle_now(&this, &moves);
        (moves, done)
    });
    let (moves, done) = settling
        .await
        .map_err(|_| crate::error::closed("receive", "hub"))?;
    match done {
        Ok(()) => Ok(moves),
        Err(error) => {
            tracing::warn!(hub = HUB, %error, "partitions could not be moved; tried again");
            sleep(Duration::from_millis(200)).await;
            Ok(Moves::default())
        }
    }
}

fn settle_now(shared: &Shared, moves: &Moves) -> Result<(), KafkaError> {
    const SEEK: Duration = Duration::from_secs(5);
    let (shell, topic) = (shared.native.shell(), &shared.topic);
    if !moves.pause.is_empty() {
        shell.pause(&list(topic, &moves.pause, Offset::Invalid)?)?;
    }
    if !moves.moved.is_empty() {
        let to = places(topic, &moves.moved)?;
        let sought = shell.seek(&to, SEEK).and_then(|()| each_ok(&to));
        // After an offset that is not kept librdkafka has stopped reading: it must begin anew.
        if sought.is_err() {
            if shell.is_eager() {
                shell.take_up(&places(topic, &moves.all)?)?;
            } else {
                let moved: Vec<u32> = moves.moved.iter().map(|place| place.0).collect();
                shell.give_up(&list(topic, &moved, Offset::Invalid)?)?;
                shell.take_up(&places(topic, &moves.moved)?)?;
            }
        }
    }
    if !moves.resume.is_empty() {
        shell.resume(&list(topic, &moves.resume, Offset::Invalid)?)?;
    }
    Ok(())
}

async fn range(shared: &Arc<Shared>, partitions: Vec<u32>) -> Result<Vec<(u32, i64, i64)>> {
    let topic = shared.topic.clone();
    let ask = move |asker: &Asker<'_, _>| {
        let first = asker.first(&topic, &partitions)?;
        let next = asker.next(&topic, &partitions)?;
        let ranges = first.into_iter().filter_map(|(partition, first)| {
            let next = next.iter().find(|place| place.0 == partition)?.1;
            Some((partition, first, next))
        });
        Ok(ranges.collect())
    };
    shared.ask("receive", ask).await
}

/// Opens a client like the one that stalls, and has it join.
async fn restart(shared: &Arc<Shared>) -> Result<Shell> {
    if let Err(error) = shared.commit().await {
        tracing::warn!(hub = HUB, %error, "what was acknowledged comes again");
    }
    let this = shared.clone();
    let opening = spawn_blocking(move || open(&this));
    opening
        .await
        .map_err(|_| crate::error::closed("receive", "hub"))?
}

fn open(shared: &Shared) -> Result<Shell> {
    let client = client_config(&shared.config, &shared.options);
    Shell::open(&client, &shared.topic, &shared.wake, "receive")
}

/// Joins the group, if there is one. Blocks for a moment.
pub(crate) fn join(shared: &Shared) -> Result<()> {
    if shared.options.group.is_none() {
        return Ok(());
    }
    let joined = shared.native.shell().subscribe(&shared.topic);
    joined.map_err(|error| failed("consumer", &error))
}

impl Work {
    /// The work that the group asks for. What is gone or is to go is delivered no more from now on.
    pub(crate) fn asked(rebalance: Rebalance, shared: &Shared) -> Self {
        match rebalance {
            Rebalance::Assign(partitions) => Self::Locate {
                partitions,
                first: false,
            },
            Rebalance::Revoke(partitions) => {
                leave(shared, &partitions);
                Self::Revoke(partitions)
            }
            Rebalance::Lose(partitions) => {
                for (_, lane) in leave(shared, &partitions) {
                    shared.lanes.lose(lane);
                }
                Self::Lose(partitions)
            }
            Rebalance::Restart => Self::Restart,
        }
    }
}
