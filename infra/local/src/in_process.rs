//! What every hub is made of that runs in this process.

mod counters;
mod cpu;
mod dice;
mod listen;
mod rate;
mod server;

pub(crate) use counters::Counters;
#[cfg(any(feature = "eventhubs", feature = "pubsub"))]
pub(crate) use counters::Open;
pub(crate) use cpu::cpu_of;
pub(crate) use dice::Dice;
pub(crate) use listen::{failed, listen};
pub use rate::Rate;
pub(crate) use server::Server;
