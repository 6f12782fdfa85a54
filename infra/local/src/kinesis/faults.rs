//! What can be made to go wrong, how often, and whether it strikes now.

use std::str::FromStr;
use std::time::Duration;

use ferrokinesis::actions::Operation;
use rand::RngExt;
use strsim::jaro_winkler;

use crate::{Error, Rate, in_process};

/// What goes wrong on purpose; nothing by default. Operations are named as in Amazon's API: `PutRecords`, `GetRecords`.
///
/// ```
/// use anyhub_local::kinesis::{Faults, Rate};
///
/// // Half of the records of every PutRecords fail, and 250 answers in all are lost.
/// let faults = Faults::none()
///     .failing_records(Rate::share(0.5))
///     .lost_answers(Rate::share(0.02).at_most(250));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    failing_records: Rate,
    lost_answers: Rate,
    expired_iterators: Rate,
    server_errors: Vec<(String, Rate)>,
    slow_answers: Vec<(String, Rate, Duration)>,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Faults::default()
    }

    /// Records of a PutRecords that fail inside a 200, half of them with ProvisionedThroughputExceededException, half with
    /// InternalFailure. They are not written; the others of the request are. The rate counts records, not requests.
    #[must_use]
    pub fn failing_records(mut self, rate: Rate) -> Self {
        self.failing_records = rate;
        self
    }

    /// Answers to PutRecord and PutRecords that never come: the records are written, then the connection is cut.
    #[must_use]
    pub fn lost_answers(mut self, rate: Rate) -> Self {
        self.lost_answers = rate;
        self
    }

    /// GetRecords that are refused with ExpiredIteratorException.
    #[must_use]
    pub fn expired_iterators(mut self, rate: Rate) -> Self {
        self.expired_iterators = rate;
        self
    }

    /// Requests for `operation` that are answered with status 500, InternalFailure, and not carried out.
    #[must_use]
    pub fn server_errors(mut self, operation: &str, rate: Rate) -> Self {
        self.server_errors.push((operation.to_owned(), rate));
        self
    }

    /// Answers to `operation` that are held back for `delay`; what was asked for is done before. Those of SubscribeToShard
    /// begin late, and then stream.
    #[must_use]
    pub fn slow_answers(mut self, operation: &str, rate: Rate, delay: Duration) -> Self {
        self.slow_answers.push((operation.to_owned(), rate, delay));
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let server = self.server_errors.iter().map(|(name, rate)| (name, *rate));
        let slow = self
            .slow_answers
            .iter()
            .map(|(name, rate, _)| (name, *rate));
        for (name, rate) in server.chain(slow) {
            rate.check()?;
            known(name)?;
        }
        self.failing_records.check()?;
        self.lost_answers.check()?;
        self.expired_iterators.check()
    }
}

fn known(operation: &str) -> Result<(), Error> {
    if Operation::from_str(operation).is_ok() {
        return Ok(());
    }
    const USUAL: [&str; 4] = ["PutRecords", "PutRecord", "GetRecords", "SubscribeToShard"];
    let likeness = |name: &&str| jaro_winkler(name, operation);
    let nearest = USUAL
        .into_iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .unwrap_or("PutRecords");
    Err(Error::Invalid(format!(
        "Kinesis has no operation {operation:?}: name one as its API does, for instance {nearest}"
    )))
}

/// Why a record of a PutRecords fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordError {
    Throttled,
    Internal,
}

/// Decides what strikes.
pub(super) type Dice = in_process::Dice<Faults>;

impl Dice {
    pub(super) fn fails_with_500(&self, operation: &str) -> bool {
        self.throw(|faults, rng| {
            let mut of = faults.server_errors.iter_mut();
            of.any(|(name, rate)| name == operation && rate.strikes(rng))
        })
    }

    pub(super) fn expires_iterator(&self) -> bool {
        self.throw(|faults, rng| faults.expired_iterators.strikes(rng))
    }

    pub(super) fn loses_answer(&self) -> bool {
        self.throw(|faults, rng| faults.lost_answers.strikes(rng))
    }

    pub(super) fn slows(&self, operation: &str) -> Option<Duration> {
        self.throw(|faults, rng| {
            let of = faults.slow_answers.iter_mut();
            of.filter(|(name, ..)| name == operation)
                .find_map(|(_, rate, delay)| rate.strikes(rng).then_some(*delay))
        })
    }

    /// True if records may fail: only then a request has to be read.
    pub(super) fn may_fail_records(&self) -> bool {
        self.throw(|faults, _| faults.failing_records.may_strike())
    }

    /// For each record of a request why it fails, if it does.
    pub(super) fn failing_records(&self, records: usize) -> Vec<Option<RecordError>> {
        self.decide(|faults, rng| {
            let mut fail = || {
                let strikes = faults.failing_records.strikes(rng);
                strikes.then(|| match rng.random_bool(0.5) {
                    true => RecordError::Throttled,
                    false => RecordError::Internal,
                })
            };
            (0..records).map(|_| fail()).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_same_seed_fails_the_same_records() {
        let faults = Faults::none().failing_records(Rate::share(0.3));
        let one = Dice::new(faults.clone(), 42).failing_records(500);
        let other = Dice::new(faults.clone(), 42).failing_records(500);
        assert_eq!(one, other);
        assert_ne!(one, Dice::new(faults, 43).failing_records(500));
        assert!(one.contains(&Some(RecordError::Throttled)));
        assert!(one.contains(&Some(RecordError::Internal)));
        assert!(one.contains(&None));
    }

    #[test]
    fn what_cannot_strike_is_refused() {
        let refused = |faults: Faults| faults.check().unwrap_err().to_string();
        assert!(refused(Faults::none().failing_records(Rate::share(1.5))).contains("0.0 to 1.0"));
        assert!(refused(Faults::none().lost_answers(Rate::share(f64::NAN))).contains("0.0 to 1.0"));
        let said = refused(Faults::none().server_errors("PutRecord2s", Rate::next(1)));
        assert!(said.contains("PutRecords"), "{said}");
        let slow = Faults::none().slow_answers("getRecords", Rate::next(1), Duration::ZERO);
        assert!(refused(slow).contains("GetRecords"));
    }
}
