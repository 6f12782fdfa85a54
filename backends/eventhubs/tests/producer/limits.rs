use crate::log::{hub, producer, publish, read, server, within};
use anyhub_core::{ErrorKind, Event};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_event_passes_and_one_byte_more_does_not() {
    let server = server(2);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    let limit = producer.limits().event_bytes;
    assert!(limit > 1_000_000 && limit < 1 << 20, "{limit}");
    let event = |size: usize| {
        let key = "k".repeat(128);
        Event::new("x".repeat(size - key.len())).with_key(key)
    };
    publish(&*producer, vec![event(limit)]).await;
    let refused = within(producer.submit(vec![event(limit + 1)])).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::TooLarge);
    // What headers add is counted.
    let mut many = event(limit - 4_000);
    for number in 0..1_000 {
        many = many.with_header(format!("h{number}"), "");
    }
    let refused = within(producer.submit(vec![many])).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    assert_eq!(read(&server, "t").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_cut_where_a_link_takes_no_more() {
    let server = server(1);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    let events = (0..40).map(|_| Event::new("x".repeat(100_000)).with_key("k"));
    publish(&*producer, events.collect()).await;
    let counts = server.counts();
    assert_eq!(counts.events_in, 40);
    assert!(counts.messages_in >= 4, "{} messages", counts.messages_in);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_128_characters_is_the_longest() {
    let server = server(1);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    publish(&*producer, vec![Event::new("x").with_key("ü".repeat(128))]).await;
    let refused = within(producer.submit(vec![Event::new("x").with_key("ü".repeat(129))])).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
}
