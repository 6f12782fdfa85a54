//! The command line. What it answers goes to stdout, everything else to stderr.

mod up;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhub_local::{
    Error, Kafka, LocalStack, PsTest, Requirement, State, kafka, localstack, pstest,
};
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

/// Bad usage, as clap has it.
const USAGE: u8 = 2;

/// The hubs that can be started.
const HUBS: [&str; 4] = ["kafka", "kinesis", "eventhubs", "pubsub"];

/// The servers that stand in for one of ours, and the hub: `--with`.
const SERVERS: [(&str, &str); 2] = [("kinesis", "localstack"), ("pubsub", "pstest")];

/// Starts event hubs on this machine, without containers: a real Kafka, stand-ins for the others
#[derive(Debug, Parser)]
#[command(name = "anyhub-local", version, arg_required_else_help = true)]
#[command(after_help = "Example:\n  anyhub-local up kafka --brokers 3\n\n\
    Fetched files are kept in $ANYHUB_CACHE, by default ~/.cache/anyhub (~/Library/Caches/anyhub on macOS).")]
struct Cli {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Start a hub, print its URL, and run it until Ctrl-C
    Up(Up),
    /// Fetch what a hub needs and check what was fetched before, without starting it
    Prepare {
        /// The hub: kafka, kinesis, eventhubs or pubsub
        hub: String,
        /// Fetch another server for it: localstack for kinesis, pstest for pubsub
        #[arg(long, value_name = "SERVER")]
        with: Option<String>,
    },
    /// Say what the hubs need, what of it is there, and how to get the rest
    Doctor,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  anyhub-local up kafka\n  \
    anyhub-local up kafka --brokers 3 --port 9092 --data ./kafka-data\n  \
    anyhub-local up kafka --set message.max.bytes=2000000\n  \
    anyhub-local up kinesis --limits\n  \
    anyhub-local up kinesis --with localstack\n  \
    anyhub-local up eventhubs --event-hub tweets=8 --group demo\n  \
    anyhub-local up pubsub --with pstest\n\n\
    The URL is printed on stdout as soon as the server answers; a shell wants it in quotes, '...'.\n\
    Ctrl-C or SIGTERM stops the hub; it also goes if this command is killed.")]
struct Up {
    /// The hub: kafka, kinesis, eventhubs or pubsub
    hub: String,
    /// The port on 127.0.0.1; of several brokers the first one's, the others take the next ones [default: free ones]
    #[arg(long, value_name = "PORT", allow_hyphen_values = true)]
    port: Option<String>,
    /// Keep the logs in this folder [default: logs in the data folder]
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Print one line of JSON with the URL and what else there is to know instead
    #[arg(long)]
    json: bool,
    /// kafka: how many brokers, 1 to 5 [default: 1]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    brokers: Option<String>,
    /// kafka: keep the data in this folder, for later starts too [default: a temporary one, removed in the end]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// kafka: set a property of the brokers; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// kinesis: a shard takes and gives no more than in AWS; eventhubs: as much as one throughput unit; pubsub: a key
    /// takes and a stream gives no more than in Google Cloud
    #[arg(long)]
    limits: bool,
    /// eventhubs: a hub and how many partitions it has; may be given several times [default: tweets=4]
    #[arg(long, value_name = "NAME=PARTITIONS")]
    event_hub: Vec<String>,
    /// eventhubs: a consumer group of every hub, beside $Default; may be given several times
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// eventhubs: what each partition's sequence numbers begin with [default: the microseconds since 1970]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    first_sequence_number: Option<String>,
    /// Another server instead of our own: localstack for kinesis, pstest for pubsub, which a seek ends and which gives
    /// about 60 messages a second, so that the examples consume and replay don't run on it
    #[arg(long, value_name = "SERVER")]
    with: Option<String>,
}

/// A failure, with the exit code that it has.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn usage(message: String) -> Self {
        Failure {
            code: USAGE,
            message,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = if matches!(error, Error::Invalid(_)) {
            USAGE
        } else {
            1
        };
        let tail = error.log_tail().unwrap_or_default().trim_end();
        let tail: String = tail.lines().map(|line| format!("\n  | {line}")).collect();
        Failure {
            code,
            message: format!("{error}{tail}"),
        }
    }
}

pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let done = match cli.command {
        Subcommands::Up(options) => check("local hub", &HUBS, &options.hub)
            .and_then(|()| check_server(&options.hub, options.with.as_deref()))
            .and_then(|()| up::run(&options)),
        Subcommands::Prepare { hub, with } => check("local hub", &HUBS, &hub)
            .and_then(|()| check_server(&hub, with.as_deref()))
            .and_then(|()| prepare(&hub, with.is_some())),
        Subcommands::Doctor => Ok(doctor()),
    };
    done.unwrap_or_else(|failure| {
        note(&format!("error: {}", failure.message));
        ExitCode::from(failure.code)
    })
}

/// Help and version as clap has them; a mistake in one line.
fn usage(error: &clap::Error) -> ExitCode {
    let help = [
        ErrorKind::DisplayHelp,
        ErrorKind::DisplayVersion,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    if help.contains(&error.kind()) {
        error.exit();
    }
    let text = error.render().to_string();
    let lines = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:"))
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    note(&lines.collect::<Vec<_>>().join("; "));
    ExitCode::from(USAGE)
}

fn check_server(hub: &str, name: Option<&str>) -> Result<(), Failure> {
    let Some(name) = name else {
        return Ok(());
    };
    match SERVERS.iter().find(|(of, _)| *of == hub) {
        Some((_, server)) => check("server", &[server], name),
        None => Err(Failure::usage(format!(
            "--with is for kinesis and pubsub: {hub} has one server"
        ))),
    }
}

fn check(what: &str, names: &[&str], name: &str) -> Result<(), Failure> {
    if names.contains(&name) {
        return Ok(());
    }
    let nearest = names
        .iter()
        .map(|hub| (strsim::jaro_winkler(name, hub), hub))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let meant = nearest.map_or(String::new(), |(_, hub)| format!(" (did you mean {hub}?)"));
    Err(Failure::usage(format!(
        "there is no {what} {name:?}{meant}: choose from {}",
        names.join(", ")
    )))
}

fn prepare(hub: &str, other: bool) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let ready = match hub {
        "kafka" => {
            Kafka::prepare(|phase| step(start, &phase.to_string()))?;
            "Kafka is ready to start"
        }
        "eventhubs" => "Event Hubs needs nothing, it is in this program",
        "pubsub" if other => {
            PsTest::prepare(|phase| step(start, &phase.to_string()))?;
            "pstest is ready to start"
        }
        "pubsub" => "Pub/Sub needs nothing, it is in this program",
        _ if other => {
            LocalStack::prepare(|phase| step(start, &phase.to_string()))?;
            "LocalStack is ready to start"
        }
        _ => "Kinesis needs nothing, it is in this program",
    };
    step(start, ready);
    Ok(ExitCode::SUCCESS)
}

fn doctor() -> ExitCode {
    let needs = kafka::requirements();
    for need in &needs {
        answer(&line(need));
    }
    if cfg!(feature = "eventhubs") {
        answer("ok       Event Hubs: in this program");
    }
    if cfg!(feature = "kinesis") {
        answer("ok       Kinesis: in this program");
    }
    if cfg!(feature = "pubsub") {
        answer("ok       Pub/Sub: in this program");
    }
    // Nobody has to have a second opinion.
    for need in localstack::requirements()
        .into_iter()
        .chain(pstest::requirements())
    {
        answer(&line(&Requirement::optional(need)));
    }
    let met = needs.iter().all(Requirement::is_met);
    ExitCode::from(u8::from(!met))
}

fn line(need: &Requirement) -> String {
    match &need.state {
        State::Found { path, version } => {
            let version = version.as_ref().map_or(String::new(), |v| format!(" {v}"));
            format!("ok       {}:{version} {}", need.what, path.display())
        }
        State::Missing { fix } if need.needed => format!("missing  {}: {fix}", need.what),
        State::Missing { fix } => format!("not yet  {}: {fix}", need.what),
    }
}

/// A line of what is going on, with the seconds since the start.
fn step(start: Instant, what: &str) {
    note(&format!("{:6.1} s  {what}", start.elapsed().as_secs_f64()));
}

/// A reader that hangs up is no reason to fail.
fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn answer(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
