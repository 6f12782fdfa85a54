//! A local Azure Event Hubs, in this process: AMQP 1.0 as the official clients speak it, with the documented limits, things
//! that go wrong on request, and counts.
//!
//! Connections are in the clear or over TLS, with SASL ANONYMOUS, MSSBCBS or PLAIN; tokens are checked. What
//! differs from Azure:
//!
//! | What | Here |
//! |---|---|
//! | Tokens | shared access signatures by one key that may do everything; of Microsoft Entra ID those that [`EventHubs::accept_bearer`] names, which may do everything too: what stands in them isn't read |
//! | Partition of a key | Jenkins' lookup3, as Microsoft's buffered producers choose it; they warn that the service may choose otherwise |
//! | Throughput units | a bucket of one second's worth; ServerBusy is an outcome of the message, not the end of the link |
//! | Retention | by size and by time; whole messages go, oldest first, and a batch is one |
//! | Message larger than 1 MiB | rejected, and the link closed |
//! | Connections and links | 5,000 connections, unless told otherwise, each with 5,000 links on 5,000 sessions; what a peer begins and doesn't end is bounded |
//! | Offsets | bytes from the partition's beginning, as decimal text |
//! | Start after the end | refused with `com.microsoft:argument-out-of-range` |
//! | Not here | geo-replication, publishers' policies, capture, schema registry, AMQP over WebSockets, transactions; the Kafka endpoint; hubs are made and changed by [`EventHubs::create_hub`] and its like, not by Azure Resource Manager |

mod access;
mod address;
mod amqp;
mod answers;
mod attach;
mod builder;
mod certificate;
mod connection;
mod counts;
mod faults;
mod hash;
mod hub;
mod intake;
mod limits;
mod log;
mod outlet;
mod publisher;
mod readers;
mod request;
mod segment;
mod server;
mod session;
mod shared;
mod start;
mod subscriber;
mod throughput;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use builder::EventHubsBuilder;
pub use counts::{Counts, Strikes};
pub use faults::{Fault, Faults, On};

pub use crate::Rate;

use crate::Error;
use crate::in_process::{Server, cpu_of};
use hub::Namespace;

/// What it calls itself.
const CONTAINER: &str = "anyhub-local";

/// A running local Event Hubs namespace. It has threads of its own, so that it can be started in sync and in async code; its
/// methods don't block for longer than some milliseconds. Everything is in memory, and goes with it.
///
/// ```
/// use anyhub_local::eventhubs::{EventHubs, Faults, Rate};
///
/// let eventhubs = EventHubs::builder().hub("tweets", 4).start()?;
/// println!("{}", eventhubs.url("tweets")); // eventhubs://localhost/tweets?endpoint=...
/// eventhubs.set_faults(Faults::none().lost_answers(Rate::next(3)))?;
/// assert_eq!(eventhubs.counts().events_in, 0);
/// # Ok::<(), anyhub_local::Error>(())
/// ```
#[derive(Debug)]
pub struct EventHubs {
    address: SocketAddr,
    seed: u64,
    /// As PEM; None in the clear.
    certificate: Option<String>,
    namespace: Arc<Namespace>,
    server: Server,
}

impl EventHubs {
    /// Without hubs, limits and faults, unless told otherwise.
    pub fn builder() -> EventHubsBuilder {
        EventHubsBuilder::new()
    }

    /// The endpoint for an SDK: `amqp://127.0.0.1:PORT`, or `amqps:` with TLS.
    pub fn endpoint(&self) -> String {
        let scheme = if self.certificate.is_some() {
            "amqps"
        } else {
            "amqp"
        };
        format!("{scheme}://{}", self.address)
    }

    /// The connection string for a hub, as the Azure portal gives it; in the clear with `UseDevelopmentEmulator=true`. Clients
    /// that leave the port out, as the Rust SDK, want [`endpoint`](Self::endpoint) too.
    pub fn connection_string(&self, hub: &str) -> String {
        let emulator = match self.certificate {
            Some(_) => "",
            None => "UseDevelopmentEmulator=true;",
        };
        format!(
            "Endpoint=sb://localhost:{};SharedAccessKeyName={};SharedAccessKey={};{emulator}EntityPath={hub}",
            self.address.port(),
            access::NAME,
            access::KEY,
        )
    }

    /// A shared access signature for a hub and what is within, good for so long, in whole seconds: for
    /// `SharedAccessSignature=` in a connection string. When it ends, links that no newer one covers are closed.
    pub fn token(&self, hub: &str, time: Duration) -> String {
        let until = (access::now() / 1_000).saturating_add(time.as_secs());
        access::sign(hub, access::KEY, until)
    }

    /// A hub's URL: `eventhubs://localhost/HUB?endpoint=amqp://127.0.0.1:PORT&leases=memory`. Groups need a place, and a
    /// process's memory will do for a try.
    pub fn url(&self, hub: &str) -> String {
        let endpoint = self.endpoint();
        format!("eventhubs://localhost/{hub}?endpoint={endpoint}&leases=memory")
    }

    /// The certificate that clients have to trust, as PEM; None in the clear.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Makes a hub, with the consumer group `$Default`.
    ///
    /// # Errors
    /// Invalid for a name that is taken or can't be one, and for no or more than 1,024 partitions.
    pub fn create_hub(&self, name: &str, partitions: u32) -> Result<(), Error> {
        builder::create(&self.namespace, name, partitions)
    }

    /// Deletes a hub with its events, and closes the links to it.
    ///
    /// # Errors
    /// Invalid if there is none of that name.
    pub fn delete_hub(&self, name: &str) -> Result<(), Error> {
        match self.namespace.delete(name) {
            true => Ok(()),
            false => Err(missing(name)),
        }
    }

    /// Changes what each partition of a hub keeps, at once: at most so many bytes, and nothing for longer than this time. A
    /// part that is None stays as it is.
    ///
    /// # Errors
    /// Invalid if there is no such hub.
    pub fn set_retention(
        &self,
        hub: &str,
        bytes: Option<usize>,
        time: Option<Duration>,
    ) -> Result<(), Error> {
        let there = self.namespace.hub(hub).ok_or_else(|| missing(hub))?;
        there.keep(bytes, time);
        Ok(())
    }

    /// Adds partitions to a hub, until there are so many, as the tiers Premium and Dedicated let one: keys may go elsewhere from
    /// then on, and clients that are connected have to ask anew.
    ///
    /// # Errors
    /// Invalid if there is no such hub, and for as many partitions as it has, fewer, or more than 1,024.
    pub fn set_partitions(&self, hub: &str, partitions: u32) -> Result<(), Error> {
        let there = self.namespace.hub(hub).ok_or_else(|| missing(hub))?;
        builder::check_partitions(partitions)?;
        match there.grow(partitions) {
            true => Ok(()),
            false => Err(Error::Invalid(format!(
                "the hub {hub:?} has {} partitions, and they can't be fewer",
                there.partitions().len()
            ))),
        }
    }

    /// Makes a consumer group of a hub.
    ///
    /// # Errors
    /// Invalid if there is no such hub, or such a group already, and for what can't be a group's name.
    pub fn create_group(&self, hub: &str, group: &str) -> Result<(), Error> {
        let there = self.namespace.hub(hub).ok_or_else(|| missing(hub))?;
        // $Default is there, and nobody else could name one so.
        if !there.has_group(group) {
            builder::check_name("a consumer group", group, 50)?;
        }
        match there.create_group(group) {
            true => Ok(()),
            false => Err(Error::Invalid(format!(
                "the hub {hub:?} has a consumer group {group:?} already"
            ))),
        }
    }

    /// Takes this token of Microsoft Entra ID from now on, by `$cbs` and as `jwt`, for so long; then its links are closed. A token
    /// that is named again is taken for longer, or less long, when it is put again. Others are refused.
    pub fn accept_bearer(&self, token: &str, valid: Duration) {
        self.namespace.bearers.accept(token, valid);
    }

    /// The seed of the faults, to be printed where a test fails.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The faults as they are now; a count is what is left of it.
    pub fn faults(&self) -> Faults {
        self.namespace.dice.faults()
    }

    /// Changes what goes wrong from now on.
    ///
    /// # Errors
    /// Invalid for a share outside of 0.0 to 1.0; the faults stay as they were.
    pub fn set_faults(&self, faults: Faults) -> Result<(), Error> {
        faults.check()?;
        self.namespace.dice.set(faults);
        Ok(())
    }

    /// What has come in and gone out since the start, and what was done about it.
    pub fn counts(&self) -> Counts {
        self.namespace.counters.read()
    }

    /// What all partitions together keep now, in bytes: what retention by size bounds.
    pub fn stored_bytes(&self) -> usize {
        self.namespace.stored()
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

fn missing(hub: &str) -> Error {
    Error::Invalid(format!("there is no hub {hub:?}"))
}
