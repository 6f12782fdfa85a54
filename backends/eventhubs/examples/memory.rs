//! Whether memory stays what it is: a producer and a consumer at full rate, the one never far ahead of the other, the local Event Hubs in a process of its own, and
//! what both processes have in memory, every 30 s.
//!
//! ```text
//! cargo run --release -p anyhub-eventhubs --example memory -- [SECONDS]
//! ```
//!
//! Ends with 1 where one of them has grown by more than 5 % after the first minute, where retention is not full within 30 s,
//! or where events fail or are overtaken by retention. Linux tells what a process has in memory; elsewhere it ends with 2.
#![allow(clippy::unwrap_used, missing_docs)]

use anyhub_core::{
    Change, Consumer, ConsumerOptions, Event, Hub, Pending, Producer, ProducerOptions,
};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub};
use anyhub_local::EventHubs;
use clap::{Parser, value_parser};
use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};

const PARTITIONS: u32 = 4;
/// What a partition keeps.
const KEPT: usize = 24 << 20;
const BATCH: u64 = 500;
const BYTES: usize = 100;
const KEYS: u64 = 1_000;
/// Events that the producer may be ahead of the consumer: fewer than a partition keeps.
const AHEAD: u64 = 50_000;
/// How long the consumer rests at first: what waits for it is then as much as it gets, in both processes.
const REST: Duration = Duration::from_secs(10);
const REPORT: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);
/// What is compared is the median of what was seen within such a time, second by second.
const WINDOW: usize = 10;
const MOST: f64 = 0.05;
/// The option that makes it the server.
const SERVER: &str = "server";

/// Whether memory stays what it is at full rate
#[derive(Parser)]
#[command(after_help = "Example:\n  memory 600")]
struct Arguments {
    /// How long, 90 or more
    #[arg(default_value_t = 600, value_parser = value_parser!(u64).range(90..))]
    seconds: u64,
    /// Be the server
    #[arg(long = SERVER, hide = true)]
    is_server: bool,
}

fn main() -> ExitCode {
    let Arguments { seconds, is_server } = Arguments::parse();
    if is_server {
        serve();
        return ExitCode::SUCCESS;
    }
    if resident("self").is_none() {
        eprintln!("memory: this system doesn't tell what a process has in memory");
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(Duration::from_secs(seconds)))
}

/// The local Event Hubs: it says where it is, then on each line what it has taken, given and stored, and ends with its input.
fn serve() {
    let week = Duration::from_secs(7 * 24 * 3_600);
    let builder = EventHubs::builder()
        .hub("t", PARTITIONS)
        .retention(KEPT, week);
    let server = builder.start().unwrap();
    println!("{}", server.endpoint());
    for line in std::io::stdin().lines() {
        if line.is_err() {
            return;
        }
        let (counts, stored) = (server.counts(), server.stored_bytes());
        println!("{} {} {stored}", counts.events_in, counts.events_out);
    }
}

/// The server's process.
struct Server {
    process: Child,
    ask: ChildStdin,
    told: BufReader<ChildStdout>,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .arg(format!("--{SERVER}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let ask = process.stdin.take().unwrap();
        let told = BufReader::new(process.stdout.take().unwrap());
        Self { process, ask, told }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Events in, events out, bytes stored.
    fn counts(&mut self) -> [u64; 3] {
        writeln!(self.ask).unwrap();
        let line = self.line();
        let counts: Vec<_> = line
            .split(' ')
            .map(|count| count.parse().unwrap())
            .collect();
        counts.try_into().unwrap()
    }

    fn resident(&self) -> u64 {
        resident(&self.process.id().to_string()).unwrap()
    }

    /// Its input ends, and so does it.
    fn stop(self) {
        let Self {
            mut process, ask, ..
        } = self;
        drop(ask);
        process.wait().unwrap();
    }
}

/// What a process has in memory, in KiB.
fn resident(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// What the application has done so far.
#[derive(Default)]
struct Done {
    failed: AtomicU64,
    received: AtomicU64,
    overtaken: AtomicU64,
    /// Told when more has been received.
    more: Notify,
}

async fn run(time: Duration) -> ExitCode {
    let mut server = Server::start();
    let endpoint = server.line();
    let config = EventHubsConfig::new()
        .namespace("localhost")
        .endpoint(endpoint);
    let hub = EventHubsHub::new(config).unwrap();
    let producer = hub.producer("t", ProducerOptions::new()).await.unwrap();
    let consumer = hub.consumer("t", ConsumerOptions::new()).await.unwrap();
    let done = Arc::new(Done::default());
    // Some are under way while one is waited for; the producer's buffer bounds them besides.
    let (tell, told) = mpsc::channel(64);
    let tasks = [
        tokio::spawn(publish(producer, tell, done.clone())),
        tokio::spawn(resolve(told, done.clone())),
        tokio::spawn(receive(consumer, done.clone())),
    ];

    let (ours, theirs, full) = watch(&mut server, &done, time).await;
    for task in tasks {
        task.abort();
        // An Err: it is aborted.
        let _ = task.await;
    }
    let rate = server.counts()[0] as f64 / time.as_secs_f64();
    hub.close().await.unwrap();
    server.stop();

    let grown = [growth(&ours), growth(&theirs)];
    let failed = done.failed.load(Ordering::Relaxed) + done.overtaken.load(Ordering::Relaxed);
    println!(
        "after the first minute: anyhub {:+.1} %, Event Hubs {:+.1} %; {rate:.0} events/s of {BYTES} B in, {failed} failed or overtaken",
        grown[0] * 100.0,
        grown[1] * 100.0
    );
    if !full {
        println!("retention was not full within {REPORT:?}: it shows nothing");
    }
    match full && failed == 0 && grown.iter().all(|grown| *grown <= MOST) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Looks at both processes, every second. Returns what they had in memory, and whether retention was full in time.
async fn watch(server: &mut Server, done: &Done, time: Duration) -> (Vec<u64>, Vec<u64>, bool) {
    let began = Instant::now();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut full, mut stored) = (false, 0);
    let mut last = (0, 0, 0);
    for second in 1..=time.as_secs() {
        let due = began + Duration::from_secs(second);
        sleep(due.saturating_duration_since(Instant::now())).await;
        ours.push(resident("self").unwrap());
        theirs.push(server.resident());
        let counts = server.counts();
        // Full: it throws away as much as comes in.
        full |= second <= REPORT.as_secs()
            && counts[2] > 0
            && counts[2].abs_diff(stored) < counts[2] / 50;
        stored = counts[2];
        if second % REPORT.as_secs() == 0 || second == time.as_secs() {
            let received = done.received.load(Ordering::Relaxed);
            let per_second = |now: u64, before: u64| (now - before) / (second - last.0);
            println!(
                "{second:>4} s: anyhub {:>4} MiB, Event Hubs {:>4} MiB, of it {} MiB of events; {} events/s in, {} received, \
                 overtaken by retention {} times",
                ours[ours.len() - 1] / 1024,
                theirs[theirs.len() - 1] / 1024,
                stored >> 20,
                per_second(counts[0], last.1),
                per_second(received, last.2),
                done.overtaken.load(Ordering::Relaxed)
            );
            last = (second, counts[0], received);
        }
    }
    (ours, theirs, full)
}

/// By how much the end is above the first minute's end.
fn growth(seen: &[u64]) -> f64 {
    let median = |seen: &[u64]| {
        let mut seen = seen.to_vec();
        seen.sort_unstable();
        seen[seen.len() / 2] as f64
    };
    let early = MINUTE.as_secs() as usize;
    median(&seen[seen.len() - WINDOW..]) / median(&seen[early..early + WINDOW]) - 1.0
}

async fn publish(producer: Arc<dyn Producer>, tell: mpsc::Sender<Pending>, done: Arc<Done>) {
    let payload = bytes::Bytes::from(vec![b'x'; BYTES]);
    let mut number = 0;
    loop {
        let event =
            |number: u64| Event::new(payload.clone()).with_key(format!("key-{}", number % KEYS));
        let batch = (number..number + BATCH).map(event).collect();
        number += BATCH;
        while number > done.received.load(Ordering::Relaxed) + AHEAD {
            done.more.notified().await;
        }
        let pending = producer.submit(batch).await.unwrap();
        if tell.send(pending).await.is_err() {
            return;
        }
    }
}

async fn resolve(mut told: mpsc::Receiver<Pending>, done: Arc<Done>) {
    while let Some(pending) = told.recv().await {
        for error in pending.await.into_iter().filter_map(Result::err) {
            if done.failed.fetch_add(1, Ordering::Relaxed) == 0 {
                println!("{error}");
            }
        }
    }
}

async fn receive(mut consumer: Box<dyn Consumer>, done: Arc<Done>) {
    let acks = consumer.acks();
    sleep(REST).await;
    loop {
        let batch = consumer.receive(1_000).await.unwrap();
        acks.ack(&batch.tokens());
        let is_overtaken = |change: &&Change| matches!(change, Change::Overtaken { .. });
        let overtaken = batch.changes.iter().filter(is_overtaken).count();
        done.overtaken
            .fetch_add(overtaken as u64, Ordering::Relaxed);
        let count = batch.deliveries.len() as u64;
        done.received.fetch_add(count, Ordering::Relaxed);
        done.more.notify_one();
    }
}
