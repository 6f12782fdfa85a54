use crate::{event, hub, server, told, within};
use anyhub_core::{ConsumerOptions, ErrorKind, Event, Hub, ProducerOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_service_does_not_take_is_not_sent() {
    let server = server();
    let hub = hub(&server).await;
    let producer = within(hub.producer("tweets", ProducerOptions::new()))
        .await
        .unwrap();
    let before = server.counts();
    let mut many = event("many");
    for nth in 0..101 {
        many = many.with_header(format!("h{nth:03}"), "x");
    }
    // As many as there may be, but not in the order of their names.
    let mut shuffled = event("shuffled");
    for nth in (0..100).rev() {
        shuffled = shuffled.with_header(format!("h{nth:03}"), "x");
    }
    let refused = [
        (
            Event::new("x").with_key("k".repeat(1_025)),
            ErrorKind::Invalid,
            "128 characters",
        ),
        (many, ErrorKind::Invalid, "101 attributes"),
        (shuffled, ErrorKind::Invalid, "101 attributes"),
        (
            Event::new("x").with_header("anyhub-order", "1"),
            ErrorKind::Invalid,
            "anyhub-order",
        ),
        (
            Event::new("x").with_header("anyhub-empty", "1"),
            ErrorKind::Invalid,
            "anyhub-empty",
        ),
        (
            Event::new("x").with_header("goog", "1"),
            ErrorKind::Invalid,
            "goog",
        ),
        (
            Event::new(vec![0; 10_000_000]),
            ErrorKind::TooLarge,
            "limit",
        ),
        (
            Event::tombstone("k"),
            ErrorKind::Unsupported,
            "null payload",
        ),
    ];
    for (event, kind, names) in refused {
        let error = within(producer.submit(vec![event])).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(
            error.to_string().contains(names),
            "'{names}' is not in: {error}"
        );
    }
    let after = server.counts();
    assert_eq!(after.requests("Publish"), before.requests("Publish"));
    assert_eq!(after.messages_in, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_at_the_limits_is_carried() {
    let server = server();
    let hub = hub(&server).await;
    let producer = within(hub.producer("tweets", ProducerOptions::new()))
        .await
        .unwrap();
    let mut many = event("many");
    for nth in 0..100 {
        many = many.with_header(format!("h{nth:03}{}", "n".repeat(252)), "v".repeat(1_024));
    }
    let mut shuffled = event("shuffled");
    for nth in (0..99).rev() {
        shuffled = shuffled.with_header(format!("h{nth:03}"), "x");
    }
    let most = producer.limits().event_bytes;
    let mut largest = many.clone();
    largest.payload = vec![7; most - many.size() + many.payload.len()].into();
    assert_eq!(largest.size(), most);
    let sent = vec![many, shuffled, largest, Event::new("")];
    for outcome in within(within(producer.submit(sent.clone())).await.unwrap()).await {
        outcome.unwrap();
    }
    let mut reader = within(hub.consumer("tweets", ConsumerOptions::new()))
        .await
        .unwrap();
    let mut came = Vec::new();
    while came.len() < sent.len() {
        let batch = within(reader.receive(10)).await.unwrap();
        came.extend(batch.deliveries.into_iter().map(|delivery| delivery.event));
    }
    for event in &sent {
        assert!(
            came.contains(event),
            "{} bytes did not come back",
            event.size()
        );
    }
    within(reader.close()).await.unwrap();
    told_nothing(&hub).await;
}

/// A private reader leaves nothing behind.
async fn told_nothing(hub: &anyhub_pubsub::PubSubHub) {
    let native: &anyhub_pubsub::NativeHub = hub.native().downcast_ref().unwrap();
    let admin = within(native.subscription_admin()).await.unwrap();
    let left = within(
        admin
            .list_subscriptions()
            .set_project("projects/local")
            .send(),
    )
    .await;
    assert_eq!(left.unwrap().subscriptions.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hub_cannot_do_it_says() {
    let server = server();
    let hub = hub(&server).await;
    let admin = hub.admin();
    let error = within(admin.set_partitions("tweets", 3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let now = std::time::SystemTime::now();
    let error = within(admin.positions_at("tweets", now)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let options = ConsumerOptions::new().group("score");
    let mut consumer = within(hub.consumer("tweets", options)).await.unwrap();
    let error = within(admin.lag("tweets", "score")).await.unwrap_err();
    told(&error, ErrorKind::Unsupported, "how far");
    within(consumer.close()).await.unwrap();
}
