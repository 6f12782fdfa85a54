//! What the traits cost: a hub's SDK alone and anyhub, in turns, on one server.
//!
//! A backend's benchmark brings the side of its SDK, as [`Ways`]; the side of anyhub goes through
//! the traits and is the same for every hub: [`Bench::publish`], [`Filled::receive`].
//! [`Bench::compare`] sets one against the other, and [`main`](fn@main) prints what came of it:
//! `ratio WHAT BYTES MEDIAN LOW HIGH` (events per second, anyhub by raw) and
//! `cpu_ns WHAT BYTES MEDIAN LOW HIGH` (CPU time of this process added to each event), with 95%
//! intervals.

mod arguments;
mod bench;
mod compare;
mod pairs;
mod publish;
mod receive;
mod server;
mod stopwatch;
#[cfg(test)]
mod tests;

pub use arguments::Arguments;
pub use bench::Bench;
pub use compare::Ways;
pub use publish::InFlight;
pub use receive::{Clock, Filled, STALL};
pub use server::Server;
use std::process::ExitCode;
pub use stopwatch::{Run, Stopwatch};

/// Whatever went wrong: a benchmark only says so.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a benchmark's steps come to.
pub type Result<T> = std::result::Result<T, BoxError>;

/// Partitions of every topic.
pub const PARTITIONS: u32 = 4;

/// Keys in use, in turn.
pub const KEYS: usize = 10_000;

/// Events of one `submit`.
pub const BATCH: usize = 100;

/// A benchmark as a program: reads its arguments, measures, and prints the lines that `measure`
/// gives at the end of everything else. `options` are the backend's own, such as `--bootstrap`.
pub fn main(
    options: &[&'static str],
    measure: impl FnOnce(&Arguments) -> Result<Vec<String>>,
) -> ExitCode {
    let given = std::env::args().skip(1);
    match Arguments::parse(given, options).and_then(|arguments| measure(&arguments)) {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("overhead: {error}");
            ExitCode::FAILURE
        }
    }
}
