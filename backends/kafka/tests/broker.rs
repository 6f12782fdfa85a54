//! What is Kafka's own, against a real broker; the contract is in `conformance.rs`.

use anyhub_core::{
    Change, Consumer, ConsumerOptions, ErrorKind, Event, Hub, Point, Producer, ProducerExt,
    ProducerOptions, TopicConfig,
};
use anyhub_kafka::{KafkaConfig, KafkaHub};
use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::timeout;

/// One broker for all tests of this file; it ends with the process.
fn broker() -> &'static str {
    static BROKER: OnceLock<(String, Option<anyhub_local::Kafka>)> = OnceLock::new();
    let (bootstrap, _) = BROKER.get_or_init(|| match std::env::var("ANYHUB_TEST_KAFKA") {
        Ok(bootstrap) => (bootstrap, None),
        Err(_) => {
            let kafka = anyhub_local::Kafka::builder().start().expect("a local Kafka");
            (kafka.bootstrap(), Some(kafka))
        }
    });
    bootstrap
}

async fn hub() -> KafkaHub {
    let bootstrap = tokio::task::spawn_blocking(broker).await.expect("a broker");
    KafkaHub::new(KafkaConfig::new(bootstrap)).expect("a hub")
}

async fn topic(hub: &KafkaHub, partitions: u32) -> String {
    static NTH: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let nth = NTH.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let name = format!("kafka-{}-{nth}", now.expect("a time").as_millis());
    let config = TopicConfig::new(&name).partitions(partitions);
    hub.admin().create_topic(&config).await.expect("a topic");
    name
}

/// Receives until `count` deliveries came; their payloads, in order, all acked.
async fn take(consumer: &mut dyn Consumer, count: usize) -> Vec<(Option<String>, String)> {
    let mut came = Vec::new();
    let acks = consumer.acks();
    while came.len() < count {
        let receiving = timeout(Duration::from_secs(20), consumer.receive(500));
        let batch = receiving.await.expect("an event in time").expect("an event");
        acks.ack(&batch.tokens());
        for delivery in batch.deliveries {
            let key = delivery.event.key.as_ref();
            let key = key.map(|key| key.as_str().expect("a key of text").to_owned());
            let payload = String::from_utf8(delivery.event.payload.to_vec()).expect("text");
            came.push((key, payload));
        }
    }
    came
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ten_thousand_events_go_through_a_group_that_resumes() {
    const EVENTS: usize = 10_000;
    let hub = hub().await;
    let topic = topic(&hub, 4).await;
    let producer = hub.producer(&topic, ProducerOptions::new()).await.expect("a producer");
    let mut pending = Vec::new();
    for batch in 0..EVENTS / 100 {
        let events = (0..100)
            .map(|nth| {
                let id = batch * 100 + nth;
                Event::new(id.to_string()).with_key(format!("k{}", id % 97)).with_header("id", id.to_string())
            })
            .collect();
        pending.push(producer.submit(events).await.expect("admitted"));
    }
    let mut receipts = HashSet::new();
    for batch in pending {
        for outcome in batch.await {
            let receipt = outcome.expect("written");
            receipts.insert((receipt.partition, receipt.position.and_then(|at| at.as_offset())));
        }
    }
    assert_eq!(receipts.len(), EVENTS);

    let options = ConsumerOptions::new().group(format!("{topic}-g"));
    let mut consumer = hub.consumer(&topic, options.clone()).await.expect("a consumer");
    let mut came = take(&mut *consumer, EVENTS / 2).await;
    consumer.close().await.expect("closed");
    drop(consumer);
    let mut consumer = hub.consumer(&topic, options).await.expect("a consumer");
    came.extend(take(&mut *consumer, EVENTS - came.len()).await);
    consumer.commit().await.expect("committed");
    assert_eq!(came.len(), EVENTS, "nothing came twice, nothing is missing");
    for key in 0..97 {
        let key = Some(format!("k{key}"));
        let of_key: Vec<usize> = came
            .iter()
            .filter(|(of, _)| *of == key)
            .map(|(_, id)| id.parse().expect("a number"))
            .collect();
        assert!(of_key.is_sorted(), "{key:?} is out of order");
    }
    let lag = hub.admin().lag(&topic, &format!("{topic}-g")).await.expect("a lag");
    assert!(lag.iter().all(|lag| lag.events == Some(0)), "{lag:?}");
    consumer.close().await.expect("closed");
    producer.close().await.expect("closed");
}
