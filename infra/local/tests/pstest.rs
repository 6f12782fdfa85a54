//! pstest, through the library: it answers as Pub/Sub does, fails with a reason, and leaves nothing behind.
#![allow(clippy::unwrap_used, missing_docs)]

mod processes;

use anyhub_local::{Error, PsTest};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::publisher_client::PublisherClient;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::subscriber_client::SubscriberClient;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    PublishRequest, PubsubMessage, PullRequest, Subscription, Topic,
};
use processes::{await_that, is_gone};
use tonic::transport::Channel;

const TOPIC: &str = "projects/p/topics/tweets";
const SUBSCRIPTION: &str = "projects/p/subscriptions/readers";

fn can_run(test: &str) -> bool {
    processes::can_run(test, anyhub_local::pstest::requirements())
}

/// Publishes a message, and gives what is pulled then.
async fn round_trip(endpoint: String) -> Vec<u8> {
    let channel = Channel::from_shared(endpoint).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut publisher = PublisherClient::new(channel.clone());
    let mut subscriber = SubscriberClient::new(channel);
    let topic = Topic {
        name: TOPIC.into(),
        ..Topic::default()
    };
    publisher.create_topic(topic).await.unwrap();
    let subscription = Subscription {
        name: SUBSCRIPTION.into(),
        topic: TOPIC.into(),
        ack_deadline_seconds: 10,
        ..Subscription::default()
    };
    subscriber.create_subscription(subscription).await.unwrap();
    let message = PubsubMessage {
        data: "hello".into(),
        ..PubsubMessage::default()
    };
    let request = PublishRequest {
        topic: TOPIC.into(),
        messages: vec![message],
    };
    publisher.publish(request).await.unwrap();
    loop {
        let request = PullRequest {
            subscription: SUBSCRIPTION.into(),
            max_messages: 1,
            ..PullRequest::default()
        };
        let pulled = subscriber.pull(request).await.unwrap().into_inner();
        if let Some(received) = pulled.received_messages.into_iter().next() {
            return received.message.unwrap().data.to_vec();
        }
    }
}

#[test]
fn it_serves_pubsub_and_stops_with_all_that_it_started() {
    if !can_run("it_serves_pubsub_and_stops_with_all_that_it_started") {
        return;
    }
    let pstest = PsTest::start(None, |_| {}).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(round_trip(pstest.endpoint())), b"hello");
    let pid = pstest.pid().unwrap();
    let log = pstest.log().to_owned();
    pstest.stop();
    assert!(is_gone(pid) && pstest.failure().is_none());
    assert!(!log.exists());
}

#[test]
fn one_that_is_killed_says_so_and_keeps_its_log() {
    if !can_run("one_that_is_killed_says_so_and_keeps_its_log") {
        return;
    }
    let pstest = PsTest::start(None, |_| {}).unwrap();
    let pid = pstest.pid().unwrap();
    let killed = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status();
    assert!(killed.unwrap().success());
    await_that("it is seen", || pstest.failure().is_some());
    let error = pstest.failure().unwrap();
    assert!(error.to_string().contains("signal 9"), "{error}");
    let log = pstest.log().to_owned();
    drop(pstest);
    assert!(log.exists());
    std::fs::remove_dir_all(log.parent().unwrap()).unwrap();
}

#[test]
fn a_port_that_is_taken_is_refused() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = PsTest::start(Some(port), |_| {}).unwrap_err();
    assert!(matches!(error, Error::PortInUse { .. }), "{error}");
}
