//! Groups that are asked for with other options than they were made with, and dead letters that have no place.

use crate::{config, event, hub, server, told, within};
use anyhub_conformance::Told;
use anyhub_core::{
    ConsumerOptions, ErrorKind, Hub, ProducerExt, ProducerOptions, Result, TopicConfig,
};
use anyhub_local::pubsub::PubSub;
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use std::time::Duration;

/// Makes topics beside `tweets`.
async fn topics(server: &PubSub, names: &[&str]) {
    let hub = hub(server).await;
    for name in names {
        let topic = TopicConfig::new(*name);
        within(hub.admin().create_topic(&topic)).await.unwrap();
    }
}

/// Opens a group of `tweets` and closes it.
async fn open(config: PubSubConfig, group: &str) -> Result<()> {
    let hub = PubSubHub::new(config).unwrap();
    let options = ConsumerOptions::new().group(group);
    let mut consumer = within(hub.consumer("tweets", options)).await?;
    within(consumer.close()).await.unwrap();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_of_the_dead_letter_topic_buries_nothing() {
    let server = server();
    topics(&server, &["dead"]).await;
    for (group, dead_letter) in [("short", "dead"), ("full", "projects/local/topics/dead")] {
        let hub = PubSubHub::new(config(&server).dead_letter(dead_letter)).unwrap();
        let tick = Duration::from_millis(5);
        let options = ConsumerOptions::new().group(group).nack_delay(tick, tick);
        let mut consumer = within(hub.consumer("dead", options)).await.unwrap();
        let producer = within(hub.producer("dead", ProducerOptions::new()))
            .await
            .unwrap();
        within(producer.send(event(group))).await.unwrap();
        // More often than a policy would take it.
        let mut nacked = 0;
        while nacked < 8 {
            let tokens = within(consumer.receive(1)).await.unwrap().tokens();
            nacked += consumer.acks().nack(&tokens);
        }
        within(hub.close()).await.unwrap();
        assert_eq!(server.counts().dead_lettered, 0, "{dead_letter}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_without_exactly_once_delivery_is_not_taken_for_one_with_it() {
    let server = server();
    hub(&server).await;
    open(config(&server), "score").await.unwrap();
    let asked = config(&server).exactly_once(true);
    let error = open(asked.clone(), "score").await.unwrap_err();
    told(&error, ErrorKind::Invalid, "without exactly-once delivery");
    let advice = error.advice().unwrap();
    let command =
        "subscriptions update projects/local/subscriptions/score --enable-exactly-once-delivery";
    assert!(advice.contains(command), "{advice}");
    let admin = PubSubHub::new(asked.clone()).unwrap();
    within(admin.admin().delete_group("score")).await.unwrap();
    open(asked, "score").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_else_a_group_has_otherwise_is_told_in_one_line() {
    let told = Told::listen();
    let server = server();
    topics(&server, &["dead", "graves"]).await;
    let day = Duration::from_secs(86_400);
    let made = config(&server)
        .exactly_once(true)
        .dead_letter("dead")
        .retention(day);
    open(made.clone(), "otherwise").await.unwrap();
    open(made, "otherwise").await.unwrap();
    let lines = || told.with(&["WARN", "otherwise"]);
    assert!(lines().is_empty(), "{:?}", lines());
    let asked = config(&server)
        .dead_letter("graves")
        .max_delivery_attempts(7)
        .retention(2 * day);
    open(asked, "otherwise").await.unwrap();
    let lines = lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "stays as it is",
        "exactly_once is true, not false",
        "dead_letter is projects/local/topics/dead, not projects/local/topics/graves",
        "max_delivery_attempts is 5, not 7",
        "retention is 86400s, not 172800s",
    ] {
        assert!(lines[0].contains(part), "'{part}' is not in: {}", lines[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_topic_that_is_not_there() {
    let server = server();
    hub(&server).await;
    let error = open(config(&server).dead_letter("dl2"), "score")
        .await
        .unwrap_err();
    told(&error, ErrorKind::NotFound, "no topic 'dl2'");
    assert!(error.to_string().contains("dead_letter"), "{error}");
}
