//! A link that events come in on: to a hub, or to one of its partitions.

use std::sync::Arc;
use std::time::Duration;

use super::amqp::message::Message;
use super::amqp::performative::{Error, Outcome};
use super::amqp::read::Malformed;
use super::faults::{Fault, Strike};
use super::hub::{Hub, Namespace, Partition};
use super::intake::{Delivery, Intake};
use super::limits;

#[derive(Debug)]
pub(super) struct Publisher {
    /// What a token has to cover.
    pub(super) address: String,
    pub(super) hub: Arc<Hub>,
    /// None: the hub chooses.
    partition: Option<Arc<Partition>>,
    pub(super) intake: Intake,
}

/// What becomes of a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Answered at once.
    Now(Outcome),
    /// Written, and accepted later on.
    Later { after: Duration, events: u64 },
    /// Rejected, and the link is closed for the same reason.
    Over(Error),
    /// A fault breaks the link or the connection; `written`: the events were written first.
    Break {
        strike: Strike,
        events: u64,
        written: bool,
    },
}

impl Publisher {
    pub(super) fn new(
        address: &str,
        hub: Arc<Hub>,
        partition: Option<Arc<Partition>>,
        initial: u32,
    ) -> Self {
        Publisher {
            address: address.to_owned(),
            hub,
            partition,
            intake: Intake::new(initial),
        }
    }

    /// Writes a message's events, all or none.
    pub(super) fn receive(&self, namespace: &Namespace, delivery: &Delivery) -> Verdict {
        if self.hub.is_deleted() {
            return Verdict::Over(not_found(&self.hub.name));
        }
        match self.write(namespace, delivery) {
            Ok(verdict) => verdict,
            Err(Malformed(why)) => Verdict::Now(Outcome::Rejected(Error::new(
                "amqp:decode-error",
                format!("The message can't be read: {why}."),
            ))),
        }
    }

    fn write(&self, namespace: &Namespace, delivery: &Delivery) -> Result<Verdict, Malformed> {
        let message = Message::read(&delivery.payload)?;
        let envelope = message.key()?;
        let events = message.events(delivery.format)?;
        let keys = events.iter().map(|event| Ok(event.key()?.or(envelope)));
        let keys: Vec<_> = keys.collect::<Result<_, Malformed>>()?;
        let first = keys.first().copied().flatten();
        if let Some(refused) = keys
            .iter()
            .chain([&envelope])
            .find_map(|key| unusable(*key))
        {
            return Ok(Verdict::Now(Outcome::Rejected(refused)));
        }
        let count = events.len() as u64;
        namespace.counters.add(|counts| counts.messages_in += 1);
        let strike = namespace.dice.on_send();
        if let Some(verdict) = strike.and_then(|strike| before(namespace, strike, count)) {
            return Ok(verdict);
        }
        if !namespace
            .throughput
            .admit(events.len(), delivery.payload.len())
        {
            namespace.counters.add(|counts| counts.throttled += 1);
            return Ok(Verdict::Now(Outcome::Rejected(busy())));
        }
        let partition = match &self.partition {
            Some(partition) => Some(Arc::clone(partition)),
            None => self.hub.choose(envelope.or(first)),
        };
        let partition = partition.ok_or(Malformed("there is no partition"))?;
        partition.append(&events, &keys)?;
        namespace.counters.add(|counts| counts.events_in += count);
        Ok(match strike {
            Some(strike) if strike.fault == Fault::SlowAck => {
                namespace.counters.strike(Fault::SlowAck, count, 0);
                Verdict::Later {
                    after: strike.time,
                    events: count,
                }
            }
            Some(strike) => Verdict::Break {
                strike,
                events: count,
                written: true,
            },
            None => Verdict::Now(Outcome::Accepted),
        })
    }
}

/// What a fault does to a message before it is written, if it does.
fn before(namespace: &Namespace, strike: Strike, events: u64) -> Option<Verdict> {
    let outcome = match strike.fault {
        Fault::ServerBusy => Outcome::Rejected(busy()),
        Fault::Rejected => Outcome::Rejected(Error::new(
            "amqp:internal-error",
            "The service was unable to process the request; please retry the operation.",
        )),
        Fault::Released => Outcome::Released,
        Fault::Modified => Outcome::Modified,
        Fault::SlowAck | Fault::LostAnswer => return None,
        Fault::Detached | Fault::Closed | Fault::Cut | Fault::HalfOpen => {
            return Some(Verdict::Break {
                strike,
                events,
                written: false,
            });
        }
    };
    namespace.counters.strike(strike.fault, events, 0);
    Some(Verdict::Now(outcome))
}

fn unusable(key: Option<&str>) -> Option<Error> {
    let key = key?;
    // A character has a byte at least.
    let length = if key.len() > limits::KEY {
        key.chars().count()
    } else {
        0
    };
    (length > limits::KEY).then(|| {
        Error::new(
            "com.microsoft:argument-out-of-range",
            format!(
                "The partition key has {length} characters; the limit is {}.",
                limits::KEY
            ),
        )
    })
}

/// Source: Event Hubs documentation, "Exceptions", ServerBusyException, error code 50002 (2026-11).
fn busy() -> Error {
    Error::new(
        "com.microsoft:server-busy",
        "The request was terminated because the entity is being throttled. Error code: 50002. Please wait 4 seconds and try \
         again.",
    )
}

pub(super) fn not_found(entity: &str) -> Error {
    Error::new(
        "amqp:not-found",
        format!("The messaging entity '{entity}' could not be found."),
    )
}

/// Source: the service's text, as Microsoft's issue trackers quote it (2026-11).
pub(super) fn too_large(delivery: u32, size: usize) -> Error {
    let limit = limits::MESSAGE;
    Error::new(
        "amqp:link:message-size-exceeded",
        format!(
            "The received message (delivery-id:{delivery}, size:{size} bytes) exceeds the limit ({limit} bytes) currently \
             allowed on the link."
        ),
    )
}
