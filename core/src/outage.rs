use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// What is to be told of partitions that can't be read for now, since nothing else would: their readers try again
/// for as long as it takes. Once it lasts, after 10 s; then ever more seldom; and when it is over.
#[derive(Debug)]
pub struct Outage {
    failing: HashMap<Arc<str>, Failing>,
    /// How long it lasts when it is told next.
    due: Duration,
}

/// A partition that can't be read.
#[derive(Debug)]
struct Failing {
    since: Instant,
    /// When its way was opened again, and nothing has come of it yet.
    opened: Option<Instant>,
}

/// How long it lasts before it is told; then after twice the time, and twice that.
const FIRST: Duration = Duration::from_secs(10);

/// For how long a way must be open, where nothing comes, until it is believed.
const HOLDS: Duration = FIRST;

impl Default for Outage {
    fn default() -> Self {
        Self {
            failing: HashMap::new(),
            due: FIRST,
        }
    }
}

impl Outage {
    /// A read has failed. How long the oldest of all failures lasts, where that is to be told.
    pub fn failed(&mut self, part: &Arc<str>, now: Instant) -> Option<Duration> {
        let failing = self.failing.entry(part.clone()).or_insert(Failing {
            since: now,
            opened: None,
        });
        failing.opened = None;
        let lasts = self.lasts(now);
        if lasts < self.due {
            return None;
        }
        self.due = lasts * 2;
        Some(lasts)
    }

    /// The way to a partition is open again: it is believed once that has lasted, or brought something.
    pub fn opened(&mut self, part: &str, now: Instant) {
        if let Some(failing) = self.failing.get_mut(part) {
            failing.opened.get_or_insert(now);
        }
    }

    /// The hub has answered. How long it was, where that was told and this was the last to fail.
    pub fn answered(&mut self, part: &str, now: Instant) -> Option<Duration> {
        let lasted = self.lasts(now);
        self.failing.remove(part)?;
        self.ended(lasted)
    }

    /// The same, where all ways that are open have been for long enough.
    pub fn held(&mut self, now: Instant) -> Option<Duration> {
        let holds = |failing: &mut Failing| {
            let open = failing.opened.map(|at| now.saturating_duration_since(at));
            open.is_some_and(|open| open >= HOLDS)
        };
        let lasted = self.lasts(now).saturating_sub(HOLDS);
        let held = self.failing.extract_if(|_, failing| holds(failing));
        if held.count() == 0 {
            return None;
        }
        self.ended(lasted)
    }

    /// Forgets the partitions that are not read any more.
    pub fn keep(&mut self, is_read: impl Fn(&str) -> bool) {
        self.failing.retain(|part, _| is_read(part));
        if self.failing.is_empty() {
            self.due = FIRST;
        }
    }

    /// How many partitions can't be read.
    pub fn partitions(&self) -> usize {
        self.failing.len()
    }

    fn ended(&mut self, lasted: Duration) -> Option<Duration> {
        if !self.failing.is_empty() {
            return None;
        }
        let told = self.due > FIRST;
        self.due = FIRST;
        told.then_some(lasted)
    }

    fn lasts(&self, now: Instant) -> Duration {
        let oldest = self.failing.values().map(|failing| failing.since).min();
        oldest.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_once_it_lasts_then_ever_more_seldom_and_when_it_is_over() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let mut outage = Outage::default();
        let told: Vec<_> = (0..100)
            .filter(|second| outage.failed(&a, at(*second)).is_some())
            .collect();
        assert_eq!(told, [10, 20, 40, 80]);
        assert_eq!(outage.failed(&b, at(100)), None);
        assert_eq!(outage.partitions(), 2);
        assert_eq!(outage.answered("a", at(101)), None, "b is still away");
        let lasted = outage.answered("b", at(103));
        assert_eq!(lasted, Some(Duration::from_secs(3)));
        assert_eq!(outage.answered("b", at(104)), None, "once");
        // A short one is nobody's business, nor one of a partition that somebody else reads now.
        assert_eq!(outage.failed(&a, at(200)), None);
        assert_eq!(outage.answered("a", at(209)), None);
        for second in [300, 340] {
            outage.failed(&a, at(second));
        }
        outage.keep(|part| part != "a");
        assert_eq!(outage.failed(&b, at(345)), None);
        assert!(outage.failed(&b, at(355)).is_some());
    }

    #[test]
    fn a_way_that_opens_and_is_lost_again_and_again_is_told() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let a: Arc<str> = "a".into();
        let mut outage = Outage::default();
        let mut told = Vec::new();
        for second in (0..45).step_by(5) {
            if outage.failed(&a, at(second)).is_some() {
                told.push(second);
            }
            outage.opened("a", at(second + 1));
            assert_eq!(outage.held(at(second + 5)), None);
        }
        assert_eq!(told, [10, 20, 40]);
        // Opened in second 41, it holds, though it may have nothing to bring.
        outage.opened("a", at(45));
        assert_eq!(outage.held(at(50)), None);
        assert_eq!(outage.held(at(51)), Some(Duration::from_secs(41)));
        assert_eq!(outage.held(at(52)), None, "once");
        assert_eq!(outage.failed(&a, at(53)), None, "it is another one");
    }
}
