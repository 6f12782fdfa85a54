//! Times in microseconds, every sample kept: HdrHistogram with 3 digits, and a count of the
//! negative ones.

use std::{
    io,
    time::{Duration, SystemTime},
};

use hdrhistogram::{
    Histogram as Hdr,
    serialization::{V2Serializer, interval_log::IntervalLogWriterBuilder},
};

use crate::report;

/// Above an hour a sample counts as an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// A distribution that grows sample by sample. About 180 KiB.
#[derive(Debug, Clone)]
pub struct Histogram {
    samples: Hdr<u64>,
    negative: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// No samples.
    pub fn new() -> Self {
        // Bounds of 1 and an hour with 3 digits are valid: this can't fail.
        let samples = Hdr::new_with_bounds(1, LONGEST_US, 3)
            .unwrap_or_else(|_| unreachable!("the bounds are constants"));
        Self {
            samples,
            negative: 0,
        }
    }

    /// Adds the time from `from_ns` to `to_ns`. One that runs backwards counts as 0 and is shown
    /// as negative.
    pub fn record_ns(&mut self, from_ns: u64, to_ns: u64) {
        self.negative += u64::from(to_ns < from_ns);
        self.samples
            .saturating_record(to_ns.saturating_sub(from_ns) / 1_000);
    }

    /// Adds all samples of another one.
    pub fn merge(&mut self, other: &Self) {
        // Same bounds: never out of range.
        let merged = self.samples.add(&other.samples);
        debug_assert!(merged.is_ok());
        self.negative += other.negative;
    }

    /// How many samples there are.
    pub fn count(&self) -> u64 {
        self.samples.len()
    }

    /// The 99th percentile; None without samples.
    pub fn p99(&self) -> Option<u64> {
        (!self.samples.is_empty()).then(|| self.samples.value_at_quantile(0.99))
    }

    /// Forgets all samples.
    pub fn clear(&mut self) {
        self.samples.reset();
        self.negative = 0;
    }

    /// As it stands in the report.
    pub fn summary(&self) -> report::Histogram {
        let at = |quantile| self.samples.value_at_quantile(quantile);
        report::Histogram {
            count: self.samples.len(),
            min: self.samples.min(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: self.samples.max(),
            mean: self.samples.mean(),
            negative: self.negative,
        }
    }

    /// The histogram as a log of one interval in HdrHistogram's V2 form, in microseconds.
    pub fn log(&self, started: SystemTime, took: Duration) -> io::Result<Vec<u8>> {
        let failed = |error: String| io::Error::other(error);
        let mut out = Vec::new();
        let mut serializer = V2Serializer::new();
        let mut log = IntervalLogWriterBuilder::new()
            .with_base_time(started)
            .with_start_time(started)
            .with_max_value_divisor(1.0)
            .add_comment("microseconds")
            .begin_log_with(&mut out, &mut serializer)?;
        log.write_histogram(&self.samples, Duration::ZERO, took, None)
            .map_err(|error| failed(format!("{error:?}")))?;
        Ok(out)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    };

    #[test]
    fn every_sample_counts() {
        let mut times = Histogram::new();
        times.record_ns(5_000, 4_000);
        times.record_ns(0, 999);
        for us in 1..=9_998u64 {
            times.record_ns(0, us * 1_000);
        }
        times.record_ns(0, u64::MAX);
        let summary = times.summary();
        assert_eq!(
            (summary.count, summary.negative, summary.min),
            (10_001, 1, 0)
        );
        assert!(summary.p50.abs_diff(5_000) <= 5, "{}", summary.p50);
        assert!(summary.p99.abs_diff(9_900) <= 10, "{}", summary.p99);
        assert!(summary.max >= LONGEST_US, "an hour and more is an hour");
    }

    #[test]
    fn percentiles_of_merged_runs_are_those_of_all_samples() {
        let (mut one, mut two, mut all) = (Histogram::new(), Histogram::new(), Histogram::new());
        for us in 0..1_000 {
            one.record_ns(0, us * 1_000);
            two.record_ns(0, us * 50_000);
            all.record_ns(0, us * 1_000);
            all.record_ns(0, us * 50_000);
        }
        one.merge(&two);
        assert_eq!(one.summary(), all.summary());
    }

    #[test]
    fn the_log_reads_back() {
        let mut times = Histogram::new();
        (0..1_000).for_each(|us| times.record_ns(0, us * 1_000));
        let log = times
            .log(SystemTime::now(), Duration::from_secs(3))
            .unwrap();
        let mut read = IntervalLogIterator::new(&log).filter_map(|entry| match entry.unwrap() {
            LogEntry::Interval(interval) => Some(interval.encoded_histogram().to_owned()),
            _ => None,
        });
        let encoded = base64_decode(&read.next().unwrap());
        let back: Hdr<u64> = Deserializer::new()
            .deserialize(&mut encoded.as_slice())
            .unwrap();
        assert_eq!(back.len(), 1_000);
        assert_eq!(back.value_at_quantile(0.99), times.p99().unwrap());
    }

    fn base64_decode(text: &str) -> Vec<u8> {
        let value = |byte: u8| match byte {
            b'A'..=b'Z' => u32::from(byte - b'A'),
            b'a'..=b'z' => u32::from(byte - b'a') + 26,
            b'0'..=b'9' => u32::from(byte - b'0') + 52,
            b'+' => 62,
            _ => 63,
        };
        let mut out = Vec::new();
        for four in text.trim_end_matches('=').as_bytes().chunks(4) {
            let bits = four.iter().fold(0, |bits, byte| bits << 6 | value(*byte))
                << (6 * (4 - four.len()));
            out.extend((0..four.len() - 1).map(|byte| (bits >> (16 - 8 * byte)) as u8));
        }
        out
    }
}
