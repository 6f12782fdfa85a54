//! StreamingPull: how it begins, stays alive, is bounded, and ends.

use std::time::Duration;

use anyhub_local::PubSub;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    DeleteSubscriptionRequest, DetachSubscriptionRequest, StreamingPullRequest,
    StreamingPullResponse,
};
use http_body::Body as _;
use tonic::Code;

use super::client::{SUBSCRIPTION, begin_with, next, publish, publisher, subscribe, until};
use super::raw::{self, first, ids, texts, until_expired};

#[tokio::test]
async fn a_sign_of_life_is_answered_from_protocol_version_1_on() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let mut new = raw
        .stream(StreamingPullRequest {
            protocol_version: 1,
            ..first()
        })
        .await
        .unwrap();
    new.response().await.unwrap().unwrap();
    new.requests
        .send(StreamingPullRequest::default())
        .await
        .unwrap();
    let answer = new.response().await.unwrap().unwrap();
    assert_eq!(answer, StreamingPullResponse::default());
    drop(new);

    let mut old = raw.stream(first()).await.unwrap();
    old.response().await.unwrap().unwrap();
    old.requests
        .send(StreamingPullRequest::default())
        .await
        .unwrap();
    raw.publish_texts("k", &["x"]).await;
    // Nothing but the message.
    let answer = old.response().await.unwrap().unwrap();
    assert_eq!(texts(&answer.received_messages), ["x"]);
}

#[tokio::test]
async fn streams_end_every_so_often_and_the_sdk_opens_them_again() {
    let time = Duration::from_millis(300);
    let pubsub = PubSub::builder().stream(time).start().unwrap();
    let pubsub = begin_with(pubsub, |config| config).await;
    let publisher = publisher(&pubsub).await;
    let mut stream = subscribe(&pubsub).await;
    for round in 1..=3 {
        let text = round.to_string();
        publish(&publisher, "k", &[&text]).await;
        let (received, handler) = next(&mut stream).await;
        assert_eq!(received, text);
        handler.ack();
        until(|| pubsub.counts().acked == round && pubsub.counts().ended_streams >= round).await;
    }
    let mut raw = raw::connect(&pubsub).await;
    let mut stream = raw.stream(first()).await.unwrap();
    stream.response().await.unwrap().unwrap();
    assert_eq!(
        stream.response().await.unwrap_err().code(),
        Code::Unavailable
    );
}

#[tokio::test]
async fn a_client_that_is_done_ends_it_well() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let mut stream = raw.stream(first()).await.unwrap();
    stream.response().await.unwrap().unwrap();
    let (requests, _) = tokio::sync::mpsc::channel(1);
    stream.requests = requests;
    assert!(stream.response().await.unwrap().is_none());
    until(|| pubsub.counts().open_streams == 0).await;
}

#[tokio::test]
async fn a_subscription_that_goes_takes_its_streams_along() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let mut stream = raw.stream(first()).await.unwrap();
    stream.response().await.unwrap().unwrap();
    let request = DetachSubscriptionRequest {
        subscription: SUBSCRIPTION.into(),
    };
    raw.publisher.detach_subscription(request).await.unwrap();
    assert_eq!(
        stream.response().await.unwrap_err().code(),
        Code::FailedPrecondition
    );

    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let mut stream = raw.stream(first()).await.unwrap();
    stream.response().await.unwrap().unwrap();
    let request = DeleteSubscriptionRequest {
        subscription: SUBSCRIPTION.into(),
    };
    raw.subscriber.delete_subscription(request).await.unwrap();
    assert_eq!(stream.response().await.unwrap_err().code(), Code::NotFound);
    let error = raw.stream(first()).await.err().unwrap();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn it_gives_no_more_than_its_flow_control_lets_it() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    raw.publish_texts("k", &["1", "2", "3", "4", "5"]).await;
    let mut stream = raw
        .stream(StreamingPullRequest {
            max_outstanding_messages: 2,
            protocol_version: 1,
            ..first()
        })
        .await
        .unwrap();
    let taken = stream.messages(2).await;
    assert_eq!(texts(&taken), ["1", "2"]);
    // What would have come by itself would come before the answer to this.
    stream
        .requests
        .send(StreamingPullRequest::default())
        .await
        .unwrap();
    let answer = stream.response().await.unwrap().unwrap();
    assert_eq!(answer, StreamingPullResponse::default());
    assert_eq!(pubsub.outstanding(), 2);
    let ack = StreamingPullRequest {
        ack_ids: ids(&taken),
        ..StreamingPullRequest::default()
    };
    stream.requests.send(ack).await.unwrap();
    assert_eq!(texts(&stream.messages(2).await), ["3", "4"]);
}

#[tokio::test]
async fn deadlines_are_the_stream_s_own_and_can_be_extended() {
    let second = Duration::from_millis(20);
    let pubsub = PubSub::builder().second(second).start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    raw.publish_texts("k", &["1", "2"]).await;
    let mut stream = raw.stream(first()).await.unwrap();
    let taken = stream.messages(2).await;
    let extend = StreamingPullRequest {
        modify_deadline_ack_ids: vec![taken[0].ack_id.clone()],
        modify_deadline_seconds: vec![600],
        ..StreamingPullRequest::default()
    };
    stream.requests.send(extend).await.unwrap();
    let again = stream.messages(1).await;
    assert_eq!(texts(&again), ["2"]);
    until_expired(&pubsub, 1).await;
    raw.ack(vec![taken[0].ack_id.clone()]).await.unwrap();
    assert_eq!(pubsub.counts().acked, 1);
}

#[tokio::test]
async fn requests_that_cannot_be_end_it() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    for seconds in [0, 9, 601] {
        let begun = raw
            .stream(StreamingPullRequest {
                stream_ack_deadline_seconds: seconds,
                ..first()
            })
            .await;
        assert_eq!(begun.err().unwrap().code(), Code::InvalidArgument);
    }
    let wrong = [
        StreamingPullRequest {
            subscription: SUBSCRIPTION.into(),
            ..StreamingPullRequest::default()
        },
        StreamingPullRequest {
            max_outstanding_messages: 1,
            ..StreamingPullRequest::default()
        },
        StreamingPullRequest {
            ack_ids: vec!["x".into()],
            ..StreamingPullRequest::default()
        },
        StreamingPullRequest {
            modify_deadline_seconds: vec![1],
            ..StreamingPullRequest::default()
        },
    ];
    for wrong in wrong {
        let mut stream = raw.stream(first()).await.unwrap();
        stream.response().await.unwrap().unwrap();
        stream.requests.send(wrong).await.unwrap();
        let error = stream.response().await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
}

/// As gRPC has it, "Trailers-Only". Google's clients that are built on C take an empty body after the head for a broken stream,
/// and try again for ever.
#[tokio::test]
async fn a_refusal_ends_with_its_head() {
    let pubsub = PubSub::builder().start().unwrap();
    let answer = raw::answer(&pubsub, "Subscriber/StreamingPull", &first()).await;
    let status = &answer.headers()["grpc-status"];
    assert_eq!(status, &(Code::NotFound as i32).to_string()[..]);
    assert!(answer.body().is_end_stream());
}
