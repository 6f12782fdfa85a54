use crate::{
    Harness, Trial,
    results::{Ended, Record, append},
    trials,
};
use libtest_mimic::{Arguments, Failed};
use std::{env, path::PathBuf, process::ExitCode, sync::Arc};
use tokio::runtime::{Builder, Runtime};

/// Runs every trial against the hub of `harness`, as `cargo test` understands it: a filter, `--list`,
/// `--exact`, `--test-threads` and so on.
///
/// Environment: `ANYHUB_SEED` decides what is left to chance (printed; 1 by default);
/// `ANYHUB_CONTRACT_OUT=FILE` appends the results to FILE; `ANYHUB_CONFORMANCE_REQUIRED` or
/// `CI=true` make a hub that can't be had a failure.
pub fn run(harness: impl Harness) -> ExitCode {
    let mut arguments = Arguments::from_args();
    let harness: Arc<dyn Harness> = Arc::new(harness);
    let runtime = match Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => {
            eprintln!("conformance: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = run_on(&runtime, &mut arguments, &harness);
    runtime.block_on(harness.stop());
    code
}

/// The seed of this run: `ANYHUB_SEED`, or 1.
pub fn seed() -> u64 {
    match env::var("ANYHUB_SEED") {
        Ok(text) => text.parse().unwrap_or_else(|_| {
            // Any text is a seed; the message says which number it became.
            text.bytes().fold(7_u64, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(u64::from(byte))
            })
        }),
        Err(_) => 1,
    }
}

fn run_on(
    runtime: &Arc<Runtime>,
    arguments: &mut Arguments,
    harness: &Arc<dyn Harness>,
) -> ExitCode {
    let name = harness.name().to_owned();
    let hub = match runtime.block_on(harness.start()) {
        Ok(hub) => hub,
        Err(why) if required() => {
            eprintln!("conformance: FAILED: {name} is required here but can't be had: {why}");
            return ExitCode::FAILURE;
        }
        Err(why) => {
            eprintln!("conformance: SKIPPED: no {name} here, so none of its trials ran: {why}");
            return ExitCode::SUCCESS;
        }
    };
    let settings = harness.settings();
    let seed = seed();
    let capabilities = hub.capabilities();
    let out = env::var_os("ANYHUB_CONTRACT_OUT").map(PathBuf::from);
    let record = {
        let (hub, runs_on) = (name.clone(), harness.runs_on().to_owned());
        move |trial: &Trial, result| Record {
            hub: hub.clone(),
            runs_on: runs_on.clone(),
            clause: trial.clause().to_owned(),
            trial: trial.name().to_owned(),
            result,
        }
    };
    if !arguments.list {
        eprintln!(
            "conformance: {name} ({}), ANYHUB_SEED={seed}",
            harness.runs_on()
        );
    }
    let mut tests = Vec::new();
    for trial in trials() {
        if !trial.applies(&capabilities) {
            if let Some(out) = out.as_ref().filter(|_| !arguments.list)
                && let Err(error) = append(out, &record(&trial, Ended::NotDeclared))
            {
                eprintln!("conformance: can't write {}: {error}", out.display());
                return ExitCode::FAILURE;
            }
            continue;
        }
        let (runtime, harness, hub) = (runtime.clone(), harness.clone(), hub.clone());
        let (settings, out, record) = (settings.clone(), out.clone(), record.clone());
        tests.push(libtest_mimic::Trial::test(trial.name(), move || {
            let outcome = runtime.block_on(trial.run(harness, hub, settings, seed));
            if let Some(out) = out {
                let ended = if outcome.is_ok() {
                    Ended::Pass
                } else {
                    Ended::Fail
                };
                append(&out, &record(&trial, ended))
                    .map_err(|error| format!("can't write {}: {error}", out.display()))?;
            }
            outcome.map_err(|failure| Failed::from(format!("{failure} (ANYHUB_SEED={seed})")))
        }));
    }
    arguments.test_threads.get_or_insert(settings.threads);
    let conclusion = libtest_mimic::run(arguments, tests);
    if let Err(error) = runtime.block_on(hub.close()) {
        eprintln!("conformance: FAILED: {name} did not close: {error}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn required() -> bool {
    let ci = env::var("CI").is_ok_and(|ci| ci.eq_ignore_ascii_case("true") || ci == "1");
    ci || env::var_os("ANYHUB_CONFORMANCE_REQUIRED").is_some_and(|value| value != "0")
}
