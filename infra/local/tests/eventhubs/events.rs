//! Where events go, what comes along with them, and where readers begin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anyhub_local::EventHubs;
use azure_messaging_eventhubs::models::EventData;
use azure_messaging_eventhubs::{
    BufferedProducerClient, EnqueueEventOptions, EventDataBatchOptions, StartLocation,
};

use super::client::{From, consumer, producer, receive, send, send_batch, text, texts};

fn by_key(key: &str) -> EventDataBatchOptions {
    EventDataBatchOptions {
        partition_key: Some(key.into()),
        ..EventDataBatchOptions::default()
    }
}

/// Each partition's events: body and key.
async fn all(hubs: &EventHubs, hub: &str) -> Vec<Vec<(String, Option<String>)>> {
    let consumer = consumer(hubs, hub, "$Default").await;
    let mut all = Vec::new();
    for id in consumer
        .get_eventhub_properties()
        .await
        .unwrap()
        .partition_ids
    {
        let ends = consumer.get_partition_properties(&id).await.unwrap();
        let count = usize::try_from(ends.last_enqueued_sequence_number + 1).unwrap();
        let open = From::partition(&id).open(hubs, hub).await;
        let events = receive(&open, count).await.unwrap();
        all.push(
            events
                .iter()
                .map(|e| (text(e), e.partition_key().clone()))
                .collect(),
        );
    }
    all
}

#[tokio::test]
async fn keys_go_where_the_sdk_says_they_go() {
    let hubs = EventHubs::builder()
        .hub("service", 5)
        .hub("client", 5)
        .start()
        .unwrap();
    let mut keys: Vec<String> = (0..60)
        .map(|n| format!("{}{n}", "k".repeat(n % 15)))
        .collect();
    keys.extend(["zz", "device-42", "é", "ключ", "💡", "x"].map(String::from));
    keys.push("k".repeat(128));

    let producer = producer(&hubs, "service").await;
    for key in &keys {
        send_batch(&producer, by_key(key), &[key]).await.unwrap();
    }
    // The buffered producer chooses the partition itself.
    let failed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&failed);
    let buffered = BufferedProducerClient::builder()
        .with_custom_endpoint(hubs.endpoint())
        .with_on_send_failed(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            async {}
        })
        .open_with_connection_string(&hubs.connection_string("client"), None)
        .await
        .unwrap();
    for key in &keys {
        let options = EnqueueEventOptions {
            partition_key: Some(key.clone()),
            ..EnqueueEventOptions::default()
        };
        buffered
            .enqueue_event(EventData::from(key.as_str()), Some(options))
            .await
            .unwrap();
    }
    buffered.flush().await.unwrap();
    assert_eq!(failed.load(Ordering::Relaxed), 0);

    let places = |all: Vec<Vec<(String, Option<String>)>>| {
        let partitions = all.into_iter().enumerate();
        let places = partitions.flat_map(|(n, events)| {
            events.into_iter().map(move |(body, key)| {
                assert_eq!(Some(&body), key.as_ref());
                (body, n)
            })
        });
        places.collect::<BTreeMap<_, _>>()
    };
    let service = places(all(&hubs, "service").await);
    assert_eq!(service.len(), keys.len());
    assert_eq!(service, places(all(&hubs, "client").await));
}

#[tokio::test]
async fn a_key_is_as_long_as_128_characters_and_no_longer() {
    let hubs = EventHubs::builder().hub("tweets", 2).start().unwrap();
    let producer = producer(&hubs, "tweets").await;
    send_batch(&producer, by_key(&"é".repeat(128)), &["x"])
        .await
        .unwrap();
    let long = by_key(&"é".repeat(129));
    let error = format!(
        "{:?}",
        send_batch(&producer, long, &["x"]).await.unwrap_err()
    );
    assert!(error.contains("129 characters"), "{error}");
    assert_eq!(hubs.counts().events_in, 1);
}

#[tokio::test]
async fn without_a_key_partitions_take_turns_and_a_batch_stays_together() {
    let hubs = EventHubs::builder().hub("tweets", 3).start().unwrap();
    let producer = producer(&hubs, "tweets").await;
    for _ in 0..3 {
        let batch = EventDataBatchOptions::default();
        send_batch(&producer, batch, &["a", "b"]).await.unwrap();
    }
    let event = |body: &str| (body.to_owned(), None);
    assert_eq!(
        all(&hubs, "tweets").await,
        vec![vec![event("a"), event("b")]; 3]
    );
    assert_eq!(hubs.counts().messages_in, 3);
}

#[tokio::test]
async fn properties_come_back_as_they_went() {
    let hubs = EventHubs::builder().hub("tweets", 1).start().unwrap();
    let producer = producer(&hubs, "tweets").await;
    let event = EventData::builder()
        .with_body(vec![0, 159, 146, 150])
        .with_content_type("image/webp".into())
        .with_message_id("id-1".to_owned())
        .add_property("text".into(), "ü")
        .add_property("number".into(), 7_i64)
        .build();
    let sent = event.clone();
    producer.send_event(event, None).await.unwrap();
    let open = From::partition("0").open(&hubs, "tweets").await;
    let got = receive(&open, 1).await.unwrap().remove(0);
    let got = got.event_data();
    assert_eq!(
        (got.body(), got.content_type()),
        (sent.body(), sent.content_type())
    );
    assert_eq!(
        (got.message_id(), got.properties()),
        (sent.message_id(), sent.properties())
    );
}

#[tokio::test]
async fn readers_begin_where_they_ask_to() {
    let hubs = EventHubs::builder().hub("tweets", 1).start().unwrap();
    let producer = producer(&hubs, "tweets").await;
    let mut between = SystemTime::now();
    for (n, body) in ["a", "b", "c", "d"].into_iter().enumerate() {
        send(&producer, "0", body).await.unwrap();
        if n == 1 {
            // A time with some milliseconds to either side.
            tokio::time::sleep(Duration::from_millis(20)).await;
            between = SystemTime::now();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let open = async |location, inclusive| {
        let from = From::partition("0").at(location, inclusive);
        from.open(&hubs, "tweets").await
    };
    let first = async |location, inclusive| {
        let open = open(location, inclusive).await;
        let event = receive(&open, 1).await.unwrap().remove(0);
        open.close().await.unwrap();
        text(&event)
    };
    let reader = open(StartLocation::Earliest, false).await;
    let everything = receive(&reader, 4).await.unwrap();
    assert_eq!(texts(&everything), ["a", "b", "c", "d"]);
    let offset = everything[1].offset().clone().unwrap();
    assert_eq!(first(StartLocation::SequenceNumber(1), true).await, "b");
    assert_eq!(first(StartLocation::SequenceNumber(1), false).await, "c");
    assert_eq!(
        first(StartLocation::Offset(offset.clone()), true).await,
        "b"
    );
    assert_eq!(first(StartLocation::Offset(offset), false).await, "c");
    assert_eq!(first(StartLocation::EnqueuedTime(between), true).await, "c");
    assert_eq!(
        first(StartLocation::EnqueuedTime(between), false).await,
        "c"
    );
    let enqueued = StartLocation::EnqueuedTime(everything[3].enqueued_time().unwrap());
    assert_ne!(first(enqueued, true).await, "a");

    // It attaches as it is asked for events: by then there is to be nothing.
    let latest = open(StartLocation::Latest, false).await;
    let (events, ()) = tokio::join!(receive(&latest, 1), async {
        while hubs.counts().open_readers < 2 {
            tokio::task::yield_now().await;
        }
        send(&producer, "0", "e").await.unwrap();
    });
    assert_eq!(texts(&events.unwrap()), ["e"]);
    let beyond = open(StartLocation::SequenceNumber(9), true).await;
    let error = receive(&beyond, 1).await.err().unwrap();
    let error = format!("{error:?}");
    assert!(
        error.contains("sequence number '9'") && error.contains("'4'"),
        "{error}"
    );
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_and_one_below_is_not() {
    let hubs = EventHubs::builder().hub("tweets", 1).start().unwrap();
    let producer = producer(&hubs, "tweets").await;
    // What a message adds to its body takes less than a kilobyte.
    let fits = vec![7; 1024 * 1024 - 1024];
    producer.send_event(fits.clone(), None).await.unwrap();
    let error = producer
        .send_event(vec![7; 1024 * 1024], None)
        .await
        .unwrap_err();
    let error = format!("{error:?}");
    assert!(
        error.contains("exceeds the limit (1048576 bytes)"),
        "{error}"
    );
    assert_eq!(hubs.counts().events_in, 1);
    let open = From::partition("0").open(&hubs, "tweets").await;
    let got = receive(&open, 1).await.unwrap().remove(0);
    assert_eq!(got.event_data().body().unwrap(), fits);
}
