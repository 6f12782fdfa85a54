//! A local Amazon Kinesis, in this process: the crate ferrokinesis behind a layer that enforces
//! the limits it doesn't have, makes things go wrong on request, and counts.
//!
//! It speaks plain HTTP/1.1 and h2c, JSON and CBOR. Any credentials do, but there have to be some. What differs from AWS:
//!
//! | What | Here |
//! |---|---|
//! | Sizes | 5 MiB a PutRecords (AWS: 10 MiB), 1 MiB a record (AWS: up to 10 MiB where a stream is set so) |
//! | Times of arrival | whole seconds, rounded down; a start at a time begins with that second |
//! | Retention | at most 168 hours (AWS: 8,760), which are as long as [`KinesisBuilder::hour`] says, unless [`Kinesis::keep`] says otherwise; records, and closed shards with them, go up to a second and an hour too late, never early |
//! | Puts | one at a time, for the order that readers rely on; in AWS PutRecords promises no order at all |
//! | SplitShard, MergeShards, UpdateShardCount | done when they are answered; no UPDATING; no limit of changes a day |
//! | ListShards | ShardFilter is ignored; a page but the first can't be asked for by NextToken, but all fit into the first |
//! | SubscribeToShard | a second one for the same consumer and shard goes beside the first; looks for new records every 200 ms |
//! | RegisterStreamConsumer | ACTIVE after 0.5 s |
//! | CBOR | carried, as the AWS SDK for Java sends it by default; refused where limits or failing records are on, and without MillisBehindLatest and ChildShards, and with shards that are past retention |
//! | Signatures | looked at, not checked; expired tokens and wrong regions go through |

mod answer;
mod builder;
mod counts;
mod faults;
mod layer;
mod limits;
mod parity;
mod partial;
mod reshard;
mod retention;
mod server;
mod subscribe;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use builder::KinesisBuilder;
pub use counts::Counts;
pub use faults::Faults;

pub use crate::Rate;
use crate::in_process::{Server, cpu_of};
use crate::{Error, kinesis_url};
use layer::Layer;

/// The version of ferrokinesis; Cargo.toml asks for no other.
const VERSION: &str = "0.7.0";
/// The region that streams are in.
const REGION: &str = "us-east-1";

/// A running local Kinesis. It has threads of its own, so that it can be started in sync and in async code; its methods don't
/// block for longer than some milliseconds. Everything is in memory, and goes with it.
///
/// ```
/// use anyhub_local::kinesis::{Faults, Kinesis, Rate};
///
/// let kinesis = Kinesis::builder().limits(true).start()?;
/// println!("{}", kinesis.endpoint()); // http://127.0.0.1:20001
/// kinesis.set_faults(Faults::none().lost_answers(Rate::next(3)))?;
/// assert_eq!(kinesis.counts().records_put, 0);
/// # Ok::<(), anyhub_local::Error>(())
/// ```
#[derive(Debug)]
pub struct Kinesis {
    address: SocketAddr,
    seed: u64,
    layer: Arc<Layer>,
    server: Server,
}

impl Kinesis {
    /// Without limits and faults, unless told otherwise.
    pub fn builder() -> KinesisBuilder {
        KinesisBuilder::new()
    }

    /// The version of ferrokinesis, for instance `0.7.0`.
    pub fn version(&self) -> &'static str {
        VERSION
    }

    /// The endpoint for an SDK: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL without a stream:
    /// `kinesis://us-east-1?endpoint=http://127.0.0.1:PORT&max_batch_bytes=5242880&leases=memory`.
    pub fn url(&self) -> String {
        kinesis_url::of(&self.endpoint())
    }

    /// The seed of the faults, to be printed where a test fails.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The faults as they are now; a count is what is left of it.
    pub fn faults(&self) -> Faults {
        self.layer.dice.faults()
    }

    /// Changes what goes wrong, for the requests that come from now on.
    ///
    /// # Errors
    /// Invalid for a share outside of 0.0 to 1.0, or an operation that Kinesis doesn't have; the faults stay as they were.
    pub fn set_faults(&self, faults: Faults) -> Result<(), Error> {
        faults.check()?;
        self.layer.dice.set(faults);
        Ok(())
    }

    /// Has a stream of this name, there or not made yet, keep its records for this time, whatever its retention says in hours;
    /// the others keep theirs as before.
    pub fn keep(&self, stream: &str, time: Duration) {
        self.layer.retention.keep(stream, time);
    }

    /// What has come in since the start, and what was done about it.
    pub fn counts(&self) -> Counts {
        self.layer.counters.read()
    }

    /// The processor time that the server has spent so far, of this process's; None where the system does not tell, as outside
    /// of Linux. Threads that have ended are not counted any more.
    pub fn cpu(&self) -> Option<Duration> {
        cpu_of(&server::thread_name(self.address))
    }

    /// Stops the server, cuts its connections and waits until it is gone, at most a second. A second call does nothing.
    pub fn stop(&self) {
        self.server.stop();
    }
}
