//! Producers on the stand-in; the SDK's own client reads what they write.
#![allow(missing_docs, clippy::unwrap_used)]

mod faults;
mod limits;
mod log;
mod plain;
mod service;
mod slow;
