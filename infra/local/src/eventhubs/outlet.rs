//! The sending side of a session: numbers deliveries, and cuts them into frames that a peer takes.

use bytes::{BufMut, BytesMut};

use super::amqp::frame::{self, Kind};
use super::amqp::performative::{self, Transfer};

/// More than a frame's header and a transfer take.
const ROOM: usize = 96;

#[derive(Debug)]
pub(super) struct Outlet {
    channel: u16,
    /// The next frame's number.
    next: u32,
    /// Frames that the peer takes yet.
    window: u32,
    next_delivery: u32,
    /// Deliveries sent and not settled yet.
    unsettled: u64,
}

impl Outlet {
    pub(super) fn new(channel: u16, window: u32) -> Self {
        Outlet {
            channel,
            next: 0,
            window,
            next_delivery: 0,
            unsettled: 0,
        }
    }

    pub(super) fn next(&self) -> u32 {
        self.next
    }

    pub(super) fn unsettled(&self) -> u64 {
        self.unsettled
    }

    /// A peer's flow: the number of the frame that it expects next, and how many it takes.
    pub(super) fn open(&mut self, expected: u32, window: u32) {
        let under_way = self.next.wrapping_sub(expected);
        self.window = window.saturating_sub(under_way);
    }

    /// A peer has settled so many.
    pub(super) fn settled(&mut self, deliveries: u64) {
        self.unsettled = self.unsettled.saturating_sub(deliveries);
    }

    /// True if the peer takes a delivery of so many bytes now.
    pub(super) fn has_room(&self, bytes: usize, largest: usize) -> bool {
        let frames = bytes.div_ceil(payload(largest)).max(1);
        self.window as usize >= frames
    }

    /// Sends a delivery: what `head` and `body` are one after the other.
    pub(super) fn deliver(
        &mut self,
        out: &mut BytesMut,
        (handle, settled): (u32, bool),
        largest: usize,
        (mut head, mut body): (&[u8], &[u8]),
    ) {
        let delivery = self.next_delivery;
        self.next_delivery = delivery.wrapping_add(1);
        self.unsettled += u64::from(!settled);
        loop {
            let (first, rest) = head.split_at(head.len().min(payload(largest)));
            let left = payload(largest) - first.len();
            let (second, after) = body.split_at(body.len().min(left));
            (head, body) = (rest, after);
            let more = !head.is_empty() || !body.is_empty();
            let transfer = Transfer {
                handle,
                delivery,
                settled,
                more,
            };
            frame::put(out, Kind::Amqp, self.channel, |out| {
                performative::transfer(out, &transfer);
                out.put_slice(first);
                out.put_slice(second);
            });
            self.next = self.next.wrapping_add(1);
            self.window = self.window.saturating_sub(1);
            if !more {
                return;
            }
        }
    }
}

/// What of a delivery fits into a frame of this size. A peer takes frames of 512 bytes at least (part 2, 2.7.1).
fn payload(largest: usize) -> usize {
    largest.saturating_sub(ROOM).max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::amqp::performative::Performative;
    use super::*;

    #[test]
    fn a_delivery_is_cut_into_frames_that_fit() {
        let mut outlet = Outlet::new(3, 10);
        let (head, body) = (vec![1; 700], vec![2; 2_000]);
        let mut out = BytesMut::new();
        outlet.deliver(&mut out, (7, false), 512, (&head, &body));
        let (mut whole, mut frames) = (Vec::new(), 0);
        while !out.is_empty() {
            let before = out.len();
            let frame = frame::take(&mut out).unwrap().unwrap();
            assert!(before - out.len() <= 512);
            let read = Performative::read(&frame.body).unwrap();
            let fields = read.fields().unwrap();
            assert_eq!((fields.needed(0), fields.needed(1)), (Ok(7), Ok(0)));
            assert_eq!(fields.flag(5), Ok(!out.is_empty()), "more");
            whole.extend_from_slice(&read.payload);
            frames += 1;
        }
        assert_eq!(whole, [head, body].concat());
        assert_eq!((frames, outlet.next(), outlet.unsettled()), (7, 7, 1));
        assert!(outlet.has_room(3 * 400, 512) && !outlet.has_room(4 * 450, 512));
        outlet.open(7, 10);
        assert!(outlet.has_room(4 * 450, 512));
        outlet.open(4, 3);
        assert!(!outlet.has_room(0, 512), "three are under way");
    }
}
