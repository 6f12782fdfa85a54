use crate::{
    log::{hub, producer, publish, read, server, within},
    told,
};
use anyhub_core::{ErrorKind, Event, Hub};

/// An event that can't be is refused with its batch, before anything is sent; what comes before and after is not touched.
async fn refused_with_its_batch(bad: Event, kind: ErrorKind, names: &str) {
    let server = server(2);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    let good = |text: &str| Event::new(text.to_owned()).with_key("k");
    let before = within(producer.submit(vec![good("before")])).await.unwrap();
    let batch = vec![good("lost"), bad, good("lost too")];
    let error = within(producer.submit(batch)).await.unwrap_err();
    told(&error, kind, names);
    publish(&*producer, vec![good("after")]).await;
    assert!(within(before).await.iter().all(Result::is_ok));
    let log = read(&server, "t").await;
    let texts: Vec<_> = log.iter().map(|event| event.payload.as_str()).collect();
    assert_eq!(texts, ["before", "after"]);
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_over_the_limit() {
    let large = Event::new("x".repeat(1 << 20)).with_key("k");
    refused_with_its_batch(large, ErrorKind::TooLarge, "bytes").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_over_128_characters() {
    let long = Event::new("x").with_key("ü".repeat(129));
    refused_with_its_batch(long, ErrorKind::Invalid, "128").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_no_text() {
    let bytes = Event::new("x").with_key(bytes::Bytes::from_static(&[0xff, 0xfe]));
    refused_with_its_batch(bytes, ErrorKind::Invalid, "UTF-8").await;
}
