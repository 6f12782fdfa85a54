use crate::Run;

/// The runs of one comparison.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    what: String,
    ratios: Vec<f64>,
    added_ns: Vec<f64>,
}

impl Pairs {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ..Self::default()
        }
    }

    /// Takes in a pair: the plain way, and the one under test.
    pub(crate) fn push(&mut self, plain: Run, tested: Run) {
        self.ratios.push(tested.rate() / plain.rate());
        self.added_ns.push(tested.cpu_ns() - plain.cpu_ns());
    }

    /// `ratio WHAT MEDIAN LOW HIGH`: events per second, tested by plain, with the 95% interval.
    pub(crate) fn ratio(&self) -> String {
        let (median, low, high) = interval(&self.ratios);
        format!("ratio {} {median:.2} {low:.2} {high:.2}", self.what)
    }

    /// `cpu_ns WHAT MEDIAN LOW HIGH`: CPU time added to each event, with the 95% interval.
    pub(crate) fn cpu_ns(&self) -> String {
        let (median, low, high) = interval(&self.added_ns);
        format!("cpu_ns {} {median:.0} {low:.0} {high:.0}", self.what)
    }
}

/// Samples drawn for a bootstrap.
const RESAMPLES: usize = 10_000;

/// The median, and the 2.5th and 97.5th percentile of the medians of samples drawn with
/// replacement (Efron's percentile bootstrap); seeded, so that the same runs say the same.
fn interval(values: &[f64]) -> (f64, f64, f64) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize % values.len()
    };
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| median((0..values.len()).map(|_| values[draw()]).collect()))
        .collect();
    medians.sort_by(f64::total_cmp);
    let at = |part: f64| medians[((RESAMPLES - 1) as f64 * part).round() as usize];
    (median(values.to_vec()), at(0.025), at(0.975))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}
