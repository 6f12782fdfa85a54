//! What the producer reaches on the local Kinesis, and whether order and number of the events hold.
//!
//! ```text
//! cargo run --release -p anyhub-kinesis --example produce -- hot-key [SECONDS]
//! cargo run --release -p anyhub-kinesis --example produce -- partial-failures [EVENTS]
//! cargo run --release -p anyhub-kinesis --example produce -- lost-answers [ANSWERS]
//! cargo run --release -p anyhub-kinesis --example produce -- speed [EVENTS]
//! ```
//!
//! Ends with 1 where an event is lost, out of order, or there more often than lost answers explain.
#![allow(clippy::unwrap_used, missing_docs, dead_code)]

#[path = "../../tests/producer/read.rs"]
mod read;
mod speed;
#[path = "../../tests/producer/stream.rs"]
mod stream;

use anyhub_core::{Producer, ProducerOptions, Receipt, Result};
use anyhub_kinesis::Aggregation;
use anyhub_local::kinesis::{Faults, Kinesis, Rate};
use clap::Parser;
use read::judge;
use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    process::ExitCode,
    time::{Duration, Instant},
};
use stream::Stream;
use tokio::time::interval;

const MODES: [Aggregation; 3] = [Aggregation::Key, Aggregation::Shard, Aggregation::Off];

/// What the producer reaches on the local Kinesis, and whether order and number of the events hold
#[derive(Parser)]
#[command(after_help = "Example:\n  produce lost-answers 250")]
enum Arguments {
    /// One key of 100 B events on one shard with its limits
    HotKey {
        #[arg(default_value = "20")]
        seconds: NonZeroUsize,
    },
    /// Half of the records of every PutRecords fail; 10,000 keys
    PartialFailures {
        #[arg(default_value = "1000000")]
        events: NonZeroUsize,
    },
    /// So many answers never come, at a steady 5,000 events/s
    LostAnswers {
        #[arg(default_value = "250")]
        answers: NonZeroUsize,
    },
    /// Beside the raw SDK, a request in flight for each of 4 shards
    Speed {
        #[arg(default_value = "1000000")]
        events: NonZeroUsize,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let holds = match Arguments::parse() {
        Arguments::HotKey { seconds } => hot_key(seconds.get()).await,
        Arguments::PartialFailures { events } => partial_failures(events.get()).await,
        Arguments::LostAnswers { answers } => lost_answers(answers.get()).await,
        Arguments::Speed { events } => speed::measure(events.get()).await,
    };
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A shard gives its first second's worth at once: what is over that is to take a second a MiB, or
/// a second for 1,000 records.
async fn hot_key(seconds: usize) -> bool {
    let mut holds = true;
    for (aggregate, events, least) in [
        (Aggregation::Key, seconds * (1 << 20) / 107, 0.9),
        (Aggregation::Off, seconds * 1_000, 0.95),
    ] {
        let stream = Stream::on(Kinesis::builder().limits(true), 1).await;
        let config = stream.config().aggregate(aggregate);
        let producer = stream.producer_as(config, ProducerOptions::new()).await;
        let start = Instant::now();
        let outcomes = publish(&*producer, 1, events, 100).await;
        let elapsed = start.elapsed().as_secs_f64();
        let log = read::log(&stream).await;
        let verdict = judge(&log, &outcomes);
        let worth = match aggregate {
            Aggregation::Off => log.records as f64 / 1e3,
            _ => log.bytes as f64 / (1 << 20) as f64,
        };
        let used = (worth - 1.0) / elapsed;
        println!(
            "aggregate={aggregate:?}: {events} events, {} B in {} records and {} requests, in \
             {elapsed:.2} s: {:.1}% of the shard's limit; {verdict:?}",
            log.bytes,
            log.records,
            stream.kinesis.counts().requests("PutRecords"),
            used * 100.0
        );
        holds &= verdict.ok == events && verdict.lost + verdict.out_of_order == 0;
        holds &= verdict.doubled == 0 && used >= least;
    }
    holds
}

async fn partial_failures(events: usize) -> bool {
    let mut holds = true;
    for aggregate in MODES {
        let half = Faults::none().failing_records(Rate::share(0.5));
        let stream = Stream::on(Kinesis::builder().seed(1).faults(half), 4).await;
        holds &= faulty(&stream, aggregate, events).await;
    }
    holds
}

async fn lost_answers(answers: usize) -> bool {
    let mut holds = true;
    for aggregate in MODES {
        let lost = Faults::none().lost_answers(Rate::share(0.05).at_most(answers as u64));
        let stream = Stream::on(Kinesis::builder().seed(1).faults(lost), 4).await;
        let config = stream.config().aggregate(aggregate);
        let producer = stream.producer_as(config, ProducerOptions::new()).await;
        let start = Instant::now();
        let outcomes = steadily(&stream, &*producer, answers).await;
        let rate = outcomes.len() as f64 / start.elapsed().as_secs_f64();
        let log = read::log(&stream).await;
        let verdict = judge(&log, &outcomes);
        let counts = stream.kinesis.counts();
        let (lost, in_lost) = (counts.lost_answers.len(), counts.records_in_lost_answers());
        let (again, held) = again(&log);
        println!(
            "aggregate={aggregate:?}: {} events at {rate:.0}/s; {lost} answers of {in_lost} records \
             were lost; {verdict:?}, in {again} records; no record has more than {held} events",
            outcomes.len(),
        );
        holds &= verdict.ok == outcomes.len() && verdict.lost + verdict.out_of_order == 0;
        // No more than was in flight: records by the server's count, events by what a record holds.
        holds &= lost >= answers && again <= in_lost as usize;
        holds &= verdict.doubled <= in_lost as usize * held;
    }
    holds
}

/// Records with an event that stands before them, too; and the most events of one record.
fn again(log: &read::Log) -> (usize, usize) {
    let mut seen = HashSet::new();
    let (mut records, mut sizes) = (HashSet::new(), HashMap::new());
    for read in &log.events {
        let record = (read.shard.as_str(), read.sequence.as_str());
        *sizes.entry(record).or_insert(0) += 1;
        if !seen.insert(stream::number(&read.payload)) {
            records.insert(record);
        }
    }
    (records.len(), sizes.into_values().max().unwrap_or(0))
}

/// 5,000 events/s until so many answers were lost, and a second more.
async fn steadily(
    stream: &Stream,
    producer: &dyn Producer,
    answers: usize,
) -> Vec<((usize, usize), Result<Receipt>)> {
    const TICK: Duration = Duration::from_millis(20);
    let mut tick = interval(TICK);
    let (mut next, mut left) = (0, 50);
    let (mut ids, mut pending) = (Vec::new(), Vec::new());
    while left > 0 {
        tick.tick().await;
        let some: Vec<_> = (next..next + 100)
            .map(|n| (n % 10_000, n / 10_000))
            .collect();
        let events = some.iter().map(|(key, nth)| stream::event(*key, *nth, 100));
        pending.push(producer.submit(events.collect()).await.unwrap());
        ids.extend(some);
        next += 100;
        if stream.kinesis.counts().lost_answers.len() >= answers {
            left -= 1;
        }
    }
    let mut outcomes = Vec::new();
    for pending in pending {
        outcomes.extend(pending.await);
    }
    ids.into_iter().zip(outcomes).collect()
}

async fn faulty(stream: &Stream, aggregate: Aggregation, events: usize) -> bool {
    let config = stream.config().aggregate(aggregate);
    let producer = stream.producer_as(config, ProducerOptions::new()).await;
    let start = Instant::now();
    let outcomes = publish(&*producer, 10_000, events, 100).await;
    let rate = events as f64 / start.elapsed().as_secs_f64();
    let log = read::log(stream).await;
    let verdict = judge(&log, &outcomes);
    let counts = stream.kinesis.counts();
    println!(
        "aggregate={aggregate:?}: {events} events at {rate:.0}/s in {} records and {} requests; {} \
         records failed; {verdict:?}",
        log.records,
        counts.requests("PutRecords"),
        counts.records_failed,
    );
    verdict.ok == events && verdict.lost + verdict.out_of_order + verdict.doubled == 0
}

/// Submits while others are on their way; the outcomes in the order of submission.
async fn publish(
    producer: &dyn Producer,
    keys: usize,
    count: usize,
    size: usize,
) -> Vec<((usize, usize), Result<Receipt>)> {
    let outcomes = stream::publish(producer, keys, count, size).await;
    let failed = outcomes
        .iter()
        .find_map(|(_, outcome)| outcome.as_ref().err());
    if let Some(error) = failed {
        println!("the first error: {error}");
    }
    outcomes
}
