use crate::{
    config,
    identity::{Identity, Nobody},
    server, within,
};
use anyhub_core::{
    ConsumerOptions, Error, ErrorKind, Event, Hub, Point, Producer, ProducerExt, ProducerOptions,
};
use anyhub_eventhubs::{EventHubsHub, azure_core::credentials::TokenCredential};
use anyhub_local::eventhubs::EventHubs;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

const SCOPE: &str = "https://eventhubs.azure.net/.default";

fn hub(server: &EventHubs, identity: Arc<dyn TokenCredential>) -> EventHubsHub {
    EventHubsHub::new(config(server).token_credential(identity)).unwrap()
}

async fn producer(hub: &EventHubsHub) -> Result<Arc<dyn Producer>, Error> {
    within(hub.producer("t", ProducerOptions::new())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_renewed_under_way_and_nobody_notices() {
    let server = server();
    let identity = Identity::new(&server, Duration::from_secs(4));
    let hub = hub(&server, identity.clone());
    let producer = producer(&hub).await.unwrap();
    let options = ConsumerOptions::new().start(Point::Start);
    let mut consumer = within(hub.consumer("t", options)).await.unwrap();
    let (given, connections) = (identity.given(), server.counts().connections);
    let mut sent = 0;
    let mut came = Vec::new();
    // Two each, at three quarters of their time.
    while identity.given() < given + 4 {
        let event = Event::new(sent.to_string()).with_key("k");
        within(producer.send(event)).await.unwrap();
        sent += 1;
        while came.len() < sent {
            let batch = within(consumer.receive(10)).await.unwrap();
            let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
            came.extend(batch.deliveries.iter().map(|one| text(&one.event.payload)));
        }
    }
    let numbers = (0..sent).map(|number| number.to_string());
    assert!(came.into_iter().eq(numbers));
    let counts = server.counts();
    assert_eq!((counts.refused_tokens, counts.expired_links), (0, 0));
    assert_eq!(counts.connections, connections, "none was opened anew");
    assert!(
        identity
            .scopes
            .lock()
            .unwrap()
            .iter()
            .all(|scope| scope == SCOPE)
    );
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_known_does_not_get_in() {
    let server = server();
    let expired = Identity::lying(&server, Duration::ZERO, Duration::from_secs(3_600));
    for (identity, says) in [
        (Identity::unknown(), "InvalidToken"),
        (expired, "ExpiredToken"),
    ] {
        let before = server.counts().refused_tokens;
        let hub = hub(&server, identity);
        let refused = producer(&hub).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
        assert!(refused.to_string().contains(says), "{refused}");
        assert!(
            !format!("{refused} {refused:?}").contains("hunter"),
            "{refused}"
        );
        assert_eq!(
            server.counts().refused_tokens,
            before + 1,
            "it is not tried again"
        );
        let refused = within(hub.consumer("t", ConsumerOptions::new())).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
    }
    let refused = producer(&hub(&server, Arc::new(Nobody))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
    assert!(
        refused.message().contains("please run 'az login'"),
        "{refused}"
    );
    assert_eq!(server.counts().messages_in, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_end_with_their_token_end_with_a_word() {
    let server = server();
    let (valid, said) = (Duration::from_secs(3), Duration::from_secs(3_600));
    let identity = Identity::lying(&server, valid, said);
    let hub = hub(&server, identity.clone());
    let producer = producer(&hub).await.unwrap();
    let options = ConsumerOptions::new().start(Point::Start);
    let mut consumer = within(hub.consumer("t", options)).await.unwrap();
    identity.shut_out();
    within(producer.send(Event::new("x"))).await.unwrap();
    while within(consumer.receive(1))
        .await
        .unwrap()
        .deliveries
        .is_empty()
    {}
    within(async {
        // One of the producer's at least, and one for each partition that is read.
        while server.counts().expired_links < 3 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let error = within(producer.send(Event::new("y"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let error = within(async {
        loop {
            if let Err(error) = consumer.receive(10).await {
                return error;
            }
        }
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_asked_for_once_and_kept() {
    let server = server();
    let identity = Identity::new(&server, Duration::from_secs(3_600));
    let hub = hub(&server, identity.clone());
    let producer = producer(&hub).await.unwrap();
    let admin = hub.admin();
    for _ in 0..3 {
        within(admin.describe_topic("t")).await.unwrap();
    }
    within(producer.send(Event::new("x"))).await.unwrap();
    assert_eq!(identity.given(), 1);
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_refused_is_not_kept() {
    let server = server();
    let identity = Identity::lying(&server, Duration::ZERO, Duration::from_secs(3_600));
    let hub = hub(&server, identity.clone());
    for given in 1..=3 {
        let refused = producer(&hub).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
        assert_eq!(identity.given(), given);
    }
}

/// It may have been revoked; that the identity has a better one is not known before it is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_place_of_a_kept_one_that_is_refused_another_one_is_asked_for() {
    let server = server();
    let (valid, said) = (Duration::from_secs(1), Duration::from_secs(3_600));
    let identity = Identity::lying(&server, valid, said);
    let hub = hub(&server, identity.clone());
    let _first = producer(&hub).await.unwrap();
    within(async {
        while server.counts().expired_links == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    producer(&hub).await.unwrap();
    assert_eq!((identity.given(), server.counts().refused_tokens), (2, 1));
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_cant_be_reached_is_asked_again() {
    let server = server();
    let identity = Identity::new(&server, Duration::from_secs(3_600));
    let hub = hub(&server, identity.clone());
    identity.fail(3);
    producer(&hub).await.unwrap();
    let other = self::hub(&server, identity.clone());
    identity.fail(1_000);
    let error = producer(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    within(hub.close()).await.unwrap();
}
