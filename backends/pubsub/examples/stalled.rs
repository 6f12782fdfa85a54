//! A million events submitted to a local Pub/Sub that does not answer: what is held is bounded by the producer's buffer (8
//! times its bytes, server and all), and submit waits. Once it answers, all of them are written.
//!
//! ```text
//! cargo run --release -p anyhub-pubsub --example stalled -- [EVENTS]
//! ```
//!
//! Ends with 1 where something does not hold. Linux tells what a process has in memory; elsewhere it ends with 2.
#![allow(clippy::unwrap_used, missing_docs)]

use anyhub_core::{Event, Hub, Pending, ProducerOptions, TopicConfig};
use anyhub_footprint::{BYTES, TOPIC, resident};
use anyhub_local::pubsub::{Faults, PubSub, Rate};
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use clap::{Parser, value_parser};
use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

const BATCH: u64 = 500;
const KEYS: u64 = 10_000;
const BUFFER: usize = 16 << 20;
/// What there may be in memory for each byte that the buffer admits: the event itself, its place in the queue of its key, a
/// copy in a request, and one at the server, which is in this process.
const TIMES: usize = 8;
/// How long it does not answer: less than the deadline of events.
const STALL: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(120);

/// Events for a Pub/Sub that does not answer: what is held, and that submit waits
#[derive(Parser)]
#[command(after_help = "Example:\n  stalled 1000000")]
struct Arguments {
    /// How many; fewer than a few hundred thousand fit into the buffer
    #[arg(default_value_t = 1_000_000, value_parser = value_parser!(u64).range(1..))]
    events: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { events } = Arguments::parse();
    let Some(before) = resident("self") else {
        eprintln!("stalled: this system doesn't tell what a process has in memory");
        return ExitCode::from(2);
    };
    let server = PubSub::builder().start().unwrap();
    let hub = PubSubHub::new(PubSubConfig::new("local").endpoint(server.endpoint())).unwrap();
    hub.admin()
        .create_topic(&TopicConfig::new(TOPIC))
        .await
        .unwrap();
    let options = ProducerOptions::new()
        .buffer_bytes(BUFFER)
        .deadline(DEADLINE);
    let producer = hub.producer(TOPIC, options).await.unwrap();
    let unanswered = Faults::none().slow_answers("Publish", Rate::share(1.0), DEADLINE);
    server.set_faults(unanswered).unwrap();

    let admitted = Arc::new(AtomicU64::new(0));
    let (tell, told) = mpsc::unbounded_channel();
    let resolving = tokio::spawn(resolve(told));
    let submitting = {
        let admitted = admitted.clone();
        tokio::spawn(async move {
            let payload = bytes::Bytes::from(vec![b'x'; BYTES]);
            let event = |number: u64| {
                Event::new(payload.clone()).with_key(format!("key-{}", number % KEYS))
            };
            for first in (0..events).step_by(BATCH as usize) {
                let batch = (first..(first + BATCH).min(events)).map(event).collect();
                let pending = producer.submit(batch).await.unwrap();
                admitted.fetch_add(BATCH, Ordering::Relaxed);
                tell.send(pending).unwrap();
            }
            producer.close().await.unwrap();
        })
    };
    sleep(STALL / 2).await;
    let then = admitted.load(Ordering::Relaxed);
    sleep(STALL / 2).await;
    let waits = admitted.load(Ordering::Relaxed) == then && then < events;
    let grown = resident("self").unwrap().saturating_sub(before) as usize * 1024;
    println!(
        "nothing is answered: {then} of {events} events of {BYTES} B admitted, submit {}; {} MiB more than before, for {} MiB \
         of buffer",
        if waits { "waits" } else { "does not wait" },
        grown >> 20,
        BUFFER >> 20
    );
    server.set_faults(Faults::none()).unwrap();
    let written = timeout(DEADLINE, async {
        submitting.await.unwrap();
        resolving.await.unwrap()
    });
    let (written, failed) = written.await.unwrap_or((0, events));
    hub.close().await.unwrap();
    let came = server.counts().messages_in;
    println!("it answers again: {written} written, {failed} failed; {came} came to the server");
    match waits && grown <= BUFFER * TIMES && written == events && failed == 0 && came >= events {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// How many were written, and how many failed.
async fn resolve(mut told: mpsc::UnboundedReceiver<Pending>) -> (u64, u64) {
    let (mut written, mut failed) = (0, 0);
    while let Some(pending) = told.recv().await {
        for outcome in pending.await {
            match outcome {
                Ok(_) => written += 1,
                Err(error) => {
                    failed += 1;
                    if failed == 1 {
                        println!("{error}");
                    }
                }
            }
        }
    }
    (written, failed)
}
