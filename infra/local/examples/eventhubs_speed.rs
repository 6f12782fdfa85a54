//! How fast the local Event Hubs takes and gives events, without faults and limits:
//! `cargo run --release -p anyhub-local --example eventhubs_speed [SECONDS]`.
//!
//! Each of some connections sends the same batch again and again to a partition of its own, without waiting for answers; and
//! then each of some others reads what a partition keeps, from its beginning, again and again. Beside it the memory of the
//! whole process, as it begins, after a while, and as it ends.
#![allow(clippy::unwrap_used, dead_code)]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhub_local::EventHubs;

#[path = "../tests/eventhubs/raw.rs"]
mod raw;

use raw::{BATCH, DISPOSITION, FLOW, Raw, TRANSFER, batch, event};

const PARTITIONS: u32 = 4;
/// Batches under way on a connection.
const AHEAD: u32 = 100;
/// What a partition keeps: full within seconds.
const KEPT: usize = 16 * 1024 * 1024;

fn main() {
    let seconds = std::env::args()
        .nth(1)
        .map_or(5, |arg| arg.parse().unwrap());
    let time = Duration::from_secs(seconds);
    for (size, events, connections) in [(100, 500, 1), (100, 500, 4), (100, 1, 4), (1_000, 500, 4)]
    {
        let builder = EventHubs::builder().hub("h", PARTITIONS);
        let week = Duration::from_secs(7 * 24 * 3_600);
        let hubs = Arc::new(builder.retention(KEPT, week).start().unwrap());
        let start = Instant::now();
        let senders: Vec<_> = (0..connections)
            .map(|n| {
                let hubs = Arc::clone(&hubs);
                thread::spawn(move || send(&hubs, n % PARTITIONS, size, events, start, time))
            })
            .collect();
        // After a quarter of the time, a minute at most, everything is as large as it gets.
        thread::sleep((time / 4).min(Duration::from_secs(60)));
        let early = memory();
        for sender in senders {
            sender.join().unwrap();
        }
        let late = memory();
        let rate = hubs.counts().events_in as f64 / start.elapsed().as_secs_f64();
        println!(
            "{size:>5} B, {events:>3} a message, {connections} connections: {rate:>9.0} events/s in; memory {early} MiB, then {late} MiB"
        );

        let (start, before) = (Instant::now(), hubs.counts().events_out);
        let readers: Vec<_> = (0..connections)
            .map(|n| {
                let hubs = Arc::clone(&hubs);
                thread::spawn(move || read(&hubs, n % PARTITIONS, start, time))
            })
            .collect();
        for reader in readers {
            reader.join().unwrap();
        }
        let read = hubs.counts().events_out - before;
        let rate = read as f64 / start.elapsed().as_secs_f64();
        println!("{size:>5} B, {connections} connections: {rate:>26.0} events/s out");
    }
}

fn send(
    hubs: &EventHubs,
    partition: u32,
    size: usize,
    events: usize,
    start: Instant,
    time: Duration,
) {
    let mut raw = Raw::open(hubs);
    raw.publish_to(0, &format!("h/Partitions/{partition}"));
    let one = event(&vec![b'x'; size]);
    let (format, message) = match events {
        1 => (0, one),
        _ => (BATCH, batch(&vec![one; events])),
    };
    let mut under_way = 0;
    while start.elapsed() < time || under_way > 0 {
        if start.elapsed() < time && under_way < AHEAD {
            raw.transfer(0, format, &message);
            under_way += 1;
            continue;
        }
        let frame = raw.read().unwrap();
        assert!(frame.code == FLOW || frame.outcome(0x24), "{frame:?}");
        under_way -= u32::from(frame.code == DISPOSITION);
    }
}

fn read(hubs: &EventHubs, partition: u32, start: Instant, time: Duration) {
    while start.elapsed() < time {
        let mut raw = Raw::open(hubs);
        let address = format!("h/ConsumerGroups/$Default/Partitions/{partition}");
        raw.subscribe_to(0, &address, "amqp.annotation.x-opt-offset > '-1'");
        // What the session lets through at once.
        raw.credit(0, 5_000, false);
        for _ in 0..5_000 {
            let frame = raw.read().unwrap();
            assert_eq!(frame.code, TRANSFER);
        }
    }
}

/// What the process has in memory, in MiB; 0 where the system doesn't tell.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
