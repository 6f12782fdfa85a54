use crate::world::{World, take};
use anyhub_core::Point;
use azure_messaging_eventhubs::{
    EventDataBatchOptions, ProducerClient, SendEventOptions, models::EventData,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_sdk_writes_is_read() {
    let world = World::new(1).await;
    let (endpoint, text) = (world.server.endpoint(), world.server.connection_string("t"));
    let writing = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let client = ProducerClient::builder().with_custom_endpoint(endpoint);
            let client = client
                .open_with_connection_string(&text, None)
                .await
                .unwrap();
            let event = EventData::builder()
                .with_body("typed")
                .add_property("long".into(), -7_i64)
                .add_property("text".into(), "ü")
                .add_property("yes".into(), true);
            let options = SendEventOptions {
                partition_id: Some("0".into()),
            };
            client
                .send_event(event.build(), Some(options))
                .await
                .unwrap();
            let options = EventDataBatchOptions {
                partition_key: Some("k".into()),
                ..EventDataBatchOptions::default()
            };
            let batch = client.create_batch(Some(options)).await.unwrap();
            for text in ["one", "two"] {
                assert!(
                    batch
                        .try_add_event_data(EventData::from(text), None)
                        .unwrap()
                );
            }
            client.send_batch(batch, None).await.unwrap();
        });
    });
    tokio::task::spawn_blocking(move || writing.join().unwrap())
        .await
        .unwrap();
    let mut reader = world.reader(Point::Start).await;
    let (came, _) = take(&mut *reader, 3).await;
    let event = &came[0].event;
    assert_eq!((&event.payload[..], &event.key), (&b"typed"[..], &None));
    let mut headers: Vec<_> = event
        .headers
        .iter()
        .map(|header| (header.name(), std::str::from_utf8(header.value()).unwrap()))
        .collect();
    headers.sort_unstable();
    assert_eq!(headers, [("long", "-7"), ("text", "ü"), ("yes", "true")]);
    for (delivery, text) in came[1..].iter().zip(["one", "two"]) {
        assert_eq!(delivery.event.payload, text);
        assert_eq!(delivery.event.key, Some("k".into()));
    }
}
