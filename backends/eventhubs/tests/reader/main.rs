//! Consumers on the stand-in; the SDK's own client writes some of what they read.
#![allow(missing_docs, clippy::unwrap_used)]

mod faults;
mod groups;
mod limits;
mod restart;
mod retention;
#[path = "../stand_in/mod.rs"]
mod stand_in;
mod starts;
mod typed;
mod unreadable;
mod world;
