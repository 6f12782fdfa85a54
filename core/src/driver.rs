//! For those who write a backend: the pieces that every backend is made of.
//!
//! A backend implements [`Hub`](crate::Hub), [`Producer`](crate::Producer),
//! [`Consumer`](crate::Consumer) and [`Admin`](crate::Admin). It bounds what it has admitted with
//! a [`Buffer`], checks options and events at the edge with [`check_producer`], [`check_consumer`]
//! and [`check`], tells outcomes through a [`Completer`] (a [`Submitted`], where it sends again by itself),
//! and keeps what was delivered and acknowledged in [`Lanes`]. [`Outage`] says when to tell that nothing can be read.
//! [`Opened`] is what a hub closes when it closes itself; a [`Pulse`] sees that the process stood still.

pub use crate::{
    acks::{AckSink, TokenParts},
    buffer::{Buffer, Room, Turn},
    event_check::check,
    lanes::{Lane, LaneId, Lanes, Reader},
    murmur2::murmur2,
    opened::Opened,
    options_check::{check_consumer, check_producer},
    outage::Outage,
    pending::Completer,
    pulse::Pulse,
    sequence::Sequence,
    submitted::Submitted,
    window::{Admission, key_hash, nack_delay},
};
