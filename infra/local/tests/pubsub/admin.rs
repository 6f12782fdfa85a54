//! Topics, subscriptions and snapshots, by gRPC, and by JSON as Google's Rust client asks for it.

use anyhub_local::PubSub;
use google_cloud_pubsub::model::{DeadLetterPolicy, RetryPolicy};
use google_cloud_wkt::FieldMask;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
use tonic::Code;

use super::client::{SUBSCRIPTION, TOPIC, begin, subscriptions, topics};
use super::raw;

const SNAPSHOT: &str = "projects/p/snapshots/before";

fn wkt(seconds: i64) -> google_cloud_wkt::Duration {
    google_cloud_wkt::Duration::clamp(seconds, 0)
}

#[tokio::test]
async fn to_the_sdk_topics_are_made_changed_listed_and_deleted() {
    let pubsub = PubSub::builder().start().unwrap();
    let topics = topics(&pubsub).await;
    for name in ["abc", "abd", "abe"] {
        let create = topics
            .create_topic()
            .set_name(format!("projects/p/topics/{name}"));
        let create = create.set_labels([("k", "v")]);
        let made = create.send().await.unwrap();
        assert_eq!(made.labels["k"], "v");
    }
    let again = topics.create_topic().set_name("projects/p/topics/abc");
    let error = again.send().await.unwrap_err();
    assert_eq!(error.http_status_code(), Some(409), "{error}");

    let page = topics
        .list_topics()
        .set_project("projects/p")
        .set_page_size(2);
    let page = page.send().await.unwrap();
    assert_eq!(page.topics.len(), 2);
    let rest = topics.list_topics().set_project("projects/p");
    let rest = rest
        .set_page_token(page.next_page_token)
        .send()
        .await
        .unwrap();
    assert_eq!(rest.topics[0].name, "projects/p/topics/abe");
    assert_eq!((rest.topics.len(), rest.next_page_token.as_str()), (1, ""));

    let mut topic = topics
        .get_topic()
        .set_topic("projects/p/topics/abc")
        .send()
        .await
        .unwrap();
    topic.message_retention_duration = Some(wkt(600));
    let update = topics.update_topic().set_topic(topic.clone());
    let update =
        update.set_update_mask(FieldMask::default().set_paths(["messageRetentionDuration"]));
    let updated = update.send().await.unwrap();
    assert_eq!(updated.message_retention_duration, Some(wkt(600)));
    topic.message_retention_duration = Some(wkt(599));
    let update = topics.update_topic().set_topic(topic);
    let update =
        update.set_update_mask(FieldMask::default().set_paths(["messageRetentionDuration"]));
    let error = update.send().await.unwrap_err();
    assert!(error.to_string().contains("600 to"), "{error}");

    topics
        .delete_topic()
        .set_topic("projects/p/topics/abc")
        .send()
        .await
        .unwrap();
    let error = topics
        .get_topic()
        .set_topic("projects/p/topics/abc")
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.http_status_code(), Some(404), "{error}");
    assert!(error.to_string().contains("resource=abc"), "{error}");
}

#[tokio::test]
async fn to_the_sdk_subscriptions_are_as_they_were_told() {
    let pubsub = begin().await;
    let (topics, subscriptions) = (topics(&pubsub).await, subscriptions(&pubsub).await);
    let graves = "projects/p/topics/graves";
    let create = || {
        let dead = DeadLetterPolicy::new()
            .set_dead_letter_topic(graves)
            .set_max_delivery_attempts(7);
        let retry = RetryPolicy::new()
            .set_minimum_backoff(wkt(1))
            .set_maximum_backoff(wkt(9));
        subscriptions
            .create_subscription()
            .set_name("projects/p/subscriptions/full")
            .set_topic(TOPIC)
            .set_ack_deadline_seconds(20)
            .set_retain_acked_messages(true)
            .set_message_retention_duration(wkt(1_200))
            .set_enable_message_ordering(true)
            .set_enable_exactly_once_delivery(true)
            .set_dead_letter_policy(dead)
            .set_retry_policy(retry)
    };
    let error = create().send().await.unwrap_err();
    assert_eq!(
        error.http_status_code(),
        Some(404),
        "no such dead-letter topic: {error}"
    );
    topics.create_topic().set_name(graves).send().await.unwrap();
    let made = create().send().await.unwrap();
    let get = subscriptions
        .get_subscription()
        .set_subscription(&made.name);
    assert_eq!(get.send().await.unwrap(), made);
    assert_eq!(made.ack_deadline_seconds, 20);
    assert_eq!(made.message_retention_duration, Some(wkt(1_200)));
    assert!(made.retain_acked_messages && made.enable_message_ordering);
    assert!(made.enable_exactly_once_delivery && !made.detached);
    assert_eq!(
        made.dead_letter_policy
            .as_ref()
            .unwrap()
            .max_delivery_attempts,
        7
    );
    assert_eq!(
        made.retry_policy.as_ref().unwrap().maximum_backoff,
        Some(wkt(9))
    );

    // What is left out is as the service completes it.
    let plain = subscriptions
        .get_subscription()
        .set_subscription(SUBSCRIPTION);
    let plain = plain.send().await.unwrap();
    assert_eq!(plain.ack_deadline_seconds, 10);
    assert_eq!(plain.message_retention_duration, Some(wkt(7 * 24 * 3_600)));
    let ttl = plain.expiration_policy.unwrap().ttl;
    assert_eq!(ttl, Some(wkt(31 * 24 * 3_600)));

    let mut changed = made.clone();
    changed.ack_deadline_seconds = 30;
    let update = subscriptions
        .update_subscription()
        .set_subscription(changed.clone());
    let update = update.set_update_mask(FieldMask::default().set_paths(["ackDeadlineSeconds"]));
    assert_eq!(update.send().await.unwrap().ack_deadline_seconds, 30);
    let update = subscriptions
        .update_subscription()
        .set_subscription(changed);
    let update = update.set_update_mask(FieldMask::default().set_paths(["enableMessageOrdering"]));
    let error = update.send().await.unwrap_err();
    assert!(error.to_string().contains("can't be changed"), "{error}");

    let of = topics
        .list_topic_subscriptions()
        .set_topic(TOPIC)
        .send()
        .await
        .unwrap();
    assert_eq!(
        of.subscriptions,
        ["projects/p/subscriptions/full", SUBSCRIPTION]
    );
    topics.delete_topic().set_topic(TOPIC).send().await.unwrap();
    let list = subscriptions.list_subscriptions().set_project("projects/p");
    for left in list.send().await.unwrap().subscriptions {
        assert_eq!(left.topic, "_deleted-topic_");
    }
    let delete = subscriptions
        .delete_subscription()
        .set_subscription(&made.name);
    delete.send().await.unwrap();
    let get = subscriptions
        .get_subscription()
        .set_subscription(&made.name);
    assert_eq!(get.send().await.unwrap_err().http_status_code(), Some(404));
}

#[tokio::test]
async fn to_the_sdk_snapshots_are_made_described_and_deleted() {
    let pubsub = begin().await;
    let subscriptions = subscriptions(&pubsub).await;
    let create = subscriptions
        .create_snapshot()
        .set_name(SNAPSHOT)
        .set_subscription(SUBSCRIPTION);
    let made = create.set_labels([("k", "v")]).send().await.unwrap();
    assert_eq!(
        (made.topic.as_str(), made.labels["k"].as_str()),
        (TOPIC, "v")
    );
    assert!(made.expire_time.is_some());
    let got = subscriptions
        .get_snapshot()
        .set_snapshot(SNAPSHOT)
        .send()
        .await
        .unwrap();
    assert_eq!(got, made);
    let list = subscriptions
        .list_snapshots()
        .set_project("projects/p")
        .send()
        .await
        .unwrap();
    assert_eq!(list.snapshots, [made]);
    subscriptions
        .delete_snapshot()
        .set_snapshot(SNAPSHOT)
        .send()
        .await
        .unwrap();
    let get = subscriptions
        .get_snapshot()
        .set_snapshot(SNAPSHOT)
        .send()
        .await;
    assert_eq!(get.unwrap_err().http_status_code(), Some(404));
}

#[tokio::test]
async fn by_grpc_it_is_the_same() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let error = raw.topic(TOPIC).await.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    let request = v1::GetTopicRequest {
        topic: TOPIC.into(),
    };
    let got = raw.publisher.get_topic(request).await.unwrap().into_inner();
    assert_eq!(got.name, TOPIC);
    let request = v1::ListTopicsRequest {
        project: "projects/p".into(),
        ..v1::ListTopicsRequest::default()
    };
    let listed = raw
        .publisher
        .list_topics(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.topics, [got]);
    let request = v1::UpdateSubscriptionRequest {
        subscription: Some(v1::Subscription {
            name: SUBSCRIPTION.into(),
            ack_deadline_seconds: 99,
            ..v1::Subscription::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["ack_deadline_seconds".into()],
        }),
    };
    let updated = raw
        .subscriber
        .update_subscription(request)
        .await
        .unwrap()
        .into_inner();
    assert!(updated.ack_deadline_seconds == 99 && updated.enable_message_ordering);
    let request = v1::DetachSubscriptionRequest {
        subscription: SUBSCRIPTION.into(),
    };
    raw.publisher.detach_subscription(request).await.unwrap();
    let request = v1::GetSubscriptionRequest {
        subscription: SUBSCRIPTION.into(),
    };
    let got = raw
        .subscriber
        .get_subscription(request)
        .await
        .unwrap()
        .into_inner();
    assert!(got.detached);
    assert_eq!(
        raw.pull_now().await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    let request = v1::DeleteTopicRequest {
        topic: TOPIC.into(),
    };
    raw.publisher.delete_topic(request).await.unwrap();
    let error = raw.publish(vec![raw::message("k", "x")]).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn what_is_not_here_and_what_cannot_be_is_refused() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::connect(&pubsub).await;
    raw.topic(TOPIC).await.unwrap();
    let config = || v1::Subscription {
        name: SUBSCRIPTION.into(),
        topic: TOPIC.into(),
        ..v1::Subscription::default()
    };
    let week = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let push = v1::PushConfig {
        push_endpoint: "http://x".into(),
        ..v1::PushConfig::default()
    };
    for (config, code, text) in [
        (
            v1::Subscription {
                filter: "attributes:a".into(),
                ..config()
            },
            Code::Unimplemented,
            "filter",
        ),
        (
            v1::Subscription {
                push_config: Some(push),
                ..config()
            },
            Code::Unimplemented,
            "push",
        ),
        (
            v1::Subscription {
                ack_deadline_seconds: 9,
                ..config()
            },
            Code::InvalidArgument,
            "10 to 600",
        ),
        (
            v1::Subscription {
                ack_deadline_seconds: 601,
                ..config()
            },
            Code::InvalidArgument,
            "10 to 600",
        ),
        (
            v1::Subscription {
                message_retention_duration: week(599),
                ..config()
            },
            Code::InvalidArgument,
            "600 to",
        ),
        (
            v1::Subscription {
                name: "readers".into(),
                ..config()
            },
            Code::InvalidArgument,
            "resource name",
        ),
        (
            v1::Subscription {
                topic: "projects/p/topics/none".into(),
                ..config()
            },
            Code::NotFound,
            "resource=none",
        ),
    ] {
        let error = raw
            .subscriber
            .create_subscription(config)
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(text), "{error}");
    }
    // A method that isn't here, as gRPC has it.
    let status = raw::unknown_method(&pubsub).await;
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
    assert!(pubsub.counts().requests("CreateSubscription") == 7);
}
