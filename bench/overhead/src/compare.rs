use crate::{Bench, Result, Run, pairs::Pairs};

/// The ways to do one thing.
pub trait Ways {
    /// With the SDK alone, and the settings that anyhub has.
    fn raw(&mut self, bench: &Bench) -> Result<Run>;

    /// With anyhub.
    fn ours(&mut self, bench: &Bench) -> Result<Run>;

    /// As people write it with the SDK today, and what that is called: where it is another way than
    /// `raw`.
    fn today(&mut self, _: &Bench) -> Result<Option<(&'static str, Run)>> {
        Ok(None)
    }
}

/// What people write today is measured in every third round.
const TODAY: usize = 3;

impl Bench {
    /// Measures the ways in turns, and adds the two lines of the outcome to `lines`. Each run is
    /// told on stderr.
    pub fn compare(&self, what: &str, ways: &mut impl Ways, lines: &mut Vec<String>) -> Result<()> {
        let size = self.payload.len();
        let mut pairs = Pairs::new(format!("{what} {size}"));
        let mut today = None;
        for _ in 0..self.warm_up {
            ways.raw(self)?;
            ways.ours(self)?;
        }
        for round in 0..self.pairs {
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
            if round % TODAY == 0
                && let Some((name, theirs)) = ways.today(self)?
            {
                eprintln!(
                    "{what} {size} B, {name}: {:.0}/s {:.0} ns",
                    theirs.rate(),
                    theirs.cpu_ns()
                );
                let (_, pairs) =
                    today.get_or_insert_with(|| (name, Pairs::new(format!("{what} {size}"))));
                pairs.push(theirs, ours);
            }
        }
        if let Some((name, pairs)) = today {
            println!("anyhub by {name}: {}", pairs.ratio());
        }
        lines.push(pairs.ratio());
        lines.push(pairs.cpu_ns());
        Ok(())
    }
}
