//! Each mutant of the memory hub is caught by the trial that names its clause, for every seed; the
//! hub without the fault passes the same trial with the same seeds. Where a trial is about positions,
//! so it is on a hub that has sequence numbers; where a key is what it has in order, on one without
//! partitions.

use anyhub_conformance::{
    Harness, Settings, Stalling, Trial,
    mutants::{Mutant, mutants, sequenced, unpartitioned},
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

/// The trials that ask whether members share a topic, so that a key is what is in order.
const BY_KEY: &[&str] = &[
    "C1_changes_precede_what_they_affect",
    "C2_partitions_are_kept_within_max_processing",
    "C3_ack_is_durable_after_commit",
    "C3_ack_is_durable_after_close",
    "C3_a_close_that_was_dropped_can_be_finished",
    "C3_ack_is_durable_within_the_interval",
    "C3_ack_is_durable_on_revoke",
    "C3_ack_counts_valid_tokens",
    "C3_stale_tokens_change_nothing",
    "C3_commit_says_fenced_when_acks_were_lost",
    "C4_resume_is_never_past_the_lowest_unacked",
    "C4_a_window_is_bounded",
    "C4_a_full_lane_loses_nothing_beside_a_busy_one",
    "C4_assignment_shows_the_oldest_unacked",
    "C6_key_order_holds_under_random_nacks",
    "C7_a_time_to_come_is_the_end",
    "C7_start_counts_only_without_a_checkpoint",
    "C7_end_is_made_concrete",
    "C8_seek_moves_to_each_point",
    "C8_seek_is_durable_before_it_returns",
    "C8_seek_stales_every_token",
    "C8_nothing_fetched_before_a_seek_comes_after_it",
    "C8_a_seek_after_max_processing_moves_what_comes_back",
    "C10_a_partition_has_one_owner",
    "C10_no_event_is_lost_at_a_rebalance",
    "C10_a_stale_owner_changes_nothing",
    "C13_undeclared_resize_is_unsupported",
    "Admin_topics_are_made_described_and_deleted",
    "Admin_groups_and_their_lag_are_told",
    "Admin_undeclared_lag_in_events_is_not_told",
];

/// Faults in positions, or in the lag that they tell: without partitions there are none.
const IN_POSITIONS: &[&str] = &[
    "a_seek_is_one_off",
    "the_end_is_one_off",
    "a_checkpoint_is_not_told",
    "lag_is_one_off",
];

/// What the memory hub is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    None,
    Sequenced,
    Unpartitioned,
}

impl Layer {
    fn is_for(self, mutant: Mutant) -> bool {
        let trial = mutant.caught_by();
        match self {
            Self::None => true,
            Self::Sequenced => BY_POSITION.contains(&trial),
            Self::Unpartitioned => {
                BY_KEY.contains(&trial) && !IN_POSITIONS.contains(&mutant.name())
            }
        }
    }
}

/// The memory hub, sound or with the fault of a mutant.
struct Subject {
    layer: Layer,
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
        let hub: Arc<dyn Hub> = match self.layer {
            Layer::None => Arc::new(MemoryHub::new()),
            Layer::Sequenced => sequenced(Arc::new(MemoryHub::new())),
            Layer::Unpartitioned => unpartitioned(Arc::new(MemoryHub::new())),
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
        // A member of this layer has a thousand partitions to take over.
        let slower = if self.layer == Layer::Unpartitioned {
            4
        } else {
            1
        };
        Settings::new()
            .patience(Duration::from_secs(patience))
            .max_processing(MAX_PROCESSING * slower)
            .events(if all { 20_000 } else { 4_000 })
    }

    fn forgetful(&self, topic: TopicConfig) -> Option<TopicConfig> {
        let by_time = self.mutant.caught_by().contains("undeclared");
        let retention = if by_time || self.layer != Layer::None {
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
    layer: Layer,
    mutant: Mutant,
    broken: bool,
) -> Result<Vec<(u64, String)>, Failed> {
    let trial = the_trial(mutant)?;
    let runs: Vec<_> = (seed()..seed() + SEEDS)
        .map(|seed| {
            runtime.spawn(async move {
                let _permit = RUNS.acquire().await;
                let subject = Arc::new(Subject {
                    layer,
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

fn is_caught(runtime: &Runtime, layer: Layer, mutant: Mutant) -> Result<(), Failed> {
    let failures = run(runtime, layer, mutant, true)?;
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

fn passes(runtime: &Runtime, layer: Layer, mutant: Mutant) -> Result<(), Failed> {
    match run(runtime, layer, mutant, false)?.first() {
        None => Ok(()),
        Some((seed, failure)) => {
            let trial = mutant.caught_by();
            Err(format!("{trial} fails on the sound hub with seed {seed}: {failure}").into())
        }
    }
}

/// What the lists above name and no mutant has.
fn unknown() -> Vec<&'static str> {
    let known = mutants().into_iter();
    let known: BTreeSet<_> = known.flat_map(|it| [it.caught_by(), it.name()]).collect();
    let named = [BY_POSITION, BY_KEY, IN_POSITIONS].concat().into_iter();
    named.filter(|name| !known.contains(name)).collect()
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if let unknown @ [_, ..] = &unknown()[..] {
        eprintln!("mutants: there is no {unknown:?}");
        return ExitCode::FAILURE;
    }
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
        let layers = [
            (Layer::None, ""),
            (Layer::Sequenced, " (sequenced)"),
            (Layer::Unpartitioned, " (unpartitioned)"),
        ];
        for (layer, on) in layers.into_iter().filter(|(layer, _)| layer.is_for(mutant)) {
            let with_fault = runtime.clone();
            let name = format!("{trial}::{}{on}", mutant.name());
            let caught = move || is_caught(&with_fault, layer, mutant);
            tests.push(libtest_mimic::Trial::test(name, caught).with_kind("mutant"));
            let name = format!("{trial}{on}");
            if sound.insert(name.clone()) {
                let without = runtime.clone();
                let passing = move || passes(&without, layer, mutant);
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
