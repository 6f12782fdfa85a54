//! How a local Kinesis is to be, and its start.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use ferrokinesis::store::{Store, StoreOptions};

use super::faults::{Dice, Faults};
use super::layer::Layer;
use super::retention::{REAL_HOUR, Retention};
use super::{Kinesis, REGION, server};
use crate::Error;
use crate::in_process::{failed, listen};

/// How a local Kinesis is to be. See [`Kinesis::builder`].
#[derive(Clone, Debug)]
pub struct KinesisBuilder {
    limits: bool,
    shard_limit: u32,
    faults: Faults,
    seed: u64,
    port: Option<u16>,
    transition: Duration,
    subscription: Duration,
    hour: Duration,
}

impl KinesisBuilder {
    pub(super) fn new() -> Self {
        KinesisBuilder {
            limits: false,
            shard_limit: 1_000,
            faults: Faults::none(),
            seed: 1,
            port: None,
            transition: Duration::ZERO,
            subscription: Duration::from_secs(300),
            hour: REAL_HOUR,
        }
    }

    /// Whether a shard takes and gives no more than Kinesis lets it: writes of 1 MiB and 1,000 records a second, five
    /// GetRecords and 2 MiB read a second, nothing for 5 s after 10 MiB at once. Off by default.
    #[must_use]
    pub fn limits(mut self, on: bool) -> Self {
        self.limits = on;
        self
    }

    /// How many open shards all streams may have together; 1,000 by default.
    #[must_use]
    pub fn shard_limit(mut self, count: u32) -> Self {
        self.shard_limit = count;
        self
    }

    /// What goes wrong from the start on; nothing by default. [`Kinesis::set_faults`] changes it later.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// The seed of the faults; 1 by default.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The port on 127.0.0.1; a free one is picked by default.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// How long a stream stays CREATING and DELETING; by default it is ACTIVE, and gone, at once. Splits, merges and changes
    /// of the shard count are always done when they are answered.
    #[must_use]
    pub fn transition(mut self, time: Duration) -> Self {
        self.transition = time;
        self
    }

    /// How long a SubscribeToShard streams before it ends and has to be called again; 5 minutes by default, as in AWS.
    #[must_use]
    pub fn subscription(mut self, time: Duration) -> Self {
        self.subscription = time;
        self
    }

    /// How long an hour of retention lasts; a real hour by default. With 50 ms a stream of 24 hours keeps its records for
    /// 1.2 s (and up to a second more, as arrivals have whole seconds), so that trimming is seen in a moment.
    #[must_use]
    pub fn hour(mut self, time: Duration) -> Self {
        self.hour = time;
        self
    }

    /// Starts the server and returns when it answers.
    ///
    /// # Errors
    /// Invalid for a share outside of 0.0 to 1.0, an operation that Kinesis doesn't have, an hour of no time or of more than a
    /// real one, or port 0; PortInUse; Io if no port or thread can be had.
    pub fn start(self) -> Result<Kinesis, Error> {
        self.faults.check()?;
        if self.hour.is_zero() || self.hour > REAL_HOUR {
            let message = format!(
                "an hour of retention can't last {:?}: choose up to 1 h",
                self.hour
            );
            return Err(Error::Invalid(message));
        }
        let listener = listen(self.port, TcpListener::bind)?;
        let address = listener.local_addr().map_err(failed)?;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let store = Store::new(StoreOptions {
            create_stream_ms: millis(self.transition),
            delete_stream_ms: millis(self.transition),
            update_stream_ms: 0,
            shard_limit: self.shard_limit,
            subscribe_to_shard_session_ms: millis(self.subscription),
            enforce_limits: self.limits,
            aws_region: REGION.to_owned(),
            ..StoreOptions::default()
        });
        let layer = Arc::new(Layer::new(
            store,
            self.limits,
            Retention::new(self.hour),
            Dice::new(self.faults, self.seed),
        ));
        let server = server::start(listener, Arc::clone(&layer)).map_err(failed)?;
        Ok(Kinesis {
            address,
            seed: self.seed,
            layer,
            server,
        })
    }
}
