//! Exactly-once delivery: acknowledgements that are confirmed, and those that are not.

use std::collections::HashMap;
use std::time::Duration;

use anyhub_local::PubSub;
use anyhub_local::pubsub::{Fault, Faults, Rate};
use google_cloud_pubsub::subscriber::handler::Handler;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{StreamingPullRequest, Subscription};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::client::{begin_with, next, publish, publisher, subscribe};
use super::raw::{self, first, ids, texts, until_expired};

fn exactly_once(config: Subscription) -> Subscription {
    Subscription {
        enable_exactly_once_delivery: true,
        ..config
    }
}

/// What an error says about ack ids.
fn failures(status: &Status) -> HashMap<String, String> {
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    status.get_details_error_info().unwrap().metadata
}

#[tokio::test]
async fn to_the_sdk_an_ack_is_confirmed_or_fails() {
    let pubsub = PubSub::builder().start().unwrap();
    let pubsub = begin_with(pubsub, |config| {
        config.set_enable_exactly_once_delivery(true)
    })
    .await;
    let publisher = publisher(&pubsub).await;
    publish(&publisher, "k", &["1", "2"]).await;
    let mut stream = subscribe(&pubsub).await;
    let (text, handler) = next(&mut stream).await;
    let Handler::ExactlyOnce(handler) = handler else {
        panic!("the stream says that it is exactly-once");
    };
    assert_eq!(text, "1");
    handler.confirmed_ack().await.unwrap();
    assert_eq!(pubsub.counts().acked, 1);
    let (_, handler) = next(&mut stream).await;
    let Handler::ExactlyOnce(handler) = handler else {
        panic!("the stream says that it is exactly-once");
    };
    let late = Faults::none().expired_acks(Rate::next(1));
    pubsub.set_faults(late).unwrap();
    assert!(handler.confirmed_ack().await.is_err());
    let (text, handler) = next(&mut stream).await;
    let Handler::ExactlyOnce(handler) = handler else {
        panic!("the stream says that it is exactly-once");
    };
    assert_eq!(text, "2");
    handler.confirmed_ack().await.unwrap();
    assert_eq!((pubsub.counts().acked, pubsub.outstanding()), (2, 0));
}

#[tokio::test]
async fn what_does_not_hold_is_named_and_the_rest_holds() {
    let second = Duration::from_millis(50);
    let pubsub = PubSub::builder().second(second).start().unwrap();
    let mut raw = raw::begin(&pubsub, exactly_once).await;
    raw.publish_texts("k", &["1", "2", "3"]).await;
    let taken = ids(&raw.pull().await);
    let refused = raw.ack(vec![taken[0].clone(), taken[2].clone()]).await;
    let failed = failures(&refused.unwrap_err());
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[&taken[2]], "TRANSIENT_FAILURE_UNORDERED_ACK_ID");
    // Tried again, as it was transient, it holds.
    raw.ack(taken[1..].to_vec()).await.unwrap();
    assert_eq!(pubsub.counts().acked, 3);

    raw.publish_texts("k", &["4"]).await;
    let taken = ids(&raw.pull().await);
    until_expired(&pubsub, 1).await;
    for refused in [
        raw.ack(taken.clone()).await,
        raw.modify(taken.clone(), 10).await,
        raw.modify(taken.clone(), 0).await,
    ] {
        let failed = failures(&refused.unwrap_err());
        assert_eq!(failed[&taken[0]], "PERMANENT_FAILURE_INVALID_ACK_ID");
    }
    let again = raw.pull().await;
    assert_eq!(texts(&again), ["4"]);
    raw.ack(ids(&again)).await.unwrap();
    assert_eq!(pubsub.outstanding(), 0);
}

#[tokio::test]
async fn on_a_stream_they_are_confirmed_in_a_response() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, exactly_once).await;
    raw.publish_texts("k", &["1", "2"]).await;
    let mut stream = raw.stream(first());
    let response = stream.response().await.unwrap().unwrap();
    let properties = response.subscription_properties.unwrap();
    assert!(properties.exactly_once_delivery_enabled && properties.message_ordering_enabled);
    let taken = ids(&response.received_messages);
    let request = StreamingPullRequest {
        ack_ids: vec![taken[1].clone()],
        modify_deadline_ack_ids: taken.clone(),
        modify_deadline_seconds: vec![20, 30],
        ..StreamingPullRequest::default()
    };
    stream.requests.send(request).await.unwrap();
    let response = stream.response().await.unwrap().unwrap();
    // Clients take what is left out for false.
    assert_eq!(response.subscription_properties, Some(properties));
    let acked = response.acknowledge_confirmation.unwrap();
    assert_eq!(acked.unordered_ack_ids, taken[1..]);
    let extended = response.modify_ack_deadline_confirmation.unwrap();
    assert_eq!(extended.ack_ids, taken);
}

#[tokio::test]
async fn it_is_never_delivered_twice_without_a_reason() {
    let faults = Faults::none().duplicates(Rate::share(1.0));
    let pubsub = PubSub::builder().faults(faults).start().unwrap();
    let mut raw = raw::begin(&pubsub, exactly_once).await;
    raw.publish_texts("k", &["1"]).await;
    let taken = raw.pull().await;
    assert_eq!(raw.pull_now().await.unwrap(), []);
    raw.ack(ids(&taken)).await.unwrap();
    assert_eq!(pubsub.counts().messages_out, 1);
}

#[tokio::test]
async fn a_deadline_that_is_not_changed_says_that_it_may_be_tried_again() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, exactly_once).await;
    raw.publish_texts("k", &["1", "2"]).await;
    let taken = ids(&raw.pull().await);
    let faults = Faults::none().failing_deadlines(Rate::next(1));
    pubsub.set_faults(faults.clone()).unwrap();
    let refused = raw.modify(taken.clone(), 0).await.unwrap_err();
    let failed = failures(&refused);
    assert_eq!(failed.len(), 1);
    let failure = &failed[&taken[0]];
    assert!(failure.starts_with("TRANSIENT_FAILURE_"), "{failure}");
    // It is as if it had not been asked for: the first one can still be acknowledged.
    assert_eq!((pubsub.counts().nacked, pubsub.outstanding()), (1, 1));
    raw.ack(taken[..1].to_vec()).await.unwrap();
    assert_eq!(pubsub.counts().strikes(Fault::FailingDeadline).times, 1);

    let mut stream = raw.stream(first());
    let taken = ids(&stream.messages(1).await);
    pubsub.set_faults(faults.clone()).unwrap();
    let request = StreamingPullRequest {
        modify_deadline_ack_ids: taken.clone(),
        modify_deadline_seconds: vec![20],
        ..StreamingPullRequest::default()
    };
    stream.requests.send(request).await.unwrap();
    let response = stream.response().await.unwrap().unwrap();
    let changed = response.modify_ack_deadline_confirmation.unwrap();
    assert_eq!(changed.temporary_failed_ack_ids, taken);
    assert_eq!(pubsub.counts().strikes(Fault::FailingDeadline).times, 2);
}

/// Where nothing is confirmed, nothing would be told either.
#[tokio::test]
async fn without_it_deadlines_do_not_fail() {
    let faults = Faults::none().failing_deadlines(Rate::share(1.0));
    let pubsub = PubSub::builder().faults(faults).start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    raw.publish_texts("k", &["1"]).await;
    let taken = ids(&raw.pull().await);
    raw.modify(taken, 0).await.unwrap();
    assert_eq!(pubsub.counts().nacked, 1);
}
