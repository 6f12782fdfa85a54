//! The text that names a delivery.

use std::fmt;

use super::backlog::Ticket;

/// A delivery of a subscription, as clients hand it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AckId {
    /// The subscription's number: one of the same name made later has another.
    pub(super) subscription: u64,
    pub(super) ticket: Ticket,
}

impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ticket { message, delivery } = self.ticket;
        write!(f, "{:x}-{message:x}-{delivery:x}", self.subscription)
    }
}

impl AckId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('-').map(|n| u64::from_str_radix(n, 16).ok());
        let id = AckId {
            subscription: numbers.next()??,
            ticket: Ticket {
                message: numbers.next()??,
                delivery: numbers.next()??,
            },
        };
        numbers.next().is_none().then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_id_is_read_as_it_was_written() {
        let id = AckId {
            subscription: 3,
            ticket: Ticket {
                message: u64::MAX,
                delivery: 17,
            },
        };
        assert_eq!(AckId::parse(&id.to_string()), Some(id));
        for wrong in ["", "a", "1-2", "1-2-3-4", "1-2-x", "1--3"] {
            assert_eq!(AckId::parse(wrong), None, "{wrong}");
        }
    }
}
