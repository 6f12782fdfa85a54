//! `anyhub-bench run`: everything that can be wrong is found before anything is measured.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use super::{interrupt, outcome, to_stdout};
use crate::bad_input::BadInput;
use crate::cli::{RunArgs, Switch};
use crate::exit::Exit;
use crate::hubs::{self, HubArg, Target};
use crate::job::{Entry, Job, RunId};
use crate::payload::payload_bytes;
use crate::progress::Progress;
use crate::report::{self, Folder, Phase, Report};
use crate::runner;
use crate::tweets::Tweets;
use crate::units::{bytes, count};
use crate::verify::{BYTES_PER_EVENT, BYTES_PER_KEY, Guarantee};
use crate::workload::Workload;

pub(super) fn run(args: &RunArgs) -> Result<Exit, BadInput> {
    if let Some(option) = args.later() {
        return Err(super::later(option));
    }
    let mut workload = match &args.workload {
        Some(path) => Workload::read(path)?,
        None => Workload::default(),
    };
    args.apply(&mut workload);
    workload.check()?;
    if workload.guarantee != Guarantee::AtLeastOnce {
        return Err(super::later(&format!(
            "guarantee {}",
            workload.guarantee.as_str()
        )));
    }
    let given = given_hubs(args)?;
    let targets = hubs::targets(args.hubs.as_deref(), &given)?;
    let names: Vec<_> = targets
        .iter()
        .map(|target| target.name().to_owned())
        .collect();
    for assertion in &args.asserts {
        assertion
            .check(&names, &phases(&workload))
            .map_err(BadInput::new)?;
    }
    let seed = workload.seed.unwrap_or_else(new_seed);
    let tweets = Tweets::choose(workload.tweets.as_deref(), seed)?;
    let typical = payload_bytes(tweets.lengths().0, workload.payload as usize) as u64;
    for target in &targets {
        let kept = target.bytes_per_event(typical);
        check_memory(&workload, kept, report::host().memory_bytes)
            .map_err(|error| BadInput::new(format!("{}: {error}", target.name())))?;
    }
    if args.dry_run {
        return Ok(to_stdout(|out| {
            plan(out, &workload, &targets, &tweets, seed)
        }));
    }
    let folder =
        Folder::prepare(args.out.as_deref()).map_err(|error| BadInput::new(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| BadInput::new(format!("this process can't start threads: {error}")))?;
    let progress = Arc::new(Progress::stderr());
    progress.note(&format!("seed {seed}, {}", tweets.source()));
    let job = Job {
        id: RunId::random(),
        workload,
        tweets,
        seed,
        folder: folder.path().to_owned(),
        progress,
        limits_on: args.limits != Some(Switch::Off),
    };
    let (report, unavailable, interrupted) = runtime
        .block_on(measure(job, targets, args))
        .map_err(|error| BadInput::new(format!("this process can't be told of Ctrl-C: {error}")))?;
    // A hub's threads may hang on an address that does not answer: they don't keep the report waiting.
    runtime.shutdown_background();
    let exit = outcome::conclude(&report, folder.path(), &args.asserts, args.json);
    Ok(match exit {
        _ if interrupted => Exit::Interrupted,
        Exit::Ok if unavailable => Exit::Unavailable,
        exit => exit,
    })
}

/// The ledger is allocated before the clock starts: what does not fit is told, and not run into.
/// `kept`: what an event takes besides.
fn check_memory(workload: &Workload, kept: u64, there: u64) -> Result<(), BadInput> {
    let events = workload.events.max(workload.scheduled());
    let taken = events * ((BYTES_PER_EVENT + BYTES_OF_SCORE) as u64 + kept)
        + u64::from(workload.keys) * BYTES_PER_KEY as u64;
    if there == 0 || taken < there / 2 {
        return Ok(());
    }
    Err(BadInput::new(format!(
        "{events} events take {} of memory, and this machine has {}: give fewer",
        bytes(taken),
        bytes(there)
    )))
}

/// What a text's score takes.
const BYTES_OF_SCORE: usize = 2;

/// The report, whether a hub that had to be there was not, and whether the run was interrupted.
async fn measure(
    job: Job,
    targets: Vec<Target>,
    args: &RunArgs,
) -> io::Result<(Report, bool, bool)> {
    let stop = interrupt::watch(job.progress.clone())?;
    let (started_at, begun) = (SystemTime::now(), Instant::now());
    let mut unavailable = false;
    let mut entries = Vec::new();
    for target in &targets {
        match start(target, &job, &stop).await {
            Ok(running) => entries.push(Entry {
                row: target.row(Some(&running)),
                running: Some(running),
            }),
            Err(why) => {
                job.progress
                    .note(&format!("{}: skipped, {why}", target.name()));
                unavailable |= target.is_required() || ci();
                entries.push(Entry {
                    row: target.skipped(why),
                    running: None,
                });
            }
        }
    }
    let measured = runner::run(&job, entries, &stop).await;
    let run = report::Run {
        id: measured.id,
        started_at: humantime::format_rfc3339_seconds(started_at).to_string(),
        seconds: begun.elapsed().as_secs_f64(),
        seed: job.seed,
        git: option_env!("ANYHUB_BENCH_GIT").map(str::to_owned),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: command_line(args),
        host: report::host(),
    };
    let report = Report {
        schema: report::SCHEMA,
        run,
        workload: measured.workload,
        hubs: measured.hubs,
    };
    Ok((report, unavailable, stop.is_cancelled()))
}

async fn start(
    target: &Target,
    job: &Job,
    stop: &CancellationToken,
) -> Result<hubs::Running, String> {
    tokio::select! {
        started = target.start(job.limits_on, job.id, &job.progress) => started,
        () = stop.cancelled() => Err("interrupted before it was started".into()),
    }
}

/// What would be run, for `--dry-run`.
fn plan(
    out: &mut dyn Write,
    workload: &Workload,
    targets: &[Target],
    tweets: &Tweets,
    seed: u64,
) -> io::Result<Exit> {
    writeln!(
        out,
        "workload    {}, {} run(s) of each phase, warm-up {:?}",
        workload.name, workload.runs, workload.warmup
    )?;
    if workload.phase.latency() {
        let events = count(workload.scheduled());
        writeln!(
            out,
            "latency     {}/s for {:?}: {events} events on each hub",
            workload.rate, workload.duration
        )?;
    }
    if workload.phase.throughput() {
        writeln!(
            out,
            "throughput  {} events on each hub",
            count(workload.events)
        )?;
    }
    writeln!(
        out,
        "tweets      {}, {} texts, seed {seed}",
        tweets.source(),
        count(tweets.len() as u64)
    )?;
    writeln!(
        out,
        "shape       {} partitions, {} producers, {} consumers, batches of {}, {} keys, Zipf {}, payload {}",
        workload.partitions,
        workload.producers,
        workload.consumers,
        workload.batch,
        count(workload.keys.into()),
        workload.skew,
        if workload.payload == 0 {
            "as long as the tweet".to_owned()
        } else {
            bytes(workload.payload)
        },
    )?;
    for target in targets {
        writeln!(out, "hub         {}: {}", target.name(), target.describe())?;
    }
    Ok(Exit::Ok)
}

fn phases(workload: &Workload) -> Vec<Phase> {
    [
        (Phase::Latency, workload.phase.latency()),
        (Phase::Throughput, workload.phase.throughput()),
    ]
    .into_iter()
    .filter_map(|(phase, runs)| runs.then_some(phase))
    .collect()
}

/// A skip is a failure where nobody looks.
fn ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// From the clock: any seed will do, since it is printed.
fn new_seed() -> u64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    now.as_secs() ^ u64::from(now.subsec_nanos())
}

/// What `--hub` names, and `--group` with it.
fn given_hubs(args: &RunArgs) -> Result<Vec<HubArg>, BadInput> {
    let given = args.hub.iter().map(|text| text.expose().parse());
    let given: Result<_, String> = given.collect();
    let given = given.map_err(|error| BadInput::new(format!("--hub: {error}")))?;
    hubs::read_by(given, &args.group).map_err(|error| BadInput::new(format!("--group: {error}")))
}

/// As it was typed, the values of the hubs' options hidden, and quoted where a shell needs it.
fn command_line(args: &RunArgs) -> String {
    let given = given_hubs(args).unwrap_or_default();
    let mut hubs = given.iter();
    let mut words = vec!["anyhub-bench".to_owned()];
    let mut typed = std::env::args().skip(1);
    while let Some(word) = typed.next() {
        if word == "--hub" {
            typed.next();
            words.push(word);
            words.extend(hubs.next().map(|hub| quoted(&hub.to_string())));
        } else if word.starts_with("--hub=") {
            words.extend(hubs.next().map(|hub| quoted(&format!("--hub={hub}"))));
        } else {
            words.push(quoted(&word));
        }
    }
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Workload, check_memory, quoted};

    #[test]
    fn what_does_not_fit_into_memory_is_told() {
        let mut workload = Workload::default();
        assert!(check_memory(&workload, 0, 1 << 30).is_ok());
        workload.events = 60_000_000;
        let told = check_memory(&workload, 0, 1 << 30).unwrap_err().to_string();
        assert!(told.contains("give fewer"), "{told}");
        // A stand-in keeps the events, too.
        workload.events = 2_000_000;
        assert!(check_memory(&workload, 0, 1 << 30).is_ok());
        assert!(check_memory(&workload, 800, 1 << 30).is_err());
    }

    #[test]
    fn what_a_shell_would_read_is_quoted() {
        assert_eq!(quoted("--out=a/b"), "--out=a/b");
        assert_eq!(quoted("*.delivery.lost == 0"), "'*.delivery.lost == 0'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
