//! What a topic is to be, in Kinesis' terms.

use crate::{
    client::check_name,
    error::{HUB, invalid},
};
use anyhub_core::{Error, ErrorKind, Result, Retention, TopicConfig, nearest};
use aws_sdk_kinesis::types::{StreamMode, StreamModeDetails};
use std::time::Duration;

/// A stream to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NewStream {
    /// None: on demand, and Kinesis decides.
    pub(super) shards: Option<i32>,
    pub(super) max_record_kib: Option<i32>,
    pub(super) hours: Option<u32>,
}

const PROPERTIES: [&str; 2] = ["max_record_size", "mode"];
const MODES: [&str; 2] = ["on-demand", "provisioned"];

const HOUR: u64 = 3_600;
/// A stream keeps its records from a day to a year (developer guide, "Changing the data retention
/// period", 2026-11).
const LEAST_HOURS: u64 = 24;
const MOST_HOURS: u64 = 8_760;

impl NewStream {
    pub(super) fn read(operation: &'static str, topic: &TopicConfig) -> Result<Self> {
        check_name(operation, &topic.name)?;
        let (mut on_demand, mut max_record_kib) = (false, None);
        for (name, value) in &topic.properties {
            match name.as_str() {
                "mode" => on_demand = is_on_demand(operation, value)?,
                "max_record_size" => max_record_kib = Some(kibibytes(operation, value)?),
                _ => return Err(unknown(operation, name)),
            }
        }
        if topic.replication.is_some() {
            let message = "a stream's copies can't be chosen";
            return Err(Error::new(ErrorKind::Unsupported, HUB, operation, message)
                .with_advice("leave replication out: Kinesis keeps three copies by itself"));
        }
        let shards = match i32::try_from(topic.partitions) {
            Ok(shards @ 1..) => (!on_demand).then_some(shards),
            _ => {
                let message = format!("a stream can't have {} shards", topic.partitions);
                return Err(invalid(operation, message).with_advice("give it 1 or more"));
            }
        };
        Ok(Self {
            shards,
            max_record_kib,
            hours: hours(operation, &topic.retention)?,
        })
    }

    pub(super) fn mode(&self) -> Option<StreamModeDetails> {
        // Provisioned is the default, also of servers that know no modes.
        let mode = self.shards.is_none().then_some(StreamMode::OnDemand)?;
        StreamModeDetails::builder().stream_mode(mode).build().ok()
    }
}

/// What a stream keeps, in hours; None: as it is.
pub(super) fn hours(operation: &'static str, keeps: &Retention) -> Result<Option<u32>> {
    if keeps.bytes.is_some() {
        let message = "a stream can't be kept by its size";
        return Err(Error::new(ErrorKind::Unsupported, HUB, operation, message)
            .with_advice("keep it by time, from 24 hours to 365 days"));
    }
    let Some(time) = keeps.time else {
        return Ok(None);
    };
    let (hours, rest) = (time.as_secs() / HOUR, time.as_secs() % HOUR);
    let is_whole = rest == 0 && time.subsec_nanos() == 0;
    match u32::try_from(hours) {
        Ok(fits) if is_whole && (LEAST_HOURS..=MOST_HOURS).contains(&hours) => Ok(Some(fits)),
        _ => Err(
            invalid(operation, format!("a stream can't be kept for {time:?}")).with_advice(
                format!(
                    "whole hours, {LEAST_HOURS} to {MOST_HOURS}; {:?} is near",
                    nearby(time)
                ),
            ),
        ),
    }
}

/// The least that Kinesis can keep and that is not less than what was asked for, or the most.
fn nearby(time: Duration) -> Duration {
    let hours = time.as_secs().div_ceil(HOUR);
    Duration::from_secs(hours.clamp(LEAST_HOURS, MOST_HOURS) * HOUR)
}

fn is_on_demand(operation: &'static str, value: &str) -> Result<bool> {
    match value {
        "on-demand" => Ok(true),
        "provisioned" => Ok(false),
        _ => Err(suggest(
            invalid(operation, format!("mode can't be '{value}'")),
            value,
            &MODES,
        )),
    }
}

/// Records of 1 MiB to 10 MiB (API reference, CreateStream, 2026-11).
fn kibibytes(operation: &'static str, value: &str) -> Result<i32> {
    match value.parse() {
        Ok(size @ 1_024..=10_240) => Ok(size),
        _ => Err(
            invalid(operation, format!("max_record_size can't be '{value}'"))
                .with_advice("it is in KiB, from 1024 to 10240"),
        ),
    }
}

fn unknown(operation: &'static str, name: &str) -> Error {
    let message = format!("'{name}' is no property of a stream");
    suggest(invalid(operation, message), name, &PROPERTIES)
}

fn suggest(error: Error, given: &str, known: &[&str]) -> Error {
    error.with_advice(match nearest(given, known.iter().copied()) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => format!("there is {}", known.join(" and ")),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(topic: TopicConfig) -> Result<NewStream> {
        NewStream::read("create_topic", &topic)
    }

    fn topic() -> TopicConfig {
        TopicConfig::new("tweets")
    }

    fn hours(hours: u64) -> Retention {
        Retention::new().time(Duration::from_secs(hours * HOUR))
    }

    #[test]
    fn a_topic_in_streams_terms() {
        let stream = read(topic().partitions(3).retention(hours(48))).unwrap();
        assert_eq!((stream.shards, stream.hours), (Some(3), Some(48)));
        assert_eq!((stream.max_record_kib, stream.mode()), (None, None));
        let stream = read(
            topic()
                .property("mode", "on-demand")
                .property("max_record_size", "2048"),
        );
        let stream = stream.unwrap();
        assert_eq!((stream.shards, stream.max_record_kib), (None, Some(2_048)));
        assert_eq!(stream.mode().unwrap().stream_mode, StreamMode::OnDemand);
        assert_eq!(
            read(topic().property("mode", "provisioned"))
                .unwrap()
                .shards,
            Some(1)
        );
        for most in [LEAST_HOURS, MOST_HOURS] {
            assert!(read(topic().retention(hours(most))).is_ok());
        }
    }

    #[test]
    fn says_what_cannot_be() {
        use ErrorKind::{Invalid, Unsupported};
        let name = |name: &str| TopicConfig::new(name);
        let time = |time| topic().retention(Retention::new().time(time));
        let cases = [
            (topic().partitions(0), Invalid, "give it 1 or more"),
            (topic().partitions(u32::MAX), Invalid, "4294967295 shards"),
            (name(""), Invalid, "up to 128 letters"),
            (name("a b"), Invalid, "up to 128 letters"),
            (name(&"x".repeat(129)), Invalid, "up to 128 letters"),
            (
                name("arn:aws:kinesis:us-east-1:1:stream/s"),
                Invalid,
                "can't be a stream's name",
            ),
            (topic().replication(3), Unsupported, "three copies"),
            (
                topic().property("mod", "x"),
                Invalid,
                "did you mean 'mode'?",
            ),
            (
                topic().property("retention.ms", "1"),
                Invalid,
                "is no property of a stream",
            ),
            (
                topic().property("mode", "on_demand"),
                Invalid,
                "did you mean 'on-demand'?",
            ),
            (
                topic().property("max_record_size", "512"),
                Invalid,
                "from 1024 to 10240",
            ),
            (
                topic().property("max_record_size", "1MiB"),
                Invalid,
                "in KiB",
            ),
            (
                topic().retention(Retention::new().bytes(1)),
                Unsupported,
                "by time",
            ),
            (topic().retention(hours(1)), Invalid, "24 to 8760; 86400s"),
            (
                topic().retention(hours(8_761)),
                Invalid,
                "31536000s is near",
            ),
            (
                time(Duration::from_secs(25 * HOUR + 1)),
                Invalid,
                "93600s is near",
            ),
            (
                time(Duration::from_secs(24 * HOUR) + Duration::from_nanos(1)),
                Invalid,
                "whole hours",
            ),
            (time(Duration::MAX), Invalid, "31536000s is near"),
            (time(Duration::ZERO), Invalid, "86400s is near"),
        ];
        for (topic, kind, expected) in cases {
            let error = read(topic.clone()).unwrap_err();
            assert_eq!(error.kind(), kind, "{topic:?}");
            assert!(error.to_string().contains(expected), "{topic:?}: {error}");
        }
    }
}
