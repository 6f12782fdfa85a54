//! Gateways in front of the service that answer for it.

use crate::{
    event, first,
    front::{Answer, front},
    hub, server, told, within,
};
use anyhub_core::{ConsumerOptions, Error, ErrorKind, Hub, ProducerExt, ProducerOptions};
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use std::{collections::HashSet, sync::Mutex, time::Duration};
use tonic::Status;

fn behind(endpoint: String) -> PubSubHub {
    PubSubHub::new(PubSubConfig::new("local").endpoint(endpoint)).unwrap()
}

/// All requests of a method.
fn always(method: &'static str, answer: fn() -> Answer) -> impl Fn(&str) -> Answer {
    move |asked| match asked == method {
        true => answer(),
        false => Answer::Its,
    }
}

/// What a producer is told of an event, while all requests to publish are answered so.
async fn outcome(answer: fn() -> Answer) -> Error {
    let server = server();
    hub(&server).await;
    let endpoint = front(server.endpoint(), always("Publish", answer), |_, _| ()).await;
    let options = ProducerOptions::new().deadline(Duration::from_secs(1));
    let producer = within(behind(endpoint).producer("tweets", options)).await;
    within(producer.unwrap().send(event("0")))
        .await
        .unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_carried_out_behind_a_gateway_that_gave_it_up_may_be_written() {
    let answers: [fn() -> Answer; 4] = [
        || Answer::Late(502),
        || Answer::Late(503),
        || Answer::Late(504),
        || Answer::Reset(h2::Reason::ENHANCE_YOUR_CALM),
    ];
    for answer in answers {
        let error = outcome(answer).await;
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.is_indeterminate(), "{error}");
    }
    let quota = outcome(|| Answer::Refused(Status::resource_exhausted("quota"))).await;
    assert_eq!(quota.kind(), ErrorKind::Timeout, "{quota}");
    assert!(!quota.is_indeterminate(), "{quota}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_s_page_is_tried_again() {
    for status in [502, 503, 504] {
        let server = server();
        hub(&server).await;
        let pages = Mutex::new(HashSet::new());
        // Each method once.
        let rule = move |method: &str| match pages.lock().unwrap().insert(method.to_owned()) {
            true => Answer::Page(status),
            false => Answer::Its,
        };
        let hub = behind(front(server.endpoint(), rule, |_, _| ()).await);
        let options = ConsumerOptions::new().group("score");
        let mut consumer = within(hub.consumer("tweets", options)).await.unwrap();
        let producer = within(hub.producer("tweets", ProducerOptions::new()));
        within(producer.await.unwrap().send(event("0")))
            .await
            .unwrap();
        assert_eq!(first(&mut *consumer).await, event("0"), "{status}");
        within(consumer.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_lasts_is_told() {
    let server = server();
    hub(&server).await;
    let rule = always("GetTopic", || Answer::Page(502));
    let hub = behind(front(server.endpoint(), rule, |_, _| ()).await);
    let error = within(hub.producer("tweets", ProducerOptions::new()))
        .await
        .unwrap_err();
    told(&error, ErrorKind::Unavailable, "502");
}
