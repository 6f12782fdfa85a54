//! StreamingPull: how it begins, stays alive, is bounded, and ends.

use std::time::Duration;

use anyhub_local::PubSub;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    DeleteSubscriptionRequest, DetachSubscriptionRequest, StreamingPullRequest,
};
use http_body::Body as _;
use prost::Message as _;
use tonic::Code;

use super::client::{SUBSCRIPTION, begin_with, next, publish, publisher, subscribe, until};
use super::raw::{self, alive, first, framed, ids, texts, until_expired};

#[tokio::test]
async fn a_sign_of_life_is_answered_from_protocol_version_1_on() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let mut new = raw.stream(first());
    let pings = [
        StreamingPullRequest::default(),
        // As Go's client does.
        StreamingPullRequest {
            stream_ack_deadline_seconds: 20,
            ..StreamingPullRequest::default()
        },
    ];
    for ping in pings {
        new.requests.send(ping).await.unwrap();
        let answer = new.response().await.unwrap().unwrap();
        // Clients take what is left out for false.
        assert_eq!(answer, alive());
    }
    drop(new);
    until(|| pubsub.counts().open_streams == 0).await;

    let mut old = raw.stream(StreamingPullRequest {
        protocol_version: 0,
        ..first()
    });
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
    let raw = raw::connect(&pubsub).await;
    let mut stream = raw.stream(first());
    stream.ping().await;
    assert_eq!(
        stream.response().await.unwrap_err().code(),
        Code::Unavailable
    );
}

#[tokio::test]
async fn a_client_that_is_done_ends_it_well() {
    let pubsub = PubSub::builder().start().unwrap();
    let raw = raw::begin(&pubsub, |config| config).await;
    let mut stream = raw.stream(first());
    stream.ping().await;
    let (requests, _) = tokio::sync::mpsc::channel(1);
    stream.requests = requests;
    assert!(stream.response().await.unwrap().is_none());
    until(|| pubsub.counts().open_streams == 0).await;
}

#[tokio::test]
async fn a_subscription_that_goes_takes_its_streams_along() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let mut stream = raw.stream(first());
    stream.ping().await;
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
    let mut stream = raw.stream(first());
    stream.ping().await;
    let request = DeleteSubscriptionRequest {
        subscription: SUBSCRIPTION.into(),
    };
    raw.subscriber.delete_subscription(request).await.unwrap();
    assert_eq!(stream.response().await.unwrap_err().code(), Code::NotFound);
    let error = raw.stream(first()).response().await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn it_gives_no_more_than_its_flow_control_lets_it() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    raw.publish_texts("k", &["1", "2", "3", "4", "5", "6", "7", "8", "9"])
        .await;
    let by_messages = StreamingPullRequest {
        max_outstanding_messages: 2,
        ..first()
    };
    // Of a byte each, and what is around it: it stops once there are so many bytes or more.
    let by_bytes = StreamingPullRequest {
        max_outstanding_bytes: 40,
        ..first()
    };
    let mut taken = Vec::new();
    for (bounded, expected) in [
        (by_messages, [["1", "2"], ["3", "4"]]),
        (by_bytes, [["5", "6"], ["7", "8"]]),
    ] {
        raw.ack(ids(&taken)).await.ok();
        let mut stream = raw.stream(bounded);
        taken = stream.messages(2).await;
        assert_eq!(texts(&taken), expected[0]);
        // What would have come by itself would come before the answer to this.
        stream.ping().await;
        assert_eq!(pubsub.outstanding(), 2);
        let ack = StreamingPullRequest {
            ack_ids: ids(&taken),
            ..StreamingPullRequest::default()
        };
        stream.requests.send(ack).await.unwrap();
        taken = stream.messages(2).await;
        assert_eq!(texts(&taken), expected[1]);
    }
}

#[tokio::test]
async fn deadlines_are_the_stream_s_own_and_can_be_extended() {
    let second = Duration::from_millis(20);
    let pubsub = PubSub::builder().second(second).start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    raw.publish_texts("k", &["1", "2"]).await;
    let mut stream = raw.stream(first());
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
    raw.publish_texts("k", &["x"]).await;
    // As many as fill a request with the service's ids.
    let many = vec![ids(&raw.pull().await).remove(0); 2_900];
    for seconds in [0, 9, 601] {
        let begun = raw
            .stream(StreamingPullRequest {
                stream_ack_deadline_seconds: seconds,
                ..first()
            })
            .response()
            .await;
        assert_eq!(begun.unwrap_err().code(), Code::InvalidArgument);
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
        StreamingPullRequest {
            ack_ids: many.clone(),
            ..StreamingPullRequest::default()
        },
        StreamingPullRequest {
            modify_deadline_seconds: vec![10; many.len()],
            modify_deadline_ack_ids: many,
            ..StreamingPullRequest::default()
        },
    ];
    for wrong in wrong {
        let mut stream = raw.stream(first());
        stream.ping().await;
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
    let request = framed(&first().encode_to_vec());
    let answer = raw::answer(&pubsub, "Subscriber/StreamingPull", request).await;
    let status = &answer.headers()["grpc-status"];
    assert_eq!(status, &(Code::NotFound as i32).to_string()[..]);
    assert!(answer.body().is_end_stream());
}

#[tokio::test]
async fn one_that_cannot_be_read_ends_it_as_an_error() {
    let pubsub = PubSub::builder().start().unwrap();
    raw::begin(&pubsub, |config| config).await;
    // A field that says to be longer than the request.
    let requests = [framed(&first().encode_to_vec()), framed(&[10, 100])].concat();
    let answer = raw::answer(&pubsub, "Subscriber/StreamingPull", requests).await;
    let status = answer.headers().get("grpc-status");
    let expected = (Code::Internal as i32).to_string();
    assert_eq!(status.map(|s| s.as_bytes()), Some(expected.as_bytes()));
}

/// As the service does it, by Google's Rust client (its subscriber/stream.rs, 2026-11): a call is answered when there is
/// something to say, and ends where nothing was said on it for 90 s.
#[tokio::test]
async fn an_idle_one_is_not_answered_and_ends() {
    let second = Duration::from_millis(5);
    let pubsub = PubSub::builder().second(second).start().unwrap();
    let raw = raw::begin(&pubsub, |config| config).await;
    let mut stream = raw.stream(first());
    until(|| pubsub.counts().open_streams == 1).await;
    assert!(!stream.is_answered());
    let error = stream.response().await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert_eq!(
        (pubsub.counts().idle_streams, pubsub.counts().ended_streams),
        (1, 0)
    );
}

#[tokio::test]
async fn when_its_client_is_done_no_more_messages_go_out() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let text = "x".repeat(1_000);
    for _ in 0..10 {
        raw.publish_texts("k", &[&text[..]; 1_000]).await;
    }
    let narrow = raw::connect_narrow(&pubsub, 1_000).await;
    let mut stream = narrow.stream(first());
    // As much as is under way, and it stops.
    stream.messages(1).await;
    let (requests, _) = tokio::sync::mpsc::channel(1);
    stream.requests = requests;
    // It has come when something later has.
    let mut narrow = narrow;
    let topic = "projects/p/topics/later";
    narrow.topic(topic).await.unwrap();
    while stream.response().await.unwrap().is_some() {}
    until(|| pubsub.counts().open_streams == 0).await;
    assert!(pubsub.counts().messages_out < 10_000);
}

#[tokio::test]
async fn acks_are_taken_though_nothing_is_read() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    raw.publish_texts("k", &["x"]).await;
    let taken = raw.pull().await;
    let narrow = raw::connect_narrow(&pubsub, 1_000).await;
    let stream = narrow.stream(first());
    for _ in 0..1_000 {
        let ping = StreamingPullRequest::default();
        stream.requests.send(ping).await.unwrap();
    }
    let ack = StreamingPullRequest {
        ack_ids: ids(&taken),
        ..StreamingPullRequest::default()
    };
    stream.requests.send(ack).await.unwrap();
    until(|| pubsub.counts().acked == 1).await;
}
