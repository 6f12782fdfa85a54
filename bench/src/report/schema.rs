//! `report.json`: what a run leaves behind, as serde structs in the order of the file.
//!
//! Times are microseconds and sizes bytes unless a name says otherwise. Fields may be added, never renamed or given another
//! meaning; [`SCHEMA`] counts the changes that break a reader.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the shape below.
pub const SCHEMA: u32 = 1;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// When, where and how it was run.
    pub run: Run,
    /// What was sent.
    pub workload: Workload,
    /// A row for every hub that was asked for, also for the ones that did not run.
    pub hubs: Vec<Hub>,
}

/// When, where and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Unique to this run; every event carries it.
    pub id: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Wall time of the whole run.
    pub seconds: f64,
    /// Gives the same keys, texts and payloads again.
    pub seed: u64,
    /// The revision the harness was built from, `-dirty` when its sources had been changed; null outside a checkout.
    pub git: Option<String>,
    /// The version of the harness.
    pub version: String,
    /// The command line, secrets removed.
    pub command: String,
    /// The machine the harness ran on.
    pub host: Host,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Name and version of the operating system, and the architecture.
    pub os: String,
    /// The processor's own name.
    pub cpu: String,
    /// Logical processors that this process may use.
    pub cores: usize,
    /// Physical memory.
    pub memory_bytes: u64,
}

/// What was sent to every hub alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Name of the workload.
    pub name: String,
    /// Events of the throughput phase, each run.
    pub events: u64,
    /// Events per second of the latency phase.
    pub rate_per_s: f64,
    /// Length of the latency phase, each run.
    pub duration_s: f64,
    /// Distinct keys.
    pub keys: u64,
    /// Zipf exponent of the keys.
    pub skew: f64,
    /// Median payload.
    pub payload_bytes_p50: u64,
    /// Largest payload.
    pub payload_bytes_max: u64,
    /// Where the texts came from.
    pub tweets: Tweets,
    /// Partitions of each topic.
    pub partitions: u32,
    /// Producers.
    pub producers: u32,
    /// Consumers in one group.
    pub consumers: u32,
    /// Events handed over in one call.
    pub batch: u32,
    /// What is asked of each hub: `at-least-once`.
    pub guarantee: String,
    /// What is done to the hubs meanwhile.
    pub faults: Vec<String>,
}

/// The texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tweets {
    /// In words: which data set, or that they were generated.
    pub source: String,
    /// SHA-256 of the file, or of the generated texts.
    pub sha256: String,
    /// Number of texts.
    pub count: u64,
}

/// One hub's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hub {
    /// Keys the row, and assertions.
    pub name: String,
    /// The kind of hub: `memory`, `kafka`, ...
    pub provider: String,
    /// Where it was reached, secrets removed. Null when it never started.
    pub url: Option<String>,
    /// What the numbers were measured on.
    pub ran_on: RanOn,
    /// Server name and version, where known.
    pub server: Option<String>,
    /// Client library and version.
    pub client: Option<String>,
    /// The service's quota, and whether it was kept.
    pub limits: Limits,
    /// Whether it ran to the end.
    pub status: Status,
    /// The reason of a failed or skipped row.
    pub why: Option<String>,
    /// Medians over the runs of the latency phase, percentiles from merged histograms.
    pub latency: Option<Latency>,
    /// Medians over the runs of the throughput phase.
    pub throughput: Option<Throughput>,
    /// Every run by itself, in the order in which they ran.
    pub runs: Vec<PhaseRun>,
    /// What arrived, against what was sent, over all runs.
    pub delivery: Option<Delivery>,
    /// What the scored texts said, over the throughput phase.
    pub sentiment: Option<Sentiment>,
    /// What the provider would bill.
    pub usage: Option<Usage>,
    /// What that would cost. Null: this version has no price list.
    pub cost: Option<Cost>,
    /// What the harness itself spent on this hub.
    pub process: Option<Process>,
}

/// What a number was measured on. A number says nothing about another of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RanOn {
    /// In this process.
    Memory,
    /// A stand-in of ours that keeps the documented behaviour.
    StandIn,
    /// Somebody else's emulator.
    Emulator,
    /// The real server, run by whoever owns the machine.
    Broker,
    /// The provider's own service.
    Cloud,
}

impl RanOn {
    /// As it is written in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::StandIn => "stand-in",
            Self::Emulator => "emulator",
            Self::Broker => "broker",
            Self::Cloud => "cloud",
        }
    }
}

/// The service's quota.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// Whether it was kept. A hub without a quota has nothing to keep.
    pub on: bool,
    /// The quota in words; null where the service has none.
    pub quota: Option<String>,
}

/// How a hub's row came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Ran to the end. The verdict is another matter.
    Ok,
    /// Broke on the way.
    Failed,
    /// Could not be started or reached.
    Skipped,
}

impl Status {
    /// As it is written in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A phase of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A fixed rate on an ideal schedule.
    Latency,
    /// As fast as backpressure allows.
    Throughput,
}

impl Phase {
    /// As it is written in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Throughput => "throughput",
        }
    }
}

/// The latency phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Events per second that were really sent.
    pub rate_per_s: f64,
    /// Events sent.
    pub events: u64,
    /// From the intended send time to the acknowledgement. Its count is acked + failed + indeterminate.
    pub publish_us: Histogram,
    /// Actual minus intended send time: what the harness added.
    pub schedule_delay_us: Histogram,
    /// From the intended send time to the moment the consumer has the event in hand. Its count is distinct events delivered.
    pub end_to_end_us: Histogram,
}

/// The throughput phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Events received.
    pub events: u64,
    /// Payload bytes received.
    pub bytes: u64,
    /// Acknowledged events over the time from the first submit to the last acknowledgement.
    pub publish_events_per_s: f64,
    /// The same in payload MiB (1,048,576 bytes).
    pub publish_mib_per_s: f64,
    /// Received events over the time from the first submit to the last event handed over.
    pub receive_events_per_s: f64,
    /// The same in payload MiB.
    pub receive_mib_per_s: f64,
    /// What set the speed.
    pub bound_by: BoundBy,
}

/// What set the speed of a throughput run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundBy {
    /// The hub and its client.
    Hub,
    /// The harness: within 70% of what the memory hub reached in the same run.
    Harness,
    /// The service's quota, kept by a local hub.
    Quota,
    /// The memory hub was not run, so there is nothing to compare with.
    #[default]
    Unknown,
}

impl BoundBy {
    /// As it is written in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Harness => "harness",
            Self::Quota => "quota",
            Self::Unknown => "unknown",
        }
    }
}

/// A distribution of times in microseconds. No sample is dropped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Samples, negative ones among them.
    pub count: u64,
    /// Smallest; a negative sample counts as 0 here and in the percentiles.
    pub min: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// 99.99th percentile.
    pub p9999: u64,
    /// Largest.
    pub max: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Samples below zero: a clock that ran backwards, or a fault of the harness. 0 in a sound run.
    #[serde(default)]
    pub negative: u64,
}

/// One run of one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseRun {
    /// Which phase.
    pub phase: Phase,
    /// Counts from 1.
    pub run: u32,
    /// The phase's own fields, on this level of the file.
    #[serde(flatten)]
    pub measured: Measured,
    /// How it went over time.
    pub series: Vec<Point>,
    /// Faults that were injected.
    pub faults: Vec<String>,
    /// Measure to file: HdrHistogram V2 logs beside the report.
    pub histograms: BTreeMap<String, String>,
}

/// What one run measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Measured {
    /// A run of the latency phase.
    Latency(Latency),
    /// A run of the throughput phase.
    Throughput(Throughput),
}

/// A moment of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Seconds since the first submit of this run.
    pub t_s: f64,
    /// Events acknowledged since the point before.
    pub published: u64,
    /// Events received since the point before.
    pub received: u64,
    /// Sent and not yet received.
    pub backlog: u64,
    /// 99th percentile of the end-to-end latency since the point before; null where nothing was received.
    pub p99_us: Option<u64>,
}

/// What arrived, against what was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Events handed to a producer.
    pub sent: u64,
    /// Acknowledged by the hub.
    pub acked: u64,
    /// Definitely not written.
    pub failed: u64,
    /// May have been written: a deadline passed or an answer was lost.
    pub indeterminate: u64,
    /// Distinct events received.
    pub delivered: u64,
    /// Acknowledged and never received.
    pub lost: u64,
    /// Events that stand at more than one position.
    pub duplicates_in_log: u64,
    /// Deliveries of a position that had been delivered before.
    pub redelivered: u64,
    /// Received but never sent, or definitely failed.
    pub phantom: u64,
    /// Checksum, key or header differs from what was sent.
    pub corrupt: u64,
    /// Sequence numbers that were skipped though acknowledged.
    pub gaps: u64,
    /// Events that arrived before an earlier one of their key.
    pub order_violations: u64,
    /// Times that a replay left out an event which had been delivered before.
    #[serde(default)]
    pub replay_violations: u64,
    /// Acknowledged events that came from another position than their receipt says, and positions that two events share.
    #[serde(default)]
    pub position_violations: u64,
    /// Times that a partition had two owners at once.
    #[serde(default)]
    pub two_owners: u64,
    /// Distinct keys seen.
    pub keys: u64,
    /// Against the guarantee asked for.
    pub verdict: Verdict,
    /// Why it is not a pass.
    pub why: Vec<String>,
}

/// Whether a hub kept what was asked of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It did.
    Pass,
    /// It did not. The default: a pass has to be earned.
    #[default]
    Fail,
}

impl Verdict {
    /// As it is written in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }
}

/// What the scored texts said. Thresholds of VADER: positive from +0.05, negative from -0.05.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sentiment {
    /// Texts scored.
    pub scored: u64,
    /// Compound score of 0.05 or more.
    pub positive: u64,
    /// Between the two.
    pub neutral: u64,
    /// Compound score of -0.05 or less.
    pub negative: u64,
    /// Mean compound score, -1 to 1.
    pub mean: f64,
    /// SHA-256 over (key, sequence number, score at 4 decimals) of the first occurrences of the throughput phase's events: the
    /// same for every hub that delivered all of them. Null where anything failed or is unknown.
    pub digest: Option<String>,
}

/// What the provider would bill, in its own units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Whether the backend counted; false: there is nothing to bill, or nobody counted.
    pub counted: bool,
    /// Unit to amount.
    #[serde(flatten)]
    pub units: BTreeMap<String, u64>,
}

/// What a run would cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// ISO 4217.
    pub currency: String,
    /// The provider's region.
    pub region: String,
    /// Date of the price list.
    pub as_of: String,
    /// The provider's billing model.
    pub model: String,
    /// Line by line.
    pub items: Vec<CostItem>,
    /// This run.
    pub run: f64,
    /// A million events of this workload.
    pub per_million_events: f64,
    /// A month at this workload's rate.
    pub per_month: f64,
}

/// One line of a bill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostItem {
    /// What is billed.
    pub what: String,
    /// How many.
    pub units: f64,
    /// Of what.
    pub unit: String,
    /// Price of a unit.
    pub price: f64,
    /// Units times price.
    pub amount: f64,
    /// Where the price was read.
    pub source: String,
}

/// What the harness and the client spent on a hub, the memory hub's own work included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// User and system time of this process, without the server's, unless it runs in this process and its share is unknown.
    pub cpu_s: f64,
    /// That, for each event sent and received.
    pub cpu_ns_per_event: f64,
    /// Peak resident memory of this process, with the server's where it runs in it.
    pub rss_max_bytes: u64,
    /// Whether the server ran in this process.
    pub server_in_process: bool,
    /// What it spent there, if the system tells its share.
    pub server_cpu_s: Option<f64>,
}
