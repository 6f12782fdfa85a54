//! The KPL's record format against prost, which reads and writes the same messages in its own way.
#![allow(clippy::unwrap_used)]

mod filter;
mod hostile;
mod memory;
mod reference;
mod round_trip;
