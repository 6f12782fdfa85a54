//! What is too large, too many, too fast, or too much.

use anyhub_local::PubSub;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{PullRequest, Subscription};
use tonic::Code;

use super::client::{DEADLINE, SUBSCRIPTION, TOPIC};
use super::raw::{self, first, ids, message};

#[tokio::test]
async fn requests_have_their_limits() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let large = |bytes: usize| vec![message("", &"x".repeat(bytes))];
    raw.publish(large(9_999_000)).await.unwrap();
    assert_eq!(
        raw.pull().await[0].message.as_ref().unwrap().data.len(),
        9_999_000
    );
    for refused in [
        large(10_000_000),
        vec![message("", "x"); 1_001],
        vec![message("", "")],
        vec![message(&"k".repeat(1_001), "x")],
        vec![message("a", "x"), message("b", "x")],
        Vec::new(),
    ] {
        let error = raw.publish(refused).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
    assert_eq!(pubsub.counts().messages_in, 1);
    for max_messages in [0, -1, 1_001] {
        let request = PullRequest {
            subscription: SUBSCRIPTION.into(),
            max_messages,
            ..PullRequest::default()
        };
        let error = raw.subscriber.pull(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
    raw.publish_texts("", &["x"]).await;
    let id = ids(&raw.pull().await).remove(0);
    for refused in [
        // As many as fill a request with the service's ids.
        raw.ack(vec![id.clone(); 2_900]).await,
        raw.ack(Vec::new()).await,
        raw.ack(vec!["x".into()]).await,
        raw.modify(vec![id.clone(); 2_900], 10).await,
        raw.modify(vec![id.clone()], -1).await,
        raw.modify(vec![id.clone()], 601).await,
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
    raw.ack(vec![id; 2_500]).await.unwrap();
    assert_eq!((pubsub.counts().acked, pubsub.counts().late_acks), (1, 0));
}

#[tokio::test]
async fn a_full_backlog_refuses_and_drops_nothing() {
    let pubsub = PubSub::builder().backlog_bytes(10_000).start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let text = "x".repeat(1_000);
    let mut written = 0;
    let error = loop {
        match raw.publish(vec![message("k", &text)]).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    assert_eq!(written, 6, "each takes 406 bytes more, and the key 246");
    assert!(pubsub.stored_bytes() <= 10_000);
    let taken = raw.pull().await;
    assert_eq!(taken.len(), written);
    raw.ack(ids(&taken)).await.unwrap();
    raw.publish(vec![message("k", &text)]).await.unwrap();
    assert_eq!(pubsub.counts().throttled, 1);
}

#[tokio::test]
async fn where_one_backlog_is_full_nothing_is_written_to_any() {
    let pubsub = PubSub::builder().backlog_bytes(10_000).start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let text = "x".repeat(4_000);
    raw.publish(vec![message("k", &text)]).await.unwrap();
    let other = Subscription {
        name: "projects/p/subscriptions/others".into(),
        topic: TOPIC.into(),
        ..Subscription::default()
    };
    raw.subscriber.create_subscription(other).await.unwrap();
    raw.publish(vec![message("k", &text)]).await.unwrap();
    let stored = pubsub.stored_bytes();
    let error = raw.publish(vec![message("k", &text)]).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    assert!(error.message().contains(SUBSCRIPTION), "{error}");
    assert_eq!(
        (pubsub.stored_bytes(), pubsub.counts().messages_in),
        (stored, 2)
    );
}

#[tokio::test]
async fn with_limits_a_key_takes_a_megabyte_a_second() {
    let pubsub = PubSub::builder().limits(true).start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    // More than a second's worth goes through at once, and has to be made up for.
    let large = "x".repeat(4_000_000);
    raw.publish(vec![message("k", &large)]).await.unwrap();
    let error = raw.publish(vec![message("k", "x")]).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    // Another key, and none, are as fast as before.
    raw.publish(vec![message("other", "x")]).await.unwrap();
    raw.publish(vec![message("", &large)]).await.unwrap();
    raw.publish(vec![message("", "x")]).await.unwrap();
    // It isn't refused for ever.
    let again = async { while raw.publish(vec![message("k", "x")]).await.is_err() {} };
    tokio::time::timeout(DEADLINE, again).await.unwrap();
    assert!(pubsub.counts().throttled >= 1);
}

#[tokio::test]
async fn with_limits_a_stream_gives_more_than_a_second_s_worth_in_the_end() {
    let pubsub = PubSub::builder().limits(true).start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let megabyte = "x".repeat(1_000_000);
    for _ in 0..25 {
        raw.publish(vec![message("", &megabyte)]).await.unwrap();
    }
    let mut stream = raw.stream(first());
    assert_eq!(stream.messages(25).await.len(), 25);
}
