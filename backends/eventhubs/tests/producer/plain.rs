use crate::log::{config, hub, numbered, occurrences, producer, publish, read, server, within};
use anyhub_core::{ErrorKind, Event, Hub, Partition, ProducerExt, ProducerOptions};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub};
use std::collections::HashSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_back_as_the_sdk_reads_them() {
    let server = server(4);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    let events = vec![
        Event::new("plain"),
        Event::new("").with_key("empty"),
        Event::new("all")
            .with_key("ключ 💡")
            .with_header("lang", "en")
            .with_header("a", "ü"),
        Event::new("x".repeat(5_000)).with_key("long"),
    ];
    let receipts = publish(&*producer, events.clone()).await;
    let log = read(&server, "t").await;
    assert_eq!(log.len(), events.len());
    for (event, receipt) in events.iter().zip(&receipts) {
        let found = log
            .iter()
            .find(|logged| logged.payload.as_bytes() == event.payload);
        let found = found.expect("it is in the log");
        let key = event.key.as_ref().and_then(|key| key.as_str());
        assert_eq!(found.key.as_deref(), key);
        assert_eq!(receipt.partition, Some(Partition::number(found.partition)));
        assert_eq!(receipt.position, None, "no answer tells it");
        let mut headers: Vec<_> = event
            .headers
            .iter()
            .map(|header| {
                let value = String::from_utf8(header.value().to_vec()).unwrap();
                (header.name().to_owned(), value)
            })
            .collect();
        headers.sort();
        assert_eq!(found.headers, headers);
    }
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_of_a_batch_has_its_own_key_and_its_keys_partition() {
    let server = server(4);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    publish(&*producer, numbered(37, 0, 1_000)).await;
    let log = read(&server, "t").await;
    let seen = occurrences(&log, 37);
    assert_eq!((seen.len(), log.len()), (1_000, 1_000));
    let mut of_key = std::collections::HashMap::new();
    for event in &log {
        let partition = of_key.entry(event.key.clone()).or_insert(event.partition);
        assert_eq!(*partition, event.partition);
    }
    let used: HashSet<_> = of_key.values().collect();
    assert_eq!(used.len(), 4);
    let counts = server.counts();
    assert!(counts.messages_in < 20, "{} messages", counts.messages_in);
    let usage = hub.usage();
    assert_eq!(usage.get("ingress_events"), 1_000);
    within(producer.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_emulators_connection_string_alone_is_enough() {
    let server = server(1);
    let config = EventHubsConfig::new().connection_string(server.connection_string("t"));
    let hub = EventHubsHub::new(config).unwrap();
    let producer = producer(&hub).await;
    publish(&*producer, vec![Event::new("x")]).await;
    assert_eq!(read(&server, "t").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keyless_events_spread() {
    let server = server(4);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    let events = (0..400).map(|_| Event::new("x".repeat(1_000)));
    publish(&*producer, events.collect()).await;
    let log = read(&server, "t").await;
    assert!(log.iter().all(|event| event.key.is_none()));
    for partition in 0..4 {
        let there = log.iter().filter(|event| event.partition == partition);
        assert!(there.count() >= 50, "partition {partition}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_admitted_is_sent_though_its_producer_is_dropped() {
    let server = server(2);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    let pending = within(producer.submit(numbered(3, 0, 100))).await.unwrap();
    drop(producer);
    assert!(within(pending).await.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_producer_leaves_its_connection_when_it_closes() {
    let server = server(2);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    producer.send(Event::new("x")).await.unwrap();
    assert_eq!(server.counts().open_connections, 1);
    within(producer.close()).await.unwrap();
    let refused = producer.submit(vec![Event::new("y")]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
    within(async {
        while server.counts().open_connections > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    within(producer.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_or_not_allowed_is_told_when_it_is_opened() {
    let server = server(2);
    let refused = |error: anyhub_core::Error, kind, says: &str| {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    };
    let hub = hub(&server);
    for name in ["nowhere", "no name at all!"] {
        let error = within(hub.producer(name, ProducerOptions::new()))
            .await
            .unwrap_err();
        refused(error, ErrorKind::NotFound, name);
    }
    let wrong = server
        .connection_string("t")
        .replace("SAS_KEY_VALUE", "wrong");
    let hub = EventHubsHub::new(config(&server).connection_string(wrong)).unwrap();
    let error = within(hub.producer("t", ProducerOptions::new()))
        .await
        .unwrap_err();
    refused(error, ErrorKind::Denied, "InvalidSignature");
    assert_eq!(server.counts().refused_tokens, 1, "it is not tried again");
    let expired = "SharedAccessSignature sr=x&sig=y&se=1000&skn=z";
    let text = format!("Endpoint=sb://localhost/;SharedAccessSignature={expired}");
    let hub = EventHubsHub::new(config(&server).connection_string(text)).unwrap();
    let error = within(hub.producer("t", ProducerOptions::new()))
        .await
        .unwrap_err();
    refused(error, ErrorKind::Denied, "has expired");
    server.stop();
    let hub = EventHubsHub::new(config(&server)).unwrap();
    let error = within(hub.producer("t", ProducerOptions::new()))
        .await
        .unwrap_err();
    refused(error, ErrorKind::Unavailable, "can't be reached");
}
