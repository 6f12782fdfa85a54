//! Streams and groups, as the hub's admin and its `Streams` have them, on the stand-in.
#![allow(clippy::unwrap_used, missing_docs)]

mod chain;
#[cfg(feature = "sqlite")]
mod files;
mod groups;
mod lag;
mod positions;
mod states;
mod streams;
mod topics;
mod world;
