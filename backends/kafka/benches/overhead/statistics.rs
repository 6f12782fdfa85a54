//! Pairs of measurements, and what they say together.

use rand_pcg::{
    Pcg64,
    rand_core::{Rng, SeedableRng},
};
use std::time::Duration;

/// One side of a pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) events: usize,
    pub(crate) elapsed: Duration,
    pub(crate) cpu: Duration,
}

impl Sample {
    pub(crate) fn per_s(self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }

    fn cpu_ns(self) -> f64 {
        self.cpu.as_nanos() as f64 / self.events as f64
    }
}

/// Raw and ours, pair by pair.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<(Sample, Sample)>);

/// How often the pairs are drawn again.
const RESAMPLES: usize = 10_000;

impl Samples {
    pub(crate) fn pair(&mut self, raw: Option<Sample>, ours: Option<Sample>) {
        self.0.extend(raw.zip(ours));
    }

    /// The last pair, in words.
    pub(crate) fn last(&self) -> String {
        match self.0.last() {
            Some((raw, ours)) => format!(
                "{:.0}/s against {:.0}/s, {:.0} ns against {:.0} ns CPU",
                ours.per_s(),
                raw.per_s(),
                ours.cpu_ns(),
                raw.cpu_ns()
            ),
            None => "nothing".to_owned(),
        }
    }

    /// `ratio WHAT BYTES MEDIAN LOW HIGH`: events per second, ours / raw.
    pub(crate) fn ratio_line(&self, what: &str, bytes: usize) -> Option<String> {
        let ratios = self.0.iter().map(|(raw, ours)| ours.per_s() / raw.per_s());
        let (median, low, high) = interval(ratios.collect())?;
        Some(format!("ratio {what} {bytes} {median:.2} {low:.2} {high:.2}"))
    }

    /// `cpu_ns WHAT BYTES MEDIAN LOW HIGH`: CPU time an event, ours - raw.
    pub(crate) fn cpu_line(&self, what: &str, bytes: usize) -> Option<String> {
        let added = self.0.iter().map(|(raw, ours)| ours.cpu_ns() - raw.cpu_ns());
        let (median, low, high) = interval(added.collect())?;
        Some(format!("cpu_ns {what} {bytes} {median:.0} {low:.0} {high:.0}"))
    }
}

/// The median, and its 95% interval by the percentile bootstrap (Efron 1979), seeded.
fn interval(values: Vec<f64>) -> Option<(f64, f64, f64)> {
    let middle = median(values.clone())?;
    let mut random = Pcg64::seed_from_u64(1);
    let draw = |random: &mut Pcg64| values[random.next_u64() as usize % values.len()];
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| median((0..values.len()).map(|_| draw(&mut random)).collect()))
        .collect();
    medians.sort_by(f64::total_cmp);
    let at = |part: f64| medians[((medians.len() - 1) as f64 * part) as usize];
    Some((middle, at(0.025), at(0.975)))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}
