//! What is sent: the plain settings of WORKLOAD.toml. Which hubs it is sent to is no part of it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{bad_input::BadInput, nearest, units, verify::Guarantee};

/// A workload. Every setting has a default; an unknown one is an error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workload {
    /// What it is called in the report.
    pub name: String,
    /// Events of the throughput phase, each run.
    #[serde(deserialize_with = "units::deserialize_count")]
    pub events: u64,
    /// Events per second of the latency phase.
    #[serde(deserialize_with = "units::deserialize_rate")]
    pub rate: f64,
    /// Length of the latency phase, each run.
    #[serde(deserialize_with = "units::deserialize_duration")]
    pub duration: Duration,
    /// Which phases run.
    pub phase: Phases,
    /// How long each hub is warmed up before the phases, at full speed and then at the latency phase's
    /// rate; 0 for not at all.
    #[serde(deserialize_with = "units::deserialize_duration")]
    pub warmup: Duration,
    /// How often each phase runs, the hubs in turns.
    pub runs: u32,
    /// A file of tweets; None: the real ones if they were fetched, else generated ones.
    pub tweets: Option<PathBuf>,
    /// Distinct keys.
    pub keys: u32,
    /// Zipf exponent of the keys; 0 makes them all alike.
    pub skew: f64,
    /// Payloads are padded to this many bytes; 0 for no padding.
    #[serde(deserialize_with = "units::deserialize_bytes")]
    pub payload: u64,
    /// Partitions of each topic.
    pub partitions: u32,
    /// Producers; each owns its keys.
    pub producers: u32,
    /// Consumers in one group.
    pub consumers: u32,
    /// Events handed over in one call, at most.
    pub batch: u32,
    /// What is asked of each hub.
    pub guarantee: Guarantee,
    /// Gives the same keys, texts and payloads again; None: a new one, which the report names.
    pub seed: Option<u64>,
}

/// Which phases run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phases {
    /// The latency phase alone.
    Latency,
    /// The throughput phase alone.
    Throughput,
    /// One after the other.
    #[default]
    Both,
}

impl Phases {
    /// Whether the latency phase runs.
    pub fn latency(self) -> bool {
        self != Self::Throughput
    }

    /// Whether the throughput phase runs.
    pub fn throughput(self) -> bool {
        self != Self::Latency
    }
}

impl Default for Workload {
    /// The built-in workload, tweet-sentiment.
    fn default() -> Self {
        Self {
            name: "tweet-sentiment".into(),
            events: 200_000,
            rate: 1_000.0,
            duration: Duration::from_secs(10),
            phase: Phases::Both,
            warmup: Duration::from_secs(2),
            runs: 1,
            tweets: None,
            keys: 10_000,
            skew: 1.05,
            payload: 0,
            partitions: 4,
            producers: 1,
            consumers: 1,
            batch: 100,
            guarantee: Guarantee::AtLeastOnce,
            seed: None,
        }
    }
}

/// The largest numbers that are taken: beyond them the verifier's or the hubs' own counts end.
const MOST_EVENTS: u64 = u32::MAX as u64;
const MOST_KEYS: u32 = 10_000_000;
const MOST_PARTITIONS: u32 = 10_000;
const MOST_CLIENTS: u32 = 1_000;
const MOST_BATCH: u32 = 100_000;
const MOST_RUNS: u32 = 1_000;
const MOST_PAYLOAD: u64 = 256 << 20;
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
const MOST_SKEW: f64 = 10.0;

impl Workload {
    /// The settings of a file, not checked yet: options may still change them.
    pub fn read(path: &Path) -> Result<Self, BadInput> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            BadInput::new(format!(
                "cannot read the workload {}: {error}",
                path.display()
            ))
        })?;
        let workload = Self::parse(&text)
            .map_err(|error| BadInput::new(format!("{}, {error}", path.display())))?;
        Ok(workload)
    }

    /// The settings of a text, not checked yet: options may still change them.
    pub fn parse(text: &str) -> Result<Self, BadInput> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                1 + text[..span.start.min(text.len())].matches('\n').count()
            });
            BadInput::new(format!("line {line}: {}", explain(error.message())))
        })
    }

    /// Whether it can be run: one line for the first thing that can't.
    pub fn check(&self) -> Result<(), BadInput> {
        let phase = self.phase;
        let rules = [
            (
                phase.throughput() && self.events == 0,
                "events is 0, so nothing would be sent: give 1 or more".to_owned(),
            ),
            (
                self.events > MOST_EVENTS,
                format!("events is {}: give at most {MOST_EVENTS}", self.events),
            ),
            (
                !(self.rate.is_finite() && self.rate > 0.0),
                format!("rate is {}: give events per second above 0", self.rate),
            ),
            (
                phase.latency() && self.scheduled() == 0,
                format!(
                    "a rate of {}/s for {:?} sends nothing: give a longer duration or a higher rate",
                    self.rate, self.duration
                ),
            ),
            (
                self.rate.is_finite()
                    && self.rate * self.duration.as_secs_f64() > MOST_EVENTS as f64,
                format!(
                    "rate times duration is more than {MOST_EVENTS} events: give less of either"
                ),
            ),
            (
                self.duration > LONGEST,
                "duration is over a day: give 24h or less".to_owned(),
            ),
            (
                self.warmup > LONGEST,
                "warmup is over a day: give 24h or less".to_owned(),
            ),
            (
                !(self.skew >= 0.0 && self.skew <= MOST_SKEW),
                format!(
                    "skew is {}: give a Zipf exponent from 0 (all keys alike) to {MOST_SKEW}",
                    self.skew
                ),
            ),
            (
                self.payload > MOST_PAYLOAD,
                format!(
                    "payload is {} bytes: give at most {MOST_PAYLOAD}",
                    self.payload
                ),
            ),
        ];
        let counts = [
            ("runs", self.runs, MOST_RUNS),
            ("keys", self.keys, MOST_KEYS),
            ("partitions", self.partitions, MOST_PARTITIONS),
            ("producers", self.producers, MOST_CLIENTS),
            ("consumers", self.consumers, MOST_CLIENTS),
            ("batch", self.batch, MOST_BATCH),
        ]
        .map(|(what, value, most)| {
            (
                value == 0 || value > most,
                format!("{what} is {value}: give a number from 1 to {most}"),
            )
        });
        match rules.into_iter().chain(counts).find(|(broken, _)| *broken) {
            Some((_, line)) => Err(BadInput::new(line)),
            None => Ok(()),
        }
    }

    /// Events of the latency phase.
    pub fn scheduled(&self) -> u64 {
        (self.rate * self.duration.as_secs_f64()).round() as u64
    }
}

/// serde's words for an unknown setting name all the others; the nearest one is what helps.
fn explain(message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    let mut names = message.split('`').skip(1).step_by(2);
    let Some(unknown) = names.next().filter(|_| message.starts_with("unknown ")) else {
        return message.to_owned();
    };
    let what = if message.starts_with("unknown field") {
        "setting"
    } else {
        "value"
    };
    let known: Vec<&str> = names.collect();
    match nearest::nearest(unknown, known.iter().copied()) {
        Some(near) => format!("unknown {what} `{unknown}`, did you mean `{near}`?"),
        None => format!("unknown {what} `{unknown}`; there are {}", known.join(", ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_example_holds_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/workload.toml");
        assert_eq!(Workload::read(&path).unwrap(), Workload::default());
    }

    #[test]
    fn an_empty_file_is_the_built_in_workload() {
        assert_eq!(Workload::parse("").unwrap(), Workload::default());
        assert!(Workload::default().check().is_ok());
    }

    #[test]
    fn units_are_understood() {
        let workload = Workload::parse(
            "events = \"2M\"\nrate = \"5k/s\"\nduration = \"1m\"\npayload = \"1KB\"\nphase = \"latency\"\nguarantee = \"exactly-once\"",
        )
        .unwrap();
        assert_eq!(
            (workload.events, workload.rate, workload.payload),
            (2_000_000, 5_000.0, 1_000)
        );
        assert_eq!(workload.duration, Duration::from_secs(60));
        assert_eq!(
            (workload.phase, workload.guarantee),
            (Phases::Latency, Guarantee::ExactlyOnce)
        );
        assert_eq!(workload.scheduled(), 300_000);
    }

    #[test]
    fn a_mistake_names_its_line_and_the_nearest_name() {
        let error = |text| Workload::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("keys = 5\n\nevnts = 7\n"),
            "line 3: unknown setting `evnts`, did you mean `events`?"
        );
        assert_eq!(
            error("phase = \"latncy\""),
            "line 1: unknown value `latncy`, did you mean `latency`?"
        );
        assert!(
            error("keys = -1").starts_with("line 1: "),
            "{}",
            error("keys = -1")
        );
        assert!(
            error("keys = 5\nrate = 0").contains("a rate of 0"),
            "{}",
            error("rate = 0")
        );
        assert!(error("keys = 5\nrate = = 0").starts_with("line 2: "));
        for text in [
            "keys = -1",
            "keys = [1]",
            "skew = \"x\"",
            "[hubs]\nx = 1",
            "rate = 0",
        ] {
            assert_eq!(error(text).lines().count(), 1, "{text}");
        }
    }

    #[test]
    fn what_cannot_run_is_refused_in_one_line() {
        type Change = fn(&mut Workload);
        let cases: [(Change, &str); 15] = [
            (|w| w.events = 0, "events is 0"),
            (|w| w.events = 1 << 40, "events is 1099511627776"),
            (|w| w.rate = 0.0, "rate is 0"),
            (|w| w.rate = f64::NAN, "rate is NaN"),
            (|w| w.rate = f64::INFINITY, "rate is inf"),
            (|w| w.duration = Duration::ZERO, "sends nothing"),
            (|w| w.duration = Duration::from_secs(1 << 20), "over a day"),
            (|w| w.skew = -0.1, "skew is -0.1"),
            (|w| w.skew = f64::NAN, "skew is NaN"),
            (|w| w.partitions = 0, "partitions is 0"),
            (|w| w.batch = 0, "batch is 0"),
            (|w| w.producers = 0, "producers is 0"),
            (|w| w.consumers = 1_000_000, "consumers is 1000000"),
            (|w| w.keys = 0, "keys is 0"),
            (|w| w.runs = 0, "runs is 0"),
        ];
        for (change, says) in cases {
            let mut workload = Workload::default();
            change(&mut workload);
            let error = workload.check().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_phase_that_does_not_run_needs_nothing() {
        let workload = Workload {
            events: 0,
            phase: Phases::Latency,
            ..Workload::default()
        };
        assert!(workload.check().is_ok());
        let workload = Workload {
            duration: Duration::ZERO,
            phase: Phases::Throughput,
            ..Workload::default()
        };
        assert!(workload.check().is_ok());
    }
}
