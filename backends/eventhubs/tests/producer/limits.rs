use crate::log::{config, hub, producer, publish, read, server, within};
use anyhub_core::{ErrorKind, Event};
use anyhub_eventhubs::{EventHubsHub, Partitioning};

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

/// The message has the key once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_event_hubs_chooses_the_largest_event_passes_whatever_its_key() {
    let server = server(2);
    let hub = EventHubsHub::new(config(&server).partitioning(Partitioning::Service)).unwrap();
    let producer = producer(&hub).await;
    let limit = producer.limits().event_bytes;
    assert!(limit > 1_000_000, "{limit}");
    let event =
        |size: usize, key: &str| Event::new("x".repeat(size - key.len())).with_key(key.to_owned());
    let longest = "\u{1f980}".repeat(128);
    for key in ["k", &longest] {
        publish(&*producer, vec![event(limit, key)]).await;
        let refused = within(producer.submit(vec![event(limit + 1, key)])).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::TooLarge);
    }
    // What headers add may be too much within the limit: then it is refused at once, not sent.
    let (mut sent, mut refused) = (0, 0);
    for less in 0..40 {
        let header = "x".repeat(1_000);
        let event = event(limit - less - header.len() - 1, &longest).with_header("h", header);
        match within(producer.submit(vec![event])).await {
            Ok(pending) => {
                sent += 1;
                assert!(within(pending).await[0].is_ok(), "{less}");
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), ErrorKind::TooLarge, "{less}");
            }
        }
    }
    assert!(sent > 0 && refused > 0, "{sent} sent, {refused} refused");
    // And those of several events.
    let many = (0..40).map(|_| event(100_000, &longest));
    publish(&*producer, many.collect()).await;
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
