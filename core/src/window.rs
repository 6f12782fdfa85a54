use rustc_hash::{FxHashMap, FxHasher};
use std::{
    collections::VecDeque,
    hash::Hasher,
    time::{Duration, Instant},
};

/// What to do with an event that was read from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission<T> {
    /// Deliver it under this token, as this attempt (from 1).
    Deliver(T, u32),
    /// Pass over it: it was delivered before and is not due again, or its key waits for a nack.
    Pass,
}

/// The hash by which a lane tells keys apart. Two keys of one hash rewind together, which
/// costs a redelivery and breaks nothing.
pub fn key_hash(key: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(key);
    hasher.finish()
}

/// What of one lane was delivered beyond its finished prefix: the meaning of ack, nack and prefix
/// (C3 to C6) on hubs that are logs, without clock or I/O.
///
/// The reader hands every event that it reads from the log to [`read`](Self::read), which says
/// whether to deliver it. A nack later makes [`rewind`](Self::rewind) name a position to read
/// again from; what is not due there is passed over. So the path of every event pays for nacks
/// with a key's hash and nothing else, and no payload is kept.
#[derive(Debug)]
pub(crate) struct Window<P> {
    /// Delivered or held back, in log order; the first one is not finished.
    entries: VecDeque<Entry<P>>,
    /// The sequence number of the first entry.
    base: u64,
    /// Which entry is read next; at the end: a new event.
    cursor: usize,
    /// The newest position ever read.
    read_to: Option<P>,
    /// The last position of the finished prefix.
    finished: Option<P>,
    nacks: FxHashMap<NackOf, Nack>,
}

#[derive(Debug)]
struct Entry<P> {
    position: P,
    key: Option<u64>,
    attempt: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Delivered,
    Acked,
    /// Waits for the delay of a nack of its key.
    Held,
    /// Comes again when it is read again.
    Due,
}

/// A nack rewinds a key, or one keyless event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum NackOf {
    Key(u64),
    Event(u64),
}

#[derive(Debug)]
struct Nack {
    due: Instant,
    seq: u64,
}

impl<P: Clone + Ord> Window<P> {
    pub(crate) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            base: 0,
            cursor: 0,
            read_to: None,
            finished: None,
            nacks: FxHashMap::default(),
        }
    }

    /// Decides about the event at `position`. Positions rise, but for the one rewound to.
    pub(crate) fn read(&mut self, position: P, key: Option<u64>) -> Admission<u64> {
        while let Some(entry) = self.entries.get_mut(self.cursor) {
            if entry.position > position {
                return Admission::Pass;
            }
            self.cursor += 1;
            if entry.position == position {
                if entry.state != State::Due {
                    return Admission::Pass;
                }
                entry.state = State::Delivered;
                entry.attempt += 1;
                let seq = self.base + self.cursor as u64 - 1;
                return Admission::Deliver(seq, entry.attempt);
            }
            // The log has lost it since (retention, compaction): it can't come again.
            if matches!(entry.state, State::Due | State::Held) {
                entry.state = State::Acked;
                self.advance();
            }
        }
        if self.read_to.as_ref().is_some_and(|last| *last >= position) {
            return Admission::Pass;
        }
        let held = !self.nacks.is_empty()
            && key.is_some_and(|key| self.nacks.contains_key(&NackOf::Key(key)));
        let (attempt, state) = if held {
            (0, State::Held)
        } else {
            (1, State::Delivered)
        };
        self.read_to = Some(position.clone());
        self.entries.push_back(Entry {
            position,
            key,
            attempt,
            state,
        });
        self.cursor = self.entries.len();
        if held {
            return Admission::Pass;
        }
        Admission::Deliver(self.base + self.cursor as u64 - 1, 1)
    }

    /// Marks a delivery as finished; false if it is stale.
    pub(crate) fn ack(&mut self, seq: u64, attempt: u32) -> bool {
        match self.delivered(seq, attempt) {
            Some(index) => {
                self.entries[index].state = State::Acked;
                if index == 0 {
                    self.advance();
                }
                true
            }
            None => false,
        }
    }

    /// Holds the key of a delivery back from there on until `due`; false if it is stale. `due` is
    /// computed from the attempt that failed.
    pub(crate) fn nack(
        &mut self,
        seq: u64,
        attempt: u32,
        due: impl FnOnce(u32) -> Instant,
    ) -> bool {
        let Some(index) = self.delivered(seq, attempt) else {
            return false;
        };
        let due = due(attempt);
        let of = match self.entries[index].key {
            None => {
                self.entries[index].state = State::Held;
                NackOf::Event(seq)
            }
            Some(key) => {
                for entry in self.entries.range_mut(index..) {
                    if entry.key == Some(key) {
                        entry.state = State::Held;
                    }
                }
                NackOf::Key(key)
            }
        };
        let nack = self.nacks.entry(of).or_insert(Nack { due, seq });
        nack.due = nack.due.max(due);
        nack.seq = nack.seq.min(seq);
        true
    }

    /// Releases the nacks that are due. Some: reading must go on from this position, and what was
    /// fetched beyond it must be read again.
    pub(crate) fn rewind(&mut self, now: Instant) -> Option<P> {
        if self.nacks.is_empty() {
            return None;
        }
        let mut first = self.cursor;
        let (entries, base) = (&mut self.entries, self.base);
        self.nacks.retain(|of, nack| {
            if nack.due > now {
                return true;
            }
            // Below the base where the log has lost the event since.
            let start = nack.seq.saturating_sub(base) as usize;
            for (index, entry) in entries.iter_mut().enumerate().skip(start) {
                let meant = match of {
                    NackOf::Event(seq) => base + index as u64 == *seq,
                    NackOf::Key(key) => entry.key == Some(*key),
                };
                if meant && entry.state == State::Held {
                    entry.state = State::Due;
                    first = first.min(index);
                }
                if matches!(of, NackOf::Event(_)) {
                    break;
                }
            }
            false
        });
        if first == self.cursor {
            return None;
        }
        self.cursor = first;
        Some(self.entries[first].position.clone())
    }

    /// When the next nack is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.nacks.values().map(|nack| nack.due).min()
    }

    /// The last position of the finished prefix: a checkpoint is right behind it (C4).
    pub(crate) fn finished(&self) -> Option<&P> {
        self.finished.as_ref()
    }

    /// The oldest event that is not finished.
    pub(crate) fn oldest(&self) -> Option<(u64, &P)> {
        self.entries
            .front()
            .map(|entry| (self.base, &entry.position))
    }

    /// How many events were read beyond the finished prefix.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing new may be read for now. What was read before and comes again always may: it
    /// takes no more room, and the prefix may wait for it.
    pub(crate) fn is_full(&self, most: usize) -> bool {
        self.entries.len() >= most && self.cursor >= self.entries.len()
    }

    /// Notes that the log has lost what stands before `position`: it can't come again.
    pub(crate) fn removed_before(&mut self, position: &P) {
        for entry in &mut self.entries {
            if entry.position >= *position {
                break;
            }
            if matches!(entry.state, State::Due | State::Held) {
                entry.state = State::Acked;
            }
        }
        self.advance();
    }

    /// Notes that the log was read to its end: what was to come again after the last event that did
    /// is lost.
    pub(crate) fn ended(&mut self) {
        for entry in self.entries.range_mut(self.cursor..) {
            if matches!(entry.state, State::Due | State::Held) {
                entry.state = State::Acked;
            }
        }
        self.cursor = self.entries.len();
        self.advance();
    }

    /// Whether acks wait behind an event that is not finished.
    pub(crate) fn has_stranded_acks(&self) -> bool {
        self.entries.iter().any(|entry| entry.state == State::Acked)
    }

    /// Whether the application holds deliveries that it has not answered.
    pub(crate) fn has_deliveries(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.state == State::Delivered)
    }

    fn delivered(&self, seq: u64, attempt: u32) -> Option<usize> {
        let index = usize::try_from(seq.checked_sub(self.base)?).ok()?;
        let entry = self.entries.get(index)?;
        (entry.state == State::Delivered && entry.attempt == attempt).then_some(index)
    }

    fn advance(&mut self) {
        while let Some(entry) = self
            .entries
            .pop_front_if(|entry| entry.state == State::Acked)
        {
            self.finished = Some(entry.position);
            self.base += 1;
            self.cursor = self.cursor.saturating_sub(1);
        }
    }
}

/// How long a nacked event waits: `first`, doubled at each further attempt, at most `longest`; a century where that is longer.
pub fn nack_delay(first: Duration, longest: Duration, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    first
        .saturating_mul(1 << doublings)
        .min(longest)
        .min(CENTURY)
}

/// A clock's time ends not far behind it: what waits longer is never due.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: Option<u64> = Some(1);
    const B: Option<u64> = Some(2);

    fn deliver(window: &mut Window<i64>, position: i64, key: Option<u64>) -> (u64, u32) {
        match window.read(position, key) {
            Admission::Deliver(seq, attempt) => (seq, attempt),
            Admission::Pass => panic!("position {position} was passed over"),
        }
    }

    #[test]
    fn only_the_finished_prefix_is_committed() {
        let mut window = Window::new();
        let tokens: Vec<_> = (10..14).map(|at| deliver(&mut window, at, A)).collect();
        assert!(window.ack(tokens[1].0, 1));
        assert_eq!(window.finished(), None);
        assert!(window.ack(tokens[0].0, 1));
        assert_eq!(window.finished(), Some(&11));
        assert!(!window.ack(tokens[0].0, 1), "a token is good once");
        assert!(window.ack(tokens[3].0, 1));
        assert_eq!(window.oldest().map(|(_, at)| *at), Some(12));
    }

    #[test]
    fn a_nack_rewinds_its_key_and_no_other() {
        let now = Instant::now();
        let mut window = Window::new();
        let a0 = deliver(&mut window, 0, A);
        let b1 = deliver(&mut window, 1, B);
        let a2 = deliver(&mut window, 2, A);
        assert!(window.ack(a2.0, 1));
        assert!(window.nack(a0.0, 1, |_| now));
        assert!(!window.ack(a0.0, 1), "stale after its nack");
        assert_eq!(window.read(3, A), Admission::Pass, "newer of the key waits");
        deliver(&mut window, 4, B);
        assert_eq!(window.rewind(now), Some(0));
        assert_eq!(deliver(&mut window, 0, A).1, 2);
        assert_eq!(window.read(1, B), Admission::Pass);
        assert_eq!(deliver(&mut window, 2, A).1, 2, "acked, and comes again");
        assert_eq!(deliver(&mut window, 3, A).1, 1);
        assert_eq!(window.read(4, B), Admission::Pass);
        deliver(&mut window, 5, A);
        assert!(window.ack(b1.0, 1), "the other key's token is still good");
    }

    #[test]
    fn what_the_log_has_lost_does_not_hold_the_prefix() {
        let now = Instant::now();
        let mut window = Window::new();
        let token = deliver(&mut window, 0, A);
        window.nack(token.0, 1, |_| now);
        assert_eq!(window.rewind(now), Some(0));
        deliver(&mut window, 7, B);
        assert_eq!(window.finished(), Some(&0));
    }

    #[test]
    fn what_retention_has_removed_does_not_hold_the_prefix() {
        let now = Instant::now();
        let mut window = Window::new();
        let keyless = deliver(&mut window, 0, None);
        let a1 = deliver(&mut window, 1, A);
        let b2 = deliver(&mut window, 2, B);
        let later = now + Duration::from_secs(1);
        assert!(window.nack(keyless.0, 1, |_| later) && window.nack(a1.0, 1, |_| later));
        window.removed_before(&2);
        assert_eq!(window.finished(), Some(&1));
        assert_eq!(window.rewind(later), None, "nothing is left to come again");
        assert!(window.ack(b2.0, 1), "the next event was not touched");
        assert_eq!(window.finished(), Some(&2));
    }

    #[test]
    fn what_is_lost_at_the_end_does_not_hold_the_prefix() {
        let now = Instant::now();
        let mut window = Window::new();
        let a0 = deliver(&mut window, 0, A);
        let b1 = deliver(&mut window, 1, B);
        let a2 = deliver(&mut window, 2, A);
        assert!(window.nack(a0.0, 1, |_| now) && window.ack(b1.0, 1));
        assert!(!window.ack(a2.0, 1));
        window.ended();
        assert_eq!(
            window.rewind(now),
            Some(0),
            "nothing was read since the nack"
        );
        let again = deliver(&mut window, 0, A);
        window.ended();
        assert_eq!(window.finished(), None, "what came again is not lost");
        assert!(window.ack(again.0, 2));
        assert_eq!(window.finished(), Some(&2));
    }

    #[test]
    fn a_full_window_is_read_again_after_a_rewind() {
        let now = Instant::now();
        let mut window = Window::new();
        let first = deliver(&mut window, 0, A);
        deliver(&mut window, 1, B);
        assert!(window.is_full(2));
        window.nack(first.0, 1, |_| now);
        assert_eq!(window.rewind(now), Some(0));
        assert!(!window.is_full(2), "what comes again takes no more room");
        assert_eq!(deliver(&mut window, 0, A).1, 2);
        assert_eq!(window.read(1, B), Admission::Pass);
        assert!(window.is_full(2));
    }

    #[test]
    fn the_delay_doubles_to_its_end() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(10));
        let delays: Vec<_> = [1, 2, 3, 8, 500]
            .map(|attempt| nack_delay(first, longest, attempt).as_millis())
            .into();
        assert_eq!(delays, [100, 200, 400, 10_000, 10_000]);
    }
    #[test]
    fn a_delay_without_end_can_be_added_to_a_time() {
        for attempt in [1, 2, u32::MAX] {
            let delay = nack_delay(Duration::MAX, Duration::MAX, attempt);
            assert!(std::time::Instant::now().checked_add(delay).is_some());
        }
    }

    proptest! {
        /// Any mix of reads, acks and nacks: per key, deliveries are first occurrences in log order
        /// or a rewind to a nacked event and a replay from there (C5, C6); once all is acked,
        /// everything is finished.
        #[test]
        fn a_redelivery_is_a_rewind_and_a_replay(
            keys in prop::collection::vec(prop::option::of(0u64..4), 1..60),
            choices in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let now = Instant::now();
            let mut window = Window::new();
            let mut at = 0;
            let mut held: Vec<(usize, u64, u32)> = Vec::new();
            let mut expected = vec![0u32; keys.len()];
            let mut choices = choices.into_iter();
            let mut spent = 0;
            loop {
                let choice = choices.next();
                if choice.is_none() {
                    spent += 1;
                }
                prop_assert!(spent < 100_000, "never finishes");
                if let Some(position) = window.rewind(now) {
                    at = position as usize;
                }
                match choice.unwrap_or(if spent % 2 == 0 { 0 } else { 100 }) {
                    0..100 if at < keys.len() => {
                        if let Admission::Deliver(seq, attempt) = window.read(at as i64, keys[at]) {
                            prop_assert_eq!(attempt, expected[at] + 1);
                            if keys[at].is_some() {
                                let earlier = (0..at).filter(|&other| keys[other] == keys[at]);
                                for other in earlier {
                                    prop_assert!(expected[other] > 0, "overtook an older event");
                                }
                            }
                            expected[at] = attempt;
                            held.push((at, seq, attempt));
                        }
                        at += 1;
                    }
                    choice @ 100..220 if !held.is_empty() => {
                        let (_, seq, attempt) = held.remove(choice as usize % held.len());
                        window.ack(seq, attempt);
                    }
                    choice @ 220.. if !held.is_empty() => {
                        let (_, seq, attempt) = held.remove(choice as usize % held.len());
                        window.nack(seq, attempt, |_| now);
                    }
                    _ => {}
                }
                if choice.is_none() && at == keys.len() && held.is_empty() && window.len() == 0 {
                    break;
                }
            }
            prop_assert_eq!(window.finished(), Some(&(keys.len() as i64 - 1)));
        }
    }
}
