use crate::{
    Failure, Harness, Outcome, Settings, Trial,
    results::{Ended, Record, append},
    trials,
};
use anyhub_core::Hub;
use libtest_mimic::{Arguments, Failed};
use std::{collections::HashMap, env, path::PathBuf, process::ExitCode, sync::Arc};
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
    let applying: Vec<_> = trials()
        .into_iter()
        .filter(|trial| trial.applies(&capabilities))
        .collect();
    let most = match harness.serves_a_part() {
        true => applying.len(),
        false => applying.len() / 10,
    };
    let exceptions = match exceptions(harness.exceptions(), &applying, most) {
        Ok(exceptions) => exceptions,
        Err(why) => {
            eprintln!("conformance: FAILED: {name}: {why}");
            return ExitCode::FAILURE;
        }
    };
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
        let exception = exceptions.get(trial.name()).map(|why| why.to_string());
        tests.push(libtest_mimic::Trial::test(trial.name(), move || {
            let run = || runtime.block_on(run_one(trial, &harness, &hub, &settings, seed));
            let mut outcome = run()?;
            for _ in 1..EXCEPTED {
                if exception.is_none() || outcome.is_err() {
                    break;
                }
                outcome = run()?;
            }
            let (ended, outcome) = judge(outcome, exception, trial.name());
            if let Some(out) = out {
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

/// Runs a trial once, on the hub of all or on one of its own. Err where there is none, which excuses no one.
async fn run_one(
    trial: Trial,
    harness: &Arc<dyn Harness>,
    shared: &Arc<dyn Hub>,
    settings: &Settings,
    seed: u64,
) -> Result<Outcome, String> {
    let own = match harness.hub_for_each_trial() {
        true => Some(harness.start().await?),
        false => None,
    };
    let hub = own.as_ref().unwrap_or(shared).clone();
    let outcome = trial
        .run(harness.clone(), hub, settings.clone(), seed)
        .await;
    let closed = match own {
        Some(hub) => hub.close().await.map_err(Failure::from),
        None => Ok(()),
    };
    Ok(outcome.and(closed))
}

/// So often in a row an excepted trial has to pass before that is more than chance: whether a server
/// that counts whole seconds errs may depend on when in a second it is asked.
const EXCEPTED: usize = 5;

/// What an outcome counts as, where the server may be excused.
fn judge(outcome: Outcome, exception: Option<String>, trial: &str) -> (Ended, Outcome) {
    match (outcome, exception) {
        (Ok(()), None) => (Ended::Pass, Ok(())),
        (Err(failure), None) => (Ended::Fail, Err(failure)),
        (Err(failure), Some(why)) => {
            eprintln!("conformance: {trial} fails as it has to here, since {why}: {failure}");
            (Ended::Excepted, Ok(()))
        }
        (Ok(()), Some(why)) => {
            let message = format!("passes here, although {why}: take it out of the exceptions");
            (Ended::Fail, Err(Failure::new(message)))
        }
    }
}

/// The exceptions by trial, each with why: all of trials that apply, and so many at most.
fn exceptions<'a>(
    lines: &'a str,
    applying: &[Trial],
    most: usize,
) -> Result<HashMap<&'a str, &'a str>, String> {
    let mut exceptions = HashMap::new();
    let lines = lines.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (excepted, why) = line
            .split_once(": ")
            .ok_or_else(|| format!("an exception is 'TRIAL: WHY', not '{line}'"))?;
        if !applying.iter().any(|trial| trial.name() == excepted) {
            return Err(format!(
                "there is no trial '{excepted}' to make an exception of"
            ));
        }
        exceptions.insert(excepted, why);
    }
    if exceptions.len() > most {
        return Err(format!(
            "{} exceptions of {} trials are more than {most}",
            exceptions.len(),
            applying.len()
        ));
    }
    Ok(exceptions)
}

fn required() -> bool {
    let ci = env::var("CI").is_ok_and(|ci| ci.eq_ignore_ascii_case("true") || ci == "1");
    ci || env::var_os("ANYHUB_CONFORMANCE_REQUIRED").is_some_and(|value| value != "0")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_has_to_fail() {
        let failed = || Err(Failure::new("no"));
        let why = || Some("it can't".to_owned());
        assert_eq!(judge(Ok(()), None, "t").0, Ended::Pass);
        assert_eq!(judge(failed(), None, "t").0, Ended::Fail);
        let (ended, outcome) = judge(failed(), why(), "t");
        assert!(ended == Ended::Excepted && outcome.is_ok());
        let (ended, outcome) = judge(Ok(()), why(), "t");
        assert!(ended == Ended::Fail && outcome.is_err());
    }

    #[test]
    fn exceptions_are_few_and_of_trials() {
        let trials = trials();
        let lines = |of: &[Trial]| -> String {
            let lines = of
                .iter()
                .map(|trial| format!("{}: it can't\n", trial.name()));
            lines.collect()
        };
        let two = format!("# why\n\n{}", lines(&trials[..2]));
        let found = exceptions(&two, &trials, 2);
        assert_eq!(found.unwrap()[trials[0].name()], "it can't");
        assert!(exceptions(&two, &trials, 1).is_err());
        assert!(exceptions(&two, &trials[..1], 2).is_err());
        assert!(exceptions("C3_no_such: why", &trials, 2).is_err());
        assert!(exceptions(trials[0].name(), &trials, 2).is_err());
    }
}
