//! What `for_each_keyed` tells of a handler that fails.
#![allow(clippy::unwrap_used, missing_docs)]

use anyhub_conformance::Told;
use anyhub_core::{
    ConsumerExt, ConsumerOptions, Delivery, Event, Hub, ProducerExt, ProducerOptions, TopicConfig,
    memory::MemoryHub,
};
use std::time::Duration;
use tokio::sync::Notify;

#[tokio::test]
async fn a_handler_that_always_fails_is_told_ever_more_seldom() {
    let told = Told::listen();
    let hub = MemoryHub::new();
    let topic = TopicConfig::new("t").partitions(1);
    hub.admin().create_topic(&topic).await.unwrap();
    let producer = hub.producer("t", ProducerOptions::new()).await.unwrap();
    for payload in ["fine", "hunter2"] {
        let event = Event::new(payload).with_key("user-1");
        producer.send(event).await.unwrap();
    }

    let options = ConsumerOptions::new().group("g");
    let options = options.nack_delay(Duration::ZERO, Duration::ZERO);
    let mut consumer = hub.consumer("t", options).await.unwrap();
    let enough = Notify::new();
    let handler = async |delivery: Delivery| {
        if delivery.position.to_string() == "0" {
            return Ok(());
        }
        if delivery.attempt.get() == 9 {
            enough.notify_one();
        }
        Err("no such table".into())
    };
    let work = consumer.for_each_keyed(1, enough.notified(), handler);
    work.await.unwrap();

    let lines = told.with(&["the handler failed"]);
    assert_eq!(lines.len(), 4, "{lines:#?}");
    for (line, attempt) in lines.iter().zip([1, 2, 4, 8]) {
        for part in [
            "WARN",
            "error=no such table",
            "partition=0",
            "position=1",
            r#"key=Some(Key("user-1"))"#,
            &format!("attempt={attempt}"),
            "nack_delay",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!line.contains("hunter2"), "{line}");
    }
}
