//! On one thread, as the SDK's clients want it.

use crate::{config, identity::Identity, server, within};
use anyhub_core::{ErrorKind, Event, Hub, Producer, ProducerExt, ProducerOptions};
use anyhub_eventhubs::{
    EventHubsConfig, EventHubsHub, NativeClient, NativeHub,
    azure_messaging_eventhubs::{
        ConsumerClient, OpenReceiverOptions, RetryOptions, SendEventOptions, StartLocation,
        StartPosition, models::EventData,
    },
};
use anyhub_local::eventhubs::EventHubs;
use futures_util::StreamExt;
use std::{sync::Arc, time::Duration};

fn from_the_start() -> OpenReceiverOptions {
    OpenReceiverOptions {
        start_position: Some(StartPosition {
            location: StartLocation::Earliest,
            ..StartPosition::default()
        }),
        ..OpenReceiverOptions::default()
    }
}

async fn read(client: &ConsumerClient, partition: &str, count: usize) -> Vec<String> {
    let opening = client.open_receiver_on_partition(partition.into(), Some(from_the_start()));
    let receiver = within(opening).await.unwrap();
    let events = receiver.stream_events().take(count);
    let events = events.map(|event| {
        let body = event.unwrap().event_data().body().unwrap().to_vec();
        String::from_utf8(body).unwrap()
    });
    within(events.collect()).await
}

/// What a client of the SDK's and our producer write, a client of the SDK's reads.
async fn round_trip(server: &EventHubs, config: EventHubsConfig) {
    server.create_group("t", "g").unwrap();
    let hub = EventHubsHub::new(config).unwrap();
    let native = hub.native().downcast_ref::<NativeHub>().unwrap();
    let native = native.client("t").unwrap();
    assert_eq!(native.url(), "amqps://localhost/t");
    let writes = within(native.producer_client()).await.unwrap();
    let properties = within(writes.get_eventhub_properties()).await.unwrap();
    assert_eq!(properties.partition_ids, ["0", "1"]);
    let options = SendEventOptions {
        partition_id: Some("1".into()),
    };
    let sending = writes.send_event(EventData::from("theirs"), Some(options));
    within(sending).await.unwrap();
    within(writes.close()).await.unwrap();

    let ours: Arc<dyn Producer> = within(hub.producer("t", ProducerOptions::new()))
        .await
        .unwrap();
    // Of a key in partition 1.
    let mut key = 0;
    loop {
        let event = Event::new("ours").with_key(format!("key-{key}"));
        let receipt = within(ours.send(event)).await.unwrap();
        if receipt.partition == Some(anyhub_core::Partition::number(1)) {
            break;
        }
        key += 1;
    }
    let native = ours.native().downcast_ref::<NativeClient>().unwrap();
    let reads = within(native.consumer_client("g")).await.unwrap();
    assert_eq!(read(&reads, "1", 2).await, ["theirs", "ours"]);
    within(reads.close()).await.unwrap();

    let once = RetryOptions {
        max_retries: 0,
        ..RetryOptions::default()
    };
    let builder = ConsumerClient::builder().with_retry_options(once);
    let reads = within(native.consumer_client_from(builder)).await.unwrap();
    assert_eq!(read(&reads, "1", 1).await, ["theirs"]);
    within(reads.close()).await.unwrap();
    within(hub.close()).await.unwrap();
}

#[tokio::test]
async fn by_the_emulators_key() {
    let server = server();
    round_trip(&server, config(&server)).await;
}

#[tokio::test]
async fn by_a_connection_string() {
    let server = server();
    let config = EventHubsConfig::new().endpoint(server.endpoint());
    round_trip(
        &server,
        config.connection_string(server.connection_string("t")),
    )
    .await;
}

#[tokio::test]
async fn by_an_identity() {
    let server = server();
    let identity = Identity::new(&server, Duration::from_secs(3_600));
    round_trip(&server, config(&server).token_credential(identity.clone())).await;
    assert!(identity.given() > 0);
    assert_eq!(server.counts().refused_tokens, 0);
}

#[tokio::test]
async fn who_may_not_is_told() {
    let server = server();
    let wrong = config(&server).token_credential(Identity::unknown());
    let hub = EventHubsHub::new(wrong).unwrap();
    let native = hub.native().downcast_ref::<NativeHub>().unwrap();
    let client = within(native.client("t").unwrap().producer_client())
        .await
        .unwrap();
    assert!(within(client.get_eventhub_properties()).await.is_err());
    assert!(server.counts().refused_tokens > 0);
    assert!(native.client("no name!").is_err());
    within(hub.close()).await.unwrap();
    assert!(native.client("t").is_err(), "it is closed");
}

#[tokio::test]
async fn where_nobody_is_none_is_opened() {
    let server = server();
    let config = config(&server);
    server.stop();
    let hub = EventHubsHub::new(config).unwrap();
    let native = hub.native().downcast_ref::<NativeHub>().unwrap();
    let client = native.client("t").unwrap();
    for error in [
        within(client.producer_client()).await.err().unwrap(),
        within(client.consumer_client("$Default"))
            .await
            .err()
            .unwrap(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
}
