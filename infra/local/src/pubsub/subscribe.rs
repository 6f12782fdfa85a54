//! Pull, Acknowledge and ModifyAckDeadline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    AcknowledgeRequest, ModifyAckDeadlineRequest, PullRequest,
};
use tokio::sync::Notify;
use tonic::Status;

use super::ack_id::AckId;
use super::backlog::{Delivery, Flow, Room};
use super::faults::Fault;
use super::service::Service;
use super::subscription::{self, Confirmed, Subscription};
use super::wire::{PullResponse, ReceivedMessage};
use super::{limits, status};

/// How long a Pull waits for a first message. The documents say "a bounded amount of time".
const PULL: Duration = Duration::from_secs(1);
/// About how many bytes of messages go out at once.
pub(super) const RESPONSE_BYTES: usize = 1024 * 1024;

/// Someone who takes messages, until dropped.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) subscription: Arc<Subscription>,
    pub(super) reader: u64,
    /// Notified when there may be something to take.
    pub(super) wake: Arc<Notify>,
}

impl Attached {
    /// By which client, if it may come again.
    pub(super) fn new(
        service: &Service,
        subscription: Arc<Subscription>,
        client: Option<u64>,
        flow: Flow,
    ) -> Self {
        let (reader, wake) = (service.number(), Arc::new(Notify::new()));
        subscription
            .backlog()
            .attach(reader, client, flow, Arc::clone(&wake));
        Attached {
            subscription,
            reader,
            wake,
        }
    }

    /// What there is to take now, as it goes out.
    pub(super) fn take(
        &self,
        service: &Service,
        messages: usize,
        bytes: usize,
        deadline: Duration,
    ) -> Vec<ReceivedMessage> {
        let (counts_attempts, exactly_once) = {
            let config = self.subscription.config();
            (
                config.dead_letter_policy.is_some(),
                config.enable_exactly_once_delivery,
            )
        };
        let room = Room { messages, bytes };
        let mut backlog = self.subscription.backlog();
        let taken = backlog.take(self.reader, room, deadline, Instant::now());
        if taken.is_empty() {
            return Vec::new();
        }
        if !exactly_once {
            // From behind: what is repeated takes what is after it in its key along.
            for n in service.dice.repeats(taken.len()).into_iter().rev() {
                if backlog.repeat(taken[n].ticket) {
                    service.counters.strike(Fault::Duplicate, 1, 0);
                }
            }
        }
        drop(backlog);
        let again = taken.iter().filter(|delivery| delivery.again).count();
        service.counters.add(|counts| {
            counts.messages_out += taken.len() as u64;
            counts.messages_again += again as u64;
        });
        let number = self.subscription.number;
        let sent = taken.into_iter();
        sent.map(|delivery| received(number, delivery, counts_attempts))
            .collect()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.subscription.backlog().detach(self.reader);
    }
}

fn received(number: u64, delivery: Delivery, counts_attempts: bool) -> ReceivedMessage {
    let ack_id = AckId {
        subscription: number,
        ticket: delivery.ticket,
    };
    let attempt = i32::try_from(delivery.attempt).unwrap_or(i32::MAX);
    ReceivedMessage {
        ack_id: ack_id.to_string(),
        message: delivery.message.encoded.clone(),
        delivery_attempt: if counts_attempts { attempt } else { 0 },
    }
}

/// Waits for messages, not long, and may give none.
///
/// # Errors
/// NOT_FOUND; FAILED_PRECONDITION where it is detached; INVALID_ARGUMENT for a number of messages that can't be asked for.
pub(super) async fn pull(
    service: Arc<Service>,
    request: PullRequest,
) -> Result<PullResponse, Status> {
    let subscription = subscription::of(&service, &request.subscription)?;
    if !(1..=limits::PULL_MESSAGES).contains(&request.max_messages) {
        return Err(Status::invalid_argument(format!(
            "max_messages has to be 1 to {}, and is {}.",
            limits::PULL_MESSAGES,
            request.max_messages
        )));
    }
    let most = request.max_messages.unsigned_abs() as usize;
    let seconds = subscription.config().ack_deadline_seconds.unsigned_abs();
    let deadline = service.seconds(seconds);
    let attached = Attached::new(&service, Arc::clone(&subscription), None, Flow::default());
    #[allow(deprecated)] // clients still send it
    let wait = match request.return_immediately {
        true => Duration::ZERO,
        false => PULL,
    };
    let given_up = tokio::time::sleep(wait);
    tokio::pin!(given_up);
    loop {
        subscription.check_open()?;
        let received_messages = attached.take(&service, most, RESPONSE_BYTES, deadline);
        if !received_messages.is_empty() {
            return Ok(PullResponse { received_messages });
        }
        tokio::select! {
            () = attached.wake.notified() => {}
            () = &mut given_up => return Ok(PullResponse::default()),
        }
    }
}

/// Acknowledges deliveries. With exactly-once delivery an Ok says that all of them hold.
///
/// # Errors
/// NOT_FOUND; INVALID_ARGUMENT for a malformed id or too many; with exactly-once delivery FAILED_PRECONDITION that names what
/// does not hold: the rest does.
pub(super) fn acknowledge(service: &Service, request: AcknowledgeRequest) -> Result<(), Status> {
    let subscription = subscription::of(service, &request.subscription)?;
    check_size(&request.ack_ids)?;
    let confirmed = subscription.ack(service, request.ack_ids)?;
    confirm(&subscription, &confirmed)
}

/// Gives deliveries more time, or nacks them.
///
/// # Errors
/// As [`acknowledge`]; INVALID_ARGUMENT for a deadline that can't be.
pub(super) fn modify_ack_deadline(
    service: &Service,
    request: ModifyAckDeadlineRequest,
) -> Result<(), Status> {
    let subscription = subscription::of(service, &request.subscription)?;
    check_size(&request.ack_ids)?;
    let seconds = seconds(request.ack_deadline_seconds)?;
    let confirmed = subscription.modify(service, request.ack_ids, seconds)?;
    confirm(&subscription, &confirmed)
}

fn confirm(subscription: &Subscription, confirmed: &Confirmed) -> Result<(), Status> {
    if confirmed.hold() || !subscription.is_exactly_once() {
        return Ok(());
    }
    Err(status::not_confirmed(confirmed))
}

/// A new deadline for a delivery, 0 for a nack. Source: reference of the API, ModifyAckDeadlineRequest (2026-11).
pub(super) fn seconds(seconds: i32) -> Result<u32, Status> {
    match u32::try_from(seconds) {
        Ok(seconds) if seconds <= limits::DEADLINES.end().unsigned_abs() => Ok(seconds),
        _ => Err(Status::invalid_argument(format!(
            "An ack deadline can't be {seconds} s: it has to be 0 to {}.",
            limits::DEADLINES.end()
        ))),
    }
}

/// # Errors
/// INVALID_ARGUMENT for none, and for more than a request takes.
pub(super) fn check_size(ids: &[String]) -> Result<(), Status> {
    if ids.is_empty() {
        return Err(Status::invalid_argument(
            "The request has no ack ids: it has to have one.",
        ));
    }
    let bytes = ids.len() * limits::ACK_ID_BYTES;
    if bytes > limits::ACK_BYTES {
        return Err(Status::invalid_argument(format!(
            "Request payload size exceeds the limit: {} bytes. {} ack ids of the service's have more.",
            limits::ACK_BYTES,
            ids.len()
        )));
    }
    Ok(())
}
