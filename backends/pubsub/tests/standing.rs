//! A key whose event is never acknowledged stands still, and nothing else does (C4).
#![allow(missing_docs, clippy::unwrap_used)]

use anyhub_core::{ConsumerOptions, Event, Hub, ProducerOptions, TopicConfig};
use anyhub_local::pubsub::PubSub;
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use std::{collections::HashMap, time::Duration};

const TOPIC: &str = "tweets";
/// What may be unacknowledged of all keys together.
const PREFETCH: usize = 100;
const UNFINISHED: usize = 20;

async fn within<T>(step: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(60), step).await;
    ended.expect("it hangs")
}

/// Events `from..to` of one key after the other, each in order.
async fn publish(hub: &PubSubHub, keys: std::ops::Range<usize>, from: usize, to: usize) {
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()));
    let producer = producer.await.unwrap();
    for key in keys {
        let event = |nth: usize| Event::new(nth.to_string()).with_key(format!("k{key}"));
        let pending = producer.submit((from..to).map(event).collect());
        for outcome in within(within(pending).await.unwrap()).await {
            outcome.unwrap();
        }
    }
    within(producer.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_go_on_and_the_key_does_once_it_is_acknowledged() {
    // More of each than may be unacknowledged of all.
    const STUCK: usize = 3;
    const BEHIND: usize = 3 * PREFETCH;
    const KEYS: usize = 20;
    const EACH: usize = 50;
    let server = PubSub::builder().seed(3).start().unwrap();
    let config = PubSubConfig::new("local")
        .endpoint(server.endpoint())
        .ack_deadline(Duration::from_secs(10));
    let hub = PubSubHub::new(config).unwrap();
    let topic = TopicConfig::new(TOPIC);
    within(hub.admin().create_topic(&topic)).await.unwrap();
    publish(&hub, 0..STUCK, 0, BEHIND).await;
    publish(&hub, STUCK..KEYS, 0, EACH).await;
    let options = ConsumerOptions::new()
        .group("score")
        .prefetch_events(PREFETCH)
        .max_unfinished(UNFINISHED)
        .commit_interval(Duration::from_millis(50));
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    let acks = consumer.acks();
    let mut due: HashMap<String, usize> = HashMap::new();
    let mut stuck = Vec::new();
    let mut others = 0;
    let mut go_on = false;
    while others < (KEYS - STUCK) * EACH || due.values().sum::<usize>() < others + STUCK * BEHIND {
        let batch = within(consumer.receive(50)).await.unwrap();
        let mut done = Vec::new();
        for delivery in &batch.deliveries {
            let key = delivery.event.key.as_ref().and_then(|key| key.as_str());
            let key = key.unwrap().to_owned();
            let nth: usize = std::str::from_utf8(&delivery.event.payload)
                .unwrap()
                .parse()
                .unwrap();
            let is_stuck = key[1..].parse::<usize>().unwrap() < STUCK;
            let due = due.entry(key.clone()).or_default();
            assert_eq!(nth, *due, "{key}: out of order, or twice");
            *due += 1;
            others += usize::from(!is_stuck);
            match is_stuck && nth == 0 {
                true => stuck.push(delivery.token),
                false => done.push(delivery.token),
            }
        }
        assert_eq!(acks.ack(&done), done.len());
        let unfinished: usize = consumer.assignment().iter().map(|of| of.unfinished).sum();
        assert!(
            unfinished <= STUCK * UNFINISHED + PREFETCH,
            "{unfinished} events are not finished"
        );
        if !go_on && others == (KEYS - STUCK) * EACH {
            go_on = true;
            assert_eq!(acks.ack(&stuck), stuck.len(), "they are still ours");
        }
    }
    within(consumer.close()).await.unwrap();
}
