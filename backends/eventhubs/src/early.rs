//! What came from a link while there was no room for it.

use crate::message;
use anyhub_core::Result;
use azure_core_amqp::{AmqpDelivery, AmqpDeliveryApis as _};
use std::collections::VecDeque;

/// What a link brings.
pub(crate) type Came = Result<AmqpDelivery>;

/// Nothing of it is accepted: it may be dropped, and comes again.
#[derive(Default)]
pub(crate) struct Early {
    came: VecDeque<Came>,
    bytes: usize,
}

impl Early {
    pub(crate) fn push(&mut self, came: Came) {
        self.bytes += size(&came);
        self.came.push_back(came);
    }

    pub(crate) fn pop(&mut self) -> Option<Came> {
        let came = self.came.pop_front()?;
        self.bytes -= size(&came);
        Some(came)
    }

    /// Whether its link has failed behind it.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.came.back(), Some(Err(_)))
    }

    pub(crate) fn len(&self) -> usize {
        self.came.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn size(came: &Came) -> usize {
    came.as_ref()
        .map_or(0, |delivery| message::bytes(delivery.message()))
}
