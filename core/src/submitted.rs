use crate::{
    Error, ErrorKind, Receipt, Result,
    buffer::Room,
    pending::Completer,
    sync::{Mutex, lock},
};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// A submitted batch on its way, for producers that send again by themselves: who is told, and by
/// when (P1, P2).
pub struct Submitted {
    hub: &'static str,
    completer: Completer,
    /// Given back when all are told.
    room: Mutex<Option<Room>>,
    deadline: Instant,
    /// What the deadline was made from, for messages.
    patience: Duration,
}

impl Submitted {
    /// Admitted `now`; its outcomes are told within `patience`, the producer's deadline.
    pub fn new(
        hub: &'static str,
        completer: Completer,
        room: Option<Room>,
        now: Instant,
        patience: Duration,
    ) -> Self {
        // What timers and the telling take.
        let slack = (patience / 16).min(Duration::from_millis(50));
        Self {
            hub,
            completer,
            room: Mutex::new(room),
            deadline: now + patience - slack,
            patience,
        }
    }

    /// When those of its events are late that were not told.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Tells the outcome of event `index`; the first telling counts.
    pub fn tell(&self, index: u32, outcome: Result<Receipt>) {
        if self.completer.set(index as usize, outcome) {
            let room = lock(&self.room).take();
            drop(room);
        }
    }

    /// Tells that event `index` was not written; `maybe`: it may have been before.
    pub fn tell_refused(&self, index: u32, maybe: bool, error: &Error) {
        let error = error.clone();
        self.tell(
            index,
            Err(match maybe {
                true => error.with_indeterminate(),
                false => error,
            }),
        );
    }

    /// Tells that the deadline of event `index` has passed; `maybe`: it may have been written; `cause`
    /// is what was in the way.
    pub fn tell_late(&self, index: u32, maybe: bool, cause: Option<&Error>) {
        let patience = self.patience;
        let mut message = match maybe {
            true => format!("no answer within {patience:?}"),
            false => format!("not written within {patience:?}"),
        };
        if let Some(cause) = cause {
            message.push_str(": ");
            message.push_str(cause.message());
        }
        let mut error = Error::new(ErrorKind::Timeout, self.hub, "submit", message);
        if let Some(cause) = cause {
            error = error.with_source(cause.clone());
        }
        let error = error.with_advice(match cause {
            Some(cause) => cause
                .advice()
                .unwrap_or("it is tried again until the deadline"),
            None => "submit more slowly, or raise the deadline",
        });
        self.tell_refused(index, maybe, &error);
    }
}

impl fmt::Debug for Submitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.completer.fmt(f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Pending;
    use futures_util::FutureExt;

    #[test]
    fn what_is_late_says_what_was_in_the_way_and_whether_it_may_be_there() {
        let (completer, pending) = Pending::new(3);
        let (now, patience) = (Instant::now(), Duration::from_secs(2));
        let batch = Submitted::new("hub", completer, None, now, patience);
        assert!(batch.deadline() > now && batch.deadline() < now + patience);
        let cause = Error::new(ErrorKind::Throttled, "hub", "submit", "too fast");
        batch.tell_late(0, true, Some(&cause.clone().with_advice("slow down")));
        batch.tell_late(1, false, None);
        batch.tell_refused(2, true, &cause);
        batch.tell(2, Ok(Receipt::default()));
        let told: Vec<_> = pending.now_or_never().unwrap();
        let told: Vec<_> = told.into_iter().map(Result::unwrap_err).collect();
        assert_eq!(told[0].message(), "no answer within 2s: too fast");
        assert_eq!(told[0].advice(), Some("slow down"));
        assert_eq!(told[1].message(), "not written within 2s");
        assert_eq!(told[2].kind(), ErrorKind::Throttled, "told once");
        let indeterminate: Vec<_> = told.iter().map(Error::is_indeterminate).collect();
        assert_eq!(indeterminate, [true, false, true]);
    }
}
