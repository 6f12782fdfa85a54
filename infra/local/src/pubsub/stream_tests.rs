//! When a stream ends on which little is said, and when it gives nothing.
#![allow(clippy::unwrap_used)]

use std::time::SystemTime;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::*;
use crate::pubsub::faults::{Dice, Faults};
use crate::pubsub::limits::STREAM_RATE;
use crate::pubsub::message::Message;
use crate::pubsub::service::Terms;

const NEARLY: Duration = Duration::from_secs(80);

/// A stream that gives nothing, and what wakes it.
fn outgoing(second: Duration, limits: bool) -> (Outgoing, mpsc::Sender<Item>, Arc<Notify>) {
    let terms = Terms {
        seed: 1,
        limits,
        second,
        stream: Duration::from_secs(3_600),
        retained_bytes: 0,
        backlog_bytes: 0,
    };
    let service = Arc::new(Service::new(terms, Dice::new(Faults::none(), 1)));
    let subscription = Subscription::new(v1::Subscription::default(), &service);
    let attached = Attached::new(&service, Arc::new(subscription), None, Flow::default());
    let (replies, to_send) = mpsc::channel(REPLIES);
    let heard = Arc::new(Notify::new());
    let idle = service.seconds(IDLE);
    let outgoing = Outgoing {
        _open: service.counters.open(|counts| &mut counts.open_streams),
        ended: attached.subscription.ended(),
        ends: Instant::now() + service.terms.stream,
        idle,
        silent: Instant::now() + idle,
        heard: Arc::clone(&heard),
        rate: Bucket::new(STREAM_RATE, std::time::Instant::now()),
        incoming: tokio::spawn(async {}),
        service,
        attached,
        deadline: Arc::default(),
        to_send,
        reset: Arc::default(),
        over: false,
    };
    (outgoing, replies, heard)
}

/// Waits until it ends; how long that took.
async fn end(mut outgoing: Outgoing) -> Duration {
    let start = Instant::now();
    let error = outgoing.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(outgoing.next().await.is_none());
    // Timers are good for a millisecond.
    Duration::from_millis(10) * u32::try_from(start.elapsed().as_millis() / 10).unwrap()
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_said_ends_it_after_ninety_seconds() {
    let (stream, _replies, _) = outgoing(Duration::from_secs(1), false);
    assert_eq!(end(stream).await, Duration::from_secs(90));
    let (stream, _replies, _) = outgoing(Duration::from_millis(10), false);
    assert_eq!(end(stream).await, Duration::from_millis(900));
}

#[tokio::test(start_paused = true)]
async fn what_is_heard_and_what_is_said_keep_it() {
    let (mut stream, replies, heard) = outgoing(Duration::from_secs(1), false);
    for _ in 0..5 {
        tokio::select! {
            item = stream.next() => panic!("{item:?}"),
            () = sleep(NEARLY) => heard.notify_one(),
        }
    }
    for _ in 0..5 {
        tokio::select! {
            item = stream.next() => panic!("{item:?}"),
            () = sleep(NEARLY) => {
                replies.send(Ok(StreamingPullResponse::default())).await.unwrap();
            }
        }
        stream.next().await.unwrap().unwrap();
    }
    assert_eq!(end(stream).await, Duration::from_secs(90));
}

#[tokio::test(start_paused = true)]
async fn with_limits_it_gives_nothing_once_it_gave_too_much() {
    for limits in [false, true] {
        let (mut stream, _replies, _) = outgoing(Duration::from_secs(1), limits);
        // Hours' worth, on a clock that this test does not move.
        stream.rate.take(100_000 * STREAM_RATE);
        let message = v1::PubsubMessage::default();
        let message = Arc::new(Message::new(1, SystemTime::now(), message));
        stream.attached.subscription.backlog().push(&message);
        tokio::select! {
            biased;
            item = stream.next() => {
                let given = item.unwrap().unwrap().received_messages.len();
                assert_eq!((given, limits), (1, false));
            }
            () = sleep(NEARLY) => assert!(limits),
        }
    }
}
