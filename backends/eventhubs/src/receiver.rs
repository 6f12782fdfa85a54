//! One link that a partition's events come in on.

use crate::{
    connection::Connection,
    error::{lost, panicked},
};
use anyhub_core::Result;
use azure_core_amqp::{
    AmqpDelivery, AmqpDeliveryApis as _, AmqpDescribed, AmqpMessage, AmqpOrderedMap, AmqpReceiver,
    AmqpReceiverApis as _, AmqpReceiverOptions, AmqpSession, AmqpSource, AmqpSymbol, AmqpValue,
    ReceiverCreditMode, message::AmqpSourceFilter,
};
use futures_util::FutureExt as _;
use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub(crate) struct Receiver {
    connection: Arc<Connection>,
    amqp: AmqpReceiver,
    /// Ends with its link.
    _session: AmqpSession,
}

/// Where a link begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// With the oldest event.
    Start,
    /// With the event of this sequence number, or the next one that is kept.
    Sequence(i64),
    /// With the first event that came then or later.
    Time(SystemTime),
}

impl Origin {
    /// The filter that Event Hubs takes (AMQP 1.0 protocol guide, 2026-11).
    fn selector(self) -> String {
        match self {
            Self::Sequence(number) if number > 0 => {
                let before = number - 1;
                format!("amqp.annotation.x-opt-sequence-number > '{before}'")
            }
            Self::Start | Self::Sequence(_) => "amqp.annotation.x-opt-offset > '-1'".to_owned(),
            Self::Time(time) => {
                // Event Hubs counts milliseconds; what came within an earlier one came earlier.
                let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                let before = since.as_nanos().div_ceil(1_000_000) as i128 - 1;
                format!("amqp.annotation.x-opt-enqueued-time > '{before}'")
            }
        }
    }
}

/// What a link is opened with.
#[derive(Debug, Clone)]
pub(crate) struct Opening<'a> {
    pub(crate) group: &'a str,
    pub(crate) partition: u32,
    pub(crate) origin: Origin,
    /// Takes the partition from readers with a lower one, and from those without.
    pub(crate) epoch: Option<i64>,
    /// Events that may be under way.
    pub(crate) credit: u32,
}

impl Receiver {
    /// Attaches to a partition. Invalid for an origin behind the end; Fenced where a reader with a
    /// higher epoch is there.
    pub(crate) async fn open(
        connection: Arc<Connection>,
        operation: &'static str,
        opening: Opening<'_>,
    ) -> Result<Self> {
        let session = connection.session(operation).await?;
        let Opening {
            group, partition, ..
        } = opening;
        let within = format!("ConsumerGroups/{group}/Partitions/{partition}");
        let filter = AmqpSourceFilter::selector_filter();
        let selector = AmqpDescribed::new(filter.code(), opening.origin.selector());
        let source = AmqpSource::builder()
            .with_address(connection.address(Some(&within)))
            .add_to_filter(filter.description().into(), Box::new(selector))
            .build();
        let name = connection.name("receiver");
        let mut properties: AmqpOrderedMap<AmqpSymbol, AmqpValue> = AmqpOrderedMap::new();
        properties.insert("com.microsoft:receiver-name".into(), name.clone().into());
        if let Some(epoch) = opening.epoch {
            properties.insert("com.microsoft:epoch".into(), AmqpValue::from(epoch));
        }
        let options = AmqpReceiverOptions {
            name: Some(name),
            properties: Some(properties),
            credit_mode: Some(ReceiverCreditMode::Auto(opening.credit)),
            auto_accept: false,
            ..AmqpReceiverOptions::default()
        };
        let amqp = AmqpReceiver::new();
        let attach = amqp.attach(&session, source, Some(options));
        connection.within(operation, "a link", attach).await?;
        Ok(Self {
            connection,
            amqp,
            _session: session,
        })
    }

    /// What comes next. Until it is accepted, no fresh credit is given for it. An error where the SDK panics
    /// at it: built for debugging, it does at a map of an odd number (serde_amqp 0.16).
    ///
    /// Cancel-safe: where the answer to a detach is lost with it, the next one fails all the same.
    pub(crate) async fn next(&self) -> Result<AmqpDelivery> {
        // The link is not used again behind a panic, whatever it has left there.
        let delivery = AssertUnwindSafe(self.amqp.receive_delivery()).catch_unwind();
        tokio::select! {
            biased;
            delivery = delivery => match delivery {
                Ok(delivery) => delivery.map_err(|error| self.connection.failed("receive", error)),
                Err(_) => Err(panicked("receive")),
            },
            () = self.connection.died() => Err(lost("receive")),
        }
    }

    /// The message of a delivery, which is done with. Not while [`next`](Self::next) runs.
    pub(crate) async fn accept(&self, delivery: AmqpDelivery) -> Result<AmqpMessage> {
        let accepted = self.amqp.accept_delivery(&delivery).await;
        accepted.map_err(|error| self.connection.failed("receive", error))?;
        Ok(delivery.into_message())
    }

    /// How many events may be under way, from the next refill on. Not while [`next`](Self::next) runs.
    pub(crate) async fn set_credit(&self, credit: u32) {
        // It fails where no link is attached.
        let _ = self
            .amqp
            .set_credit_mode(ReceiverCreditMode::Auto(credit))
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_as_documented() {
        let millis = |nanos| UNIX_EPOCH + Duration::from_nanos(nanos);
        for (origin, selector) in [
            (Origin::Start, "amqp.annotation.x-opt-offset > '-1'"),
            (Origin::Sequence(0), "amqp.annotation.x-opt-offset > '-1'"),
            (
                Origin::Sequence(7),
                "amqp.annotation.x-opt-sequence-number > '6'",
            ),
            (
                Origin::Time(millis(5_000_000)),
                "amqp.annotation.x-opt-enqueued-time > '4'",
            ),
            (
                Origin::Time(millis(5_000_001)),
                "amqp.annotation.x-opt-enqueued-time > '5'",
            ),
            (
                Origin::Time(UNIX_EPOCH),
                "amqp.annotation.x-opt-enqueued-time > '-1'",
            ),
        ] {
            assert_eq!(origin.selector(), selector);
        }
    }
}
