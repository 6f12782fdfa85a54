use super::{Ref, Size};
use std::collections::VecDeque;

/// So many requests with acks are under way at most. With one at a time a consumer could finish no more events than fit
/// into a request for each round trip.
pub(crate) const WAYS: usize = 4;

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
