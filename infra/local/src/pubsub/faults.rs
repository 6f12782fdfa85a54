//! What can be made to go wrong, how often, and whether it strikes now.

use std::time::Duration;

use strsim::jaro_winkler;

use super::call::METHODS;
use crate::{Error, Rate, in_process};

/// The kinds of fault, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// [`Faults::unavailable`]
    Unavailable,
    /// [`Faults::resource_exhausted`]
    ResourceExhausted,
    /// [`Faults::slow_answers`]
    SlowAnswer,
    /// [`Faults::lost_answers`]
    LostAnswer,
    /// [`Faults::stream_resets`]
    StreamReset,
    /// [`Faults::duplicates`]
    Duplicate,
    /// [`Faults::expired_acks`]
    ExpiredAck,
    /// [`Faults::failing_deadlines`]
    FailingDeadline,
    /// [`Faults::late_burials`]
    LateBurial,
}

/// What goes wrong on purpose; nothing by default. Methods are named as in Google's API: `Publish`, `StreamingPull`,
/// `Acknowledge`. Of several at once the first one strikes, in the order of [`Fault`].
///
/// ```
/// use anyhub_local::pubsub::{Faults, Rate};
///
/// // One publish in fifty is refused, and 500 streams are reset.
/// let faults = Faults::none()
///     .unavailable("Publish", Rate::share(0.02))
///     .stream_resets(Rate::share(0.01).at_most(500));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    unavailable: Vec<(String, Rate)>,
    resource_exhausted: Vec<(String, Rate)>,
    slow_answers: Vec<(String, Rate, Duration)>,
    lost_answers: Rate,
    stream_resets: Rate,
    duplicates: Rate,
    expired_acks: Rate,
    failing_deadlines: Rate,
    late_burials: Rate,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Faults::default()
    }

    /// Requests for `method` that are refused with UNAVAILABLE, and not carried out.
    #[must_use]
    pub fn unavailable(mut self, method: &str, rate: Rate) -> Self {
        self.unavailable.push((method.to_owned(), rate));
        self
    }

    /// Requests for `method` that are refused with RESOURCE_EXHAUSTED, and not carried out.
    #[must_use]
    pub fn resource_exhausted(mut self, method: &str, rate: Rate) -> Self {
        self.resource_exhausted.push((method.to_owned(), rate));
        self
    }

    /// Requests for `method` that are answered after `delay`; what was asked for is done before. A StreamingPull begins late.
    #[must_use]
    pub fn slow_answers(mut self, method: &str, rate: Rate, delay: Duration) -> Self {
        self.slow_answers.push((method.to_owned(), rate, delay));
        self
    }

    /// Publishes that are written and never answered: the request's stream is reset instead.
    #[must_use]
    pub fn lost_answers(mut self, rate: Rate) -> Self {
        self.lost_answers = rate;
        self
    }

    /// StreamingPulls that are reset as messages are about to go out on them. Those count as delivered, and come again when
    /// their deadlines have passed. Each response with messages is a time.
    #[must_use]
    pub fn stream_resets(mut self, rate: Rate) -> Self {
        self.stream_resets = rate;
        self
    }

    /// Messages that are delivered, and delivered again though their deadlines have not passed; of a key with all that was
    /// delivered after them. Each message that goes out is a time, but not with exactly-once delivery, which rules it out.
    #[must_use]
    pub fn duplicates(mut self, rate: Rate) -> Self {
        self.duplicates = rate;
        self
    }

    /// Acknowledgements that come too late: the deadline passes just before. Each message that is acknowledged is a time.
    #[must_use]
    pub fn expired_acks(mut self, rate: Rate) -> Self {
        self.expired_acks = rate;
        self
    }

    /// Deliveries whose deadline is not changed, nor are they nacked, though a ModifyAckDeadline or a StreamingPull asks for it:
    /// a client is told that it may try again. Each delivery is a time, with exactly-once delivery only, as nothing is
    /// confirmed without.
    #[must_use]
    pub fn failing_deadlines(mut self, rate: Rate) -> Self {
        self.failing_deadlines = rate;
        self
    }

    /// Messages that have had their last try, and are delivered once more before they go to the dead-letter topic: the service
    /// counts on a best-effort basis. Each message that is to go there is a time.
    #[must_use]
    pub fn late_burials(mut self, rate: Rate) -> Self {
        self.late_burials = rate;
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let slow = self.slow_answers.iter().map(|(name, rate, _)| (name, rate));
        let refused = self.unavailable.iter().chain(&self.resource_exhausted);
        for (name, rate) in refused.map(|(name, rate)| (name, rate)).chain(slow) {
            rate.check()?;
            known(name)?;
        }
        let rest = [
            self.lost_answers,
            self.stream_resets,
            self.duplicates,
            self.expired_acks,
            self.failing_deadlines,
            self.late_burials,
        ];
        rest.into_iter().try_for_each(Rate::check)
    }
}

fn known(method: &str) -> Result<(), Error> {
    if METHODS.contains(&method) {
        return Ok(());
    }
    let likeness = |name: &&&str| jaro_winkler(name, method);
    let nearest = METHODS
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .unwrap_or(&"Publish");
    Err(Error::Invalid(format!(
        "Pub/Sub has no method {method:?} here: name one as its API does, for instance {nearest}"
    )))
}

/// Decides what strikes.
pub(super) type Dice = in_process::Dice<Faults>;

impl Dice {
    /// Whether a request for a method is refused.
    pub(super) fn refuses(&self, method: &str) -> Option<Fault> {
        self.throw(|faults, rng| {
            let mut strikes = |of: &mut Vec<(String, Rate)>| {
                of.iter_mut()
                    .any(|(name, rate)| name == method && rate.strikes(rng))
            };
            if strikes(&mut faults.unavailable) {
                Some(Fault::Unavailable)
            } else {
                strikes(&mut faults.resource_exhausted).then_some(Fault::ResourceExhausted)
            }
        })
    }

    pub(super) fn slows(&self, method: &str) -> Option<Duration> {
        self.throw(|faults, rng| {
            let of = faults.slow_answers.iter_mut();
            of.filter(|(name, ..)| name == method)
                .find_map(|(_, rate, delay)| rate.strikes(rng).then_some(*delay))
        })
    }

    pub(super) fn loses_answer(&self) -> bool {
        self.throw(|faults, rng| faults.lost_answers.strikes(rng))
    }

    pub(super) fn resets_stream(&self) -> bool {
        self.throw(|faults, rng| faults.stream_resets.strikes(rng))
    }

    /// Which of so many deliveries are repeated.
    pub(super) fn repeats(&self, count: usize) -> Vec<usize> {
        self.throw(|faults, rng| {
            (0..count)
                .filter(|_| faults.duplicates.strikes(rng))
                .collect()
        })
    }

    /// Which of so many acknowledgements come too late.
    pub(super) fn expires(&self, count: usize) -> Vec<usize> {
        self.throw(|faults, rng| {
            (0..count)
                .filter(|_| faults.expired_acks.strikes(rng))
                .collect()
        })
    }

    /// Whether a delivery's deadline is not changed.
    pub(super) fn fails_deadline(&self) -> bool {
        self.throw(|faults, rng| faults.failing_deadlines.strikes(rng))
    }

    /// Whether a message is delivered once more before it is buried.
    pub(super) fn buries_late(&self) -> bool {
        self.throw(|faults, rng| faults.late_burials.strikes(rng))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_same_seed_strikes_the_same_requests() {
        let faults = Faults::none()
            .unavailable("Publish", Rate::share(0.3))
            .resource_exhausted("Publish", Rate::share(0.2))
            .duplicates(Rate::share(0.5));
        let throw = |seed| {
            let dice = Dice::new(faults.clone(), seed);
            (0..500)
                .map(|_| (dice.refuses("Publish"), dice.repeats(3)))
                .collect::<Vec<_>>()
        };
        assert_eq!(throw(42), throw(42));
        assert_ne!(throw(42), throw(43));
        for expected in [
            None,
            Some(Fault::Unavailable),
            Some(Fault::ResourceExhausted),
        ] {
            assert!(
                throw(42).iter().any(|(struck, _)| *struck == expected),
                "{expected:?}"
            );
        }
        let dice = Dice::new(Faults::none().unavailable("Publish", Rate::next(1)), 1);
        assert_eq!(dice.refuses("Pull"), None);
        assert_eq!(dice.refuses("Publish"), Some(Fault::Unavailable));
        assert_eq!(dice.refuses("Publish"), None);
    }

    #[test]
    fn what_cannot_strike_is_refused() {
        let two = Rate::share(2.0);
        for faults in [
            Faults::none().unavailable("Publish", two),
            Faults::none().slow_answers("Pull", two, Duration::ZERO),
            Faults::none().lost_answers(two),
            Faults::none().expired_acks(two),
            Faults::none().failing_deadlines(two),
            Faults::none().late_burials(two),
        ] {
            let error = faults.check().unwrap_err().to_string();
            assert!(error.contains("0.0 to 1.0"), "{error}");
        }
        let error = Faults::none().unavailable("Publsh", Rate::next(1)).check();
        let error = error.unwrap_err().to_string();
        assert!(error.contains("for instance Publish"), "{error}");
    }
}
