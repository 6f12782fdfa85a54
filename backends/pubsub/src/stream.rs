//! The stream that messages come by, opened anew whenever it ends.

use crate::{
    api::{Pulled, of_subscription, subscriber},
    client::Pause,
    error::{Failure, HUB, failed},
    keys::Message,
    message::decode,
    shared::Shared,
};
use anyhub_core::{Error, driver::Outage};
use futures_util::stream;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1 as pb;
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{interval, sleep, timeout},
};
use tonic::Streaming;

/// A stream of which the service hears nothing for so long is closed there; and what we send, it answers, since we
/// say that we understand that (`protocol_version` 1). As the SDK does.
const KEEPALIVE: Duration = Duration::from_secs(30);
const PROTOCOL: i64 = 1;
/// Silence after which a stream is taken for dead.
const SILENCE: Duration = Duration::from_secs(75);
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

    /// Reads what is under way, and ends.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

/// Until it is stopped, or can't go on.
async fn run(shared: &Shared, mut stopped: watch::Receiver<bool>) {
    let mut pause = Pause::new();
    let mut health = Health {
        name: shared.subscription.name.as_str().into(),
        outage: Outage::default(),
        gave: false,
    };
    loop {
        health.gave = false;
        let ended = one(shared, &mut stopped, &mut health).await;
        let Some(failure) = ended else { return };
        if !failure.passing {
            shared.fail(failure.error);
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

/// How streams have fared.
struct Health {
    name: Arc<str>,
    outage: Outage,
    /// Whether the last one gave messages.
    gave: bool,
}

impl Health {
    fn failed(&mut self, error: &Error) {
        if let Some(lasts) = self.outage.failed(&self.name, Instant::now()) {
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
        if let Some(lasted) = self.outage.answered(&self.name, Instant::now()) {
            let seconds = lasted.as_secs();
            tracing::info!(hub = HUB, subscription = %self.name, seconds, "events are read again");
        }
    }
}

/// One stream, until it ends, or None: until it was stopped.
async fn one(
    shared: &Shared,
    stopped: &mut watch::Receiver<bool>,
    health: &mut Health,
) -> Option<Failure> {
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
    let mut alive = interval(KEEPALIVE);
    alive.tick().await;
    // The service may answer only when it has something to say: meanwhile it hears of us.
    let mut open = pin!(open);
    let mut incoming = loop {
        tokio::select! {
            opened = &mut open => match opened {
                Ok(opened) => break opened.into_inner(),
                Err(failure) => return Some(failure),
            },
            _ = alive.tick() => keep_alive(&requests),
            _ = stopped.wait_for(|stopped| *stopped) => return None,
        }
    };
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            message = incoming.message() => match message {
                Ok(Some(response)) => {
                    heard = Instant::now();
                    health.answered();
                    health.gave |= !response.received_messages.is_empty();
                    take_in(shared, response);
                }
                Ok(None) => return Some(failed("receive", name, over())),
                Err(status) => return Some(failed("receive", name, status)),
            },
            _ = alive.tick() => {
                if heard.elapsed() > SILENCE {
                    return Some(failed("receive", name, silent()));
                }
                keep_alive(&requests);
            }
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
    }
    // Closed on our side: nothing more should come but what is under way.
    drop(requests);
    let _ = timeout(REST, rest(shared, &mut incoming)).await;
    None
}

async fn rest(shared: &Shared, incoming: &mut Streaming<pb::StreamingPullResponse>) {
    while let Ok(Ok(Some(response))) = timeout(QUIET, incoming.message()).await {
        take_in(shared, response);
    }
}

fn keep_alive(requests: &mpsc::Sender<pb::StreamingPullRequest>) {
    // Where the last one has not gone out yet, one more says nothing.
    let _ = requests.try_send(pb::StreamingPullRequest::default());
}

fn first(shared: &Shared) -> pb::StreamingPullRequest {
    let bound = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    let bounds = shared.bounds();
    pb::StreamingPullRequest {
        subscription: shared.subscription.name.clone(),
        stream_ack_deadline_seconds: shared.subscription.seconds(),
        client_id: shared.client_id(),
        max_outstanding_messages: bound(bounds.events),
        max_outstanding_bytes: bound(bounds.bytes),
        protocol_version: PROTOCOL,
        ..pb::StreamingPullRequest::default()
    }
}

fn take_in(shared: &Shared, response: pb::StreamingPullResponse) {
    if response.received_messages.is_empty() {
        return;
    }
    let now = Instant::now();
    let mut bytes = 0;
    let messages = response.received_messages.into_iter();
    let messages: Vec<_> = messages
        .filter_map(|received| {
            let (id, at, arrived) = decode(received.message?);
            bytes += arrived.event.size();
            let ack_id = received.ack_id;
            Some(Message {
                id,
                at,
                ack_id,
                arrived,
            })
        })
        .collect();
    shared.line.counters().delivered(messages.len(), bytes);
    {
        let mut keys = shared.keys();
        for message in messages {
            keys.arrive(message, now);
        }
        if keys.next_due().is_some() {
            shared.asked.notify_one();
        }
    }
    shared.arrived.notify_one();
}

fn over() -> tonic::Status {
    tonic::Status::unavailable("the stream has ended")
}

fn silent() -> tonic::Status {
    tonic::Status::unavailable("nothing was heard on the stream")
}
