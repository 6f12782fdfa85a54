//! StreamingPull: messages out, acknowledgements and signs of life in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{Stream, stream};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::StreamingPullRequest;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::streaming_pull_response::{
    ModifyAckDeadlineConfirmation, SubscriptionProperties,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::backlog::Flow;
use super::counts::Counts;
use super::faults::Fault;
use super::limits::{self, Bucket};
use super::service::Service;
use super::status;
use super::subscribe::{self, Attached, RESPONSE_BYTES};
use super::subscription::{self, End, Subscription};
use super::wire::StreamingPullResponse;
use crate::in_process::Open;

/// The most messages of a response.
const MESSAGES: usize = 500;
/// Answers to what a client sent that wait to go out.
const REPLIES: usize = 16;

type Item = Result<StreamingPullResponse, Status>;

/// Opens a stream; `reset` is set when it is to be reset.
///
/// # Errors
/// NOT_FOUND; FAILED_PRECONDITION where it is detached; INVALID_ARGUMENT for a first request that can't be.
pub(super) async fn open(
    service: Arc<Service>,
    mut requests: Streaming<StreamingPullRequest>,
    reset: Arc<AtomicBool>,
) -> Result<impl Stream<Item = Item> + Send + use<>, Status> {
    let Some(first) = requests.message().await? else {
        return Err(Status::invalid_argument(
            "The stream ended before its first request.",
        ));
    };
    let subscription = subscription::of(&service, &first.subscription)?;
    let seconds = stream_deadline(first.stream_ack_deadline_seconds)?;
    let deadline = Arc::new(AtomicU32::new(seconds));
    let bound = |most: i64| usize::try_from(most).ok().filter(|most| *most > 0);
    let flow = Flow {
        messages: bound(first.max_outstanding_messages),
        bytes: bound(first.max_outstanding_bytes),
    };
    let (replies, to_send) = mpsc::channel(REPLIES);
    let mut incoming = Incoming {
        service: Arc::clone(&service),
        subscription: Arc::clone(&subscription),
        deadline: Arc::clone(&deadline),
        replies,
        keeps_alive: first.protocol_version >= 1,
    };
    incoming.acks(first).await?;
    let attached = Attached::new(&service, Arc::clone(&subscription), flow);
    let outgoing = Outgoing {
        _open: service.counters.open(|counts| &mut counts.open_streams),
        ended: subscription.ended(),
        ends: Instant::now() + service.terms.stream,
        rate: Bucket::new(limits::STREAM_RATE, std::time::Instant::now()),
        incoming: tokio::spawn(incoming.run(requests)),
        service,
        attached,
        deadline,
        to_send,
        reset,
        begun: false,
        over: false,
    };
    Ok(stream::unfold(outgoing, |mut outgoing| async move {
        Some((outgoing.next().await?, outgoing))
    }))
}

fn stream_deadline(seconds: i32) -> Result<u32, Status> {
    match limits::DEADLINES.contains(&seconds) {
        true => Ok(seconds.unsigned_abs()),
        false => Err(Status::invalid_argument(format!(
            "Invalid ack deadline given for the stream: {seconds} s; it has to be {} to {}.",
            limits::DEADLINES.start(),
            limits::DEADLINES.end()
        ))),
    }
}

/// What a client sends after its first request.
struct Incoming {
    service: Arc<Service>,
    subscription: Arc<Subscription>,
    deadline: Arc<AtomicU32>,
    replies: mpsc::Sender<Item>,
    /// Whether the client wants to hear something back for a sign of life.
    keeps_alive: bool,
}

impl Incoming {
    /// Until the client is done, or wrong.
    async fn run(mut self, mut requests: Streaming<StreamingPullRequest>) {
        while let Ok(Some(request)) = requests.message().await {
            if let Err(refused) = self.take(request).await {
                let _ = self.replies.send(Err(refused)).await;
                return;
            }
        }
    }

    async fn take(&mut self, request: StreamingPullRequest) -> Result<(), Status> {
        let again = !request.subscription.is_empty()
            || request.max_outstanding_messages != 0
            || request.max_outstanding_bytes != 0
            || request.protocol_version != 0;
        if again {
            return Err(Status::invalid_argument(
                "The subscription, the flow control and the protocol version may stand in the first request only.",
            ));
        }
        if request.stream_ack_deadline_seconds != 0 {
            let seconds = stream_deadline(request.stream_ack_deadline_seconds)?;
            self.deadline.store(seconds, Ordering::Relaxed);
        }
        if self.keeps_alive && request == StreamingPullRequest::default() {
            // Where the client doesn't read, it needs no sign either.
            let _ = self
                .replies
                .send(Ok(StreamingPullResponse::default()))
                .await;
            return Ok(());
        }
        self.acks(request).await
    }

    async fn acks(&mut self, request: StreamingPullRequest) -> Result<(), Status> {
        if request.modify_deadline_ack_ids.len() != request.modify_deadline_seconds.len() {
            return Err(Status::invalid_argument(
                "modify_deadline_ack_ids and modify_deadline_seconds have to be of one length.",
            ));
        }
        let exactly_once = self.subscription.is_exactly_once();
        let mut reply = StreamingPullResponse::default();
        if !request.ack_ids.is_empty() {
            let confirmed = self.subscription.ack(&self.service, request.ack_ids)?;
            let (done, over) = (confirmed.done, confirmed.over);
            let confirmation = status::confirmation(done, over, confirmed.unordered);
            reply.acknowledge_confirmation = exactly_once.then_some(confirmation);
        }
        let mut changed = ModifyAckDeadlineConfirmation::default();
        let ids = request.modify_deadline_ack_ids.into_iter();
        let mut changes: Vec<_> = ids.zip(request.modify_deadline_seconds).collect();
        changes.sort_by_key(|(_, seconds)| *seconds);
        for some in changes.chunk_by(|a, b| a.1 == b.1) {
            let seconds = subscribe::seconds(some[0].1)?;
            let ids = some.iter().map(|(id, _)| id.clone()).collect();
            let confirmed = self.subscription.modify(&self.service, ids, seconds)?;
            changed.ack_ids.extend(confirmed.done);
            changed.invalid_ack_ids.extend(confirmed.over);
            changed.temporary_failed_ack_ids.extend(confirmed.failed);
        }
        if exactly_once && changed != ModifyAckDeadlineConfirmation::default() {
            reply.modify_ack_deadline_confirmation = Some(changed);
        }
        if reply != StreamingPullResponse::default() {
            let _ = self.replies.send(Ok(reply)).await;
        }
        Ok(())
    }
}

/// What goes out to a client.
struct Outgoing {
    service: Arc<Service>,
    attached: Attached,
    deadline: Arc<AtomicU32>,
    to_send: mpsc::Receiver<Item>,
    ended: watch::Receiver<Option<End>>,
    /// When it is over, whatever happens.
    ends: Instant,
    rate: Bucket,
    incoming: JoinHandle<()>,
    reset: Arc<AtomicBool>,
    /// True once something went out.
    begun: bool,
    /// True once nothing more goes out.
    over: bool,
    _open: Open<Counts>,
}

impl Outgoing {
    async fn next(&mut self) -> Option<Item> {
        if self.over {
            return None;
        }
        let item = match self.begun {
            true => self.find().await,
            // The first one says what the subscription is like, and that it is there.
            false => Some(Ok(self.with_properties(StreamingPullResponse::default()))),
        };
        self.begun = true;
        self.over = !matches!(item, Some(Ok(_)));
        item
    }

    async fn find(&mut self) -> Option<Item> {
        loop {
            if let Ok(reply) = self.to_send.try_recv() {
                return Some(reply);
            }
            if let Some(end) = *self.ended.borrow_and_update() {
                return Some(Err(self.attached.subscription.why(end)));
            }
            let pause = match self.service.terms.limits {
                true => self.rate.wait(std::time::Instant::now()),
                false => Duration::ZERO,
            };
            if pause.is_zero()
                && let Some(item) = self.messages()
            {
                return Some(item);
            }
            tokio::select! {
                reply = self.to_send.recv() => return reply,
                _ = self.ended.changed() => {}
                () = tokio::time::sleep_until(self.ends) => return Some(Err(self.time_is_over())),
                () = self.attached.wake.notified() => {}
                () = tokio::time::sleep(pause), if !pause.is_zero() => {}
            }
        }
    }

    /// Source of the end and its code: Pub/Sub documentation, "Pull subscriptions", StreamingPull (2026-11): streams are always
    /// terminated with an error.
    fn time_is_over(&self) -> Status {
        self.service
            .counters
            .add(|counts| counts.ended_streams += 1);
        Status::unavailable("The service was unable to fulfill your request. Please try again.")
    }

    fn messages(&mut self) -> Option<Item> {
        if Instant::now() >= self.ends {
            return Some(Err(self.time_is_over()));
        }
        let seconds = self.deadline.load(Ordering::Relaxed);
        let deadline = self.service.seconds(seconds);
        let received_messages =
            self.attached
                .take(&self.service, MESSAGES, RESPONSE_BYTES, deadline);
        if received_messages.is_empty() {
            return None;
        }
        if self.service.dice.resets_stream() {
            let subscription = &self.attached.subscription;
            let in_flight = subscription.backlog().outstanding_at(self.attached.reader);
            self.service
                .counters
                .strike(Fault::StreamReset, in_flight, 0);
            self.reset.store(true, Ordering::Release);
            return Some(Err(Status::unavailable("by injection")));
        }
        if self.service.terms.limits {
            let bytes = received_messages.iter().map(|m| m.message.len()).sum();
            self.rate.take(bytes);
        }
        Some(Ok(self.with_properties(StreamingPullResponse {
            received_messages,
            ..StreamingPullResponse::default()
        })))
    }

    fn with_properties(&self, response: StreamingPullResponse) -> StreamingPullResponse {
        let config = self.attached.subscription.config();
        StreamingPullResponse {
            subscription_properties: Some(SubscriptionProperties {
                exactly_once_delivery_enabled: config.enable_exactly_once_delivery,
                message_ordering_enabled: config.enable_message_ordering,
            }),
            ..response
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.incoming.abort();
    }
}
