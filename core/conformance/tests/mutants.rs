//! Each mutant of the memory hub is caught by the trial that names its clause, for every seed; the
//! hub without the fault passes the same trial with the same seeds.

use anyhub_conformance::{
    Harness, Settings, Stalling, Trial,
    mutants::{Mutant, mutants},
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

/// The memory hub, sound or with the fault of a mutant.
struct Subject {
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
        let hub = Arc::new(MemoryHub::new());
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
        let retention = if self.mutant.caught_by().contains("undeclared") {
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
fn run(runtime: &Runtime, mutant: Mutant, broken: bool) -> Result<Vec<(u64, String)>, Failed> {
    let trial = the_trial(mutant)?;
    let runs: Vec<_> = (seed()..seed() + SEEDS)
        .map(|seed| {
            runtime.spawn(async move {
                let _permit = RUNS.acquire().await;
                let subject = Arc::new(Subject {
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

fn is_caught(runtime: &Runtime, mutant: Mutant) -> Result<(), Failed> {
    let failures = run(runtime, mutant, true)?;
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

fn passes(runtime: &Runtime, mutant: Mutant) -> Result<(), Failed> {
    match run(runtime, mutant, false)?.first() {
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
        let (with_fault, without) = (runtime.clone(), runtime.clone());
        let name = format!("{}::{}", mutant.caught_by(), mutant.name());
        tests.push(
            libtest_mimic::Trial::test(name, move || is_caught(&with_fault, mutant))
                .with_kind("mutant"),
        );
        if sound.insert(mutant.caught_by()) {
            tests.push(
                libtest_mimic::Trial::test(mutant.caught_by(), move || passes(&without, mutant))
                    .with_kind("sound"),
            );
        }
    }
    if !arguments.list {
        let (first, last) = (seed(), seed() + SEEDS - 1);
        eprintln!("mutants: each with seeds {first} to {last} (ANYHUB_SEED={first})");
    }
    arguments.test_threads.get_or_insert(4);
    libtest_mimic::run(&arguments, tests).exit_code()
}
