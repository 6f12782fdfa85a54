//! Who brings a new group to its start: pure, by the labels of its subscription and a clock.
//!
//! A start counts only where nothing is committed (C7), and nobody can tell that from a subscription. So one consumer alone
//! may move it: its creator, whose id is a label beside the start until it is there. The others wait until both are gone.
//! Who makes it may die: an id that stands unchanged for longer than its owner tries is replaced, and who still finds its
//! own after all that tried the same must have written theirs has become the owner.

use super::Start;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Where a new subscription is to begin, as long as it does not.
pub(super) const START: &str = "anyhub-start";
/// Who brings it there.
pub(super) const OPENER: &str = "anyhub-opener";

/// How long an owner tries, from before its label may be seen, all requests and their attempts taken together.
pub(super) const OWNED: Duration = Duration::from_secs(20);
/// An id that has stood for so long is nobody's: its owner has given up, and what it had under way is over, which may take
/// as long as one request.
const TAKEOVER: Duration = Duration::from_secs(30);
/// From the question that shows such an id until one's own is written.
pub(super) const CLAIM: Duration = Duration::from_secs(4);
/// From then on until it is known who was last: a little longer than a claim.
pub(super) const SETTLED: Duration = Duration::from_secs(5);
/// Told after so long.
const TOLD: Duration = Duration::from_secs(2);

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The group is at its start, or beyond.
    Begun,
    /// To seek to the start, until then: it is ours to do.
    Begin(Start, Instant),
    /// To look again after so long.
    Wait(Duration),
    /// To write our id over that of nobody.
    Claim,
}

/// A consumer that opens a group.
#[derive(Debug)]
pub(super) struct Opening {
    id: String,
    /// When our label may have been written first.
    owned: Option<Instant>,
    /// Another's id, and when it was first seen.
    seen: Option<(String, Instant)>,
    since: Option<Instant>,
    told: bool,
    pause: Duration,
}

impl Opening {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);

    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            owned: None,
            seen: None,
            since: None,
            told: false,
            pause: Self::FIRST,
        }
    }

    /// Our label is about to be written.
    pub(super) fn owns(&mut self, now: Instant) {
        self.owned = Some(now);
    }

    /// Until when what is ours is to be done.
    pub(super) fn until(&self, now: Instant) -> Instant {
        self.owned.unwrap_or(now) + OWNED
    }

    /// What the labels say that were asked for at `asked`, and are known at `now`.
    pub(super) fn step(
        &mut self,
        labels: &HashMap<String, String>,
        asked: Instant,
        now: Instant,
    ) -> Step {
        let Some(start) = labels.get(START).and_then(|label| Start::from_label(label)) else {
            return Step::Begun;
        };
        let opener = labels.get(OPENER).map_or("", String::as_str);
        if opener == self.id {
            return Step::Begin(start, self.until(now));
        }
        self.since.get_or_insert(now);
        match &self.seen {
            // It was written before it was seen, and stands at least until it was asked for.
            Some((seen, first)) if seen == opener => {
                if asked.saturating_duration_since(*first) >= TAKEOVER {
                    self.seen = None;
                    return Step::Claim;
                }
            }
            _ => self.seen = Some((opener.to_owned(), now)),
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(Self::LONGEST);
        Step::Wait(pause)
    }

    /// Whether it is to be told now, once, that it takes long.
    pub(super) fn tells(&mut self, now: Instant) -> bool {
        let long = self
            .since
            .is_some_and(|since| now.saturating_duration_since(since) > TOLD);
        let tells = long && !self.told;
        self.told |= long;
        tells
    }

    /// These labels, with us as the owner.
    pub(super) fn claimed(&self, labels: &HashMap<String, String>) -> HashMap<String, String> {
        let mut labels = labels.clone();
        labels.insert(OPENER.to_owned(), self.id.clone());
        labels
    }
}

/// These labels, where the group is at its start: what others put there is kept.
pub(super) fn begun(labels: &HashMap<String, String>) -> HashMap<String, String> {
    let mut labels = labels.clone();
    labels.retain(|name, _| name != START && name != OPENER);
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(opener: &str) -> HashMap<String, String> {
        let all = [(START, "beginning"), (OPENER, opener), ("team", "blue")];
        all.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn its_owner_alone_moves_a_group() {
        let now = Instant::now();
        let mut opening = Opening::new("me");
        assert_eq!(opening.step(&begun(&labels("me")), now, now), Step::Begun);
        let Step::Wait(pause) = opening.step(&labels("other"), now, now) else {
            panic!("it is another's");
        };
        let again = opening.step(&labels("other"), now, now);
        assert_eq!(again, Step::Wait(pause * 2), "ever more seldom");
        opening.owns(now);
        let own = opening.step(&labels("me"), now, now);
        assert_eq!(own, Step::Begin(Start::Beginning, now + OWNED));
    }

    #[test]
    fn what_stands_unchanged_for_longer_than_anyone_tries_is_claimed() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut opening = Opening::new("me");
        let wait = |step| matches!(step, Step::Wait(_));
        assert!(wait(opening.step(&labels("a"), start, start)));
        // Another one takes it over meanwhile: its time begins anew.
        let later = start + TAKEOVER - second;
        assert!(wait(opening.step(&labels("b"), later, later)));
        let due = start + TAKEOVER + second;
        assert!(wait(opening.step(&labels("b"), due, due)));
        // An answer that came late tells of when it was asked for.
        let asked = later + TAKEOVER - second;
        assert!(wait(opening.step(&labels("b"), asked, asked + 5 * second)));
        let asked = later + TAKEOVER;
        assert_eq!(opening.step(&labels("b"), asked, asked), Step::Claim);
        let claimed = opening.claimed(&labels("b"));
        assert_eq!(claimed, labels("me"));
        assert_eq!(begun(&claimed).len(), 1, "the others' labels are kept");
        // Who wrote after us has it now, and its time begins anew.
        assert!(wait(opening.step(&labels("c"), asked, asked)));
    }

    #[test]
    fn who_waits_for_long_tells_once() {
        let now = Instant::now();
        let mut opening = Opening::new("me");
        assert!(!opening.tells(now));
        opening.step(&labels("a"), now, now);
        assert!(!opening.tells(now + TOLD));
        let later = now + TOLD * 2;
        assert!(opening.tells(later) && !opening.tells(later));
    }

    #[test]
    fn nobody_is_replaced_while_it_may_still_move_the_group() {
        assert!(OWNED + crate::client::ATTEMPT <= TAKEOVER);
        assert!(CLAIM < SETTLED && CLAIM + SETTLED < OWNED);
    }
}
