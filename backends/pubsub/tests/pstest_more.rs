//! What pstest can serve and no trial shows on it: the trials of C2 and C3 hold several events of a key, the harness runs
//! without exactly-once delivery, and none deletes a topic under a producer.
#![allow(missing_docs, clippy::unwrap_used)]

mod pstest_here;
mod pstest_server;

use anyhub_core::{
    Consumer, ConsumerOptions, Delivery, ErrorKind, Event, Hub, Point, ProducerExt,
    ProducerOptions, TopicConfig,
};
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use pstest_here::pstest;
use pstest_server::Server;
use std::time::Duration;

const TOPIC: &str = "tweets";

async fn within<T>(step: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(60), step).await;
    ended.expect("it hangs")
}

async fn hub(server: &Server, exactly_once: bool) -> PubSubHub {
    let config = PubSubConfig::new("local")
        .endpoint(server.endpoint())
        .ack_deadline(Duration::from_secs(10))
        .exactly_once(exactly_once);
    let hub = PubSubHub::new(config).unwrap();
    let topic = TopicConfig::new(TOPIC);
    within(hub.admin().create_topic(&topic)).await.unwrap();
    hub
}

/// A member of the group, from what is published from now on.
async fn member(hub: &PubSubHub) -> Box<dyn Consumer> {
    let options = ConsumerOptions::new()
        .group("score")
        .start(Point::End)
        .commit_interval(Duration::from_millis(50));
    within(hub.consumer(TOPIC, options)).await.unwrap()
}

async fn publish(hub: &PubSubHub, events: Vec<Event>) {
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()));
    let producer = producer.await.unwrap();
    for outcome in within(within(producer.submit(events)).await.unwrap()).await {
        outcome.unwrap();
    }
    within(producer.close()).await.unwrap();
}

async fn next(member: &mut dyn Consumer) -> Delivery {
    loop {
        let came = within(member.receive(1)).await.unwrap().deliveries;
        if let Some(delivery) = came.into_iter().next() {
            return delivery;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_what_was_committed_stays_away() {
    const KEYS: usize = 5;
    const EVENTS: usize = 40;
    for exactly_once in [false, true] {
        let Some(server) = pstest("c3").await else {
            return;
        };
        let hub = hub(&server, exactly_once).await;
        let mut first = member(&hub).await;
        let event = |nth: usize| Event::new(nth.to_string()).with_key(format!("k{}", nth % KEYS));
        publish(&hub, (0..EVENTS).map(event).collect()).await;
        for _ in 0..EVENTS {
            // Each is acknowledged before the next of its key comes.
            let came = next(&mut *first).await;
            assert_eq!(first.acks().ack(&[came.token]), 1);
        }
        within(first.commit()).await.unwrap();
        within(first.close()).await.unwrap();
        let mut second = member(&hub).await;
        publish(&hub, vec![Event::new("last").with_key("k0")]).await;
        let came = next(&mut *second).await;
        assert_eq!(came.event.payload, "last");
        within(hub.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_what_is_worked_on_is_nobody_elses_and_what_is_dropped_is() {
    let Some(server) = pstest("c2").await else {
        return;
    };
    let hub = hub(&server, false).await;
    let mut first = member(&hub).await;
    publish(&hub, vec![Event::new("0").with_key("k")]).await;
    next(&mut *first).await;
    let mut second = member(&hub).await;
    // Longer than a deadline.
    let stolen = tokio::time::timeout(Duration::from_secs(13), next(&mut *second)).await;
    assert!(stolen.is_err(), "its deadline was not prolonged");
    drop(first);
    let came = next(&mut *second).await;
    assert_eq!(came.event.payload, "0");
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_deleted_under_a_producer_is_not_found() {
    let Some(server) = pstest("a_topic_that_was_deleted").await else {
        return;
    };
    let hub = hub(&server, false).await;
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()));
    let producer = producer.await.unwrap();
    within(hub.admin().delete_topic(TOPIC)).await.unwrap();
    let gone = within(producer.send(Event::new("x"))).await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    within(hub.close()).await.unwrap();
}
