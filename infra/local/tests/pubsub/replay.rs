//! Seeks, snapshots and retention.

use std::time::{Duration, SystemTime};

use anyhub_local::PubSub;
use google_cloud_wkt::Timestamp;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::seek_request::Target;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    CreateSnapshotRequest, DeleteSnapshotRequest, PublishRequest, PullRequest, SeekRequest,
    Subscription, Topic, UpdateTopicRequest,
};
use tonic::{Code, Status};

use super::client::{
    SUBSCRIPTION, TOPIC, begin_with, next, publish, publisher, subscribe, subscriptions, topics,
    until,
};
use super::raw::{self, Raw, ids, texts};

const SNAPSHOT: &str = "projects/p/snapshots/before";

async fn seek(raw: &mut Raw, target: Target) -> Result<(), Status> {
    let request = SeekRequest {
        subscription: SUBSCRIPTION.into(),
        target: Some(target),
    };
    raw.subscriber.seek(request).await.map(|_| ())
}

/// Publishes a text, acknowledges it, and says when it was published.
async fn settled(raw: &mut Raw, text: &str) -> prost_types::Timestamp {
    raw.publish_texts("k", &[text]).await;
    let taken = raw.pull().await;
    assert_eq!(texts(&taken), [text]);
    raw.ack(ids(&taken)).await.unwrap();
    taken[0].message.as_ref().unwrap().publish_time.unwrap()
}

#[tokio::test]
async fn to_the_sdk_a_seek_to_a_time_brings_back_what_was_acknowledged() {
    let pubsub = PubSub::builder().start().unwrap();
    let retained =
        |config: google_cloud_pubsub::model::Subscription| config.set_retain_acked_messages(true);
    let pubsub = begin_with(pubsub, retained).await;
    let publisher = publisher(&pubsub).await;
    publish(&publisher, "k", &["1", "2"]).await;
    let mut stream = subscribe(&pubsub).await;
    for _ in 0..2 {
        next(&mut stream).await.1.ack();
    }
    until(|| pubsub.counts().acked == 2).await;
    let subscriptions = subscriptions(&pubsub).await;
    let seek = subscriptions.seek().set_subscription(SUBSCRIPTION);
    seek.set_time(Timestamp::clamp(1, 0)).send().await.unwrap();
    for expected in ["1", "2"] {
        let (text, handler) = next(&mut stream).await;
        assert_eq!(text, expected);
        handler.ack();
    }
    until(|| pubsub.counts().acked == 4).await;
    assert_eq!(pubsub.counts().messages_again, 2);
}

#[tokio::test]
async fn a_seek_goes_back_to_a_message_and_ahead_to_the_end() {
    let pubsub = PubSub::builder().start().unwrap();
    let retained = |config| Subscription {
        retain_acked_messages: true,
        ..config
    };
    let mut raw = raw::begin(&pubsub, retained).await;
    settled(&mut raw, "1").await;
    let second = settled(&mut raw, "2").await;
    settled(&mut raw, "3").await;
    seek(&mut raw, Target::Time(second)).await.unwrap();
    assert_eq!(texts(&raw.pull().await), ["2", "3"]);
    let now = SystemTime::now() + Duration::from_secs(1);
    seek(&mut raw, Target::Time(now.into())).await.unwrap();
    raw.publish_texts("k", &["discarded"]).await;
    assert_eq!(raw.pull_now().await.unwrap(), []);
    seek(&mut raw, Target::Time(SystemTime::now().into()))
        .await
        .unwrap();
    settled(&mut raw, "4").await;
}

#[tokio::test]
async fn a_topic_s_retention_serves_a_subscription_made_later() {
    let pubsub = PubSub::builder().start().unwrap();
    let topics = topics(&pubsub).await;
    let week = google_cloud_wkt::Duration::clamp(7 * 24 * 3_600, 0);
    let create = topics.create_topic().set_name(TOPIC);
    create
        .set_message_retention_duration(week)
        .send()
        .await
        .unwrap();
    let publisher = publisher(&pubsub).await;
    publish(&publisher, "k", &["1", "2"]).await;
    let subscriptions = subscriptions(&pubsub).await;
    let create = subscriptions
        .create_subscription()
        .set_name(SUBSCRIPTION)
        .set_topic(TOPIC);
    let made = create
        .set_enable_message_ordering(true)
        .send()
        .await
        .unwrap();
    assert_eq!(made.topic_message_retention_duration, Some(week));
    publish(&publisher, "k", &["3"]).await;
    let mut raw = raw::connect(&pubsub).await;
    assert_eq!(texts(&raw.pull().await), ["3"]);
    seek(&mut raw, Target::Time(SystemTime::UNIX_EPOCH.into()))
        .await
        .unwrap();
    assert_eq!(texts(&raw.pull().await), ["1", "2", "3"]);
}

#[tokio::test]
async fn a_snapshot_brings_back_what_was_not_acknowledged_and_all_since() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    settled(&mut raw, "acked before").await;
    raw.publish_texts("k", &["1"]).await;
    raw.subscriber
        .create_snapshot(snapshot(SNAPSHOT))
        .await
        .unwrap();
    let taken = raw.pull().await;
    raw.ack(ids(&taken)).await.unwrap();
    settled(&mut raw, "2").await;
    raw.publish_texts("k", &["3"]).await;
    for _ in 0..2 {
        seek(&mut raw, Target::Snapshot(SNAPSHOT.into()))
            .await
            .unwrap();
        let taken = raw.pull().await;
        assert_eq!(texts(&taken), ["1", "2", "3"]);
        raw.ack(ids(&taken)).await.unwrap();
    }
    let none = Target::Snapshot("projects/p/snapshots/none".into());
    let error = seek(&mut raw, none).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn messages_go_when_their_retention_is_over() {
    let pubsub = PubSub::builder().start().unwrap();
    pubsub.keep(SUBSCRIPTION, Duration::from_millis(200));
    pubsub.keep(TOPIC, Duration::from_millis(200));
    let mut raw = raw::connect(&pubsub).await;
    let topic = Topic {
        name: TOPIC.into(),
        message_retention_duration: Some(prost_types::Duration {
            seconds: 600,
            nanos: 0,
        }),
        ..Topic::default()
    };
    raw.publisher.create_topic(topic).await.unwrap();
    let config = Subscription {
        name: SUBSCRIPTION.into(),
        topic: TOPIC.into(),
        ..Subscription::default()
    };
    raw.subscriber.create_subscription(config).await.unwrap();
    raw.publish_texts("", &["1", "2"]).await;
    assert!(pubsub.stored_bytes() > 0);
    until(|| pubsub.counts().forgotten == 2).await;
    until(|| pubsub.stored_bytes() == 0).await;
    assert_eq!(raw.pull_now().await.unwrap(), []);
}

#[tokio::test]
async fn what_is_not_acknowledged_stays_for_the_topic_s_retention_too() {
    let pubsub = PubSub::builder().start().unwrap();
    pubsub.keep(SUBSCRIPTION, Duration::from_millis(1));
    let mut raw = raw::connect(&pubsub).await;
    let topic = |seconds| Topic {
        name: TOPIC.into(),
        message_retention_duration: Some(prost_types::Duration { seconds, nanos: 0 }),
        ..Topic::default()
    };
    raw.publisher.create_topic(topic(600)).await.unwrap();
    // It is looked at after the readers' one.
    let slow = "projects/p/subscriptions/slow";
    pubsub.keep(slow, Duration::from_millis(1));
    let config = |name: &str, topic: &str| Subscription {
        name: name.into(),
        topic: topic.into(),
        ..Subscription::default()
    };
    let readers = config(SUBSCRIPTION, TOPIC);
    raw.subscriber.create_subscription(readers).await.unwrap();
    let plain = "projects/p/topics/plain";
    raw.topic(plain).await.unwrap();
    let slow = config(slow, plain);
    raw.subscriber.create_subscription(slow).await.unwrap();
    raw.publish_texts("", &["stays"]).await;
    let request = PublishRequest {
        topic: plain.into(),
        messages: vec![raw::message("", "goes")],
    };
    raw.publisher.publish(request).await.unwrap();
    until(|| pubsub.counts().forgotten > 0).await;
    assert_eq!(texts(&raw.pull_now().await.unwrap()), ["stays"]);
    assert_eq!(pubsub.counts().forgotten, 1);
}

#[tokio::test]
async fn what_is_kept_for_a_seek_is_bounded() {
    let kept = 100_000;
    let pubsub = PubSub::builder().retained_bytes(kept).start().unwrap();
    let retained = |config| Subscription {
        retain_acked_messages: true,
        ..config
    };
    let mut raw = raw::begin(&pubsub, retained).await;
    for n in 0..300 {
        raw.publish_texts("k", &[&format!("{n:01000}")]).await;
        let taken = raw.pull().await;
        raw.ack(ids(&taken)).await.unwrap();
        assert!(pubsub.stored_bytes() <= kept);
    }
    assert!(pubsub.stored_bytes() > kept / 2);
    seek(&mut raw, Target::Time(SystemTime::UNIX_EPOCH.into()))
        .await
        .unwrap();
    let last = raw.pull().await;
    assert!(last.len() > 50 && texts(&last).last().unwrap().ends_with("299"));
}

#[tokio::test]
async fn what_a_topic_keeps_is_bounded() {
    let kept = 100_000;
    let pubsub = PubSub::builder().retained_bytes(kept).start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let request = UpdateTopicRequest {
        topic: Some(Topic {
            name: TOPIC.into(),
            message_retention_duration: Some(prost_types::Duration {
                seconds: 600,
                nanos: 0,
            }),
            ..Topic::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["message_retention_duration".into()],
        }),
    };
    raw.publisher.update_topic(request).await.unwrap();
    for n in 0..300 {
        settled(&mut raw, &format!("{n:01000}")).await;
        assert!(pubsub.stored_bytes() <= kept);
    }
    assert!(pubsub.stored_bytes() > kept / 2);
    seek(&mut raw, Target::Time(SystemTime::UNIX_EPOCH.into()))
        .await
        .unwrap();
    let last = raw.pull().await;
    assert!(last.len() > 50 && texts(&last).last().unwrap().ends_with("299"));
}

fn snapshot(name: &str) -> CreateSnapshotRequest {
    CreateSnapshotRequest {
        name: name.into(),
        subscription: SUBSCRIPTION.into(),
        ..CreateSnapshotRequest::default()
    }
}

#[tokio::test]
async fn a_snapshot_serves_another_subscription_of_its_topic() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    settled(&mut raw, "acked before").await;
    raw.publish_texts("k", &["1"]).await;
    raw.subscriber
        .create_snapshot(snapshot(SNAPSHOT))
        .await
        .unwrap();
    raw.publish_texts("k", &["2"]).await;
    let other = "projects/p/subscriptions/others";
    let config = Subscription {
        name: other.into(),
        topic: TOPIC.into(),
        enable_message_ordering: true,
        ..Subscription::default()
    };
    raw.subscriber.create_subscription(config).await.unwrap();
    let request = SeekRequest {
        subscription: other.into(),
        target: Some(Target::Snapshot(SNAPSHOT.into())),
    };
    raw.subscriber.seek(request).await.unwrap();
    let request = PullRequest {
        subscription: other.into(),
        max_messages: 10,
        ..PullRequest::default()
    };
    let pulled = raw.subscriber.pull(request).await.unwrap().into_inner();
    assert_eq!(texts(&pulled.received_messages), ["1", "2"]);
    assert_eq!(texts(&raw.pull().await), ["1", "2"]);
}

#[tokio::test]
async fn snapshots_are_counted_and_bounded() {
    let most = 10_000;
    let pubsub = PubSub::builder().backlog_bytes(most).start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    raw.publish_texts("", &[&"x".repeat(6_000)]).await;
    let once = pubsub.stored_bytes();
    raw.subscriber
        .create_snapshot(snapshot(SNAPSHOT))
        .await
        .unwrap();
    assert_eq!(pubsub.stored_bytes(), 2 * once);
    let second = "projects/p/snapshots/second";
    let refused = raw.subscriber.create_snapshot(snapshot(second)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let request = DeleteSnapshotRequest {
        snapshot: SNAPSHOT.into(),
    };
    raw.subscriber.delete_snapshot(request).await.unwrap();
    assert_eq!(pubsub.stored_bytes(), once);
    raw.subscriber
        .create_snapshot(snapshot(second))
        .await
        .unwrap();
}
