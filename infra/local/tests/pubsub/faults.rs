//! What goes wrong on request: what a peer sees of it, what was written, and what is counted.

use std::time::Duration;

use anyhub_local::PubSub;
use anyhub_local::pubsub::{Fault, Faults, Rate};
use serde_json::json;
use tonic::Code;

use super::client::{self, TOPIC, begin_with, next, publish, publisher, subscribe, until};
use super::raw::{self, first, ids, message, texts};

/// How often a fault struck, with how many messages in flight, and how many of them unanswered.
fn struck(pubsub: &PubSub, fault: Fault) -> (u64, u64, u64) {
    let strikes = pubsub.counts().strikes(fault);
    assert_eq!(strikes.times, strikes.times_in_flight);
    (
        strikes.times,
        strikes.messages_in_flight,
        strikes.messages_unanswered,
    )
}

/// As tonic tells a stream that was reset; other clients say INTERNAL.
fn is_reset(error: &tonic::Status) -> bool {
    error.code() == Code::Unknown && format!("{error:?}").contains("INTERNAL_ERROR")
}

fn three() -> Vec<googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage> {
    ["1", "2", "3"].map(|text| message("k", text)).into()
}

#[tokio::test]
async fn requests_are_refused_before_anything_is_written() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let next = Rate::next(1);
    for (fault, faults, code) in [
        (
            Fault::Unavailable,
            Faults::none().unavailable("Publish", next),
            Code::Unavailable,
        ),
        (
            Fault::ResourceExhausted,
            Faults::none().resource_exhausted("Publish", next),
            Code::ResourceExhausted,
        ),
    ] {
        pubsub.set_faults(faults).unwrap();
        let before = pubsub.counts().messages_in;
        assert_eq!(raw.publish(three()).await.unwrap_err().code(), code);
        assert_eq!(pubsub.counts().messages_in, before);
        assert_eq!(struck(&pubsub, fault), (1, 3, 0));
        raw.publish(three()).await.unwrap();
    }
    let faults = Faults::none().unavailable("StreamingPull", next);
    pubsub.set_faults(faults).unwrap();
    let refused = raw.stream(first()).response().await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(pubsub.counts().messages_unanswered(), 0);
}

#[tokio::test]
async fn a_lost_answer_is_written_and_its_stream_is_reset() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let faults = Faults::none().lost_answers(Rate::next(1));
    pubsub.set_faults(faults.clone()).unwrap();
    let error = raw.publish(three()).await.unwrap_err();
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(struck(&pubsub, Fault::LostAnswer), (1, 3, 3));
    assert_eq!(pubsub.counts().messages_unanswered(), 3);
    // The connection goes on.
    assert_eq!(pubsub.counts().connections, 1);
    raw.publish(three()).await.unwrap();
    assert_eq!(texts(&raw.pull().await), ["1", "2", "3", "1", "2", "3"]);
    // Over HTTP/1.1 the answer ends early.
    pubsub.set_faults(faults).unwrap();
    let body = json!({ "messages": [{ "data": "eA==" }] });
    let publish = format!("{TOPIC}:publish");
    let asked = std::panic::catch_unwind(|| raw::json(&pubsub, "POST", &publish, body));
    assert!(asked.is_err());
    assert_eq!(struck(&pubsub, Fault::LostAnswer), (2, 4, 4));
}

#[tokio::test]
async fn to_the_sdk_a_lost_answer_is_published_again() {
    let pubsub = client::begin().await;
    let publisher = publisher(&pubsub).await;
    let faults = Faults::none().lost_answers(Rate::next(1));
    pubsub.set_faults(faults).unwrap();
    publish(&publisher, "k", &["1"]).await;
    assert_eq!(pubsub.counts().messages_in, 2);
    assert_eq!(pubsub.counts().messages_unanswered(), 1);
}

#[tokio::test]
async fn a_slow_answer_comes_after_what_was_asked_for_is_done() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let delay = Duration::from_secs(3_600);
    let faults = Faults::none().slow_answers("Publish", Rate::next(1), delay);
    pubsub.set_faults(faults).unwrap();
    let mut other = raw::connect(&pubsub).await;
    tokio::select! {
        published = raw.publish(three()) => panic!("{published:?}"),
        received = other.pull() => assert_eq!(texts(&received), ["1", "2", "3"]),
    }
    assert_eq!(struck(&pubsub, Fault::SlowAnswer), (1, 3, 0));
}

#[tokio::test]
async fn a_reset_stream_loses_what_was_on_its_way_until_its_deadline() {
    let second = Duration::from_millis(20);
    let pubsub = PubSub::builder().second(second).start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let mut stream = raw.stream(first());
    stream.ping().await;
    let faults = Faults::none().stream_resets(Rate::next(1));
    pubsub.set_faults(faults).unwrap();
    raw.publish(three()).await.unwrap();
    let error = stream.response().await.unwrap_err();
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(struck(&pubsub, Fault::StreamReset), (1, 3, 0));
    let mut again = raw.stream(first());
    assert_eq!(texts(&again.messages(3).await), ["1", "2", "3"]);
    assert_eq!(pubsub.counts().expired, 3);
    assert_eq!(pubsub.counts().messages_again, 3);
}

#[tokio::test]
async fn to_the_sdk_resets_lose_nothing_and_keep_the_order() {
    let second = Duration::from_millis(100);
    let pubsub = PubSub::builder().second(second).start().unwrap();
    let pubsub = begin_with(pubsub, |config| config).await;
    let publisher = publisher(&pubsub).await;
    let faults = Faults::none().stream_resets(Rate::next(3));
    pubsub.set_faults(faults).unwrap();
    let mut stream = subscribe(&pubsub).await;
    for n in 0..20 {
        publish(&publisher, "k", &[&n.to_string()]).await;
    }
    let mut due = 0;
    while due < 20 {
        let (text, handler) = next(&mut stream).await;
        let n: u32 = text.parse().unwrap();
        assert!(n <= due, "{n} came where {due} was due");
        due = due.max(n + 1);
        handler.ack();
    }
    assert_eq!(pubsub.counts().strikes(Fault::StreamReset).times, 3);
}

#[tokio::test]
async fn a_duplicate_comes_again_with_what_is_after_it() {
    let faults = Faults::none().duplicates(Rate::next(1));
    let pubsub = PubSub::builder().faults(faults).start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    raw.publish(three()).await.unwrap();
    let taken = raw.pull().await;
    assert_eq!(struck(&pubsub, Fault::Duplicate), (1, 1, 0));
    assert_eq!(texts(&taken), ["1", "2", "3"]);
    // The first delivery counts no more.
    raw.ack(ids(&taken)).await.unwrap();
    assert_eq!(pubsub.counts().acked, 0);
    let again = raw.pull().await;
    assert_eq!(texts(&again), ["1", "2", "3"]);
    raw.ack(ids(&again)).await.unwrap();
    assert_eq!(
        (pubsub.counts().acked, pubsub.counts().messages_again),
        (3, 3)
    );
}

#[tokio::test]
async fn an_expired_ack_does_nothing_and_the_message_comes_again() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    raw.publish(three()).await.unwrap();
    let taken = ids(&raw.pull().await);
    raw.ack(taken[..1].to_vec()).await.unwrap();
    let faults = Faults::none().expired_acks(Rate::next(1));
    pubsub.set_faults(faults).unwrap();
    raw.ack(taken[1..].to_vec()).await.unwrap();
    assert_eq!(struck(&pubsub, Fault::ExpiredAck), (1, 1, 0));
    assert_eq!((pubsub.counts().acked, pubsub.counts().late_acks), (1, 2));
    assert_eq!(texts(&raw.pull().await), ["2", "3"]);
    until(|| pubsub.outstanding() == 2).await;
}

#[test]
fn what_cannot_strike_is_refused_and_changes_nothing() {
    let pubsub = PubSub::builder().start().unwrap();
    let faults = Faults::none().lost_answers(Rate::next(1));
    pubsub.set_faults(faults.clone()).unwrap();
    let wrong = Faults::none().unavailable("Publsh", Rate::next(1));
    let error = pubsub.set_faults(wrong).unwrap_err().to_string();
    assert!(error.contains("for instance Publish"), "{error}");
    assert_eq!(pubsub.faults(), faults);
    let wrong = PubSub::builder().second(Duration::ZERO).start();
    assert!(wrong.unwrap_err().to_string().contains("up to 1 s"));
    for time in [Duration::ZERO, Duration::MAX] {
        let wrong = PubSub::builder().stream(time).start();
        assert!(wrong.unwrap_err().to_string().contains("up to a day"));
    }
}
