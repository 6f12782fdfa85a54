//! Google's Rust client as the tests use it.

use std::time::Duration;

use anyhub_local::PubSub;
use google_cloud_auth::credentials::{Credentials, anonymous};
use google_cloud_pubsub::client::{Publisher, Subscriber, SubscriptionAdmin, TopicAdmin};
use google_cloud_pubsub::model::{Message, Subscription};
use google_cloud_pubsub::subscriber::MessageStream;
use google_cloud_pubsub::subscriber::handler::Handler;

/// More than anything here takes, but for what never comes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const TOPIC: &str = "projects/p/topics/tweets";
pub(crate) const SUBSCRIPTION: &str = "projects/p/subscriptions/readers";

fn credentials() -> Credentials {
    anonymous::Builder::new().build()
}

pub(crate) async fn topics(pubsub: &PubSub) -> TopicAdmin {
    TopicAdmin::builder()
        .with_endpoint(pubsub.endpoint())
        .with_credentials(credentials())
        .build()
        .await
        .unwrap()
}

pub(crate) async fn subscriptions(pubsub: &PubSub) -> SubscriptionAdmin {
    SubscriptionAdmin::builder()
        .with_endpoint(pubsub.endpoint())
        .with_credentials(credentials())
        .build()
        .await
        .unwrap()
}

/// A server with a topic, and a subscription to it that is ordered.
pub(crate) async fn begin() -> PubSub {
    begin_with(PubSub::builder().start().unwrap(), |config| config).await
}

/// Makes the topic, and an ordered subscription as it is changed.
pub(crate) async fn begin_with(
    pubsub: PubSub,
    change: impl FnOnce(Subscription) -> Subscription,
) -> PubSub {
    let topic = topics(&pubsub).await.create_topic().set_name(TOPIC);
    topic.send().await.unwrap();
    let config = Subscription::new()
        .set_name(SUBSCRIPTION)
        .set_topic(TOPIC)
        .set_enable_message_ordering(true);
    let create = subscriptions(&pubsub).await.create_subscription();
    create.with_request(change(config)).send().await.unwrap();
    pubsub
}

pub(crate) async fn publisher(pubsub: &PubSub) -> Publisher {
    Publisher::builder(TOPIC)
        .with_endpoint(pubsub.endpoint())
        .with_credentials(credentials())
        .build()
        .await
        .unwrap()
}

pub(crate) fn message(key: &str, text: &str) -> Message {
    Message::new()
        .set_data(text.as_bytes().to_vec())
        .set_ordering_key(key)
}

/// Publishes texts with a key, in order.
pub(crate) async fn publish(publisher: &Publisher, key: &str, texts: &[&str]) {
    let sent: Vec<_> = texts
        .iter()
        .map(|text| publisher.publish(message(key, text)))
        .collect();
    publisher.flush().await;
    for sent in sent {
        sent.await.unwrap();
    }
}

pub(crate) async fn subscribe(pubsub: &PubSub) -> MessageStream {
    let subscriber = Subscriber::builder()
        .with_endpoint(pubsub.endpoint())
        .with_credentials(credentials())
        .build()
        .await
        .unwrap();
    subscriber.subscribe(SUBSCRIPTION).build()
}

/// The next message as text, and what it is acknowledged by.
pub(crate) async fn next(stream: &mut MessageStream) -> (String, Handler) {
    let next = tokio::time::timeout(DEADLINE, stream.next()).await;
    let next = next.expect("a message comes in time");
    let (message, handler) = next.expect("the stream goes on").unwrap();
    (String::from_utf8(message.data.to_vec()).unwrap(), handler)
}

/// Waits until something is so.
pub(crate) async fn until(what: impl Fn() -> bool) {
    let wait = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap();
}
