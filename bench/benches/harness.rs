//! What the harness itself costs for each event: `cargo bench -p anyhub-bench --bench harness`.
//!
//! One line for each step: `ns draw 4.1` (what, nanoseconds an event, the least of nine rounds).

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhub_bench::{
    histogram::Histogram,
    keys::KeySpace,
    payload::{Encoder, Header, decode},
    sentiment::Scorer,
    tweets::Tweets,
    verify::{Ledger, Outcome, Place, Positions, Seen},
};
use anyhub_core::{Event, Partition, Position, driver::Sequence};
use rand_pcg::{Pcg64, rand_core::SeedableRng};

const EVENTS: usize = 500_000;
const BATCH: usize = 100;
const ROUNDS: usize = 9;

fn main() {
    let keys = KeySpace::new(10_000, 1.05, 7);
    let tweets = Tweets::generated(7);
    let share = &keys.shares(1)[0];
    let mut random = Pcg64::seed_from_u64(7);
    let mut counts = vec![0u32; 10_000];
    let ids: Vec<(u32, u64)> = (0..EVENTS)
        .map(|_| {
            let key = share.draw(&mut random);
            counts[key as usize] += 1;
            (key, u64::from(counts[key as usize] - 1))
        })
        .collect();

    least("draw", || {
        let begun = Instant::now();
        for _ in 0..EVENTS {
            black_box(share.draw(&mut random));
        }
        begun.elapsed()
    });

    // A batch is dropped before the next one is made, as where a client has sent it on.
    least("encode", || {
        let begun = Instant::now();
        encode(&keys, &tweets, &ids, |batch| drop(black_box(batch)));
        begun.elapsed()
    });

    let mut events = Vec::with_capacity(EVENTS);
    encode(&keys, &tweets, &ids, |batch| events.extend(batch));

    least("decode", || {
        let begun = Instant::now();
        for event in &events {
            let _ = black_box(decode(event, &keys));
        }
        begun.elapsed()
    });

    let headers: Vec<Header> = events
        .iter()
        .filter_map(|event| decode(event, &keys).ok())
        .map(|decoded| decoded.header)
        .collect();
    let places: Vec<(Partition, Position)> = (0..EVENTS)
        .map(|index| {
            (
                Partition::number(index as u32 % 4),
                Position::offset(index as i64 / 4),
            )
        })
        .collect();

    // Records of ten events, as Kinesis numbers them.
    let in_shards: Vec<(Partition, Position)> = (0..EVENTS)
        .filter_map(|index| {
            let number = format!("4959033827149025660{:037}", index / 10);
            let shard = Partition::named(format!("shardId-{:012}", index % 4));
            Some((shard, Sequence::at(&number, index as u32 % 10)?.into()))
        })
        .collect();

    for (of, places) in [("", &places), ("_in_shards", &in_shards)] {
        least(&format!("ledger_sent_and_resolved{of}"), || {
            let ledger = Ledger::new(1, &counts);
            let begun = Instant::now();
            for (&(key, sequence), (partition, position)) in ids.iter().zip(places) {
                ledger.sent(key, sequence);
                ledger.resolved(
                    key,
                    sequence,
                    Outcome::Acked(Some(Place::of(partition, position))),
                );
            }
            begun.elapsed()
        });

        least(&format!("ledger_delivered{of}"), || {
            let ledger = Ledger::new(1, &counts);
            let mut positions = Positions::new();
            let begun = Instant::now();
            for (header, (partition, position)) in headers.iter().zip(places) {
                if ledger.delivered(header, partition, position) == Seen::First {
                    positions.first(partition, position);
                }
            }
            let took = begun.elapsed();
            assert_eq!(
                ledger.finish(|key| key.to_string()).delivered,
                EVENTS as u64
            );
            took
        });
    }

    least("ledger_finish", || {
        let ledger = Ledger::new(1, &counts);
        let begun = Instant::now();
        black_box(ledger.finish(|key| key.to_string()));
        begun.elapsed()
    });

    least("record", || {
        let mut times = Histogram::new();
        let begun = Instant::now();
        for index in 0..EVENTS as u64 {
            times.record_ns(0, index * 7_919 % 50_000_000);
        }
        black_box(times.count());
        begun.elapsed()
    });

    let scorer = Scorer::new();
    least("score", || {
        let begun = Instant::now();
        for index in 0..EVENTS / 50 {
            black_box(scorer.score(tweets.text(index % tweets.len())));
        }
        begun.elapsed() * 50
    });
}

fn encode(keys: &KeySpace, tweets: &Tweets, ids: &[(u32, u64)], mut take: impl FnMut(Vec<Event>)) {
    let mut encoder = Encoder::default();
    for (index, &(key, sequence)) in ids.iter().enumerate() {
        let header = Header {
            run: 1,
            key,
            producer: 0,
            incarnation: 0,
            phase: 2,
            sequence,
            intended_ns: 1,
            actual_ns: 2,
        };
        let name = keys.name(key).unwrap_or_default();
        encoder.add(&header, name, tweets.text(index % tweets.len()), 0, &[]);
        if encoder.len() == BATCH {
            take(encoder.batch());
        }
    }
    take(encoder.batch());
}

fn least(what: &str, mut round: impl FnMut() -> Duration) {
    let best = (0..ROUNDS).map(|_| round()).min().unwrap_or_default();
    println!("ns {what} {:.1}", best.as_nanos() as f64 / EVENTS as f64);
}
