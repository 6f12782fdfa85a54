//! The stream that messages come by, opened anew whenever it ends.

use crate::{
    api::{Pulled, of_subscription, subscriber},
    client::Pause,
    error::{Failure, HUB, failed},
    shared::Shared,
};
use anyhub_core::{Error, ErrorKind, driver::Outage};
use futures_util::{Stream, StreamExt, stream};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1 as pb;
use std::{
    pin::pin,
    sync::Arc,
    time::{self, Duration},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, Interval, interval_at, sleep, timeout},
};
use tonic::Status;

/// A stream of which the service hears nothing for so long is closed there; and what we send, it answers, since we
/// say that we understand that (`protocol_version` 1). As the SDK does.
const KEEPALIVE: Duration = Duration::from_secs(30);
const PROTOCOL: i64 = 1;
/// Silence after which a stream is taken for dead.
const SILENCE: Duration = Duration::from_secs(75);
/// How often it is looked whether there is room again: what is held is counted anew each time.
const LOOK: Duration = Duration::from_millis(500);
/// At a stop, what is under way is still taken in, to be given back: until there is nothing for so long, or at most
/// for as long.
const QUIET: Duration = Duration::from_millis(30);
const REST: Duration = Duration::from_secs(1);

/// A stream that is read, by a task of its own.
#[derive(Debug)]
pub(crate) struct Reader {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Reader {
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let shared = shared.clone();
        let task = tokio::spawn(async move {
            shared.fails_with("reader", run(&shared, stopped)).await;
        });
        Self { stop, task }
    }

    /// Ends, and reads nothing more.
    pub(crate) async fn abandon(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Reads what is under way, and ends.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

/// Until it is stopped, or can't go on.
async fn run(shared: &Shared, mut stopped: watch::Receiver<bool>) {
    let mut pause = Pause::new();
    let mut health = Health::new(&shared.subscription.name);
    loop {
        while !has_room(shared) {
            tokio::select! {
                () = sleep(LOOK) => {}
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
        }
        health.gave = false;
        let ended = one(shared, &mut stopped, &mut health).await;
        let Err(failure) = ended else { return };
        if !failure.passing {
            tokio::select! {
                error = reason(shared, failure.error) => shared.fail(error),
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
            return;
        }
        health.failed(&failure.error);
        if health.gave {
            pause = Pause::new();
        }
        let wait = pause.next();
        tracing::debug!(error = %failure.error, ?wait, "the stream has ended and is opened again");
        tokio::select! {
            () = sleep(wait) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// Whether a stream may begin: those that have ended left what they gave, and a new one would give as much again. What was
/// nacked is forgotten first: while there is no stream, none of it is under way.
fn has_room(shared: &Shared) -> bool {
    let (mut keys, bounds) = (shared.keys(), shared.bounds());
    if keys.is_overfull(bounds) {
        keys.forget_nacked();
    }
    !keys.is_overfull(bounds)
}

/// Why a stream can't go on. Where the subscription can't be read as it is, it says so better than its stream.
async fn reason(shared: &Shared, error: Error) -> Error {
    if error.kind() != ErrorKind::Invalid {
        return error;
    }
    let (line, subscription) = (&shared.line, &shared.subscription);
    match line
        .look_at_subscription("receive", &subscription.name)
        .await
    {
        Ok(Some(found)) => subscription.check(&found, "receive").err().unwrap_or(error),
        _ => error,
    }
}

/// How streams have fared.
struct Health {
    name: Arc<str>,
    outage: Outage,
    /// Whether the last one gave messages.
    gave: bool,
}

impl Health {
    fn new(subscription: &str) -> Self {
        Self {
            name: subscription.into(),
            outage: Outage::default(),
            gave: false,
        }
    }

    fn failed(&mut self, error: &Error) {
        if let Some(lasts) = self.outage.failed(&self.name, now()) {
            tracing::warn!(
                hub = HUB,
                subscription = %self.name,
                seconds = lasts.as_secs(),
                %error,
                "nothing can be read; tried again until it can"
            );
        }
    }

    fn answered(&mut self) {
        let lasted = self.outage.answered(&self.name, now());
        self.tell_over(lasted);
    }

    /// The stream is open, and the service may have nothing to say.
    fn opened(&mut self) {
        self.outage.opened(&self.name, now());
    }

    fn held(&mut self) {
        let lasted = self.outage.held(now());
        self.tell_over(lasted);
    }

    fn tell_over(&self, lasted: Option<Duration>) {
        if let Some(lasted) = lasted {
            let seconds = lasted.as_secs();
            tracing::info!(hub = HUB, subscription = %self.name, seconds, "events are read again");
        }
    }
}

fn now() -> time::Instant {
    Instant::now().into_std()
}

/// What shows the service that we are there, and whether it is.
struct Pulse {
    requests: mpsc::Sender<pb::StreamingPullRequest>,
    next: Interval,
    heard: Instant,
}

impl Pulse {
    fn new(requests: mpsc::Sender<pb::StreamingPullRequest>) -> Self {
        let now = Instant::now();
        Self {
            requests,
            next: interval_at(now + KEEPALIVE, KEEPALIVE),
            heard: now,
        }
    }

    fn hear(&mut self) {
        self.heard = Instant::now();
    }

    /// The next sign of life. Err where there was none of the service for too long.
    async fn beat(&mut self) -> Result<(), Status> {
        self.next.tick().await;
        if self.heard.elapsed() > SILENCE {
            return Err(Status::unavailable("nothing was heard on the stream"));
        }
        // Where the last one has not gone out yet, one more says nothing.
        let _ = self.requests.try_send(pb::StreamingPullRequest::default());
        Ok(())
    }
}

/// One stream, until it was stopped. Err once it has ended.
async fn one(
    shared: &Shared,
    stopped: &mut watch::Receiver<bool>,
    health: &mut Health,
) -> Result<(), Failure> {
    let name = &shared.subscription.name;
    shared.keys().begin_stream();
    let (requests, to_send) = mpsc::channel(1);
    let first = first(shared);
    let messages = stream::unfold((Some(first), to_send), |(first, mut to_send)| async move {
        match first {
            Some(first) => Some((first, (None, to_send))),
            None => Some((to_send.recv().await?, (None, to_send))),
        }
    });
    let about = of_subscription("receive", name);
    let open = async {
        let request = shared.line.request(about, messages).await?;
        let mut client = subscriber(shared.line.channel());
        let opened: Result<Pulled, _> = client.streaming_pull(request).await;
        opened.map_err(|status| failed("receive", name, status))
    };
    let mut pulse = Pulse::new(requests);
    let Some(opened) = opened(open, &mut pulse, name, stopped).await? else {
        return Ok(());
    };
    let mut incoming = opened.into_inner();
    read(shared, &mut incoming, &mut pulse, health, stopped).await?;
    // Closed on our side: nothing more should come but what is under way.
    drop(pulse);
    let _ = timeout(REST, rest(shared, &mut incoming)).await;
    Ok(())
}

/// What opens, or None: it was stopped before. The service may answer only when it has something to say: meanwhile it
/// hears of us.
async fn opened<T>(
    open: impl Future<Output = Result<T, Failure>>,
    pulse: &mut Pulse,
    name: &str,
    stopped: &mut watch::Receiver<bool>,
) -> Result<Option<T>, Failure> {
    let mut open = pin!(open);
    loop {
        tokio::select! {
            opened = &mut open => return opened.map(Some),
            alive = pulse.beat() => alive.map_err(|silent| failed("receive", name, silent))?,
            _ = stopped.wait_for(|stopped| *stopped) => return Ok(None),
        }
    }
}

/// Takes in what comes until it is stopped. Err once it has ended.
async fn read(
    shared: &Shared,
    incoming: &mut (impl Stream<Item = Result<pb::StreamingPullResponse, Status>> + Unpin),
    pulse: &mut Pulse,
    health: &mut Health,
    stopped: &mut watch::Receiver<bool>,
) -> Result<(), Failure> {
    health.opened();
    pulse.hear();
    let over = || Err(Status::unavailable("the stream has ended"));
    let ended = loop {
        tokio::select! {
            message = incoming.next() => match message.unwrap_or_else(over) {
                Ok(response) => {
                    pulse.hear();
                    health.answered();
                    health.gave |= !response.received_messages.is_empty();
                    shared.put(response.received_messages);
                }
                Err(status) => break status,
            },
            alive = pulse.beat() => match alive {
                Ok(()) => health.held(),
                Err(silent) => break silent,
            },
            _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
        }
    };
    Err(failed("receive", &shared.subscription.name, ended))
}

async fn rest(
    shared: &Shared,
    incoming: &mut (impl Stream<Item = Result<pb::StreamingPullResponse, Status>> + Unpin),
) {
    while let Ok(Some(Ok(response))) = timeout(QUIET, incoming.next()).await {
        shared.put(response.received_messages);
    }
}

fn first(shared: &Shared) -> pb::StreamingPullRequest {
    let bound = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    let bounds = shared.bounds();
    pb::StreamingPullRequest {
        subscription: shared.subscription.name.clone(),
        stream_ack_deadline_seconds: shared.subscription.seconds(),
        client_id: shared.next_client_id(),
        max_outstanding_messages: bound(bounds.events),
        max_outstanding_bytes: bound(bounds.bytes),
        protocol_version: PROTOCOL,
        ..pb::StreamingPullRequest::default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "stream_tests.rs"]
mod tests;
