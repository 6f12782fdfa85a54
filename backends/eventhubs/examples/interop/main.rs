//! Our side of `make interop` with Microsoft's clients, through the traits:
//!
//! ```text
//! interop publish URL FOLDER SEED    sends events, reads them back, writes what a reader must find
//! interop read URL FOLDER            reads what another program has sent, and compares
//! ```
//!
//! Ends with 1 at the first thing that differs. infra/interop/README.md says what the files hold.
#![allow(clippy::unwrap_used, missing_docs)]

mod compare;
mod files;
mod made;
mod reading;

use anyhub_core::{Hub, HubUrl, Point, Position, ProducerExt, ProducerOptions};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub};
use clap::Parser;
use compare::{Found, Log};
use files::Mark;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant, UNIX_EPOCH},
};

/// The first thing that differs.
type Told<T> = Result<T, String>;

/// Our side of `make interop` with Microsoft's clients
#[derive(Parser)]
#[command(
    after_help = "Example:\n  interop read 'eventhubs://localhost/t?endpoint=amqp://127.0.0.1:5672' /tmp/interop"
)]
enum Arguments {
    /// Sends events, reads them back, writes what a reader must find
    Publish {
        url: String,
        folder: PathBuf,
        seed: u64,
    },
    /// Reads what another program has sent, and compares
    Read { url: String, folder: PathBuf },
}

#[tokio::main]
async fn main() -> ExitCode {
    let told = match Arguments::parse() {
        Arguments::Publish { url, folder, seed } => publish(&url, &folder, seed).await,
        Arguments::Read { url, folder } => read(&url, &folder).await,
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(difference) => {
            eprintln!("interop: anyhub: {difference}");
            ExitCode::FAILURE
        }
    }
}

async fn publish(url: &str, folder: &Path, seed: u64) -> Told<()> {
    let (hub, topic) = open(url)?;
    let producer = hub.producer(&topic, ProducerOptions::new()).await;
    let producer = producer.map_err(|error| error.to_string())?;
    let events = made::events(seed, producer.limits().event_bytes);
    let began = Instant::now();
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut left = &events[..];
    while !left.is_empty() {
        let (batch, rest) = left.split_at(random.random_range(1..=400).min(left.len()));
        let outcomes = producer.publish(batch.to_vec()).await;
        for outcome in outcomes.map_err(|error| error.to_string())? {
            outcome.map_err(|error| error.to_string())?;
        }
        left = rest;
    }
    println!(
        "anyhub sent {} events, {:.1?} (seed {seed})",
        events.len(),
        began.elapsed()
    );
    let log = reading::whole(&hub, &topic).await?;
    let places = compare::places(&log, &events)?;
    files::write_events(folder, &events);
    files::write_marks(folder, &marks(&log, &places, seed));
    hub.close().await.map_err(|error| error.to_string())
}

async fn read(url: &str, folder: &Path) -> Told<()> {
    let (hub, topic) = open(url)?;
    let expected = files::read_events(folder);
    let began = Instant::now();
    let log = reading::whole(&hub, &topic).await?;
    let took = began.elapsed();
    let places = compare::places(&log, &expected)?;
    let keys: HashSet<_> = expected
        .iter()
        .filter_map(|event| event.key.as_ref())
        .collect();
    println!(
        "anyhub read {} events of {} keys in {} partitions, all as they were sent, {took:.1?}",
        expected.len(),
        keys.len(),
        log.len()
    );
    let marks = files::read_marks(folder);
    for mark in &marks {
        begins(&hub, &topic, &log, &places, mark).await?;
    }
    println!(
        "anyhub began at {0} sequence numbers, behind them, and at {0} times",
        marks.len()
    );
    hub.close().await.map_err(|error| error.to_string())
}

fn open(url: &str) -> Told<(EventHubsHub, String)> {
    let hub = |url: &HubUrl| EventHubsHub::new(EventHubsConfig::from_url(url)?);
    let url: HubUrl = url.parse().map_err(|error| format!("{error}"))?;
    let topic = url.topic().map_err(|error| error.to_string())?.to_owned();
    Ok((hub(&url).map_err(|error| error.to_string())?, topic))
}

/// The first, the last and one other place of each partition, and what is there.
fn marks(log: &Log, places: &[Vec<usize>], seed: u64) -> Vec<Mark> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut marks = Vec::new();
    for (partition, (found, places)) in log.iter().zip(places).enumerate() {
        let mut at = vec![0, found.len() - 1, random.random_range(0..found.len())];
        at.sort_unstable();
        at.dedup();
        marks.extend(at.into_iter().map(|at| Mark {
            partition,
            sequence: at,
            time: found[at].time,
            nth: places[at],
        }));
    }
    marks
}

/// What the mark's writer saw is what we see, and readers that begin there get it first.
async fn begins(
    hub: &EventHubsHub,
    topic: &str,
    log: &Log,
    places: &[Vec<usize>],
    mark: &Mark,
) -> Told<()> {
    let Mark {
        partition,
        sequence,
        time,
        nth,
    } = *mark;
    let found = &log[partition][sequence];
    if (places[partition][sequence], found.time) != (nth, time) {
        return Err(format!(
            "another event or time than the writer's: {mark:?}: {found}"
        ));
    }
    let at = Position::offset(sequence as i64);
    for (at, sequence) in [(at.clone(), sequence), (at.after(), sequence + 1)] {
        let named = Point::Positions(vec![(found.partition.clone(), at)]);
        reading::begins_with(hub, topic, named, log, &[(partition, sequence)]).await?;
    }
    let at_time = Point::Time(UNIX_EPOCH + Duration::from_millis(time));
    let first = |found: &Vec<Found>| found.partition_point(|found| found.time < time);
    let firsts: Vec<_> = log.iter().map(first).enumerate().collect();
    reading::begins_with(hub, topic, at_time, log, &firsts).await
}
