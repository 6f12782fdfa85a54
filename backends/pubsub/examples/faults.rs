//! A steady load on the local Pub/Sub over many keys while publishes fail, answers are lost and streams are reset:
//! whether anything is lost, out of order, or comes more often than that explains.
//!
//! ```text
//! cargo run --release -p anyhub-pubsub --example faults -- [SECONDS] [RATE]
//! ```
//!
//! Ends with 1 where something does not hold.
#![allow(clippy::unwrap_used, missing_docs)]

use anyhub_core::{
    Consumer, ConsumerOptions, Event, Hub, Pending, Producer, ProducerOptions, TopicConfig,
};
use anyhub_local::pubsub::{Fault, Faults, PubSub, Rate};
use anyhub_pubsub::{PubSubConfig, PubSubHub};
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

const KEYS: u64 = 10_000;
/// Publishes that fail: one in so many.
const FAILING: f64 = 0.05;
/// In ten minutes at least, each with messages in flight.
const RESETS: u64 = 500;
const LOST: u64 = 250;
/// How often a reset, and how often a lost answer, is armed: some to spare.
const RESET: Duration = Duration::from_millis(1_100);
const DEADLINE: Duration = Duration::from_secs(60);
/// What was on a stream that is reset comes again so much later.
const ACK_DEADLINE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(10);

/// A steady load while publishes fail, answers are lost and streams are reset
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
    let server = Arc::new(PubSub::builder().start().unwrap());
    println!("seed {}", server.seed());
    let config = PubSubConfig::new("local")
        .endpoint(server.endpoint())
        .ack_deadline(ACK_DEADLINE);
    let hub = PubSubHub::new(config).unwrap();
    hub.admin()
        .create_topic(&TopicConfig::new("tweets"))
        .await
        .unwrap();
    let options = ProducerOptions::new().deadline(DEADLINE);
    let producer = hub.producer("tweets", options).await.unwrap();
    let group = ConsumerOptions::new().group("score");
    let reader = hub.consumer("tweets", group).await.unwrap();

    let began = Instant::now();
    let (tell, told) = mpsc::unbounded_channel();
    let events = seconds * rate;
    let resolving = tokio::spawn(resolve(told));
    let reading = tokio::spawn(read(reader, events));
    let striking = tokio::spawn(strike(server.clone()));
    publish(&*producer, events, rate, tell).await;
    let (failed, slowest) = resolving.await.unwrap();
    striking.abort();
    server.set_faults(Faults::none()).unwrap();
    let log = reading.await.unwrap();
    let took = log.last.duration_since(began);
    hub.close().await.unwrap();

    let counts = server.counts();
    for fault in [Fault::Unavailable, Fault::LostAnswer, Fault::StreamReset] {
        let strikes = counts.strikes(fault);
        println!(
            "{fault:?}: {} times, {} of them with messages in flight, {} messages",
            strikes.times, strikes.times_in_flight, strikes.messages_in_flight
        );
    }
    let most = counts.messages_again + counts.messages_unanswered();
    println!(
        "{events} events in {took:.1?}, {seconds} s undisturbed: {failed} failed, {} lost, {} out of order, {} \
         again (the server: {most}), slowest outcome {slowest:.1?}; {} acks out of order, {} late",
        log.lost, log.disorder, log.again, counts.unordered_acks, counts.late_acks
    );
    let times = |fault| counts.strikes(fault).times_in_flight;
    let struck = times(Fault::StreamReset) >= RESETS * seconds / 600
        && times(Fault::LostAnswer) >= LOST * seconds / 600
        && times(Fault::Unavailable) > 0;
    let holds = struck
        && failed == 0
        && log.lost + log.disorder + counts.unordered_acks == 0
        && log.again <= most
        && slowest <= DEADLINE
        && took <= Duration::from_secs(2 * seconds);
    match holds {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Publishes fail all the time; a reset is armed again and again, and a lost answer every other time.
async fn strike(server: Arc<PubSub>) {
    let mut nth = 0_u64;
    loop {
        nth += 1;
        let faults = Faults::none()
            .unavailable("Publish", Rate::share(FAILING))
            .stream_resets(Rate::next(1))
            .lost_answers(Rate::next(nth % 2));
        server.set_faults(faults).unwrap();
        sleep(RESET).await;
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

struct Log {
    lost: u64,
    /// First occurrences of a key that came behind later events of it.
    disorder: u64,
    /// Deliveries of what had come before.
    again: u64,
    /// When the last first occurrence came.
    last: Instant,
}

/// Reads until every event has come, or none comes any more.
async fn read(mut reader: Box<dyn Consumer>, events: u64) -> Log {
    let mut log = Log {
        lost: events,
        disorder: 0,
        again: 0,
        last: Instant::now(),
    };
    let mut seen = vec![false; events as usize];
    let mut last = vec![None; KEYS as usize];
    let acks = reader.acks();
    let mut patience = DEADLINE;
    while let Ok(batch) = timeout(patience, reader.receive(1_000)).await {
        let batch = batch.unwrap();
        acks.ack(&batch.tokens());
        for delivery in batch.deliveries {
            let text = std::str::from_utf8(&delivery.event.payload).unwrap();
            let number: u64 = text.parse().unwrap();
            if std::mem::replace(&mut seen[number as usize], true) {
                log.again += 1;
                continue;
            }
            log.lost -= 1;
            log.last = Instant::now();
            let before = last[(number % KEYS) as usize].replace(number);
            log.disorder += u64::from(before > Some(number));
        }
        if log.lost == 0 {
            // What comes again may still do so.
            patience = ACK_DEADLINE + Duration::from_secs(2);
        }
    }
    reader.close().await.unwrap();
    log
}
