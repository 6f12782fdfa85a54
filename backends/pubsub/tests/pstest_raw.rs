//! What pstest can't serve, shown with the raw client: each is the reason for lines of `pstest.exceptions`, and a step that
//! fails here says that they can go.
#![allow(missing_docs, clippy::unwrap_used)]

mod pstest_here;
mod pstest_server;

use futures_util::{StreamExt, stream};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    self as pb, publisher_client::PublisherClient, subscriber_client::SubscriberClient,
};
use pstest_server::Server;
use std::{collections::HashSet, time::Duration};
use tokio::time::{sleep, timeout};
use tonic::{Code, transport::Channel};

/// A step for each reason, and no other.
const STEPS: [&str; 3] = [
    "a_key_gives_one_at_a_time",
    "it_takes_4_mib_at_most",
    "it_ends_at_a_seek",
];

#[test]
fn every_exception_names_a_step_that_shows_it() {
    let lines = include_str!("pstest.exceptions").lines();
    let lines = lines.filter(|line| !line.starts_with('#'));
    let named: HashSet<_> = lines
        .map(|line| line.rsplit_once('(').unwrap().1.trim_end_matches(')'))
        .collect();
    assert_eq!(named, HashSet::from(STEPS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exceptions_are_the_servers() {
    let Some(server) = pstest_here::pstest("exceptions_are_the_servers").await else {
        return;
    };
    let channel = Channel::from_shared(server.endpoint()).unwrap();
    let mut raw = Raw {
        publisher: PublisherClient::new(channel.connect().await.unwrap()),
        subscriber: SubscriberClient::new(channel.connect().await.unwrap()),
    };
    a_key_gives_one_at_a_time(&mut raw).await;
    it_takes_4_mib_at_most(&mut raw).await;
    it_ends_at_a_seek(&mut raw, &server).await;
}

struct Raw {
    publisher: PublisherClient<Channel>,
    subscriber: SubscriberClient<Channel>,
}

impl Raw {
    /// A topic and a subscription of that name.
    async fn create(&mut self, name: &str) -> (String, String) {
        let topic = format!("projects/p/topics/{name}");
        let subscription = format!("projects/p/subscriptions/{name}");
        let made = pb::Topic {
            name: topic.clone(),
            ..pb::Topic::default()
        };
        self.publisher.create_topic(made).await.unwrap();
        let made = pb::Subscription {
            name: subscription.clone(),
            topic: topic.clone(),
            ack_deadline_seconds: 10,
            enable_message_ordering: true,
            ..pb::Subscription::default()
        };
        self.subscriber.create_subscription(made).await.unwrap();
        (topic, subscription)
    }

    async fn publish(&mut self, topic: &str, events: usize) {
        let message = |nth: usize| pb::PubsubMessage {
            data: nth.to_string().into(),
            ordering_key: "k".into(),
            ..pb::PubsubMessage::default()
        };
        let request = pb::PublishRequest {
            topic: topic.into(),
            messages: (0..events).map(message).collect(),
        };
        self.publisher.publish(request).await.unwrap();
    }

    async fn ack(&mut self, subscription: &str, ack_id: &str) {
        let request = pb::AcknowledgeRequest {
            subscription: subscription.into(),
            ack_ids: vec![ack_id.into()],
        };
        self.subscriber.acknowledge(request).await.unwrap();
    }
}

async fn a_key_gives_one_at_a_time(raw: &mut Raw) {
    let (topic, subscription) = raw.create("one-at-a-time").await;
    raw.publish(&topic, 3).await;
    let first = pb::StreamingPullRequest {
        subscription: subscription.clone(),
        stream_ack_deadline_seconds: 60,
        ..pb::StreamingPullRequest::default()
    };
    let requests = stream::iter([first]).chain(stream::pending());
    let mut pulled = raw.subscriber.streaming_pull(requests).await.unwrap();
    let pulled = pulled.get_mut();
    let ids = |response: pb::StreamingPullResponse| {
        let received = response.received_messages.into_iter();
        received.map(|it| it.ack_id).collect::<Vec<_>>()
    };
    let came = ids(pulled.message().await.unwrap().unwrap());
    assert_eq!(came.len(), 1);
    let more = timeout(Duration::from_secs(1), pulled.message()).await;
    assert!(more.is_err(), "more of a key come by now: {more:?}");
    raw.ack(&subscription, &came[0]).await;
    let next = ids(pulled.message().await.unwrap().unwrap());
    assert_eq!(next.len(), 1, "what was acknowledged was waited for");
}

async fn it_takes_4_mib_at_most(raw: &mut Raw) {
    let (topic, _) = raw.create("large").await;
    let message = pb::PubsubMessage {
        data: vec![7; (4 << 20) + 1].into(),
        ..pb::PubsubMessage::default()
    };
    let request = pb::PublishRequest {
        topic,
        messages: vec![message],
    };
    let answer = raw.publisher.publish(request).await;
    let code = answer.map(drop).map_err(|status| status.code());
    assert_eq!(code, Err(Code::ResourceExhausted));
}

/// The last one: it is gone then.
async fn it_ends_at_a_seek(raw: &mut Raw, server: &Server) {
    let (topic, subscription) = raw.create("sought").await;
    raw.publish(&topic, 1).await;
    let sought = pb::SeekRequest {
        subscription,
        target: Some(pb::seek_request::Target::Time(prost_types::Timestamp {
            seconds: 0,
            nanos: 0,
        })),
    };
    // It may be gone before it has answered.
    let _ = raw.subscriber.seek(sought).await;
    for _ in 0..200 {
        if let Some(failure) = server.failure() {
            let failure = failure.to_string();
            assert!(failure.contains("nil pointer"), "{failure}");
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("it lives through a seek by now");
}
