//! What the trait costs, and what order costs: the raw SDK and anyhub in turns on one local Kinesis,
//! which runs in a process of its own, without limits.
//!
//! `cargo bench -p anyhub-kinesis --bench overhead [-- --pairs 15 --seconds 5 --sizes 100,1000
//! --only publish]`. Start-up is counted out: clocks run from the first event. The last lines are, for
//! each size, `ratio WHAT BYTES MEDIAN LOW HIGH` (events per second, anyhub by raw) and
//! `cpu_ns WHAT BYTES MEDIAN LOW HIGH` (CPU time of this process added to each event), with 95%
//! intervals.
//!
//! - `publish`: the SDK with the same lanes: a task a shard, one PutRecords of up to 500 records in
//!   flight in each, an event a record.
//! - `publish-best`: the SDK as fast as it goes, without order; anyhub as it is by default, in order.
//! - `receive`: the SDK with a task a shard, one GetRecords of up to 10,000 records in flight in each.

#[path = "../../../kafka/benches/overhead/pairs.rs"]
mod pairs;
mod publish;
mod receive;
mod server;

use anyhub_core::{Hub, TopicConfig};
use anyhub_kinesis::{Aggregation, KinesisConfig, KinesisHub, LeasesIn, NativeHub};
use aws_sdk_kinesis::Client;
use bytes::Bytes;
use pairs::{Pairs, Run};
use publish::{Best, Publish};
use receive::Receive;
use server::Server;
use std::{
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::runtime::Runtime;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, BoxError>;

const SHARDS: u32 = 4;
const KEYS: usize = 10_000;
/// Events of one `submit` or `receive`.
const BATCH: usize = 100;
/// Pairs that are run and not measured.
const WARM_UP: usize = 2;

struct Arguments {
    pairs: usize,
    seconds: f64,
    sizes: Vec<usize>,
    only: Option<String>,
}

fn arguments() -> Result<Arguments> {
    let mut parsed = Arguments {
        pairs: 15,
        seconds: 5.0,
        sizes: vec![100, 1_000],
        only: None,
    };
    let mut given = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    while let Some(name) = given.next() {
        let value = given
            .next()
            .ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--pairs" => parsed.pairs = value.parse()?,
            "--seconds" => parsed.seconds = value.parse()?,
            "--sizes" => {
                parsed.sizes = value
                    .split(',')
                    .map(str::parse)
                    .collect::<std::result::Result<_, _>>()?;
            }
            "--only" => parsed.only = Some(value),
            other => {
                let known = "--pairs, --seconds, --sizes, --only";
                return Err(format!("no option {other}: there are {known}").into());
            }
        }
    }
    if parsed.pairs == 0 || parsed.sizes.is_empty() || parsed.seconds <= 0.0 {
        return Err("--pairs, --sizes and --seconds must be above 0".into());
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(server::SERVE) {
        return server::serve();
    }
    match arguments().and_then(|arguments| measure(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("overhead: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let mut lines = Vec::new();
    for &size in &arguments.sizes {
        let wanted = |what| arguments.only.as_deref().is_none_or(|only| only == what);
        for what in ["publish", "publish-best", "receive"] {
            if !wanted(what) {
                continue;
            }
            // What is published is not read, and stays in memory: each has a server of its own.
            let server = Server::start()?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?;
            let aggregate = match what {
                "publish-best" => Aggregation::Key,
                _ => Aggregation::Off,
            };
            let config = KinesisConfig::new()
                .region("us-east-1")
                .endpoint(server.endpoint())
                .max_batch_bytes(5 << 20)
                .read_share(None)
                .aggregate(aggregate)
                .leases(LeasesIn::Memory);
            let bench = Bench {
                hub: KinesisHub::new(config)?,
                runtime: &runtime,
                payload: Bytes::from(vec![b'x'; size]),
                keys: (0..KEYS).map(|nth| format!("user-{nth}")).collect(),
                time: Duration::from_secs_f64(arguments.seconds),
            };
            match what {
                "publish" => bench.compare(what, arguments.pairs, &mut lines, &mut Publish)?,
                "publish-best" => bench.compare(what, arguments.pairs, &mut lines, &mut Best)?,
                _ => {
                    let mut receive = Receive::fill(&bench)?;
                    bench.compare(what, arguments.pairs, &mut lines, &mut receive)?;
                }
            }
            runtime.block_on(bench.hub.close())?;
        }
    }
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// Two ways to do one thing.
trait Ways {
    fn raw(&mut self, bench: &Bench<'_>) -> Result<Run>;
    fn ours(&mut self, bench: &Bench<'_>) -> Result<Run>;
}

struct Bench<'a> {
    hub: KinesisHub,
    runtime: &'a Runtime,
    payload: Bytes,
    keys: Vec<String>,
    time: Duration,
}

impl Bench<'_> {
    fn compare(
        &self,
        what: &str,
        rounds: usize,
        lines: &mut Vec<String>,
        ways: &mut impl Ways,
    ) -> Result<()> {
        let size = self.payload.len();
        let mut pairs = Pairs::new(format!("{what} {size}"));
        for _ in 0..WARM_UP {
            ways.raw(self)?;
            ways.ours(self)?;
        }
        for round in 0..rounds {
            let (raw, ours) = if round % 2 == 0 {
                let raw = ways.raw(self)?;
                (raw, ways.ours(self)?)
            } else {
                let ours = ways.ours(self)?;
                (ways.raw(self)?, ours)
            };
            eprintln!(
                "{what} {size} B, pair {}: raw {:.0}/s {:.0} ns, anyhub {:.0}/s {:.0} ns",
                round + 1,
                raw.rate(),
                raw.cpu_ns(),
                ours.rate(),
                ours.cpu_ns()
            );
            pairs.push(raw, ours);
        }
        lines.push(pairs.ratio());
        lines.push(pairs.cpu_ns());
        Ok(())
    }

    fn topic(&self) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let name = format!("overhead-{now}");
        let config = TopicConfig::new(&name).partitions(SHARDS);
        self.runtime
            .block_on(self.hub.admin().create_topic(&config))?;
        Ok(name)
    }

    fn delete(&self, topic: &str) -> Result<()> {
        Ok(self
            .runtime
            .block_on(self.hub.admin().delete_topic(topic))?)
    }

    /// The client that anyhub uses, with its settings.
    fn client(&self) -> Result<Client> {
        let native = self.hub.native().downcast_ref::<NativeHub>();
        let client = native.and_then(NativeHub::client).cloned();
        client.ok_or_else(|| "the hub has no client".into())
    }
}
