//! Accounts that may do no more than they have to.

use crate::{
    config, event, first,
    front::{Answer, front},
    hub, server, told, within,
};
use anyhub_core::{ConsumerOptions, ErrorKind, Hub, Point, ProducerExt, ProducerOptions};
use anyhub_local::pubsub::PubSub;
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
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
    for to in [Point::End, Point::Start] {
        within(consumer.seek(to)).await.unwrap();
    }
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

/// Whether its topic was deleted, it is not told; nothing else changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_look_any_more_reads_on() {
    let server = server();
    hub(&server).await;
    let (may, asked) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
    );
    let rule = {
        let (may, asked) = (may.clone(), asked.clone());
        move |method: &str| {
            if method != "GetSubscription" || may.load(Ordering::Relaxed) {
                return Answer::Its;
            }
            asked.fetch_add(1, Ordering::Relaxed);
            Answer::Refused(Status::permission_denied("User not authorized."))
        }
    };
    let endpoint = front(server.endpoint(), rule, |_, _| ()).await;
    let hub = PubSubHub::new(PubSubConfig::new("local").endpoint(endpoint)).unwrap();
    let options = ConsumerOptions::new().group("score");
    let mut consumer = within(hub.consumer("tweets", options)).await.unwrap();
    may.store(false, Ordering::Relaxed);
    within(async {
        while asked.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let producer = within(hub.producer("tweets", ProducerOptions::new()));
    within(producer.await.unwrap().send(event("0")))
        .await
        .unwrap();
    assert_eq!(first(&mut *consumer).await, event("0"));
    within(consumer.seek(Point::Start)).await.unwrap();
    assert_eq!(first(&mut *consumer).await, event("0"));
    within(consumer.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_unknown_is_told_at_once() {
    let server = server();
    hub(&server).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let rule = {
        let asked = asked.clone();
        move |_: &str| {
            asked.fetch_add(1, Ordering::Relaxed);
            Answer::Refused(Status::unauthenticated("Who are you?"))
        }
    };
    let endpoint = front(server.endpoint(), rule, |_, _| ()).await;
    let hub = PubSubHub::new(config(&server).endpoint(endpoint)).unwrap();
    let error = within(hub.producer("tweets", ProducerOptions::new()))
        .await
        .unwrap_err();
    told(&error, ErrorKind::Denied, "Who are you?");
    assert_eq!(asked.load(Ordering::Relaxed), 1, "it was tried again");
}
