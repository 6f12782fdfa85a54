//! Each mutant of the memory hub is caught by the trial that names its clause, for every seed; the
//! hub without the fault passes the same trial with the same seeds. Where a trial is about positions,
//! so it is on a hub that has sequence numbers.

use anyhub_conformance::{
    Harness, Settings, Stalling, Trial,
    mutants::{Mutant, mutants, sequenced},
    seed, trials,
};
use anyhub_core::{Hub, Retention, TopicConfig, memory::MemoryHub};
use async_trait::async_trait;
use libtest_mimic::{Arguments, Failed};
use std::{
    collections::BTreeSet,
    process::ExitCode,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
};

const SEEDS: u64 = 20;

/// So many runs at once: most of a run is waiting.
static RUNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(16)));

/// The trials in which positions are compared.
const BY_POSITION: &[&str] = &[
    "E4_a_time_is_sought_by_the_hubs_clock",
    "P4_receipts_equal_what_the_consumer_sees",
    "C3_ack_is_durable_within_the_interval",
    "C4_resume_is_never_past_the_lowest_unacked",
    "C7_each_start_begins_where_it_says",
    "C8_seek_moves_to_each_point",
    "C8_partitions_not_named_stay",
    "C8_a_seek_before_the_first_receive_skips_nothing",
    "C9_checkpoints_never_go_back",
    "C9_a_seek_may_go_back",
    "C14_overtaken_by_retention_is_told_once",
    "C14_a_seek_to_what_is_gone_is_out_of_range",
    "Admin_positions_at_a_time",
    "Checks_22_a_seek_beyond_the_end_is_out_of_range",
];

/// What the memory hub is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Positions {
    Counted,
    Sequenced,
}

/// The memory hub, sound or with the fault of a mutant.
struct Subject {
    positions: Positions,
    mutant: Mutant,
    broken: bool,
    seed: u64,
}

#[async_trait]
impl Harness for Subject {
    fn name(&self) -> &str {
        "memory"
    }

    fn runs_on(&self) -> &str {
        "memory"
    }

    async fn start(&self) -> Result<Arc<dyn Hub>, String> {
        let hub: Arc<dyn Hub> = match self.positions {
            Positions::Counted => Arc::new(MemoryHub::new()),
            Positions::Sequenced => sequenced(Arc::new(MemoryHub::new())),
        };
        Ok(if self.broken {
            self.mutant.broken(hub, self.seed)
        } else {
            self.mutant.sound(hub)
        })
    }

    fn settings(&self) -> Settings {
        // What a fault keeps from coming is waited for in vain: no need to do that for long, but
        // where many events are under way.
        let many = self.mutant.caught_by().starts_with("Checks_01");
        let patience = match (self.broken, many) {
            (true, false) => 3,
            (true, true) => 10,
            (false, _) => 30,
        };
        // All are needed only where one in 10,000 is at stake.
        let all = many && (!self.broken || self.mutant.name().contains("10_000"));
        Settings::new()
            .patience(Duration::from_secs(patience))
            .max_processing(MAX_PROCESSING)
            .events(if all { 20_000 } else { 4_000 })
    }

    fn forgetful(&self, topic: TopicConfig) -> Option<TopicConfig> {
        let by_time = self.mutant.caught_by().contains("undeclared");
        let retention = if by_time || self.positions == Positions::Sequenced {
            Retention::new().time(Duration::from_millis(500))
        } else {
            Retention::new().bytes(self.settings().overflow_bytes / 4)
        };
        Some(topic.retention(retention))
    }

    async fn stalling(&self, hub: Arc<dyn Hub>, topic: TopicConfig) -> Result<Stalling, String> {
        let topic = topic.property("capacity_bytes", "16384");
        Ok(Stalling::by_topic(hub, topic))
    }
}

const MAX_PROCESSING: Duration = Duration::from_millis(150);

/// Runs the trial of a mutant with each seed; the failures, with their seeds.
fn run(
    runtime: &Runtime,
    positions: Positions,
    mutant: Mutant,
    broken: bool,
) -> Result<Vec<(u64, String)>, Failed> {
    let trial = the_trial(mutant)?;
    let runs: Vec<_> = (seed()..seed() + SEEDS)
        .map(|seed| {
            runtime.spawn(async move {
                let _permit = RUNS.acquire().await;
                let subject = Arc::new(Subject {
                    positions,
                    mutant,
                    broken,
                    seed,
                });
                let hub = subject.start().await?;
                if !trial.applies(&hub.capabilities()) {
                    return Err("the trial does not apply to this hub".to_owned());
                }
                let settings = subject.settings();
                let outcome = trial.run(subject, hub, settings, seed).await;
                Ok((seed, outcome.err().map(|failure| failure.to_string())))
            })
        })
        .collect();
    let mut failures = Vec::new();
    for run in runs {
        let (seed, failure) = runtime.block_on(run)??;
        failures.extend(failure.map(|failure| (seed, failure)));
    }
    Ok(failures)
}

fn the_trial(mutant: Mutant) -> Result<Trial, Failed> {
    let name = mutant.caught_by();
    let found = trials().into_iter().find(|trial| trial.name() == name);
    found.ok_or_else(|| format!("there is no trial {name}").into())
}

fn is_caught(runtime: &Runtime, positions: Positions, mutant: Mutant) -> Result<(), Failed> {
    let failures = run(runtime, positions, mutant, true)?;
    let trial = mutant.caught_by();
    for seed in seed()..seed() + SEEDS {
        match failures.iter().find(|(of, _)| *of == seed) {
            None => return Err(format!("{trial} let {mutant:?} pass with seed {seed}").into()),
            Some((_, failure)) if !failure.contains(mutant.says()) => {
                return Err(format!(
                    "{trial} caught {mutant:?} with seed {seed}, but for another reason than \
                     \"{}\": {failure}",
                    mutant.says()
                )
                .into());
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn passes(runtime: &Runtime, positions: Positions, mutant: Mutant) -> Result<(), Failed> {
    match run(runtime, positions, mutant, false)?.first() {
        None => Ok(()),
        Some((seed, failure)) => {
            let trial = mutant.caught_by();
            Err(format!("{trial} fails on the sound hub with seed {seed}: {failure}").into())
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let runtime = match Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => {
            eprintln!("mutants: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut tests = Vec::new();
    let mut sound = BTreeSet::new();
    for mutant in mutants() {
        let trial = mutant.caught_by();
        let counted = [(Positions::Counted, "")];
        let sequenced = [(Positions::Sequenced, " (sequenced)")];
        let sequenced = sequenced
            .into_iter()
            .filter(|_| BY_POSITION.contains(&trial));
        for (positions, on) in counted.into_iter().chain(sequenced) {
            let with_fault = runtime.clone();
            let name = format!("{trial}::{}{on}", mutant.name());
            let caught = move || is_caught(&with_fault, positions, mutant);
            tests.push(libtest_mimic::Trial::test(name, caught).with_kind("mutant"));
            let name = format!("{trial}{on}");
            if sound.insert(name.clone()) {
                let without = runtime.clone();
                let passing = move || passes(&without, positions, mutant);
                tests.push(libtest_mimic::Trial::test(name, passing).with_kind("sound"));
            }
        }
    }
    if !arguments.list {
        let (first, last) = (seed(), seed() + SEEDS - 1);
        eprintln!("mutants: each with seeds {first} to {last} (ANYHUB_SEED={first})");
    }
    arguments.test_threads.get_or_insert(4);
    libtest_mimic::run(&arguments, tests).exit_code()
}
