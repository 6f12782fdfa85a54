//! Scales with round numbers.

/// `2.50 M` as `2.5 M`: a tick is round, its zeros say nothing.
pub(super) fn tick(label: &str) -> String {
    match label.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!(
                "{} {unit}",
                number.trim_end_matches('0').trim_end_matches('.')
            )
        }
        _ => label.to_owned(),
    }
}

/// Microseconds on a logarithmic scale, from decade to decade or from 1-2-5 to 1-2-5 where the span is small.
#[derive(Debug)]
pub(super) struct LogAxis {
    low: f64,
    high: f64,
    fine: bool,
}

impl LogAxis {
    /// Around the values; a value under 1 is drawn at 1.
    pub(super) fn around(values: impl Iterator<Item = u64>) -> Self {
        let (low, high) = values.fold((u64::MAX, 1), |(low, high), v| {
            (low.min(v.max(1)), high.max(v))
        });
        let (low, high) = (low.min(high) as f64, high as f64);
        let fine = high / low < 300.0;
        let mut axis = Self {
            low: below(low, fine),
            high: above(high, fine),
            fine,
        };
        if axis.high <= axis.low {
            axis.high = axis.low * 10.0;
        }
        axis
    }

    /// 0 at the bottom, 1 at the top.
    pub(super) fn place(&self, value: u64) -> f64 {
        ((value.max(1) as f64).ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
    }

    /// Values for labels.
    pub(super) fn ticks(&self) -> Vec<u64> {
        let mut ticks = Vec::new();
        let mut decade = 10f64.powf(self.low.log10().floor());
        while decade <= self.high * 1.001 {
            for step in if self.fine {
                [1.0, 2.0, 5.0].as_slice()
            } else {
                &[1.0]
            } {
                let tick = decade * step;
                if tick >= self.low * 0.999 && tick <= self.high * 1.001 {
                    ticks.push(tick.round() as u64);
                }
            }
            decade *= 10.0;
        }
        ticks
    }
}

fn below(value: f64, fine: bool) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let steps = if fine {
        [5.0, 2.0, 1.0].as_slice()
    } else {
        &[1.0]
    };
    steps
        .iter()
        .map(|step| decade * step)
        .find(|tick| *tick <= value * 1.000_001)
        .unwrap_or(decade)
}

fn above(value: f64, fine: bool) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let steps = if fine {
        [1.0, 2.0, 5.0].as_slice()
    } else {
        &[1.0]
    };
    steps
        .iter()
        .map(|step| decade * step)
        .find(|tick| *tick >= value * 0.999_999)
        .unwrap_or(decade * 10.0)
}

/// A linear scale from 0.
#[derive(Debug)]
pub(super) struct LinearAxis {
    high: f64,
    step: f64,
}

impl LinearAxis {
    /// To a round number at or above `max`, with about `ticks` labels.
    pub(super) fn up_to(max: f64, ticks: u32) -> Self {
        let step = round_step(max, ticks);
        Self {
            high: (max / step).ceil().max(1.0) * step,
            step,
        }
    }

    /// To `max` itself: a time axis ends where the run did.
    pub(super) fn exactly(max: f64, ticks: u32) -> Self {
        Self {
            high: if max > 0.0 { max } else { 1.0 },
            step: round_step(max, ticks),
        }
    }

    /// 0 at the origin, 1 at the end.
    pub(super) fn place(&self, value: f64) -> f64 {
        value / self.high
    }

    /// Values for labels.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let n = (self.high / self.step * 1.000_001).floor() as u32;
        (0..=n).map(|i| f64::from(i) * self.step).collect()
    }

    /// A label with as many places as the steps need.
    pub(super) fn label(&self, value: f64) -> String {
        let places = (-self.step.log10().floor()).max(0.0) as usize;
        format!("{value:.places$}")
    }
}

fn round_step(max: f64, ticks: u32) -> f64 {
    let rough = if max > 0.0 { max } else { 1.0 } / f64::from(ticks.max(1));
    let decade = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    steps
        .iter()
        .map(|step| step * decade)
        .find(|step| *step >= rough * 0.999_999)
        .unwrap_or(decade * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithmic_ticks_span_the_values() {
        assert_eq!(
            LogAxis::around([14, 88_400].into_iter()).ticks(),
            [10, 100, 1_000, 10_000, 100_000]
        );
        assert_eq!(
            LogAxis::around([1_900, 12_000].into_iter()).ticks(),
            [1_000, 2_000, 5_000, 10_000, 20_000]
        );
        assert_eq!(LogAxis::around([0, 0].into_iter()).ticks(), [1, 2, 5, 10]);
        let axis = LogAxis::around([10, 100_000].into_iter());
        assert_eq!((axis.place(10), axis.place(100_000)), (0.0, 1.0));
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!(
            ["2.50 M", "100 ms", "1.00 s", "0"].map(tick),
            ["2.5 M", "100 ms", "1 s", "0"]
        );
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(
            LinearAxis::up_to(118_000.0, 4).ticks(),
            [0.0, 50_000.0, 100_000.0, 150_000.0]
        );
        let time = LinearAxis::exactly(1.69, 6);
        assert_eq!(
            time.ticks()
                .into_iter()
                .map(|t| time.label(t))
                .collect::<Vec<_>>(),
            ["0.0", "0.5", "1.0", "1.5"]
        );
        assert_eq!(LinearAxis::up_to(0.0, 4).ticks().first(), Some(&0.0));
    }
}
