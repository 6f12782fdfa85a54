//! A local Google Cloud Pub/Sub, in this process: gRPC and JSON as the official clients speak them on one port, with the
//! documented limits, things that go wrong on request, and counts.
//!
//! It speaks plain HTTP/2 (h2c) and HTTP/1.1; any credentials do, or none. Where Google's documents leave room, it takes the
//! harsher reading. What is read so, and what differs from Google's:
//!
//! | What | Here |
//! |---|---|
//! | An ack that comes after its deadline, after a nack, or twice | does nothing, and the message comes again unless it was acknowledged; with exactly-once delivery PERMANENT_FAILURE_INVALID_ACK_ID |
//! | An ack of an ordered message before those of earlier ones of its key | does not hold, unless these are in the same request; with exactly-once delivery TRANSIENT_FAILURE_UNORDERED_ACK_ID |
//! | Messages without a key, or on a subscription without ordering | come in no strict order: the next one is picked among the first eight, by the seed |
//! | A key | is with one client until nothing of it is outstanding: with one stream of it while that is there, then with the next one of the same `client_id`, which gets what is new of the key at once and what is outstanding of it at its deadline; a stream without an id, and a Pull, is a client of its own |
//! | A stream that ends | leaves what it had outstanding, until the deadlines pass |
//! | A stream on which nothing is said for 90 s | ends; and it is answered, its head included, when there is something to say |
//! | Flow control | by the stream |
//! | Delivery attempts | one more for each nack or deadline of that message; what comes again because of an earlier one of its key was not at fault |
//! | Dead letters | go at the nack or deadline of their last try; the service does it about then, and so does this one with [`Faults::late_burials`] |
//! | A Seek | is done when it is answered, and voids every delivery that is under way |
//! | A Pull | waits for a second at most, and gives nothing then |
//! | Retention | by time, what is not acknowledged by the longer one of topic and subscription; and by size: acknowledged messages go, oldest first; where too much is unacknowledged, publishes are refused, and dead letters not forwarded |
//! | Snapshots | count what they keep; beyond a bound for all of them, new ones are refused with RESOURCE_EXHAUSTED |
//! | Topics, subscriptions, snapshots | 10,000, 10,000 and 5,000 a project, ten times as many in all projects, each of 64 KiB with its labels |
//! | Ack ids | shorter than the service's, but count as long |
//! | Subscriptions | don't expire without readers |
//! | Not here | filters, push, BigQuery, Bigtable and Cloud Storage subscriptions, schemas, transforms, ingestion, IAM, regions: refused where they are asked for |

mod ack_id;
mod admin;
mod backlog;
mod breakable;
mod builder;
mod call;
mod counts;
mod dead_letter;
mod faults;
mod grpc;
mod limits;
mod message;
mod name;
mod publish;
mod rest;
mod server;
mod service;
mod snapshot;
mod status;
mod stream;
mod subscribe;
mod subscription;
mod topic;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use builder::PubSubBuilder;
pub use counts::{Counts, Strikes};
pub use faults::{Fault, Faults};

use crate::Error;
pub use crate::Rate;
use crate::in_process::{Server, cpu_of};
use service::Service;

/// The project of the URLs; any other one does as well.
const PROJECT: &str = "local";

/// A running local Pub/Sub. It has threads of its own, so that it can be started in sync and in async code; its methods don't
/// block for longer than some milliseconds. Everything is in memory, and goes with it.
///
/// ```
/// use anyhub_local::pubsub::{Faults, PubSub, Rate};
///
/// let pubsub = PubSub::builder().start()?;
/// println!("{}", pubsub.endpoint()); // http://127.0.0.1:20001
/// pubsub.set_faults(Faults::none().lost_answers(Rate::next(3)))?;
/// assert_eq!(pubsub.counts().messages_in, 0);
/// # Ok::<(), anyhub_local::Error>(())
/// ```
#[derive(Debug)]
pub struct PubSub {
    address: SocketAddr,
    seed: u64,
    service: Arc<Service>,
    server: Server,
}

impl PubSub {
    /// Without limits and faults, unless told otherwise.
    pub fn builder() -> PubSubBuilder {
        PubSubBuilder::new()
    }

    /// The endpoint for an SDK: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `PUBSUB_EMULATOR_HOST` has to be for the clients that know it: `127.0.0.1:PORT`.
    pub fn emulator_host(&self) -> String {
        self.address.to_string()
    }

    /// The URL without a topic: `pubsub://local?endpoint=http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("pubsub://{PROJECT}?endpoint={}", self.endpoint())
    }

    /// The seed of the faults, and of the order of messages without a key: to be printed where a test fails.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The faults as they are now; a count is what is left of it.
    pub fn faults(&self) -> Faults {
        self.service.dice.faults()
    }

    /// Changes what goes wrong from now on.
    ///
    /// # Errors
    /// Invalid for a share outside of 0.0 to 1.0, or a method that Pub/Sub doesn't have; the faults stay as they were.
    pub fn set_faults(&self, faults: Faults) -> Result<(), Error> {
        faults.check()?;
        self.service.dice.set(faults);
        Ok(())
    }

    /// Has a topic or subscription of this name (`projects/P/topics/T`), there or not made yet, keep its messages for this time,
    /// whatever its retention says: that is 10 minutes at least. A topic that has no retention still keeps none; where it has one,
    /// what is not acknowledged goes after the longer of the two times.
    pub fn keep(&self, name: &str, time: Duration) {
        self.service.keep(name, time);
    }

    /// What has come in and gone out since the start, and what was done about it.
    pub fn counts(&self) -> Counts {
        self.service.counters.read()
    }

    /// What all topics and subscriptions keep now, in bytes; a message counts wherever it is kept.
    pub fn stored_bytes(&self) -> usize {
        self.service.stored()
    }

    /// How many messages all subscriptions have with their readers now, delivered and not acknowledged.
    pub fn outstanding(&self) -> usize {
        let subscriptions = self.service.subscriptions();
        subscriptions
            .values()
            .map(|subscription| subscription.backlog().outstanding())
            .sum()
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
