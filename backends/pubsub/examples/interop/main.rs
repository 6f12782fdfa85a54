//! Our side of `make interop` with Google's clients, through the traits:
//!
//! ```text
//! interop publish URL FOLDER SEED
//! interop read|seek|nack|exactly-once URL FOLDER
//! ```
//!
//! Ends with 1 at the first thing that differs. infra/interop/README.md says what the files hold.
#![allow(missing_docs)]

mod again;
mod reading;

use again::Again;
use anyhub_core::{Event, Hub, HubUrl, ProducerExt, ProducerOptions, TopicConfig};
use anyhub_interop::{Left, Told, Whose};
use anyhub_pubsub::PubSubHub;
use clap::{Parser, ValueEnum};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use reading::{Reading, told};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

/// What each event of the file `events` is, beyond itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Mark {
    /// When it was published, in microseconds since 1970.
    time: u64,
}

/// Our side of `make interop` with Google's clients
#[derive(Parser)]
#[command(
    after_help = "Example:\n  interop read 'pubsub://local/t?endpoint=http://127.0.0.1:8085' /tmp/interop"
)]
struct Arguments {
    command: Command,
    url: String,
    folder: PathBuf,
    /// By which events are made
    #[arg(required_if_eq("command", "publish"))]
    seed: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Command {
    /// Makes the topic, sends events, reads them back, writes what a reader must find
    Publish,
    /// Reads what another program has sent, and compares
    Read,
    /// The same from times on, ahead and back
    Seek,
    /// The same, and nacks some
    Nack,
    /// The same, each ack confirmed
    ExactlyOnce,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(difference) => {
            eprintln!("interop: anyhub: {difference}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Told<()> {
    let Arguments {
        command,
        url,
        folder,
        seed,
    } = arguments;
    let confirmed = match command {
        Command::ExactlyOnce => "&exactly_once=true",
        _ => "",
    };
    let url: HubUrl = told(format!("{url}{confirmed}").parse())?;
    let topic = told(url.topic())?.to_owned();
    let hub = told(PubSubHub::from_url(&url))?;
    if let (Command::Publish, Some(seed)) = (command, seed) {
        publish(&hub, &topic, &folder, seed).await?;
        return told(hub.close().await);
    }
    let expected = anyhub_interop::read_events(&folder)?;
    let marks: Vec<Mark> = anyhub_interop::read_lines(&folder, "marks")?;
    let times: Vec<u64> = marks.iter().map(|mark| mark.time).collect();
    if times.len() != expected.len() {
        return Err("a mark for each event, and no other".into());
    }
    match command {
        Command::Publish => return Err("publish takes a seed".into()),
        Command::Read => read(&hub, &topic, &expected, &times).await?,
        Command::Seek => seek(&hub, &topic, &expected, &times).await?,
        Command::Nack => nack(&hub, &topic, &expected).await?,
        Command::ExactlyOnce => exactly_once(&hub, &topic, &expected).await?,
    }
    told(hub.close().await)
}

async fn publish(hub: &PubSubHub, topic: &str, folder: &Path, seed: u64) -> Told<()> {
    told(hub.admin().create_topic(&TopicConfig::new(topic)).await)?;
    let producer = told(hub.producer(topic, ProducerOptions::new()).await)?;
    let events = anyhub_interop::events(seed, producer.limits().event_bytes);
    let began = Instant::now();
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut left = &events[..];
    while !left.is_empty() {
        let (batch, rest) = left.split_at(random.random_range(1..=400).min(left.len()));
        for outcome in told(producer.publish(batch.to_vec()).await)? {
            told(outcome)?;
        }
        left = rest;
    }
    println!(
        "anyhub sent {} events, {:.1?} (seed {seed})",
        events.len(),
        began.elapsed()
    );
    let mut reading = Reading::private(hub, topic).await?;
    let times = reading.all(&events, 0..events.len()).await?;
    reading.close().await?;
    anyhub_interop::write_events(folder, &events)?;
    let marks = times.into_iter().map(|time| Mark { time });
    anyhub_interop::write_lines(folder, "marks", marks)
}

async fn read(hub: &PubSubHub, topic: &str, expected: &[Event], times: &[u64]) -> Told<()> {
    let began = Instant::now();
    let mut reading = Reading::private(hub, topic).await?;
    let found = reading.all(expected, 0..expected.len()).await?;
    reading.close().await?;
    let took = began.elapsed();
    if let Some(nth) = (0..found.len()).find(|nth| found[*nth] != times[*nth]) {
        let event = anyhub_interop::shown(&expected[nth]);
        return Err(format!(
            "published at {} and not at {}: {event}",
            found[nth], times[nth]
        ));
    }
    let keyed = expected.iter().filter(|event| event.key.is_some());
    let keys: HashSet<_> = keyed.map(Whose::of).collect();
    println!(
        "anyhub read {} events of {} keys, all as they were sent, {took:.1?}",
        expected.len(),
        keys.len()
    );
    Ok(())
}

/// To two thirds of the topic, back to its first event, and to its last one.
async fn seek(hub: &PubSubHub, topic: &str, expected: &[Event], times: &[u64]) -> Told<()> {
    let mut known = times.to_vec();
    known.sort_unstable();
    let mut reading = Reading::private(hub, topic).await?;
    for at in [known[known.len() * 2 / 3], known[0], known[known.len() - 1]] {
        let numbers: Vec<_> = (0..times.len()).filter(|nth| times[*nth] >= at).collect();
        reading.seek(at).await?;
        reading.all(expected, numbers.iter().copied()).await?;
        println!("anyhub sought {at}, and {} events came", numbers.len());
    }
    reading.close().await
}

async fn nack(hub: &PubSubHub, topic: &str, expected: &[Event]) -> Told<()> {
    let mut reading = Reading::of_group(hub, topic, "nack").await?;
    let mut again = Again::new(expected);
    while !again.is_over() {
        for delivery in reading.next(|| "what was nacked".into()).await? {
            let token = [delivery.token];
            match again.take(&delivery)? {
                true => reading.acks().nack(&token),
                false => reading.acks().ack(&token),
            };
        }
    }
    reading.commit().await?;
    reading.close().await?;
    println!(
        "anyhub nacked {} of {} events: {} deliveries, in order from there on",
        again.nacked(),
        expected.len(),
        again.deliveries()
    );
    Ok(())
}

async fn exactly_once(hub: &PubSubHub, topic: &str, expected: &[Event]) -> Told<()> {
    let mut reading = Reading::of_group(hub, topic, "exactly-once").await?;
    if !reading.is_exactly_once().await? {
        return Err("the subscription delivers at least once".into());
    }
    let mut left = Left::new(expected, 0..expected.len());
    while left.count() > 0 {
        let wanted = left.count();
        for delivery in reading.next(|| format!("{wanted} events")).await? {
            if delivery.attempt.get() != 1 {
                let event = anyhub_interop::shown(&delivery.event);
                return Err(format!("attempt {}: {event}", delivery.attempt));
            }
            left.take(&delivery.event, &delivery.position)?;
            if reading.acks().ack(&[delivery.token]) != 1 {
                return Err(format!("a token is stale: {}", delivery.position));
            }
        }
    }
    // It answers when each ack is confirmed.
    reading.commit().await?;
    reading.close().await?;
    println!(
        "anyhub read {} events exactly once, each ack confirmed",
        expected.len()
    );
    Ok(())
}
