//! StreamingPull: messages out, acknowledgements and signs of life in.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::StreamingPullRequest;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::streaming_pull_response::{
    ModifyAckDeadlineConfirmation, SubscriptionProperties,
};
use rustc_hash::FxHasher;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{Notify, mpsc, watch};
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
/// Seconds after which a stream ends on which nothing was said. Source: Google's Rust client, google-cloud-pubsub 1.7,
/// subscriber/stream.rs (2026-11): about so many.
const IDLE: u32 = 90;

type Item = Result<StreamingPullResponse, Status>;

/// Opens a stream, which is there when there is something to say; `reset` is set when it is to be reset.
///
/// # Errors
/// NOT_FOUND; FAILED_PRECONDITION where it is detached; INVALID_ARGUMENT for a first request that can't be; as it would end,
/// where it ends before anything was said.
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
    let client = client(&first.client_id);
    let (replies, to_send) = mpsc::channel(REPLIES);
    let heard = Arc::new(Notify::new());
    let mut incoming = Incoming {
        service: Arc::clone(&service),
        subscription: Arc::clone(&subscription),
        deadline: Arc::clone(&deadline),
        replies,
        heard: Arc::clone(&heard),
        keeps_alive: first.protocol_version >= 1,
    };
    incoming.acks(first).await?;
    let attached = Attached::new(&service, Arc::clone(&subscription), client, flow);
    let idle = service.seconds(IDLE);
    let mut outgoing = Outgoing {
        _open: service.counters.open(|counts| &mut counts.open_streams),
        ended: subscription.ended(),
        ends: Instant::now() + service.terms.stream,
        idle,
        silent: Instant::now() + idle,
        heard,
        rate: Bucket::new(limits::STREAM_RATE, std::time::Instant::now()),
        incoming: tokio::spawn(incoming.run(requests)),
        service,
        attached,
        deadline,
        to_send,
        reset: Arc::clone(&reset),
        over: false,
    };
    // The head goes with what is said first, or says what is wrong; but for a reset, which comes after it.
    let first = match outgoing.next().await {
        Some(Err(refused)) if !reset.load(Ordering::Acquire) => return Err(refused),
        first => stream::iter(first),
    };
    let rest = stream::unfold(outgoing, |mut outgoing| async move {
        Some((outgoing.next().await?, outgoing))
    });
    Ok(first.chain(rest))
}

/// A number for a client, by its id; none for one that gives none.
fn client(id: &str) -> Option<u64> {
    (!id.is_empty()).then(|| {
        let mut hasher = FxHasher::default();
        id.hash(&mut hasher);
        hasher.finish()
    })
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
    /// Notified of each request.
    heard: Arc<Notify>,
    /// Whether the client wants to hear something back for a sign of life.
    keeps_alive: bool,
}

impl Incoming {
    /// Until the client is done, or wrong.
    async fn run(mut self, requests: Streaming<StreamingPullRequest>) {
        if let Err(refused) = self.take_all(requests).await {
            let _ = self.replies.send(Err(refused)).await;
        }
    }

    async fn take_all(
        &mut self,
        mut requests: Streaming<StreamingPullRequest>,
    ) -> Result<(), Status> {
        while let Some(request) = requests.message().await? {
            self.heard.notify_one();
            self.take(request).await?;
        }
        Ok(())
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
        let says_nothing = request.ack_ids.is_empty() && request.modify_deadline_ack_ids.is_empty();
        if self.keeps_alive && says_nothing && request.modify_deadline_seconds.is_empty() {
            // Where the client doesn't read, it needs no sign either.
            let _ = self.replies.try_send(Ok(StreamingPullResponse::default()));
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
        for ids in [&request.ack_ids, &request.modify_deadline_ack_ids] {
            if !ids.is_empty() {
                subscribe::check_size(ids)?;
            }
        }
        let exactly_once = self.subscription.is_exactly_once();
        let mut reply = StreamingPullResponse::default();
        if !request.ack_ids.is_empty() {
            let confirmed = self.subscription.ack(&self.service, request.ack_ids)?;
            reply.acknowledge_confirmation = exactly_once.then(|| status::confirmation(confirmed));
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
    /// How long nothing may be said.
    idle: Duration,
    /// When that is over.
    silent: Instant,
    /// Notified of each request.
    heard: Arc<Notify>,
    rate: Bucket,
    incoming: JoinHandle<()>,
    reset: Arc<AtomicBool>,
    /// True once nothing more goes out.
    over: bool,
    _open: Open<Counts>,
}

impl Outgoing {
    async fn next(&mut self) -> Option<Item> {
        if self.over {
            return None;
        }
        let item = self.find().await;
        self.silent = Instant::now() + self.idle;
        self.over = !matches!(item, Some(Ok(_)));
        item.map(|item| item.map(|response| self.with_properties(response)))
    }

    async fn find(&mut self) -> Option<Item> {
        loop {
            match self.to_send.try_recv() {
                Ok(reply) => return Some(reply),
                // The client is done: it gets no more.
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
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
                // What was heard counts, however late it is looked at.
                biased;
                reply = self.to_send.recv() => return reply,
                _ = self.ended.changed() => {}
                () = tokio::time::sleep_until(self.ends) => return Some(Err(self.time_is_over())),
                () = self.heard.notified() => self.silent = Instant::now() + self.idle,
                () = self.attached.wake.notified() => {}
                () = tokio::time::sleep(pause), if !pause.is_zero() => {}
                () = tokio::time::sleep_until(self.silent) => return Some(Err(self.is_idle())),
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

    fn is_idle(&self) -> Status {
        self.service.counters.add(|counts| counts.idle_streams += 1);
        Status::unavailable("Nothing was said on the stream for too long.")
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
        Some(Ok(StreamingPullResponse {
            received_messages,
            ..StreamingPullResponse::default()
        }))
    }

    /// With all that goes out: clients take what is left out for false.
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

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
