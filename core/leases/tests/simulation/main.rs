//! The algorithm under faults, in virtual time: members crash, pause, leave and join, the store is
//! slow, fails, or loses its answers, clocks differ in rate, partitions are split and merged. Every
//! seed is at least an hour and 20 faults; what must hold is in checks.rs.
//!
//! `ANYHUB_SEEDS=100000` runs as many seeds, `ANYHUB_SEED=7` replays one and tells what happens:
//! `make simulate SEEDS=100000`, `make simulate SEED=7`. Each planted flaw must be found, so that
//! the checks are known to be able to fail.
#![allow(clippy::unwrap_used)]

mod app;
mod checks;
mod faults;
mod hub;
mod node;
mod store;
mod told;
mod wire;
mod world;

use anyhub_leases::member::Flaw;
use libtest_mimic::{Arguments, Failed, Trial};
use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};
use told::Told;
use world::{Planted, World};

const SEEDS: u64 = 2_000;
/// Within how many seeds a planted flaw must be found.
const ENOUGH: u64 = 1_000;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("every_seed_holds", seeds)];
    for (name, planted) in PLANTED {
        let name = format!("the_flaw_is_found::{name}");
        trials.push(Trial::test(name, move || find(*planted)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

const PLANTED: &[(&str, Planted)] = &[
    ("no_fencing", Planted::Member(Flaw::NoFencing)),
    ("a_store_that_does_not_compare", Planted::Store),
    ("checkpoint_goes_back", Planted::Member(Flaw::GoesBack)),
    ("child_first", Planted::Member(Flaw::ChildFirst)),
    (
        "counts_from_the_end_of_a_renewal",
        Planted::Member(Flaw::CountsFromTheEnd),
    ),
    ("never_lapses", Planted::Member(Flaw::NeverLapses)),
    ("takes_early", Planted::Member(Flaw::TakesEarly)),
    ("watches_once", Planted::Member(Flaw::WatchesOnce)),
    ("no_margin", Planted::Member(Flaw::NoMargin)),
    (
        "believes_lost_renewals",
        Planted::Member(Flaw::BelievesLostRenewals),
    ),
    ("takes_not_raised", Planted::Member(Flaw::TakesNotRaised)),
    (
        "delivers_while_releasing",
        Planted::Member(Flaw::DeliversWhileReleasing),
    ),
    (
        "seek_keeps_the_generation",
        Planted::Member(Flaw::SeekKeepsGeneration),
    ),
    (
        "finishes_before_its_children_are_known",
        Planted::Member(Flaw::FinishesFirst),
    ),
    ("acks_early", Planted::Member(Flaw::AcksEarly)),
    ("leaves_the_dead", Planted::Member(Flaw::LeavesTheDead)),
    ("never_asks", Planted::Member(Flaw::NeverAsks)),
    ("ignores_requests", Planted::Member(Flaw::IgnoresRequests)),
];

fn number(name: &str) -> Result<Option<u64>, Failed> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("{name}={text} is no number").into()),
        },
        _ => Ok(None),
    }
}

/// All seeds, on all cores; or one, told line by line.
fn seeds() -> Result<(), Failed> {
    if let Some(seed) = number("ANYHUB_SEED")? {
        let world = World::new(seed, None, true).run();
        println!("seed {seed}: {}", world.told());
        return world.outcome().map_err(Failed::from);
    }
    let seeds = number("ANYHUB_SEEDS")?.unwrap_or(SEEDS);
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let failed = Mutex::new(None);
    let total = Mutex::new(Told::default());
    let start = Instant::now();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut told = Told::default();
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    let world = World::new(seed, None, false).run();
                    told.add(world.told());
                    if let Err(broken) = world.outcome() {
                        stop.store(true, Ordering::Relaxed);
                        *failed.lock().unwrap() = Some((seed, broken));
                    }
                }
                total.lock().unwrap().add(&told);
            });
        }
    });
    let total = total.into_inner().unwrap();
    println!("{total}, in {:.1?} on {cores} cores", start.elapsed());
    match failed.into_inner().unwrap() {
        None => Ok(()),
        Some((seed, broken)) => {
            Err(format!("seed {seed}: {broken}\nreplay it: make simulate SEED={seed}").into())
        }
    }
}

fn find(planted: Planted) -> Result<(), Failed> {
    for seed in 0..ENOUGH {
        if let Err(broken) = World::new(seed, Some(planted), false).run().outcome() {
            println!("{planted:?}: seed {seed}: {broken}");
            return Ok(());
        }
    }
    Err(format!("{planted:?} was not found in {ENOUGH} seeds").into())
}
