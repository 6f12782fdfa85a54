//! How many events a link may have under way, so that they take no more memory than they should.

/// Follows the SDK: it gives fresh credit when half of it is used up, and takes a new number only then;
/// so the number can double at most from one time to the next, or none would ever come.
#[derive(Debug)]
pub(crate) struct Credit {
    now: u32,
    /// Events since the last fresh credit.
    used: u32,
    most: u32,
    bytes: usize,
    /// Of an event, on average.
    size: usize,
}

/// Until some are read, each may be as large as this.
const LARGEST: usize = 1 << 20;
/// With more, nothing is won.
const MOST: u32 = 4096;
/// With less, the SDK waits for each event's answer.
pub(crate) const LEAST: u32 = 4;

impl Credit {
    pub(crate) fn now(&self) -> u32 {
        self.now
    }

    /// For which it was attached.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A link is attached afresh, for so many events and bytes.
    pub(crate) fn reset(&mut self, events: usize, bytes: usize) {
        self.most = u32::try_from(events).unwrap_or(MOST).clamp(LEAST, MOST);
        self.bytes = bytes;
        self.now = self.fitting();
        self.used = 0;
    }

    /// These came, and were more than there is room for: what fits is half as many, or fewer.
    pub(crate) fn overfull(&mut self, events: usize, bytes: usize) {
        let twice = self.size.saturating_mul(2).min(LARGEST);
        self.size = twice.max(bytes / events.max(1));
    }

    /// An event of so many bytes came. Some: the credit to set.
    pub(crate) fn came(&mut self, bytes: usize) -> Option<u32> {
        // Larger ones weigh at once, smaller ones bit by bit.
        self.size = bytes.max((self.size * 15 + bytes) / 16);
        self.used += 1;
        if self.used < self.now / 2 {
            return None;
        }
        self.used = 0;
        let fitting = self.fitting().min(self.now * 2);
        if fitting == self.now {
            return None;
        }
        self.now = fitting;
        Some(fitting)
    }

    /// What fits of events as they were so far.
    fn fitting(&self) -> u32 {
        let fitting = u32::try_from(self.bytes / self.size.max(1)).unwrap_or(MOST);
        fitting.clamp(LEAST, self.most)
    }
}

impl Default for Credit {
    fn default() -> Self {
        Self {
            now: LEAST,
            used: 0,
            most: LEAST,
            bytes: 0,
            size: LARGEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credit(events: usize, bytes: usize) -> Credit {
        let mut credit = Credit::default();
        credit.reset(events, bytes);
        credit
    }

    /// The SDK beside it: credit never runs out.
    #[test]
    fn grows_with_small_events_and_never_stalls() {
        let mut credit = credit(100_000, 16 << 20);
        assert_eq!(credit.now(), 16);
        let (mut max, mut left, mut processed) = (credit.now(), credit.now(), 0);
        for _ in 0..20_000 {
            assert!(left > 0, "it stalls at {max}");
            left -= 1;
            processed += 1;
            if processed >= max / 2 {
                (processed, left) = (0, max);
            }
            if let Some(new) = credit.came(200) {
                max = new;
            }
        }
        assert_eq!(credit.now(), MOST);
    }

    #[test]
    fn shrinks_with_large_events_and_keeps_to_the_events() {
        let mut credit = credit(100, 16 << 20);
        for _ in 0..1_000 {
            credit.came(10);
        }
        assert_eq!(credit.now(), 100);
        for _ in 0..200 {
            credit.came(1 << 20);
        }
        assert_eq!(credit.now(), 16);
        credit.reset(100, 16 << 20);
        assert_eq!(credit.now(), 16);
    }

    #[test]
    fn what_was_too_much_is_learned_at_once_and_comes_to_an_end() {
        let mut credit = credit(100_000, 1 << 20);
        for _ in 0..20_000 {
            credit.came(10);
        }
        assert_eq!(credit.now(), MOST);
        credit.overfull(3, 3 * 500_000);
        credit.reset(100_000, 1 << 20);
        assert_eq!(credit.now(), LEAST);
        // Small ones with a large one behind them each time, the worst there is.
        credit.size = 1;
        let times = (1..).find(|_| {
            credit.overfull(4096, 1 << 20);
            credit.reset(100_000, 1 << 20);
            credit.now() == LEAST
        });
        assert!(times.is_some_and(|times| times <= 12), "{times:?}");
    }
}
