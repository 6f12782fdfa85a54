//! How often something goes wrong on purpose.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use crate::Error;

/// How often a fault strikes: by share, by count, or both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    share: f64,
    left: Option<u64>,
}

impl Rate {
    /// Never.
    pub const NEVER: Rate = Rate {
        share: 0.0,
        left: None,
    };

    /// Each time with this likelihood, 0.0 to 1.0, independently of the other times.
    pub fn share(share: f64) -> Self {
        Rate { share, left: None }
    }

    /// The next `count` times, then no more.
    pub fn next(count: u64) -> Self {
        Rate::share(1.0).at_most(count)
    }

    /// No more than `count` times.
    #[must_use]
    pub fn at_most(mut self, count: u64) -> Self {
        self.left = Some(count);
        self
    }

    pub(crate) fn strikes(&mut self, rng: &mut Pcg64Mcg) -> bool {
        let strikes = self.may_strike() && rng.random_bool(self.share);
        if let Some(left) = self.left.as_mut().filter(|_| strikes) {
            *left -= 1;
        }
        strikes
    }

    /// False if it never will again.
    pub(crate) fn may_strike(&self) -> bool {
        self.share > 0.0 && self.left != Some(0)
    }

    pub(crate) fn check(self) -> Result<(), Error> {
        if (0.0..=1.0).contains(&self.share) {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "a share of {} can't strike: choose from 0.0 to 1.0",
            self.share
        )))
    }
}

impl Default for Rate {
    fn default() -> Self {
        Rate::NEVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_rate_strikes_by_share_and_no_more_than_its_count() {
        let mut rng = Pcg64Mcg::seed_from_u64(7);
        let mut strikes =
            |mut rate: Rate, times: usize| (0..times).filter(|_| rate.strikes(&mut rng)).count();
        assert_eq!(strikes(Rate::NEVER, 1000), 0);
        assert_eq!(strikes(Rate::share(1.0), 1000), 1000);
        assert_eq!(strikes(Rate::next(3), 1000), 3);
        assert_eq!(strikes(Rate::share(0.5).at_most(10), 1000), 10);
        // Seed 7: within four standard deviations (4 x 15.8) of the half.
        let half = strikes(Rate::share(0.5), 1000);
        assert!((437..=563).contains(&half), "{half}");
    }
}
