use super::{Finished, Keys, LOOSE, Ref, Size};
use std::collections::VecDeque;

/// So many requests with acks are under way at most. With one at a time a consumer could finish no more events than fit
/// into a request for each round trip.
pub(super) const WAYS: usize = 4;

/// So many lost acks are remembered one by one.
const OWED: usize = 10_000;

/// What is finished, and the service is not told of yet. A key is always in the same one of [`WAYS`] queues, each of which
/// is told request by request: so its acks stay in order.
#[derive(Debug, Default)]
pub(super) struct Finishing {
    ways: [Way; WAYS],
    /// What came since a commit last began.
    fresh: Size,
}

#[derive(Debug, Default)]
struct Way {
    queue: VecDeque<Ref>,
    /// How many have ever been put there.
    ever: u64,
}

impl Finishing {
    pub(super) fn push(&mut self, of: Ref, bytes: usize) {
        self.fresh += Size { events: 1, bytes };
        let way = self.way(of);
        way.queue.push_back(of);
        way.ever += 1;
    }

    pub(super) fn pop(&mut self, way: usize) -> Option<Ref> {
        self.ways[way].queue.pop_front()
    }

    /// It goes first the next time.
    pub(super) fn put_back(&mut self, of: Ref) {
        self.way(of).queue.push_front(of);
    }

    pub(super) fn clear(&mut self) {
        self.ways.iter_mut().for_each(|way| way.queue.clear());
    }

    pub(super) fn len(&self) -> usize {
        self.ways.iter().map(|way| way.queue.len()).sum()
    }

    /// The length of the longest queue.
    pub(super) fn longest(&self) -> usize {
        let lengths = self.ways.iter().map(|way| way.queue.len());
        lengths.max().unwrap_or_default()
    }

    /// What came since a commit last began.
    pub(super) fn fresh(&self) -> Size {
        self.fresh
    }

    /// A commit begins: how many have ever been put into each queue.
    pub(super) fn begin(&mut self) -> [u64; WAYS] {
        self.fresh = Size::default();
        self.ways.each_ref().map(|way| way.ever)
    }

    /// How many of them, in that order, do not wait any more.
    pub(super) fn settled(&self, way: usize) -> u64 {
        let way = &self.ways[way];
        way.ever - way.queue.len() as u64
    }

    fn way(&mut self, of: Ref) -> &mut Way {
        &mut self.ways[of.lane as usize % WAYS]
    }
}

impl Keys {
    /// The next of what is finished on one of [`WAYS`] ways, up to `most`: of a key in order. They are this call's until
    /// [`acked`](Self::acked) or [`put_back`](Self::put_back), and until then the way is, too.
    pub(crate) fn finished(&mut self, way: usize, most: usize) -> Finished {
        let mut finished = Finished::default();
        while finished.refs.len() < most
            && let Some(of) = self.finished.pop(way)
        {
            let ack_id = match of.lane {
                LOOSE => self.loose.acking(of),
                lane => self.lanes[lane as usize].acking(of),
            };
            if let Some(ack_id) = ack_id {
                finished.refs.push(of);
                finished.ack_ids.push(ack_id);
            }
        }
        finished
    }

    /// How many wait to be acknowledged at the service.
    pub(crate) fn finished_len(&self) -> usize {
        self.finished.len()
    }

    /// How many of them wait on the way on which most do.
    pub(crate) fn finished_on_a_way(&self) -> usize {
        self.finished.longest()
    }

    /// What was finished since a commit last began; nothing where that has told it, too.
    pub(crate) fn finished_lately(&self) -> Size {
        match self.finished.len() {
            0 => Size::default(),
            _ => self.finished.fresh(),
        }
    }

    /// A commit begins: how many have ever been finished, on each way.
    pub(crate) fn begin_commit(&mut self) -> [u64; WAYS] {
        self.finished.begin()
    }

    /// How many of them, in that order, do not wait any more.
    pub(crate) fn settled(&self, way: usize) -> u64 {
        self.finished.settled(way)
    }

    /// Notes what the service has taken; `lost` of them it has not, since they are not this consumer's any more.
    pub(crate) fn acked(&mut self, finished: Finished, lost: usize) {
        self.fenced |= lost > 0;
        for of in finished.refs {
            if !self.owed.is_empty()
                && let Some(id) = self.entry(of).and_then(|entry| entry.acked())
            {
                self.owed.remove(&id);
            }
            match of.lane {
                LOOSE => self.loose.acked(of),
                lane => {
                    let index = lane as usize;
                    if self.lanes[index].acked(of, &mut self.ids) {
                        self.let_go(lane);
                    }
                }
            }
        }
    }

    /// Notes that the service has not taken these; they go first the next time.
    pub(crate) fn put_back(&mut self, finished: Finished) {
        for of in finished.refs.into_iter().rev() {
            self.finished.put_back(of);
        }
    }

    /// Whether acks were lost since this was last asked: to somebody else, or of what came again and is not acknowledged again.
    pub(crate) fn take_fenced(&mut self) -> bool {
        let owed = std::mem::take(&mut self.owed);
        std::mem::take(&mut self.fenced) || !owed.is_empty()
    }

    /// The acks of these messages don't count any more. They may come again here, and be acknowledged again.
    pub(super) fn owe(&mut self, lost: Vec<u64>) {
        self.owed.extend(lost);
        if self.owed.len() > OWED {
            self.owed.clear();
            self.fenced = true;
        }
    }
}
