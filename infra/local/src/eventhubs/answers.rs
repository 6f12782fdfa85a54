//! A link that answers to requests go out on.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::address::Address;
use super::amqp::performative::LinkFlow;
use super::outlet::Outlet;

#[derive(Debug)]
pub(super) struct Answers {
    pub(super) node: Address,
    /// What the peer calls its end.
    pub(super) target: String,
    pub(super) settled: bool,
    pub(super) count: u32,
    pub(super) credit: u32,
    pub(super) queue: VecDeque<BytesMut>,
}

impl Answers {
    pub(super) fn told(&self, handle: u32) -> LinkFlow {
        LinkFlow {
            handle,
            delivery_count: self.count,
            credit: self.credit,
            drain: false,
        }
    }

    /// What waits for credit.
    pub(super) fn bytes(&self) -> usize {
        self.queue.iter().map(BytesMut::len).sum()
    }

    /// Sends what there is credit for, and tells how many bytes that was.
    pub(super) fn pump(
        &mut self,
        handle: u32,
        largest: usize,
        outlet: &mut Outlet,
        out: &mut BytesMut,
    ) -> usize {
        let mut sent = 0;
        while self.credit > 0 {
            let fits = |next: &mut BytesMut| outlet.has_room(next.len(), largest);
            let Some(next) = self.queue.pop_front_if(fits) else {
                break;
            };
            outlet.deliver(out, (handle, self.settled), largest, (&[], &next));
            sent += next.len();
            self.credit -= 1;
            self.count = self.count.wrapping_add(1);
        }
        sent
    }
}
