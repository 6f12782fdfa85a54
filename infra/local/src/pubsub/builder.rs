//! How a local Pub/Sub is to be, and its start.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use super::faults::{Dice, Faults};
use super::service::{Service, Terms};
use super::{PubSub, server};
use crate::Error;
use crate::in_process::{failed, listen};

/// The longest that a StreamingPull may go on.
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// As long as in the service, and the longest that can be told.
const REAL_SECOND: Duration = Duration::from_secs(1);

/// How a local Pub/Sub is to be. See [`PubSub::builder`].
#[derive(Clone, Debug)]
pub struct PubSubBuilder {
    terms: Terms,
    faults: Faults,
    port: Option<u16>,
}

impl PubSubBuilder {
    pub(super) fn new() -> Self {
        PubSubBuilder {
            terms: Terms {
                seed: 1,
                limits: false,
                second: REAL_SECOND,
                stream: Duration::from_secs(30 * 60),
                retained_bytes: 64 * 1024 * 1024,
                backlog_bytes: 512 * 1024 * 1024,
            },
            faults: Faults::none(),
            port: None,
        }
    }

    /// Whether an ordering key takes and a stream gives no more than Pub/Sub lets it: 1 MB and 10 MB a second. Off by default.
    /// Sizes and numbers in requests are always limited.
    #[must_use]
    pub fn limits(mut self, on: bool) -> Self {
        self.terms.limits = on;
        self
    }

    /// What goes wrong from the start on; nothing by default. [`PubSub::set_faults`] changes it later.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// The seed of the faults, and of the order in which messages without a key come; 1 by default.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.terms.seed = seed;
        self
    }

    /// The port on 127.0.0.1; a free one is picked by default.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// How long a StreamingPull goes on before it ends with UNAVAILABLE and has to be opened again, up to a day; 30 minutes by
    /// default.
    #[must_use]
    pub fn stream(mut self, time: Duration) -> Self {
        self.terms.stream = time;
        self
    }

    /// How long a second of an ack deadline, of a retry's backoff or of the 90 s lasts after which an idle StreamingPull ends; a
    /// real second by default. With 10 ms a deadline of 10 s passes after 0.1 s (and up to 20 ms more, as deadlines are looked at
    /// so often). Clients measure by their own clock: their signs of life come too late then, and they open streams again.
    #[must_use]
    pub fn second(mut self, time: Duration) -> Self {
        self.terms.second = time;
        self
    }

    /// How many bytes of acknowledged messages a topic or a subscription keeps at most, where it is told to keep them, in
    /// memory: 405 and the length of its key more for each than it is encoded as; the oldest ones go. 64 MiB by default.
    #[must_use]
    pub fn retained_bytes(mut self, bytes: usize) -> Self {
        self.terms.retained_bytes = bytes;
        self
    }

    /// How many bytes a subscription may have unacknowledged, and all snapshots together, counted likewise; in a subscription each
    /// key that has some counts for 245 bytes and its length. A publish or a snapshot that goes beyond is refused with
    /// RESOURCE_EXHAUSTED, and a dead letter is not forwarded: it comes again. 512 MiB by default.
    #[must_use]
    pub fn backlog_bytes(mut self, bytes: usize) -> Self {
        self.terms.backlog_bytes = bytes;
        self
    }

    /// Starts the server and returns when it answers.
    ///
    /// # Errors
    /// Invalid for a share outside of 0.0 to 1.0, a method that Pub/Sub doesn't have, a second of no time or of more than a real
    /// one, a stream of no time or of more than a day, or port 0; PortInUse; Io if no port or thread can be had.
    pub fn start(self) -> Result<PubSub, Error> {
        self.faults.check()?;
        let second = self.terms.second;
        if second.is_zero() || second > REAL_SECOND {
            return Err(Error::Invalid(format!(
                "a second of a deadline can't last {second:?}: choose up to 1 s"
            )));
        }
        let stream = self.terms.stream;
        if stream.is_zero() || stream > DAY {
            return Err(Error::Invalid(format!(
                "a StreamingPull can't last {stream:?}: choose up to a day"
            )));
        }
        let listener = listen(self.port, TcpListener::bind)?;
        let address = listener.local_addr().map_err(failed)?;
        let seed = self.terms.seed;
        let dice = Dice::new(self.faults, seed);
        let service = Arc::new(Service::new(self.terms, dice));
        let server = server::start(listener, Arc::clone(&service)).map_err(failed)?;
        Ok(PubSub {
            address,
            seed,
            service,
            server,
        })
    }
}
