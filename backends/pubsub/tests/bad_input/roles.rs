//! Accounts that may do no more than they have to.

use crate::{
    config, event, first,
    front::{Answer, front},
    hub, server, told, within,
};
use anyhub_core::{ConsumerOptions, ErrorKind, Hub, ProducerExt, ProducerOptions};
use anyhub_local::pubsub::PubSub;
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use tonic::Status;

/// The hub of an account that is refused these methods.
async fn refused(server: &PubSub, methods: &'static [&'static str]) -> PubSubHub {
    let rule = move |method: &str| match methods.contains(&method) {
        true => Answer::Refused(Status::permission_denied("User not authorized.")),
        false => Answer::Its,
    };
    let endpoint = front(server.endpoint(), rule, |_, _| ()).await;
    PubSubHub::new(PubSubConfig::new("local").endpoint(endpoint)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_may_not_look_at_topics() {
    let server = server();
    hub(&server).await;
    let hub = refused(&server, &["GetTopic"]).await;
    let producer = within(hub.producer("tweets", ProducerOptions::new()));
    within(producer.await.unwrap().send(event("0")))
        .await
        .unwrap();
    let producer = within(hub.producer("nowhere", ProducerOptions::new()));
    let error = within(producer.await.unwrap().send(event("0")))
        .await
        .unwrap_err();
    told(&error, ErrorKind::NotFound, "'nowhere'");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_reads_a_group_that_is_there() {
    let server = server();
    let owner = hub(&server).await;
    let options = ConsumerOptions::new().group("score");
    let mut consumer = within(owner.consumer("tweets", options.clone()))
        .await
        .unwrap();
    within(consumer.close()).await.unwrap();
    let producer = within(owner.producer("tweets", ProducerOptions::new()));
    within(producer.await.unwrap().send(event("0")))
        .await
        .unwrap();
    let hub = refused(&server, &["GetTopic"]).await;
    let mut consumer = within(hub.consumer("tweets", options.clone()))
        .await
        .unwrap();
    assert_eq!(first(&mut *consumer).await, event("0"));
    within(consumer.close()).await.unwrap();
    // What it takes is said where it can't be done without.
    let hub = refused(&server, &["GetSubscription"]).await;
    let error = within(hub.consumer("tweets", options)).await.unwrap_err();
    told(&error, ErrorKind::Denied, "not authorized");
    assert!(
        error.advice().unwrap().contains("pubsub.viewer"),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_unknown_is_told_at_once() {
    let server = server();
    hub(&server).await;
    let rule = |_: &str| Answer::Refused(Status::unauthenticated("Who are you?"));
    let endpoint = front(server.endpoint(), rule, |_, _| ()).await;
    let hub = PubSubHub::new(config(&server).endpoint(endpoint)).unwrap();
    let error = within(hub.producer("tweets", ProducerOptions::new()))
        .await
        .unwrap_err();
    told(&error, ErrorKind::Denied, "Who are you?");
}
