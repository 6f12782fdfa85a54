use crate::Result;
use std::time::Duration;

/// What is measured, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    /// Pairs of runs of each comparison. 15.
    pub pairs: usize,
    /// How long a run takes. 5 s.
    pub time: Duration,
    /// Bytes of a payload, one after the other. 100 and 1,000.
    pub sizes: Vec<usize>,
    only: Option<String>,
    others: Vec<(&'static str, String)>,
}

const KNOWN: [&str; 4] = ["--pairs", "--seconds", "--sizes", "--only"];

impl Arguments {
    /// `options` are taken beside `--pairs`, `--seconds`, `--sizes` and `--only`. An error for any
    /// other, for one without a value, and for a value that makes no sense.
    pub(crate) fn parse(
        given: impl Iterator<Item = String>,
        options: &[&'static str],
    ) -> Result<Self> {
        let mut parsed = Self {
            pairs: 15,
            time: Duration::from_secs(5),
            sizes: vec![100, 1_000],
            only: None,
            others: Vec::new(),
        };
        // Cargo adds it to every benchmark's arguments.
        let mut given = given.filter(|argument| argument != "--bench");
        while let Some(name) = given.next() {
            let value = given
                .next()
                .ok_or_else(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "--pairs" => parsed.pairs = value.parse()?,
                "--seconds" => parsed.time = Duration::try_from_secs_f64(value.parse()?)?,
                "--sizes" => {
                    let sizes: std::result::Result<_, _> =
                        value.split(',').map(str::parse).collect();
                    parsed.sizes = sizes?;
                }
                "--only" => parsed.only = Some(value),
                other => {
                    let Some(option) = options.iter().find(|option| **option == other) else {
                        let known = [&KNOWN, options].concat().join(", ");
                        return Err(format!("no option {other}: there are {known}").into());
                    };
                    parsed.others.push((option, value));
                }
            }
        }
        if parsed.pairs == 0 || parsed.time.is_zero() {
            return Err("--pairs and --seconds must be above 0".into());
        }
        Ok(parsed)
    }

    /// Makes these comparisons at each size, or the one that `--only` names; the lines of all. An error
    /// where it names none of them.
    pub fn each(
        &self,
        comparisons: &[&'static str],
        mut compare: impl FnMut(&'static str, usize, &mut Vec<String>) -> Result<()>,
    ) -> Result<Vec<String>> {
        let only = self.only.as_deref();
        let mut wanted = comparisons.to_vec();
        wanted.retain(|what| only.is_none_or(|only| only == *what));
        if wanted.is_empty() {
            let there = comparisons.join(", ");
            return Err(format!("--only: there are {there}").into());
        }
        let mut lines = Vec::new();
        for &size in &self.sizes {
            for what in &wanted {
                compare(what, size, &mut lines)?;
            }
        }
        Ok(lines)
    }

    /// One of the backend's own options.
    pub fn other(&self, option: &str) -> Option<&str> {
        let mut given = self.others.iter().rev();
        let (_, value) = given.find(|(name, _)| *name == option)?;
        Some(value)
    }
}
