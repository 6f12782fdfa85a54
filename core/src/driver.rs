//! For those who write a backend: the pieces that every backend is made of.
//!
//! A backend implements [`Hub`](crate::Hub), [`Producer`](crate::Producer),
//! [`Consumer`](crate::Consumer) and [`Admin`](crate::Admin). It bounds what it has admitted with
//! a [`Buffer`], checks events at the edge with [`check`], tells outcomes through a [`Completer`],
//! and keeps what was delivered and acknowledged in [`Lanes`].

pub use crate::{
    acks::AckSink,
    buffer::{Buffer, Room, Turn},
    event_check::check,
    lanes::{Lane, LaneId, Lanes, Reader},
    murmur2::murmur2,
    pending::Completer,
    sequence::Sequence,
    window::{Admission, key_hash},
};
