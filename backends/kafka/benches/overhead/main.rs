//! What the trait costs: raw rdkafka and anyhub in turns on one broker, with the same settings.
//!
//! `cargo bench -p anyhub-kafka --bench overhead [-- --pairs 15 --seconds 5 --sizes 100,1000
//! --only publish --bootstrap HOST:PORT]`; without `--bootstrap` it starts a broker of its own.
//! Start-up is counted out: clocks run from the first event. The last lines are, for each size,
//! `ratio WHAT BYTES MEDIAN LOW HIGH` (events per second, anyhub by raw) and
//! `cpu_ns WHAT BYTES MEDIAN LOW HIGH` (CPU time added to each event), with 95% intervals.

mod pairs;
mod publish;
mod receive;

use anyhub_core::{Hub, Retention, TopicConfig};
use anyhub_kafka::{KafkaConfig, KafkaHub};
use bytes::Bytes;
use pairs::{Pairs, Run};
use publish::Publish;
use rdkafka::ClientConfig;
use receive::Receive;
use std::{
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::runtime::Runtime;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, BoxError>;

const PARTITIONS: u32 = 4;
const KEYS: usize = 10_000;
/// Events of one `submit` or `receive`.
const BATCH: usize = 100;
/// Pairs that are run and not measured.
const WARM_UP: usize = 3;
/// What people write today is measured in every third round.
const TODAY: usize = 3;

struct Arguments {
    pairs: usize,
    seconds: f64,
    sizes: Vec<usize>,
    only: Option<String>,
    bootstrap: Option<String>,
}

fn arguments() -> Result<Arguments> {
    let mut parsed = Arguments {
        pairs: 15,
        seconds: 5.0,
        sizes: vec![100, 1_000],
        only: None,
        bootstrap: None,
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
                    .collect::<std::result::Result<_, _>>()?
            }
            "--only" => parsed.only = Some(value),
            "--bootstrap" => parsed.bootstrap = Some(value),
            other => {
                return Err(format!(
                    "no option {other}: there are --pairs, --seconds, --sizes, --only, --bootstrap"
                )
                .into());
            }
        }
    }
    if parsed.pairs == 0 || parsed.sizes.is_empty() || parsed.seconds <= 0.0 {
        return Err("--pairs, --sizes and --seconds must be above 0".into());
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| measure(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("overhead: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let broker = match arguments.bootstrap {
        None => Some(anyhub_local::Kafka::builder().start()?),
        Some(_) => None,
    };
    let bootstrap = match (&arguments.bootstrap, &broker) {
        (Some(given), _) => given.clone(),
        (None, Some(broker)) => broker.bootstrap(),
        (None, None) => return Err("no broker".into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut lines = Vec::new();
    for &size in &arguments.sizes {
        let bench = Bench {
            runtime: &runtime,
            bootstrap: &bootstrap,
            hub: KafkaHub::new(KafkaConfig::new(&bootstrap))?,
            payload: Bytes::from(vec![b'x'; size]),
            keys: (0..KEYS).map(|nth| format!("user-{nth}")).collect(),
            time: Duration::from_secs_f64(arguments.seconds),
        };
        let wanted = |what| arguments.only.as_deref().is_none_or(|only| only == what);
        if wanted("publish") {
            bench.compare("publish", size, arguments.pairs, &mut lines, &mut Publish)?;
        }
        if wanted("receive") {
            let mut receive = Receive::fill(&bench)?;
            bench.compare("receive", size, arguments.pairs, &mut lines, &mut receive)?;
        }
        runtime.block_on(bench.hub.close())?;
    }
    lines.iter().for_each(|line| println!("{line}"));
    drop(broker);
    Ok(())
}

/// Three ways to do one thing.
trait Ways {
    fn raw(&mut self, bench: &Bench<'_>) -> Result<Run>;
    fn ours(&mut self, bench: &Bench<'_>) -> Result<Run>;
    fn today(&mut self, bench: &Bench<'_>) -> Result<Run>;
    fn name_of_today(&self) -> &'static str;
}

struct Bench<'a> {
    runtime: &'a Runtime,
    bootstrap: &'a str,
    hub: KafkaHub,
    payload: Bytes,
    keys: Vec<String>,
    time: Duration,
}

impl Bench<'_> {
    fn compare(
        &self,
        what: &str,
        size: usize,
        rounds: usize,
        lines: &mut Vec<String>,
        ways: &mut impl Ways,
    ) -> Result<()> {
        let mut pairs = Pairs::new(format!("{what} {size}"));
        let mut today = Pairs::new(format!("{what} {size}"));
        // Unmeasured, until the broker's compiler has come to rest.
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
            if round % TODAY == 0 {
                let theirs = ways.today(self)?;
                eprintln!(
                    "{what} {size} B, {}: {:.0}/s {:.0} ns",
                    ways.name_of_today(),
                    theirs.rate(),
                    theirs.cpu_ns()
                );
                today.push(theirs, ours);
            }
        }
        println!("anyhub by {}: {}", ways.name_of_today(), today.ratio());
        lines.push(pairs.ratio());
        lines.push(pairs.cpu_ns());
        Ok(())
    }

    fn topic(&self) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let name = format!("overhead-{now}");
        // What is published is not read: let it go.
        let keeps = Retention::new().bytes(4 << 30);
        let config = TopicConfig::new(&name)
            .partitions(PARTITIONS)
            .retention(keeps);
        self.runtime
            .block_on(self.hub.admin().create_topic(&config))?;
        Ok(name)
    }

    fn delete(&self, topic: &str) -> Result<()> {
        Ok(self
            .runtime
            .block_on(self.hub.admin().delete_topic(topic))?)
    }

    /// The settings that anyhub's producer has by default.
    fn producer_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "5")
            .set("message.max.bytes", "1048588")
            .set("queue.buffering.max.messages", "200000");
        config
    }

    /// The settings that anyhub's consumer has by default.
    fn consumer_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap)
            .set("group.id", format!("raw-{:?}", Instant::now()))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("fetch.queue.backoff.ms", "2")
            .set("queued.min.messages", "100000")
            .set("queued.max.messages.kbytes", "65536");
        config
    }
}
