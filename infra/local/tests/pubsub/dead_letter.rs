//! Messages that fail too often.

use std::collections::HashMap;

use anyhub_local::PubSub;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    DeadLetterPolicy, DeleteTopicRequest, PullRequest, Subscription,
};

use super::client::SUBSCRIPTION;
use super::raw::{self, ids, texts};

const GRAVES: &str = "projects/p/topics/graves";
const MOURNERS: &str = "projects/p/subscriptions/mourners";

#[tokio::test]
async fn after_its_attempts_a_message_is_forwarded_and_the_next_of_its_key_goes_on() {
    let pubsub = PubSub::builder().start().unwrap();
    raw::connect(&pubsub).await.topic(GRAVES).await.unwrap();
    let buries = |config| Subscription {
        dead_letter_policy: Some(DeadLetterPolicy {
            dead_letter_topic: GRAVES.into(),
            max_delivery_attempts: 5,
        }),
        ..config
    };
    let mut raw = raw::begin(&pubsub, buries).await;
    let mourners = Subscription {
        name: MOURNERS.into(),
        topic: GRAVES.into(),
        enable_message_ordering: true,
        ..Subscription::default()
    };
    raw.subscriber.create_subscription(mourners).await.unwrap();
    raw.publish_texts("k", &["poison", "food"]).await;
    let mut published = None;
    for attempt in 1..=5 {
        let taken = raw.pull().await;
        assert_eq!(texts(&taken), ["poison", "food"]);
        assert_eq!(
            (taken[0].delivery_attempt, taken[1].delivery_attempt),
            (attempt, 1)
        );
        published = taken[0].message.as_ref().unwrap().publish_time;
        raw.modify(vec![taken[0].ack_id.clone()], 0).await.unwrap();
    }
    let taken = raw.pull().await;
    assert_eq!(texts(&taken), ["food"]);
    raw.ack(ids(&taken)).await.unwrap();
    let request = PullRequest {
        subscription: MOURNERS.into(),
        max_messages: 10,
        ..PullRequest::default()
    };
    let dead = raw.subscriber.pull(request).await.unwrap().into_inner();
    assert_eq!(texts(&dead.received_messages), ["poison"]);
    let message = dead.received_messages[0].message.as_ref().unwrap();
    assert_eq!(message.ordering_key, "k");
    let id = SUBSCRIPTION.rsplit('/').next().unwrap();
    let expected = [
        ("CloudPubSubDeadLetterSourceDeliveryCount", "5".to_owned()),
        ("CloudPubSubDeadLetterSourceSubscription", id.to_owned()),
        (
            "CloudPubSubDeadLetterSourceSubscriptionProject",
            "p".to_owned(),
        ),
        (
            "CloudPubSubDeadLetterSourceTopicPublishTime",
            published.unwrap().to_string(),
        ),
    ];
    let expected: HashMap<_, _> = expected.map(|(k, v)| (k.to_owned(), v)).into();
    assert_eq!(message.attributes, expected);
    assert_eq!(pubsub.counts().dead_lettered, 1);

    // Without the topic it comes again and again.
    let request = DeleteTopicRequest {
        topic: GRAVES.into(),
    };
    raw.publisher.delete_topic(request).await.unwrap();
    raw.publish_texts("k", &["stays"]).await;
    for _ in 0..8 {
        let taken = raw.pull().await;
        assert_eq!(texts(&taken), ["stays"]);
        raw.modify(ids(&taken), 0).await.unwrap();
    }
}
