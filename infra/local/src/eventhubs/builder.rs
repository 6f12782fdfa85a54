//! How a local Event Hubs is to be, and its start.

use std::sync::Arc;
use std::time::Duration;

use super::faults::{Dice, Faults};
use super::hub::Namespace;
use super::log::Retention;
use super::{EventHubs, certificate, limits, server};
use crate::Error;
use crate::in_process::{failed, listen};

/// As much as a unit of throughput writes in a minute.
const KEPT: usize = 64 * 1024 * 1024;
/// As in the Standard tier.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The largest number that clients in JavaScript tell from the next one, with as many left for events.
const LARGEST: u64 = 1 << 52;

/// How a local Event Hubs is to be. See [`EventHubs::builder`].
#[derive(Clone, Debug)]
pub struct EventHubsBuilder {
    hubs: Vec<(String, u32)>,
    limits: bool,
    units: Option<u32>,
    faults: Faults,
    seed: u64,
    port: Option<u16>,
    tls: bool,
    retention: Retention,
    first: u64,
    connections: u64,
}

impl EventHubsBuilder {
    pub(super) fn new() -> Self {
        EventHubsBuilder {
            hubs: Vec::new(),
            limits: false,
            units: None,
            faults: Faults::none(),
            seed: 1,
            port: None,
            tls: false,
            retention: Retention {
                bytes: KEPT,
                time: KEPT_FOR,
            },
            first: 0,
            connections: limits::CONNECTIONS,
        }
    }

    /// A hub that is there from the start on; [`EventHubs::create_hub`] makes more.
    #[must_use]
    pub fn hub(mut self, name: &str, partitions: u32) -> Self {
        self.hubs.push((name.to_owned(), partitions));
        self
    }

    /// Whether the namespace takes and gives no more than one throughput unit lets it, or as many as
    /// [`throughput_units`](Self::throughput_units) says. Off by default. Sizes, epochs and the number of readers are always
    /// limited.
    #[must_use]
    pub fn limits(mut self, on: bool) -> Self {
        self.limits = on;
        self
    }

    /// How many throughput units the namespace has: 1 MiB or 1,000 events in and 2 MiB or 4,096 events out a second for each.
    /// With None, the default, it has one where limits are on, and no end of them where they are off.
    #[must_use]
    pub fn throughput_units(mut self, units: Option<u32>) -> Self {
        self.units = units;
        self
    }

    /// What goes wrong from the start on; nothing by default. [`EventHubs::set_faults`] changes it later.
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

    /// Whether it speaks TLS, with a certificate that is made at the start; in the clear by default.
    #[must_use]
    pub fn tls(mut self, on: bool) -> Self {
        self.tls = on;
        self
    }

    /// How much each partition keeps, unless [`EventHubs::set_retention`] says otherwise for its hub: at most so many bytes, 64 MiB by default, and nothing for longer than this time, 7 days
    /// by default. The message that came last is always kept.
    #[must_use]
    pub fn retention(mut self, bytes: usize, time: Duration) -> Self {
        self.retention = Retention { bytes, time };
        self
    }

    /// The sequence number that each partition begins with; 0 by default. A server that takes the place of another one, whose
    /// events are gone, begins behind those, as after retention: who comes with a checkpoint of theirs begins with the oldest
    /// event, and misses none. Offsets begin with a thousand times as much.
    #[must_use]
    pub fn first_sequence_number(mut self, number: u64) -> Self {
        self.first = number;
        self
    }

    /// How many connections the namespace may have at a time; 5,000 by default. Further ones are closed as they open, with
    /// `amqp:resource-limit-exceeded`.
    #[must_use]
    pub fn connections(mut self, most: u64) -> Self {
        self.connections = most;
        self
    }

    /// Starts the server and returns when it answers.
    ///
    /// # Errors
    /// Invalid for a share outside of 0.0 to 1.0, no throughput units, a first sequence number above 2^52, two hubs of one name, a hub without a name or with no or
    /// too many partitions, or port 0; PortInUse; Io if no port or thread can be had, or no certificate made.
    pub fn start(self) -> Result<EventHubs, Error> {
        self.faults.check()?;
        if self.units == Some(0) {
            return Err(Error::Invalid("throughput units begin with 1".into()));
        }
        let first = i64::try_from(self.first).ok();
        let first = first.filter(|_| self.first <= LARGEST).ok_or_else(|| {
            Error::Invalid(format!("the first sequence number is {LARGEST} at most"))
        })?;
        let units = match self.limits {
            true => Some(self.units.unwrap_or(1)),
            false => self.units,
        };
        let dice = Dice::new(self.faults.clone(), self.seed);
        let namespace = Arc::new(Namespace::new(
            self.retention,
            first,
            self.connections,
            units,
            dice,
        ));
        for (name, partitions) in &self.hubs {
            create(&namespace, name, *partitions)?;
        }
        let (tls, certificate) = match self.tls {
            true => {
                let (tls, certificate) = certificate::make().map_err(failed)?;
                (Some(tls), Some(certificate))
            }
            false => (None, None),
        };
        let listener = listen(self.port, server::listen)?;
        let address = listener.local_addr().map_err(failed)?;
        let server = server::start(listener, Arc::clone(&namespace), tls).map_err(failed)?;
        Ok(EventHubs {
            address,
            seed: self.seed,
            certificate,
            namespace,
            server,
        })
    }
}

/// Makes a hub, or says why it can't be.
pub(super) fn create(namespace: &Namespace, name: &str, partitions: u32) -> Result<(), Error> {
    check_name("a hub", name, 256)?;
    check_partitions(partitions)?;
    match namespace.create(name, partitions) {
        true => Ok(()),
        false => Err(Error::Invalid(format!("there is a hub {name:?} already"))),
    }
}

/// Says why this can't be its name, if so ("Naming rules and restrictions for Azure resources", Microsoft.EventHub, 2026-11).
pub(super) fn check_name(what: &str, name: &str, most: usize) -> Result<(), Error> {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let at_the_ends = |c: char| c.is_ascii_alphanumeric();
    let fits = name.starts_with(at_the_ends) && name.ends_with(at_the_ends);
    if fits && name.chars().all(inside) && name.len() <= most {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{name:?} can't be {what}'s name: up to {most} letters, digits, '.', '-' and '_', with a letter or digit at either end"
    )))
}

/// Says why a hub can't have so many partitions, if so.
pub(super) fn check_partitions(partitions: u32) -> Result<(), Error> {
    match (1..=limits::PARTITIONS).contains(&partitions) {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "a hub can't have {partitions} partitions: choose 1 to {}",
            limits::PARTITIONS
        ))),
    }
}
