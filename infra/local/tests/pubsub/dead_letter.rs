//! Messages that fail too often.

use std::collections::HashMap;
use std::time::Duration;

use anyhub_local::PubSub;
use anyhub_local::pubsub::{Fault, Faults, Rate};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    AcknowledgeRequest, DeadLetterPolicy, DeleteTopicRequest, PublishRequest, PullRequest,
    ReceivedMessage, RetryPolicy, Subscription,
};

use super::client::{SUBSCRIPTION, until};
use super::raw::{self, Raw, ids, texts};

const GRAVES: &str = "projects/p/topics/graves";
const MOURNERS: &str = "projects/p/subscriptions/mourners";

fn buries(config: Subscription) -> Subscription {
    Subscription {
        dead_letter_policy: Some(DeadLetterPolicy {
            dead_letter_topic: GRAVES.into(),
            max_delivery_attempts: 5,
        }),
        ..config
    }
}

/// The topic with the subscription that buries, and what is buried with one that reads it.
async fn begin(pubsub: &PubSub) -> Raw {
    raw::connect(pubsub).await.topic(GRAVES).await.unwrap();
    let mut raw = raw::begin(pubsub, buries).await;
    let mourners = Subscription {
        name: MOURNERS.into(),
        topic: GRAVES.into(),
        enable_message_ordering: true,
        ..Subscription::default()
    };
    raw.subscriber.create_subscription(mourners).await.unwrap();
    raw
}

async fn buried(raw: &mut Raw) -> Vec<ReceivedMessage> {
    let request = PullRequest {
        subscription: MOURNERS.into(),
        max_messages: 10,
        ..PullRequest::default()
    };
    let pulled = raw.subscriber.pull(request).await.unwrap();
    pulled.into_inner().received_messages
}

#[tokio::test]
async fn a_deadline_that_passes_is_an_attempt() {
    let second = Duration::from_millis(10);
    let pubsub = PubSub::builder().second(second).start().unwrap();
    let mut raw = begin(&pubsub).await;
    raw.publish_texts("k", &["poison"]).await;
    for attempt in 1..=5 {
        let taken = raw.pull().await;
        assert_eq!(taken[0].delivery_attempt, attempt);
        until(|| pubsub.counts().expired == u64::try_from(attempt).unwrap()).await;
    }
    assert_eq!(texts(&buried(&mut raw).await), ["poison"]);
    assert_eq!(pubsub.counts().dead_lettered, 1);
}

#[tokio::test]
async fn where_the_dead_fill_their_topic_no_more_are_buried() {
    let most = 10_000;
    let pubsub = PubSub::builder().backlog_bytes(most).start().unwrap();
    let mut raw = begin(&pubsub).await;
    let text = "x".repeat(3_000);
    for _ in 0..8 {
        if raw.publish(vec![raw::message("", &text)]).await.is_err() {
            break;
        }
        for _ in 0..5 {
            let taken = raw.pull().await;
            raw.modify(ids(&taken), 0).await.unwrap();
        }
    }
    // Each has the same bound.
    assert!(pubsub.stored_bytes() <= 2 * most);
    let before = pubsub.counts().dead_lettered;
    assert_eq!(before, 2);
    let taken = raw.pull().await;
    assert!(taken.iter().all(|message| message.delivery_attempt > 5));
    raw.modify(ids(&taken), 0).await.unwrap();
    assert_eq!(pubsub.counts().dead_lettered, before);
    // Where there is room again for two, two are.
    let dead = ids(&buried(&mut raw).await);
    let request = AcknowledgeRequest {
        subscription: MOURNERS.into(),
        ack_ids: dead,
    };
    raw.subscriber.acknowledge(request).await.unwrap();
    let taken = raw.pull().await;
    raw.modify(ids(&taken), 0).await.unwrap();
    assert_eq!(pubsub.counts().dead_lettered, before + 2);
}

#[tokio::test]
async fn of_many_that_are_due_at_once_as_many_are_buried_as_there_is_room_for() {
    let most = 10_000;
    let pubsub = PubSub::builder().backlog_bytes(most).start().unwrap();
    let mut raw = begin(&pubsub).await;
    let request = PublishRequest {
        topic: GRAVES.into(),
        messages: vec![raw::message("", &"x".repeat(5_000))],
    };
    raw.publisher.publish(request).await.unwrap();
    let text = "x".repeat(2_500);
    raw.publish_texts("", &[text.as_str(); 3]).await;
    for _ in 0..5 {
        let taken = raw.pull().await;
        assert_eq!(taken.len(), 3);
        raw.modify(ids(&taken), 0).await.unwrap();
    }
    assert_eq!(pubsub.counts().dead_lettered, 1);
    assert!(pubsub.stored_bytes() <= 2 * most);
    let taken = raw.pull().await;
    assert_eq!(taken.len(), 2);
    let request = AcknowledgeRequest {
        subscription: MOURNERS.into(),
        ack_ids: ids(&buried(&mut raw).await),
    };
    raw.subscriber.acknowledge(request).await.unwrap();
    raw.modify(ids(&taken), 0).await.unwrap();
    assert_eq!(pubsub.counts().dead_lettered, 3);
}

#[tokio::test]
async fn after_its_attempts_a_message_is_forwarded_and_the_next_of_its_key_goes_on() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = begin(&pubsub).await;
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
    let dead = buried(&mut raw).await;
    assert_eq!(texts(&dead), ["poison"]);
    let message = dead[0].message.as_ref().unwrap();
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

#[tokio::test]
async fn a_late_burial_comes_after_one_delivery_more() {
    // It is one more, however often the fault may strike.
    let faults = Faults::none().late_burials(Rate::share(1.0));
    let pubsub = PubSub::builder().faults(faults).start().unwrap();
    let mut raw = begin(&pubsub).await;
    raw.publish_texts("k", &["poison", "food"]).await;
    for attempt in 1..=6 {
        let taken = raw.pull().await;
        assert_eq!(texts(&taken), ["poison", "food"]);
        assert_eq!(taken[0].delivery_attempt, attempt);
        assert_eq!(pubsub.counts().dead_lettered, 0);
        raw.modify(ids(&taken[..1]), 0).await.unwrap();
    }
    assert_eq!(texts(&raw.pull().await), ["food"]);
    assert_eq!(texts(&buried(&mut raw).await), ["poison"]);
    assert_eq!(pubsub.counts().strikes(Fault::LateBurial).times, 1);
}

#[tokio::test]
async fn a_late_burial_does_not_come_where_the_delivery_more_is_acknowledged() {
    let faults = Faults::none().late_burials(Rate::next(1));
    let pubsub = PubSub::builder().faults(faults).start().unwrap();
    let mut raw = begin(&pubsub).await;
    raw.publish_texts("k", &["cured"]).await;
    for _ in 1..=5 {
        let taken = raw.pull().await;
        raw.modify(ids(&taken), 0).await.unwrap();
    }
    let taken = raw.pull().await;
    raw.ack(ids(&taken)).await.unwrap();
    let counts = pubsub.counts();
    assert_eq!((counts.acked, counts.dead_lettered), (1, 0));
    assert_eq!(pubsub.stored_bytes(), 0);
}

/// A second of a backoff lasts as long as one of a deadline.
#[tokio::test]
async fn by_its_retry_policy_a_message_comes_later() {
    let backoff = Some(prost_types::Duration {
        seconds: 600,
        nanos: 0,
    });
    for (second, comes) in [(1, true), (1_000, false)] {
        let second = Duration::from_millis(second);
        let pubsub = PubSub::builder().second(second).start().unwrap();
        let retried = |config| Subscription {
            retry_policy: Some(RetryPolicy {
                minimum_backoff: backoff,
                maximum_backoff: backoff,
            }),
            ..config
        };
        let mut raw = raw::begin(&pubsub, retried).await;
        raw.publish_texts("k", &["x"]).await;
        let taken = raw.pull().await;
        raw.modify(ids(&taken), 0).await.unwrap();
        match comes {
            true => assert_eq!(texts(&raw.pull().await), ["x"]),
            false => assert_eq!(raw.pull_now().await.unwrap(), []),
        }
    }
}
