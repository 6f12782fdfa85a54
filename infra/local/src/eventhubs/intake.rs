//! The receiving end of a link: puts frames together to deliveries, and gives credit for more.

use bytes::{Bytes, BytesMut};

use super::amqp::performative::{Fields, LinkFlow};
use super::amqp::read::Malformed;
use super::limits;

/// Deliveries that a sender may send ahead.
const CREDIT: u32 = 300;

/// A delivery that is there whole.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) id: u32,
    pub(super) format: u32,
    /// True if its sender wants no answer.
    pub(super) settled: bool,
    pub(super) payload: Bytes,
}

/// What a frame has brought.
#[derive(Debug)]
pub(super) enum Taken {
    /// Part of a delivery, or the rest of one that was too large.
    Part,
    /// The sender has thought better of it.
    Aborted,
    Whole(Delivery),
    /// A delivery that is larger than a message may be, with the size that has come so far.
    TooLarge {
        id: u32,
        size: usize,
    },
    /// A delivery that there was no credit for.
    Overrun,
}

#[derive(Debug, Default)]
pub(super) struct Intake {
    /// The sender's delivery-count.
    count: u32,
    credit: u32,
    part: Option<Part>,
}

#[derive(Debug)]
struct Part {
    id: u32,
    format: u32,
    settled: bool,
    data: BytesMut,
    /// Too large: what still comes of it is thrown away.
    skipped: bool,
}

impl Intake {
    /// `count`: the sender's initial delivery-count.
    pub(super) fn new(count: u32) -> Self {
        Intake {
            count,
            ..Intake::default()
        }
    }

    /// The bytes of a delivery that isn't whole yet.
    pub(super) fn held(&self) -> usize {
        self.part.as_ref().map_or(0, |part| part.data.len())
    }

    /// Takes a transfer's fields and payload.
    pub(super) fn take(&mut self, fields: &Fields<'_>, payload: Bytes) -> Result<Taken, Malformed> {
        let (settled, more) = (fields.flag(4)?, fields.flag(5)?);
        if fields.flag(9)? {
            self.part = None;
            return Ok(Taken::Aborted);
        }
        let Some(part) = &mut self.part else {
            return self.begin(fields, settled, more, payload);
        };
        part.settled |= settled;
        let size = part.data.len() + payload.len();
        let too_large = size > limits::MESSAGE && !part.skipped;
        if too_large {
            (part.data, part.skipped) = (BytesMut::new(), true);
        }
        if !part.skipped {
            part.data.extend_from_slice(&payload);
        }
        let id = part.id;
        let done = match more {
            true => None,
            false => self.part.take(),
        };
        Ok(match done {
            _ if too_large => Taken::TooLarge { id, size },
            Some(part) if !part.skipped => Taken::Whole(Delivery {
                id,
                format: part.format,
                settled: part.settled,
                payload: part.data.freeze(),
            }),
            _ => Taken::Part,
        })
    }

    /// The first frame of a delivery; most often the only one, which is not copied.
    fn begin(
        &mut self,
        fields: &Fields<'_>,
        settled: bool,
        more: bool,
        payload: Bytes,
    ) -> Result<Taken, Malformed> {
        let id = fields.needed(1)?;
        let format = fields.number(3)?.unwrap_or(0);
        let Some(credit) = self.credit.checked_sub(1) else {
            return Ok(Taken::Overrun);
        };
        self.credit = credit;
        self.count = self.count.wrapping_add(1);
        if more {
            self.part = Some(Part {
                id,
                format,
                settled,
                data: BytesMut::from(&payload[..]),
                skipped: false,
            });
            return Ok(Taken::Part);
        }
        Ok(Taken::Whole(Delivery {
            id,
            format,
            settled,
            payload,
        }))
    }

    /// More credit, if it is time for it; `owed`: deliveries that still wait for their answer.
    pub(super) fn refill(&mut self, handle: u32, owed: usize) -> Option<LinkFlow> {
        let owed = u32::try_from(owed).unwrap_or(u32::MAX);
        if self.credit.saturating_add(owed) > CREDIT / 2 {
            return None;
        }
        self.credit = CREDIT - owed;
        Some(self.flow(handle))
    }

    pub(super) fn flow(&self, handle: u32) -> LinkFlow {
        LinkFlow {
            handle,
            delivery_count: self.count,
            credit: self.credit,
            drain: false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::amqp::performative::{self, Performative, Transfer};
    use super::*;

    fn take(intake: &mut Intake, delivery: u32, more: bool, payload: &[u8]) -> Taken {
        let mut out = BytesMut::new();
        let transfer = Transfer {
            handle: 0,
            delivery,
            settled: false,
            more,
        };
        performative::transfer(&mut out, &transfer);
        let read = Performative::read(&out.freeze()).unwrap();
        let payload = Bytes::copy_from_slice(payload);
        intake.take(&read.fields().unwrap(), payload).unwrap()
    }

    fn filled() -> Intake {
        let mut intake = Intake::new(0);
        assert_eq!(intake.refill(0, 0).unwrap().credit, CREDIT);
        intake
    }

    #[test]
    fn frames_become_deliveries() {
        let mut intake = filled();
        assert!(matches!(take(&mut intake, 1, true, b"a"), Taken::Part));
        assert_eq!(intake.held(), 1);
        let Taken::Whole(delivery) = take(&mut intake, 1, false, b"b") else {
            panic!("it is whole");
        };
        assert_eq!((delivery.id, &delivery.payload[..]), (1, &b"ab"[..]));
        assert_eq!(intake.held(), 0);
        let Taken::Whole(delivery) = take(&mut intake, 2, false, b"c") else {
            panic!("it is whole");
        };
        assert_eq!((delivery.id, &delivery.payload[..]), (2, &b"c"[..]));
    }

    #[test]
    fn one_that_is_too_large_is_told_once_and_not_kept() {
        let mut intake = filled();
        let half = vec![0; limits::MESSAGE / 2];
        assert!(matches!(take(&mut intake, 1, true, &half), Taken::Part));
        assert!(matches!(take(&mut intake, 1, true, &half), Taken::Part));
        let told = take(&mut intake, 1, true, b"x");
        assert!(matches!(told, Taken::TooLarge { id: 1, .. }), "{told:?}");
        assert_eq!(intake.held(), 0);
        assert!(matches!(take(&mut intake, 1, true, &half), Taken::Part));
        assert!(matches!(take(&mut intake, 1, false, &half), Taken::Part));
        assert!(matches!(take(&mut intake, 2, false, b"y"), Taken::Whole(_)));
    }

    #[test]
    fn credit_is_given_for_what_is_answered() {
        let mut intake = filled();
        for n in 0..CREDIT {
            assert!(matches!(take(&mut intake, n, false, b""), Taken::Whole(_)));
        }
        assert!(matches!(
            take(&mut intake, CREDIT, false, b""),
            Taken::Overrun
        ));
        assert!(intake.refill(0, 200).is_none(), "200 are owed");
        let flow = intake.refill(0, 100).unwrap();
        assert_eq!((flow.delivery_count, flow.credit), (CREDIT, CREDIT - 100));
    }
}
