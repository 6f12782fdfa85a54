//! Members of a consumer group under what befalls them: killed, frozen for longer than their leases,
//! come and gone, while events are written and every one of them is verified.
//!
//! A backend's example brings its server and its hub, as a [`Stage`], and has [`Command`] among its
//! own commands. Each member is a process of its own: that program, started again. What it owns,
//! what came and what it has finished it tells on stdout, each with a reading of one clock, so that
//! what happened in different processes can be put in order.
//!
//! Each command prints its seed and what it measured, and is an error where a bound does not hold.

mod book;
mod churn;
mod clock;
mod command;
mod freeze;
mod group;
mod kill;
mod line;
mod load;
mod member;
mod owners;
mod process;
mod rebalance;

pub use command::{Command, Setting, main};
pub use load::{KEYS, Writer, event, number};

use anyhub_core::Hub;
use std::{error::Error, future::Future, path::Path, sync::Arc, time::Duration};

/// What a command's steps come to. Whatever went wrong, it only says so.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// The topic that is written and read.
pub const TOPIC: &str = "tweets";

/// The group that reads it.
pub const GROUP: &str = "score";

/// A server of this machine, and a backend's hub on it.
pub trait Stage: Sized + Send + Sync + 'static {
    /// What a partition is called there.
    const PARTS: &'static str;

    /// Whether all members share the topic, and nobody owns a part of it.
    const SHARED: bool = false;

    /// Whether a commit that is Ok promises that its events don't come again.
    const CONFIRMS: bool = false;

    /// A server with [`TOPIC`] in so many partitions and, where groups are made, [`GROUP`]. It ends
    /// with this value.
    fn start(partitions: u32) -> impl Future<Output = Outcome<Self>> + Send;

    /// Where the other processes find the server.
    fn endpoint(&self) -> String;

    /// The hub on the server at `endpoint`, with leases so long, kept in this file.
    fn hub(endpoint: &str, leases: &Path, lease: Duration) -> Outcome<Arc<dyn Hub>>;

    /// How many links of readers the service has taken away for others so far. None: it takes none
    /// away, as it does not know who reads.
    fn stolen(&self) -> Option<u64>;

    /// What went wrong at the server on purpose, for who reads the result. An error where nothing did that should have.
    fn struck(&self) -> Outcome<Option<String>> {
        Ok(None)
    }
}
