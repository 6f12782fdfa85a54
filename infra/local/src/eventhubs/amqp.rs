//! AMQP 1.0 as far as Event Hubs speaks it: values, frames, performatives, messages.
//!
//! Source: OASIS AMQP 1.0, parts 1 to 3 and 5 (2012-10). Nothing here recurses over what a peer sent, and no length of a peer's
//! is believed before its bytes are there.

pub(super) mod frame;
pub(super) mod message;
pub(super) mod performative;
pub(super) mod read;
pub(super) mod sasl;
pub(super) mod write;
