//! The lanes against a model of Kinesis, in virtual time: records fail, answers are lost or late,
//! requests are carried out after they were given up, shards are split and merged, lists of shards
//! are out of date. `ANYHUB_SEEDS=100000` runs as many seeds, `ANYHUB_SEED=7` replays one.
//!
//! Each planted flaw must be found, so that the checks are known to be able to fail.
#![allow(clippy::unwrap_used)]

mod checks;
mod kinesis;
mod world;

use super::{Flaw, Together};
use world::World;

const SEEDS: u64 = 2_000;
/// Within how many seeds a planted flaw must be found.
const ENOUGH: u64 = 1_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64, together: Together, flaw: Option<Flaw>) -> Result<checks::Found, String> {
    World::new(seed, together, flaw).run()
}

fn every_seed_holds(together: Together) {
    let seeds = match number("ANYHUB_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("ANYHUB_SEEDS").unwrap_or(SEEDS) + 1,
    };
    let mut all = checks::Found::default();
    for seed in seeds.clone() {
        match run(seed, together, None) {
            Ok(found) => all.add(&found),
            Err(broken) => panic!("{together:?}, ANYHUB_SEED={seed}: {broken}"),
        }
    }
    println!("{together:?}, seeds {seeds:?}: {all:?}");
    if seeds.end - seeds.start > 100 {
        // It is tried hard.
        let kinds = [
            all.ok,
            all.unwritten,
            all.indeterminate,
            all.twice,
            all.lanes_moved,
        ];
        assert!(kinds.iter().all(|count| *count > 100), "{all:?}");
        assert_eq!(
            all.records_dropped > 100,
            together == Together::Shard,
            "{all:?}"
        );
    }
}

#[test]
fn with_records_of_one_key() {
    every_seed_holds(Together::Key);
}

#[test]
fn with_records_of_many_keys() {
    every_seed_holds(Together::Shard);
}

#[test]
fn with_records_of_one_event() {
    every_seed_holds(Together::Off);
}

#[test]
fn each_planted_flaw_is_found() {
    for (flaw, together) in [
        (Flaw::FailedLast, Together::Key),
        (Flaw::NotHeld, Together::Key),
        (Flaw::NotHeld, Together::Off),
        (Flaw::SendsLate, Together::Key),
        (Flaw::Believes, Together::Shard),
        (Flaw::OutsideOnly, Together::Shard),
        (Flaw::Twice, Together::Key),
        (Flaw::Twice, Together::Off),
        (Flaw::Forgets, Together::Key),
    ] {
        let found = (1..=ENOUGH).find_map(|seed| {
            let broken = run(seed, together, Some(flaw)).err()?;
            Some((seed, broken))
        });
        let (seed, broken) = found.unwrap_or_else(|| panic!("{flaw:?} is not found"));
        println!("{flaw:?}, {together:?}: seed {seed}: {broken}");
    }
}
