use crate::{
    AckToken, ConsumerOptions, OwnedPartition, Partition, Position,
    acks::AckSink,
    sync::{Mutex, MutexGuard, lock},
    window::{Admission, Window, nack_delay},
};
use std::{
    fmt,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// The lanes of one consumer, one for each partition it has owned: what was delivered, what is
/// acknowledged, and what may be committed (C3 to C6). Shared by the consumer, its
/// [`Acks`](crate::Acks) and its background commits; it does no I/O and never blocks for long.
pub struct Lanes<P> {
    inner: Mutex<Inner<P>>,
    changed: Notify,
    nack_delay: Duration,
    nack_delay_max: Duration,
    max_unfinished: usize,
}

/// Names a lane of one [`Lanes`]; a partition keeps its lane when it comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId(u32);

#[derive(Debug)]
struct Inner<P> {
    lanes: Vec<State<P>>,
    fenced: bool,
}

#[derive(Debug)]
struct State<P> {
    partition: Partition,
    /// Raised whenever the tokens given out so far become stale.
    epoch: u32,
    owned: bool,
    window: Window<P>,
    committed: Option<P>,
    /// The oldest unfinished event when last looked at, since when, and whether it was warned of.
    stuck: Option<(u64, Instant, bool)>,
}

/// What of a lane is finished and not yet committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane<P> {
    /// Which lane.
    pub id: LaneId,
    /// Which ownership of it.
    pub epoch: u32,
    /// Its partition.
    pub partition: Partition,
    /// The last position of the finished prefix.
    pub finished: P,
}

impl<P: Clone + Ord> Lanes<P> {
    /// The lanes of a consumer with these options.
    pub fn new(options: &ConsumerOptions) -> Self {
        Self {
            inner: Mutex::new(Inner {
                lanes: Vec::new(),
                fenced: false,
            }),
            changed: Notify::new(),
            nack_delay: options.nack_delay,
            nack_delay_max: options.nack_delay_max,
            max_unfinished: options.max_unfinished.max(1),
        }
    }

    /// Takes a partition up, afresh: tokens of an earlier ownership, or of before a seek, are
    /// stale, and nothing is finished.
    pub fn assign(&self, partition: &Partition) -> LaneId {
        let inner = &mut *self.lock();
        let found = inner
            .lanes
            .iter()
            .position(|lane| lane.partition == *partition);
        let index = found.unwrap_or_else(|| {
            inner.lanes.push(State {
                partition: partition.clone(),
                epoch: 0,
                owned: false,
                window: Window::new(),
                committed: None,
                stuck: None,
            });
            inner.lanes.len() - 1
        });
        inner.lanes[index].renew(true);
        LaneId(index as u32)
    }

    /// Gives a lane up: its tokens are stale from now on. Answers what of its finished prefix was not
    /// committed, which can't grow any more.
    pub fn revoke(&self, lane: LaneId) -> Option<P> {
        let mut uncommitted = None;
        if let Some(lane) = self.lock().lanes.get_mut(lane.0 as usize) {
            let finished = lane.window.finished().filter(|_| lane.owned).cloned();
            uncommitted = finished.filter(|finished| Some(finished) > lane.committed.as_ref());
            lane.renew(false);
        }
        self.changed.notify_one();
        uncommitted
    }

    /// Gives a lane up that was taken by another owner: its tokens are stale, and if acks were lost
    /// with it, this answers true and [`take_fenced`](Self::take_fenced) says so (C3).
    pub fn lose(&self, lane: LaneId) -> bool {
        let inner = &mut *self.lock();
        let mut lost = false;
        if let Some(lane) = inner.lanes.get_mut(lane.0 as usize) {
            lost = lane.owned
                && (lane.window.finished() > lane.committed.as_ref()
                    || lane.window.has_stranded_acks());
            inner.fenced |= lost;
            lane.renew(false);
        }
        self.changed.notify_one();
        lost
    }

    /// Whether acks were lost to another owner since this was last asked.
    pub fn take_fenced(&self) -> bool {
        std::mem::take(&mut self.lock().fenced)
    }

    /// Decides about events that were read, in their order, under one lock. See [`Reader::read`].
    pub fn reader(&self) -> Reader<'_, P> {
        Reader {
            inner: self.lock(),
            max_unfinished: self.max_unfinished,
        }
    }

    /// What may be committed now: the lanes whose finished prefix has grown since
    /// [`committed`](Self::committed).
    pub fn uncommitted(&self) -> Vec<Lane<P>> {
        let inner = self.lock();
        let lanes = inner.lanes.iter().enumerate();
        lanes
            .filter(|(_, lane)| lane.owned)
            .filter_map(|(index, lane)| {
                let finished = lane.window.finished()?;
                (Some(finished) > lane.committed.as_ref()).then(|| Lane {
                    id: LaneId(index as u32),
                    epoch: lane.epoch,
                    partition: lane.partition.clone(),
                    finished: finished.clone(),
                })
            })
            .collect()
    }

    /// Notes what the hub has made durable. Of an earlier ownership: changes nothing.
    pub fn committed(&self, committed: &[Lane<P>]) {
        let inner = &mut *self.lock();
        for done in committed {
            if let Some(lane) = inner.lanes.get_mut(done.id.0 as usize)
                && lane.epoch == done.epoch
                && Some(&done.finished) > lane.committed.as_ref()
            {
                lane.committed = Some(done.finished.clone());
            }
        }
    }

    /// Releases the nacks that are due: each named lane must be read again from this position
    /// before anything else of it is handed to [`Reader::read`].
    pub fn rewinds(&self, now: Instant) -> Vec<(LaneId, P)> {
        let inner = &mut *self.lock();
        let lanes = inner.lanes.iter_mut().enumerate();
        lanes
            .filter(|(_, lane)| lane.owned)
            .filter_map(|(index, lane)| Some((LaneId(index as u32), lane.window.rewind(now)?)))
            .collect()
    }

    /// When the next nack is due.
    pub fn next_due(&self) -> Option<Instant> {
        let inner = self.lock();
        let owned = inner.lanes.iter().filter(|lane| lane.owned);
        owned.filter_map(|lane| lane.window.next_due()).min()
    }

    /// Whether the window of a lane is full, so that its reading must pause (C4).
    pub fn is_full(&self, lane: LaneId) -> bool {
        let inner = self.lock();
        let lane = inner.lanes.get(lane.0 as usize);
        lane.is_some_and(|lane| lane.window.is_full(self.max_unfinished))
    }

    /// Whether the application holds deliveries of a lane that it has not answered.
    pub fn has_deliveries(&self, lane: LaneId) -> bool {
        let inner = self.lock();
        let lane = inner.lanes.get(lane.0 as usize);
        lane.is_some_and(|lane| lane.window.has_deliveries())
    }

    /// Waits until an ack, a nack or a revocation came since this last returned.
    ///
    /// Cancel-safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Warns, once each, of events that were not answered for 30 s (C4).
    pub fn warn_of_stuck(&self, hub: &str, now: Instant) {
        for lane in self.lock().lanes.iter_mut().filter(|lane| lane.owned) {
            let oldest = lane.window.oldest().map(|(seq, _)| seq);
            match (oldest, &mut lane.stuck) {
                (Some(oldest), Some((seq, since, warned))) if *seq == oldest => {
                    if !*warned && now.duration_since(*since) >= STUCK {
                        *warned = true;
                        tracing::warn!(
                            hub,
                            partition = %lane.partition,
                            unfinished = lane.window.len(),
                            "the oldest event of this partition has waited 30 s for its ack; \
                             checkpoints wait with it"
                        );
                    }
                }
                (oldest, stuck) => *stuck = oldest.map(|seq| (seq, now, false)),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<P>> {
        lock(&self.inner)
    }

    /// Runs `each` on the lane and delivery of every token that is not of an earlier ownership;
    /// counts how many it was still valid for.
    fn valid(
        &self,
        tokens: &[AckToken],
        mut each: impl FnMut(&mut Window<P>, u64, u32) -> bool,
    ) -> usize {
        let inner = &mut *self.lock();
        let mut valid = 0;
        for token in tokens {
            if let Some(lane) = inner.lanes.get_mut(token.lane())
                && lane.owned
                && lane.epoch == token.epoch()
            {
                let (seq, attempt) = token.delivery();
                valid += usize::from(each(&mut lane.window, seq, attempt));
            }
        }
        valid
    }
}

const STUCK: Duration = Duration::from_secs(30);

impl<P: Clone + Ord + Into<Position>> Lanes<P> {
    /// The partitions owned now, for [`Consumer::assignment`](crate::Consumer::assignment).
    pub fn assignment(&self) -> Vec<OwnedPartition> {
        let inner = self.lock();
        let owned = inner.lanes.iter().filter(|lane| lane.owned);
        let mut owned: Vec<_> = owned
            .map(|lane| {
                let oldest = lane.window.oldest().map(|(_, at)| at.clone().into());
                OwnedPartition::new(lane.partition.clone(), oldest, lane.window.len())
            })
            .collect();
        owned.sort_by(|a, b| a.partition.cmp(&b.partition));
        owned
    }
}

impl<P: Clone + Ord> State<P> {
    fn renew(&mut self, owned: bool) {
        self.epoch = self.epoch.wrapping_add(1);
        self.owned = owned;
        self.window = Window::new();
        self.committed = None;
        self.stuck = None;
    }
}

/// The lanes, locked for a run of events.
pub struct Reader<'a, P> {
    inner: MutexGuard<'a, Inner<P>>,
    max_unfinished: usize,
}

impl<P: Clone + Ord> Reader<'_, P> {
    /// Decides about the event at `position` with this [`key_hash`](crate::driver::key_hash); None:
    /// the lane is not owned, and the event is none of ours.
    pub fn read(
        &mut self,
        lane: LaneId,
        position: P,
        key: Option<u64>,
    ) -> Option<Admission<AckToken>> {
        let state = self.inner.lanes.get_mut(lane.0 as usize)?;
        if !state.owned {
            return None;
        }
        Some(match state.window.read(position, key) {
            Admission::Pass => Admission::Pass,
            Admission::Deliver(seq, attempt) => {
                Admission::Deliver(AckToken::new(lane.0, state.epoch, seq, attempt), attempt)
            }
        })
    }

    /// Notes that the log no longer keeps what stands before `position` (C14): what waits there to
    /// come again can't, and holds nothing up any more.
    pub fn removed_before(&mut self, lane: LaneId, position: &P) {
        if let Some(state) = self.inner.lanes.get_mut(lane.0 as usize) {
            state.window.removed_before(position);
        }
    }

    /// Notes that the log of a lane has ended and is read to there: what waits to come again, and has
    /// not come, can't, and holds nothing up any more.
    pub fn ended(&mut self, lane: LaneId) {
        if let Some(state) = self.inner.lanes.get_mut(lane.0 as usize) {
            state.window.ended();
        }
    }

    /// Whether the window of a lane is full, so that its reading must pause (C4).
    pub fn is_full(&self, lane: LaneId) -> bool {
        let lane = self.inner.lanes.get(lane.0 as usize);
        lane.is_some_and(|lane| lane.window.is_full(self.max_unfinished))
    }

    /// The oldest event of a lane that was read and is not finished: what comes before it can't
    /// come again.
    pub fn oldest(&self, lane: LaneId) -> Option<P> {
        let lane = self.inner.lanes.get(lane.0 as usize)?;
        lane.window.oldest().map(|(_, at)| at.clone())
    }
}

impl<P: Clone + Ord + Send + fmt::Debug + 'static> AckSink for Lanes<P> {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        let valid = self.valid(tokens, |window, seq, attempt| window.ack(seq, attempt));
        self.changed.notify_one();
        valid
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        let now = Instant::now();
        let due = |attempt| now + nack_delay(self.nack_delay, self.nack_delay_max, attempt);
        let valid = self.valid(tokens, |window, seq, attempt| {
            window.nack(seq, attempt, due)
        });
        self.changed.notify_one();
        valid
    }
}

impl<P> fmt::Debug for Lanes<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owned = lock(&self.inner)
            .lanes
            .iter()
            .filter(|lane| lane.owned)
            .count();
        write!(f, "Lanes({owned} owned)")
    }
}

impl<P> fmt::Debug for Reader<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

#[cfg(all(test, not(anyhub_loom)))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn deliver(lanes: &Lanes<i64>, lane: LaneId, position: i64) -> AckToken {
        match lanes.reader().read(lane, position, None) {
            Some(Admission::Deliver(token, 1)) => token,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tokens_of_an_earlier_ownership_are_stale() {
        let lanes = Lanes::new(&ConsumerOptions::new());
        let partition = Partition::number(0);
        let lane = lanes.assign(&partition);
        let old = deliver(&lanes, lane, 5);
        lanes.revoke(lane);
        assert_eq!(lanes.ack(&[old]), 0);
        assert_eq!(lanes.assign(&partition), lane);
        assert_eq!(lanes.ack(&[old]), 0);
        assert_eq!(lanes.uncommitted(), []);
        let new = deliver(&lanes, lane, 5);
        assert_eq!(lanes.ack(&[new, new]), 1);
        let done = lanes.uncommitted();
        assert_eq!(done[0].finished, 5);
        lanes.committed(&done);
        assert_eq!(lanes.uncommitted(), []);
    }

    #[test]
    fn what_is_given_up_says_what_was_not_committed() {
        let lanes = Lanes::new(&ConsumerOptions::new());
        let lane = lanes.assign(&Partition::number(0));
        let tokens: Vec<_> = (1..=3).map(|at| deliver(&lanes, lane, at)).collect();
        lanes.ack(&tokens[..1]);
        lanes.committed(&lanes.uncommitted());
        lanes.ack(&tokens[1..2]);
        assert_eq!(lanes.reader().oldest(lane), Some(3));
        assert_eq!(lanes.revoke(lane), Some(2));
        assert_eq!(lanes.revoke(lane), None, "told once");
        assert_eq!(lanes.ack(&tokens[2..]), 0);
    }

    #[test]
    fn only_lost_acks_fence() {
        let lanes = Lanes::new(&ConsumerOptions::new());
        let lane = lanes.assign(&Partition::number(0));
        deliver(&lanes, lane, 1);
        lanes.lose(lane);
        assert!(!lanes.take_fenced(), "nothing was acknowledged");
        let lane = lanes.assign(&Partition::number(0));
        let token = deliver(&lanes, lane, 1);
        lanes.ack(&[token]);
        lanes.lose(lane);
        assert!(lanes.take_fenced());
        assert!(!lanes.take_fenced(), "told once");
    }

    #[test]
    fn a_window_is_bounded() {
        let lanes = Lanes::new(&ConsumerOptions::new().max_unfinished(2));
        let lane = lanes.assign(&Partition::number(3));
        let first = deliver(&lanes, lane, 1);
        assert!(!lanes.is_full(lane));
        deliver(&lanes, lane, 2);
        assert!(lanes.is_full(lane));
        lanes.ack(&[first]);
        assert!(!lanes.is_full(lane));
    }
}

#[cfg(all(test, anyhub_loom))]
#[allow(clippy::unwrap_used)]
mod model {
    use super::*;
    use crate::sync::Arc;

    /// An ack races the loss of its lane: either it counted and its loss is told, or it was stale.
    #[test]
    fn an_ack_against_a_loss() {
        loom::model(|| {
            let lanes = Arc::new(Lanes::new(&ConsumerOptions::new()));
            let lane = lanes.assign(&Partition::number(0));
            let Some(Admission::Deliver(token, _)) = lanes.reader().read(lane, 1i64, None) else {
                unreachable!("a new event is delivered");
            };
            let other = lanes.clone();
            let thread = loom::thread::spawn(move || other.ack(&[token]));
            lanes.lose(lane);
            let valid = thread.join().unwrap();
            assert_eq!(lanes.take_fenced(), valid == 1);
        });
    }

    /// Two acks of one token: exactly one counts.
    #[test]
    fn two_acks_of_one_token() {
        loom::model(|| {
            let lanes = Arc::new(Lanes::new(&ConsumerOptions::new()));
            let lane = lanes.assign(&Partition::number(0));
            let Some(Admission::Deliver(token, _)) = lanes.reader().read(lane, 1i64, None) else {
                unreachable!("a new event is delivered");
            };
            let other = lanes.clone();
            let thread = loom::thread::spawn(move || other.ack(&[token]));
            let mine = lanes.ack(&[token]);
            assert_eq!(mine + thread.join().unwrap(), 1);
            assert_eq!(lanes.uncommitted().len(), 1);
        });
    }
}
