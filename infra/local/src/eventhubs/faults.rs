//! What can be made to go wrong, how often, and whether it strikes now.

use std::time::Duration;

use rand_pcg::Pcg64Mcg;

use crate::{Error, Rate, in_process};

/// The kinds of fault, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// [`Faults::server_busy`]
    ServerBusy,
    /// [`Faults::rejected`]
    Rejected,
    /// [`Faults::released`]
    Released,
    /// [`Faults::modified`]
    Modified,
    /// [`Faults::slow_acks`]
    SlowAck,
    /// [`Faults::lost_answers`]
    LostAnswer,
    /// [`Faults::detached`]
    Detached,
    /// [`Faults::closed`]
    Closed,
    /// [`Faults::cut`]
    Cut,
    /// [`Faults::half_open`]
    HalfOpen,
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// As a message with events has come in; they are not written. Each message is a time.
    Send,
    /// As an event is about to go out to a reader; it does not. Each event is a time.
    Receive,
}

/// What goes wrong on purpose; nothing by default. Of several at once the first one strikes, in the order of [`Fault`].
///
/// ```
/// use anyhub_local::eventhubs::{Faults, On, Rate};
///
/// // One message in fifty is refused, and 250 connections of readers are cut.
/// let faults = Faults::none()
///     .server_busy(Rate::share(0.02))
///     .cut(On::Receive, Rate::share(0.001).at_most(250));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    server_busy: Rate,
    rejected: Rate,
    released: Rate,
    modified: Rate,
    slow_acks: (Rate, Duration),
    lost_answers: Rate,
    on_send: Breaks,
    on_receive: Breaks,
}

/// What can happen to a link or a connection.
#[derive(Clone, Debug, Default, PartialEq)]
struct Breaks {
    detached: Rate,
    closed: Rate,
    cut: Rate,
    half_open: (Rate, Duration),
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Faults::default()
    }

    /// Messages rejected with `com.microsoft:server-busy`. They are not written.
    #[must_use]
    pub fn server_busy(mut self, rate: Rate) -> Self {
        self.server_busy = rate;
        self
    }

    /// Messages with the outcome rejected, for an internal error. They are not written.
    #[must_use]
    pub fn rejected(mut self, rate: Rate) -> Self {
        self.rejected = rate;
        self
    }

    /// Messages with the outcome released. They are not written.
    #[must_use]
    pub fn released(mut self, rate: Rate) -> Self {
        self.released = rate;
        self
    }

    /// Messages with the outcome modified. They are not written.
    #[must_use]
    pub fn modified(mut self, rate: Rate) -> Self {
        self.modified = rate;
        self
    }

    /// Messages that are written at once, and accepted after `delay`.
    #[must_use]
    pub fn slow_acks(mut self, rate: Rate, delay: Duration) -> Self {
        self.slow_acks = (rate, delay);
        self
    }

    /// Messages that are written and never answered: the connection is cut instead.
    #[must_use]
    pub fn lost_answers(mut self, rate: Rate) -> Self {
        self.lost_answers = rate;
        self
    }

    /// Links that are closed with `amqp:link:detach-forced`.
    #[must_use]
    pub fn detached(mut self, on: On, rate: Rate) -> Self {
        self.on(on).detached = rate;
        self
    }

    /// Connections that are closed with `amqp:connection:forced`.
    #[must_use]
    pub fn closed(mut self, on: On, rate: Rate) -> Self {
        self.on(on).closed = rate;
        self
    }

    /// Connections that end without a word.
    #[must_use]
    pub fn cut(mut self, on: On, rate: Rate) -> Self {
        self.on(on).cut = rate;
        self
    }

    /// Connections on which nothing is read and nothing written any more, for `time`; then they end without a word.
    #[must_use]
    pub fn half_open(mut self, on: On, rate: Rate, time: Duration) -> Self {
        self.on(on).half_open = (rate, time);
        self
    }

    fn on(&mut self, on: On) -> &mut Breaks {
        match on {
            On::Send => &mut self.on_send,
            On::Receive => &mut self.on_receive,
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let breaks = |b: &Breaks| [b.detached, b.closed, b.cut, b.half_open.0];
        let answers = [
            self.server_busy,
            self.rejected,
            self.released,
            self.modified,
            self.slow_acks.0,
            self.lost_answers,
        ];
        let on = [breaks(&self.on_send), breaks(&self.on_receive)];
        let mut all = answers.into_iter().chain(on.into_iter().flatten());
        all.try_for_each(Rate::check)
    }
}

/// A fault that strikes, and how long it goes on, where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strike {
    pub(super) fault: Fault,
    pub(super) time: Duration,
}

fn strike(fault: Fault) -> Strike {
    Strike {
        fault,
        time: Duration::ZERO,
    }
}

impl Breaks {
    fn throw(&mut self, rng: &mut Pcg64Mcg) -> Option<Strike> {
        for (fault, rate) in [
            (Fault::Detached, &mut self.detached),
            (Fault::Closed, &mut self.closed),
            (Fault::Cut, &mut self.cut),
        ] {
            if rate.strikes(rng) {
                return Some(strike(fault));
            }
        }
        let (rate, time) = &mut self.half_open;
        rate.strikes(rng).then_some(Strike {
            fault: Fault::HalfOpen,
            time: *time,
        })
    }
}

/// Decides what strikes.
pub(super) type Dice = in_process::Dice<Faults>;

impl Dice {
    /// What strikes a message that has come in.
    pub(super) fn on_send(&self) -> Option<Strike> {
        self.throw(|faults, rng| {
            for (fault, rate) in [
                (Fault::ServerBusy, &mut faults.server_busy),
                (Fault::Rejected, &mut faults.rejected),
                (Fault::Released, &mut faults.released),
                (Fault::Modified, &mut faults.modified),
            ] {
                if rate.strikes(rng) {
                    return Some(strike(fault));
                }
            }
            let (rate, time) = &mut faults.slow_acks;
            if rate.strikes(rng) {
                return Some(Strike {
                    fault: Fault::SlowAck,
                    time: *time,
                });
            }
            if faults.lost_answers.strikes(rng) {
                return Some(strike(Fault::LostAnswer));
            }
            faults.on_send.throw(rng)
        })
    }

    /// What strikes an event that is about to go out.
    pub(super) fn on_receive(&self) -> Option<Strike> {
        self.throw(|faults, rng| faults.on_receive.throw(rng))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_same_seed_strikes_the_same_messages() {
        let faults = Faults::none()
            .server_busy(Rate::share(0.3))
            .cut(On::Send, Rate::share(0.1))
            .cut(On::Receive, Rate::share(0.5));
        let throw = |seed| {
            let dice = Dice::new(faults.clone(), seed);
            (0..500).map(|_| dice.on_send()).collect::<Vec<_>>()
        };
        assert_eq!(throw(42), throw(42));
        assert_ne!(throw(42), throw(43));
        for expected in [None, Some(Fault::ServerBusy), Some(Fault::Cut)] {
            let mut struck = throw(42).into_iter().map(|s| s.map(|s| s.fault));
            assert!(struck.any(|fault| fault == expected), "{expected:?}");
        }
        let dice = Dice::new(Faults::none().cut(On::Receive, Rate::next(1)), 1);
        assert_eq!(dice.on_send(), None);
        assert_eq!(dice.on_receive().unwrap().fault, Fault::Cut);
        assert_eq!(dice.on_receive(), None);
    }

    #[test]
    fn what_cannot_strike_is_refused() {
        let two = Rate::share(2.0);
        for faults in [
            Faults::none().server_busy(two),
            Faults::none().slow_acks(two, Duration::ZERO),
            Faults::none().detached(On::Send, two),
            Faults::none().half_open(On::Receive, two, Duration::ZERO),
        ] {
            assert!(
                faults
                    .check()
                    .unwrap_err()
                    .to_string()
                    .contains("0.0 to 1.0")
            );
        }
        assert!(Faults::none().lost_answers(Rate::next(1)).check().is_ok());
    }
}
