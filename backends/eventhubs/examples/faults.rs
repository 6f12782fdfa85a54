//! A steady load on the local Event Hubs while connections are cut, answers are lost and the server is
//! busy: whether anything is lost, doubled more often than that explains, or out of order.
//!
//! ```text
//! cargo run --release -p anyhub-eventhubs --example faults -- [SECONDS] [RATE]
//! ```
//!
//! Ends with 1 where something does not hold.
#![allow(clippy::unwrap_used, missing_docs)]

use anyhub_core::{Consumer, ConsumerOptions, Event, Hub, Pending, Producer, ProducerOptions};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub};
use anyhub_local::eventhubs::{EventHubs, Fault, Faults, On, Rate};
use clap::{Parser, value_parser};
use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

const PARTITIONS: u32 = 4;
const KEYS: u64 = 1_000;
/// How often a cut of each kind and a lost answer are armed: 250 of each in ten minutes, and some to
/// spare.
const ARMED: Duration = Duration::from_millis(2_200);
const STRIKES: u64 = 250;
const DEADLINE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(10);

/// A steady load while connections are cut, answers are lost and the server is busy
#[derive(Parser)]
#[command(after_help = "Example:\n  faults 60 2000")]
struct Arguments {
    /// How long
    #[arg(default_value_t = 600, value_parser = value_parser!(u64).range(1..))]
    seconds: u64,
    /// Events a second
    #[arg(default_value_t = 2_000, value_parser = value_parser!(u64).range(1..))]
    rate: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { seconds, rate } = Arguments::parse();
    let day = Duration::from_secs(24 * 3_600);
    let server = EventHubs::builder()
        .hub("t", PARTITIONS)
        .retention(256 << 20, day);
    let server = Arc::new(server.start().unwrap());
    println!("seed {}", server.seed());
    let config = EventHubsConfig::new()
        .namespace("localhost")
        .endpoint(server.endpoint());
    let hub = EventHubsHub::new(config).unwrap();
    let options = ProducerOptions::new().deadline(DEADLINE);
    let producer = hub.producer("t", options).await.unwrap();
    let reader = hub.consumer("t", ConsumerOptions::new()).await.unwrap();

    let began = Instant::now();
    let (tell, told) = mpsc::unbounded_channel();
    let events = seconds * rate;
    let resolving = tokio::spawn(resolve(told));
    let reading = tokio::spawn(read(reader, events));
    let striking = tokio::spawn(strike(server.clone()));
    publish(&*producer, events, rate, tell).await;
    let (failed, slowest) = resolving.await.unwrap();
    let took = began.elapsed();
    striking.abort();
    server.set_faults(Faults::none()).unwrap();
    let log = reading.await.unwrap();
    hub.close().await.unwrap();

    let counts = server.counts();
    for fault in [Fault::Cut, Fault::LostAnswer, Fault::ServerBusy] {
        let strikes = counts.strikes(fault);
        println!(
            "{fault:?}: {} times, {} of them with events in flight, {} events",
            strikes.times, strikes.times_in_flight, strikes.events_in_flight
        );
    }
    let unanswered = counts.events_unanswered();
    println!(
        "{events} events in {took:.1?}, {seconds} s undisturbed: {failed} failed, {} lost, {} out of \
         order, {} doubled (written and unanswered: {unanswered}), slowest outcome {slowest:.1?}; \
         read: {} again",
        log.lost, log.disorder, log.doubled, log.repeated
    );
    let times = |fault| counts.strikes(fault).times_in_flight;
    let least = STRIKES * seconds / 600;
    let struck = times(Fault::Cut) >= least && times(Fault::LostAnswer) >= least;
    let holds = struck
        && failed == 0
        && log.lost + log.disorder + log.repeated == 0
        && log.doubled <= unanswered
        && slowest <= DEADLINE
        && took <= Duration::from_secs(2 * seconds);
    match holds {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Arms a cut of each kind and a lost answer, again and again, and now and then a server that is busy.
async fn strike(server: Arc<EventHubs>) {
    let mut nth = 0;
    loop {
        nth += 1;
        let faults = Faults::none()
            .cut(On::Send, Rate::next(1))
            .cut(On::Receive, Rate::next(1))
            .lost_answers(Rate::next(1));
        let faults = match nth % 30 {
            0 => faults.server_busy(Rate::share(0.5).at_most(u64::from(PARTITIONS))),
            _ => faults,
        };
        server.set_faults(faults).unwrap();
        sleep(ARMED).await;
    }
}

/// Submits at a steady rate, whatever becomes of it.
async fn publish(
    producer: &dyn Producer,
    events: u64,
    rate: u64,
    tell: mpsc::UnboundedSender<(Instant, Pending)>,
) {
    let began = Instant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sent = 0;
    while sent < events {
        ticks.tick().await;
        let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
        let due = due.clamp(sent, events);
        let event =
            |number: u64| Event::new(number.to_string()).with_key(format!("key-{}", number % KEYS));
        let batch: Vec<_> = (sent..due).map(event).collect();
        sent = due;
        if !batch.is_empty() {
            let at = Instant::now();
            let pending = producer.submit(batch).await.unwrap();
            tell.send((at, pending)).unwrap();
        }
    }
}

/// How many events failed, and how long the slowest batch took.
async fn resolve(mut told: mpsc::UnboundedReceiver<(Instant, Pending)>) -> (usize, Duration) {
    let (mut failed, mut slowest) = (0, Duration::ZERO);
    while let Some((at, pending)) = told.recv().await {
        for outcome in pending.await {
            if let Err(error) = outcome {
                failed += 1;
                if failed <= 3 {
                    println!("{error}");
                }
            }
        }
        slowest = slowest.max(at.elapsed());
    }
    (failed, slowest)
}

#[derive(Default)]
struct Log {
    lost: u64,
    /// First occurrences of a key that stand behind later events of it.
    disorder: u64,
    /// Events that stand in the log more than once.
    doubled: u64,
    /// Positions that were delivered twice.
    repeated: u64,
}

/// Reads until every event has come, or none comes any more.
async fn read(mut reader: Box<dyn Consumer>, events: u64) -> Log {
    let mut log = Log::default();
    let mut seen = vec![false; events as usize];
    let mut last = vec![None; KEYS as usize];
    let mut next = [0; PARTITIONS as usize];
    let acks = reader.acks();
    let mut left = events;
    let mut patience = DEADLINE;
    while let Ok(batch) = timeout(patience, reader.receive(1_000)).await {
        let batch = batch.unwrap();
        acks.ack(&batch.tokens());
        for delivery in batch.deliveries {
            let partition = delivery.partition.as_number().unwrap() as usize;
            let at = delivery.position.as_offset().unwrap();
            log.repeated += u64::from(at < next[partition]);
            next[partition] = at + 1;
            let text = std::str::from_utf8(&delivery.event.payload).unwrap();
            let number: u64 = text.parse().unwrap();
            if std::mem::replace(&mut seen[number as usize], true) {
                log.doubled += 1;
                continue;
            }
            left -= 1;
            let before = last[(number % KEYS) as usize].replace(number);
            log.disorder += u64::from(before > Some(number));
        }
        if left == 0 {
            // What is doubled may still come.
            patience = Duration::from_secs(3);
        }
    }
    log.lost = left;
    log
}
