//! One link that events go out on.

use crate::{
    connection::Connection,
    error::{HUB, incomplete, lost, refused, unanswered},
    lanes::Answer,
    message::{BATCH, in_batch},
};
use anyhub_core::{Error, ErrorKind, Result};
use azure_core_amqp::{
    AmqpErrorCondition, AmqpMessage, AmqpSendOptions, AmqpSendOutcome, AmqpSender,
    AmqpSenderApis as _, AmqpSenderOptions, AmqpSession, SenderSettleMode,
    message::AmqpMessageBody,
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

pub(crate) struct Sender {
    connection: Arc<Connection>,
    amqp: AmqpSender,
    /// Ends with its link.
    _session: AmqpSession,
    /// Bytes of the largest message.
    pub(crate) largest: usize,
}

/// An answer that takes longer puts the connection in doubt: where it is gone, none will come, and the
/// SDK waits all the same.
const LATE: Duration = Duration::from_millis(250);

impl Sender {
    /// Attaches to the hub, or to one of its partitions.
    pub(crate) async fn open(
        connection: Arc<Connection>,
        operation: &'static str,
        partition: Option<u32>,
    ) -> Result<Self> {
        let session = connection.session(operation).await?;
        let within = partition.map(|partition| format!("Partitions/{partition}"));
        let address = connection.address(within.as_deref());
        let amqp = AmqpSender::new();
        let options = AmqpSenderOptions {
            sender_settle_mode: Some(SenderSettleMode::Unsettled),
            ..AmqpSenderOptions::default()
        };
        let attach = async {
            let name = connection.name("sender");
            amqp.attach(&session, name, address, Some(options)).await?;
            amqp.max_message_size().await
        };
        let largest = connection.within(operation, "a link", attach).await?;
        let largest = largest.filter(|largest| *largest > 0);
        let largest =
            largest.ok_or_else(|| incomplete(operation, "size of the largest message"))?;
        Ok(Self {
            connection,
            amqp,
            _session: session,
            largest: usize::try_from(largest).unwrap_or(usize::MAX),
        })
    }

    pub(crate) fn is_alive(&self) -> bool {
        !self.connection.is_dead()
    }

    /// Sends a batch and waits for what becomes of it, for `patience` from when it is known to be with
    /// the peer: on a slow way, that is much later than when it is handed on. After Lost the link is of no
    /// use.
    pub(crate) async fn send(&self, message: &AmqpMessage, patience: Duration) -> Answer {
        let options = AmqpSendOptions {
            message_format: Some(BATCH),
            ..AmqpSendOptions::default()
        };
        let under_way = self.connection.hand_on(size(message));
        let sending = self.amqp.send_ref(message, Some(options));
        tokio::pin!(sending);
        let doubtful = Instant::now() + LATE;
        let mut late = doubtful;
        let mut given_up: Option<Instant> = None;
        loop {
            let looks = given_up.map_or(late, |given_up| late.min(given_up));
            tokio::select! {
                sent = &mut sending => return match sent {
                    Ok(outcome) => {
                        under_way.answered();
                        self.outcome(outcome)
                    }
                    Err(error) => Answer::Lost(self.connection.failed("submit", error)),
                },
                () = self.connection.died() => return Answer::Lost(lost("submit")),
                () = self.connection.sign_since(doubtful), if late > doubtful && given_up.is_none() => {
                    given_up = Some(Instant::now() + patience);
                }
                () = sleep_until(looks) => {
                    if given_up.is_some_and(|given_up| given_up <= Instant::now()) {
                        return Answer::Lost(unanswered("submit", "a batch"));
                    }
                    self.connection.doubt();
                    late += LATE;
                }
            }
        }
    }

    fn outcome(&self, outcome: AmqpSendOutcome) -> Answer {
        let not_taken = |how: &str| {
            let message = format!("Event Hubs has {how} the batch");
            Answer::Unwritten(Error::new(ErrorKind::Unavailable, HUB, "submit", message))
        };
        match outcome {
            AmqpSendOutcome::Accepted => Answer::Written,
            AmqpSendOutcome::Rejected(Some(why)) => {
                let error = refused("submit", &self.connection.target().hub, &why);
                let midway = matches!(
                    why.condition,
                    AmqpErrorCondition::InternalError | AmqpErrorCondition::OperationCancelled
                );
                match error.kind() {
                    // It may have been written before the time was over, or the service broke off.
                    ErrorKind::Timeout => Answer::Lost(error),
                    _ if midway => Answer::Lost(error),
                    _ if error.is_retryable() => Answer::Unwritten(error),
                    _ => Answer::Refused(error),
                }
            }
            AmqpSendOutcome::Rejected(None) => not_taken("rejected"),
            AmqpSendOutcome::Released => not_taken("released"),
            AmqpSendOutcome::Modified(_) => not_taken("modified"),
        }
    }
}

/// Bytes of a batch, but for a few.
fn size(batch: &AmqpMessage) -> usize {
    match &batch.body {
        AmqpMessageBody::Binary(events) => events.iter().map(|event| in_batch(event.len())).sum(),
        _ => 0,
    }
}
