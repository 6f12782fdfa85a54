//! The producer on the local Kinesis: what it writes under faults and reshards, read back by the
//! raw SDK.
#![allow(clippy::unwrap_used, missing_docs)]

mod faults;
mod limits;
mod plain;
mod read;
mod reshard;
mod stream;
