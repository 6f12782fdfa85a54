//! What is billed is what was on the wire.
#![allow(missing_docs, clippy::unwrap_used)]

use anyhub_core::{ConsumerOptions, Event, Hub, ProducerOptions, TopicConfig};
use anyhub_local::pubsub::PubSub;
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use std::time::Duration;

const EVENTS: usize = 5;
/// With these bytes alone no request is below the least.
const DATA: usize = 1_000;

async fn within<T>(step: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(60), step).await;
    ended.expect("it hangs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_attributes_and_ids_count() {
    let server = PubSub::builder().start().unwrap();
    let hub = PubSubHub::new(PubSubConfig::new("local").endpoint(server.endpoint())).unwrap();
    within(hub.admin().create_topic(&TopicConfig::new("tweets")))
        .await
        .unwrap();
    let options = ConsumerOptions::new().group("score");
    let mut consumer = within(hub.consumer("tweets", options)).await.unwrap();
    let producer = within(hub.producer("tweets", ProducerOptions::new()))
        .await
        .unwrap();
    let event = Event::new(vec![7; DATA])
        .with_key("key")
        .with_header("b", "2")
        .with_header("a", "1");
    let pending = within(producer.submit(vec![event; EVENTS])).await.unwrap();
    for outcome in within(pending).await {
        outcome.unwrap();
    }
    let mut ids = 0;
    let mut came = 0;
    while came < EVENTS {
        for delivery in within(consumer.receive(EVENTS)).await.unwrap().deliveries {
            came += 1;
            let at = delivery.position.as_sequence().and_then(|at| at.as_u128());
            // The stand-in's ids are numbers, of which a position ends with one.
            ids += (at.unwrap() as u64).to_string().len();
        }
    }
    let added = "key".len() + "b2a1".len() + "anyhub-order".len() + "1,0".len() + 20;
    let billed = (EVENTS * (DATA + added) + ids) as u64;
    let usage = hub.usage();
    assert_eq!(usage.get("publish_bytes"), billed);
    assert_eq!(usage.get("delivery_bytes"), billed);
    within(consumer.close()).await.unwrap();
    within(hub.close()).await.unwrap();
}
