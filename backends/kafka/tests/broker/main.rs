//! What is Kafka's own, against a real broker; the contract is in `conformance.rs`.

mod groups;

use anyhub_core::{
    Change, Consumer, ConsumerOptions, ErrorKind, Event, Hub, Partition, Position, ProducerExt,
    ProducerOptions, TopicConfig,
};
use anyhub_kafka::{KafkaConfig, KafkaHub, NativeConsumer, NativeProducer};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    bindings,
    client::DefaultClientContext,
    producer::Producer as _,
};
use std::{
    collections::HashSet,
    sync::OnceLock,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// One broker for all tests of this file; it ends with the process. None, said aloud, where Kafka
/// can't run; on a build server that is a failure.
fn broker() -> Option<&'static str> {
    if std::env::var_os("ANYHUB_TEST_KAFKA").is_none() && !can_run() {
        return None;
    }
    static BROKER: OnceLock<(String, Option<anyhub_local::Kafka>)> = OnceLock::new();
    let (bootstrap, _) = BROKER.get_or_init(|| match std::env::var("ANYHUB_TEST_KAFKA") {
        Ok(bootstrap) => (bootstrap, None),
        Err(_) => {
            let kafka = anyhub_local::Kafka::builder()
                .start()
                .expect("a local Kafka");
            (kafka.bootstrap(), Some(kafka))
        }
    });
    Some(bootstrap.as_str())
}

fn can_run() -> bool {
    let needs = anyhub_local::kafka::requirements();
    let unmet: Vec<_> = needs.into_iter().filter(|need| !need.is_met()).collect();
    if unmet.is_empty() {
        return true;
    }
    assert!(std::env::var("CI").is_err(), "Kafka can't run: {unmet:?}");
    eprintln!("SKIPPED, Kafka can't run: {unmet:?}");
    false
}

async fn config() -> Option<KafkaConfig> {
    let broker = tokio::task::spawn_blocking(broker).await;
    broker.expect("a thread").map(KafkaConfig::new)
}

async fn hub() -> Option<KafkaHub> {
    Some(KafkaHub::new(config().await?).expect("a hub"))
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
        let batch = receiving
            .await
            .expect("an event in time")
            .expect("an event");
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
    let Some(hub) = hub().await else { return };
    let topic = topic(&hub, 4).await;
    let producer = hub
        .producer(&topic, ProducerOptions::new())
        .await
        .expect("a producer");
    let mut pending = Vec::new();
    for batch in 0..EVENTS / 100 {
        let events = (0..100)
            .map(|nth| {
                let id = batch * 100 + nth;
                Event::new(id.to_string())
                    .with_key(format!("k{}", id % 97))
                    .with_header("id", id.to_string())
            })
            .collect();
        pending.push(producer.submit(events).await.expect("admitted"));
    }
    let mut receipts = HashSet::new();
    for batch in pending {
        for outcome in batch.await {
            let receipt = outcome.expect("written");
            receipts.insert((
                receipt.partition,
                receipt.position.and_then(|at| at.as_offset()),
            ));
        }
    }
    assert_eq!(receipts.len(), EVENTS);

    let options = ConsumerOptions::new().group(format!("{topic}-g"));
    let mut consumer = hub
        .consumer(&topic, options.clone())
        .await
        .expect("a consumer");
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
    let lag = hub
        .admin()
        .lag(&topic, &format!("{topic}-g"))
        .await
        .expect("a lag");
    assert!(lag.iter().all(|lag| lag.events == Some(0)), "{lag:?}");
    consumer.close().await.expect("closed");
    producer.close().await.expect("closed");
}

async fn publish(hub: &KafkaHub, topic: &str, events: impl Iterator<Item = Event>) {
    let producer = hub
        .producer(topic, ProducerOptions::new())
        .await
        .expect("a producer");
    for outcome in producer.publish(events.collect()).await.expect("admitted") {
        outcome.expect("written");
    }
    producer.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_broker_that_is_not_there_is_unavailable_in_time() {
    // Port 9 is discard, which nobody listens on.
    let hub = KafkaHub::new(KafkaConfig::new("127.0.0.1:9")).expect("a hub");
    let began = Instant::now();
    let error = hub
        .producer("t", ProducerOptions::new())
        .await
        .expect_err("no broker");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("127.0.0.1:9"), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    let error = hub.admin().list_topics().await.expect_err("no broker");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
    hub.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_password_is_denied_at_once() {
    if !can_run() {
        return;
    }
    let kafka = tokio::task::spawn_blocking(|| {
        anyhub_local::Kafka::builder()
            .sasl_plain("app", "right-password")
            .start()
    });
    let kafka = kafka.await.expect("a thread").expect("a local Kafka");
    let config = |password| {
        KafkaConfig::new(kafka.bootstrap())
            .property("security.protocol", "SASL_PLAINTEXT")
            .property("sasl.mechanism", "PLAIN")
            .property("sasl.username", "app")
            .property("sasl.password", password)
    };
    let hub = KafkaHub::new(config("wrong-password")).expect("a hub");
    let began = Instant::now();
    let consumer = hub.consumer("t", ConsumerOptions::new().group("g")).await;
    let error = consumer.expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let said = format!("{error} {error:?} {hub:?}");
    assert!(!said.contains("wrong-password"), "{said}");
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    let error = hub.admin().list_topics().await.expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");

    let hub = KafkaHub::new(config("right-password")).expect("a hub");
    let topic = topic(&hub, 1).await;
    publish(&hub, &topic, (0..10).map(|nth| Event::new(nth.to_string()))).await;
    let mut reader = hub
        .consumer(&topic, ConsumerOptions::new())
        .await
        .expect("a reader");
    assert_eq!(take(&mut *reader, 10).await.len(), 10);
    reader.close().await.expect("closed");
    tokio::task::spawn_blocking(move || kafka.stop())
        .await
        .expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reader_overtaken_while_it_reads_is_told() {
    let Some(hub) = hub().await else { return };
    let topic = topic(&hub, 1).await;
    publish(
        &hub,
        &topic,
        (0..1_000).map(|nth| Event::new(nth.to_string())),
    )
    .await;
    let options = ConsumerOptions::new()
        .group(format!("{topic}-g"))
        .max_unfinished(10);
    let mut consumer = hub.consumer(&topic, options).await.expect("a consumer");
    let acks = consumer.acks();
    let mut held = Vec::new();
    while held.len() < 10 {
        held.extend(consumer.receive(100).await.expect("events").tokens());
    }
    let full = timeout(Duration::from_millis(500), consumer.receive(100)).await;
    assert!(full.is_err(), "its window is full: {full:?}");

    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", broker().expect("a broker"))
        .create()
        .expect("an administrator");
    let mut gone = TopicPartitionList::new();
    gone.add_partition_offset(&topic, 0, Offset::Offset(500))
        .expect("an offset");
    admin
        .delete_records(&gone, &AdminOptions::new())
        .await
        .expect("deleted");

    assert_eq!(acks.ack(&held), 10);
    let mut changes = Vec::new();
    let first = loop {
        let receiving = timeout(Duration::from_secs(20), consumer.receive(1));
        let batch = receiving.await.expect("in time").expect("a batch");
        changes.extend(batch.changes);
        if let Some(first) = batch.deliveries.into_iter().next() {
            break first;
        }
    };
    assert_eq!(first.position, Position::offset(500));
    let overtaken = Change::Overtaken {
        partition: Partition::number(0),
        from: Position::offset(10),
        to: Position::offset(500),
    };
    assert_eq!(changes, [overtaken]);
    acks.ack(&[first.token]);
    consumer.close().await.expect("closed");
    let lag = hub
        .admin()
        .lag(&topic, &format!("{topic}-g"))
        .await
        .expect("a lag");
    assert_eq!(lag[0].committed, Some(Position::offset(501)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_producer_outlives_an_error_that_is_fatal_to_its_client() {
    let Some(hub) = hub().await else { return };
    let topic = topic(&hub, 1).await;
    let producer = hub
        .producer(&topic, ProducerOptions::new())
        .await
        .expect("a producer");
    producer.send(Event::new("before")).await.expect("written");
    let native = producer
        .native()
        .downcast_ref::<NativeProducer>()
        .expect("rdkafka's");
    native.with(|client| {
        let code = bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        // SAFETY: the client is alive, and the reason ends in NUL.
        #[allow(unsafe_code)]
        unsafe {
            bindings::rd_kafka_test_fatal_error(
                client.client().native_ptr(),
                code,
                c"a test".as_ptr(),
            )
        }
    });
    let mut written = 0;
    for nth in 0..100 {
        match producer.send(Event::new(nth.to_string())).await {
            Ok(_) => written += 1,
            Err(error) => assert_eq!(written, 0, "{error}"),
        }
    }
    assert!(
        written > 90,
        "{written} of 100 were written after the error"
    );
    producer.close().await.expect("closed");
    let mut reader = hub
        .consumer(&topic, ConsumerOptions::new())
        .await
        .expect("a reader");
    let came = take(&mut *reader, written + 1).await;
    assert_eq!(came.last().map(|(_, payload)| payload.as_str()), Some("99"));
    reader.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unknown_topic_property_is_invalid() {
    let Some(hub) = hub().await else { return };
    let config = TopicConfig::new("kafka-unknown-property").property("retentoin.ms", "1");
    let error = hub
        .admin()
        .create_topic(&config)
        .await
        .expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let config = TopicConfig::new("no/such/name");
    let error = hub
        .admin()
        .create_topic(&config)
        .await
        .expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

/// librdkafka counts an event until all of the reports that it came with are handed out, which is
/// up to 10,000 events later than its room is given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_buffer_never_meets_a_full_queue() {
    const BATCHES: usize = 5_000;
    let Some(hub) = hub().await else { return };
    let topic = topic(&hub, 1).await;
    let options = ProducerOptions::new().buffer_events(20_000);
    let producer = hub.producer(&topic, options).await.expect("a producer");
    let mut pendings = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let batch = (0..100).map(|nth| Event::new("x").with_key(format!("k{nth}")));
        pendings.push(producer.submit(batch.collect()).await.expect("admitted"));
    }
    for pending in pendings {
        for outcome in pending.await {
            outcome.expect("written, since it was admitted");
        }
    }
    hub.close().await.expect("closed");
}
