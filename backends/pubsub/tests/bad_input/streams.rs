//! Streams that break.

use crate::{
    event, first,
    front::{Answer, front},
    hub, server, within,
};
use anyhub_core::{ConsumerOptions, Hub, Point, ProducerExt, ProducerOptions};
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::StreamingPullRequest;
use hyper::body::Bytes;
use prost::Message;
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// By the same id the service would hand over what it holds to be with the old stream, and go on behind it (C6).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_stream_is_another_client_s() {
    let server = server();
    hub(&server).await;
    let ids = Arc::new(Mutex::new(Vec::new()));
    let sent = {
        let ids = ids.clone();
        move |method: &str, data: &Bytes| {
            // A frame's head has 5 bytes.
            if method == "StreamingPull"
                && let Ok(request) = StreamingPullRequest::decode(data.slice(5..))
                && !request.client_id.is_empty()
            {
                ids.lock().unwrap().push(request.client_id);
            }
        }
    };
    let broken = AtomicBool::new(false);
    let rule = move |method: &str| match method == "StreamingPull"
        && !broken.swap(true, Ordering::Relaxed)
    {
        true => Answer::Late(502),
        false => Answer::Its,
    };
    let endpoint = front(server.endpoint(), rule, sent).await;
    let hub = PubSubHub::new(PubSubConfig::new("local").endpoint(endpoint)).unwrap();
    let options = ConsumerOptions::new().group("score");
    let mut consumer = within(hub.consumer("tweets", options)).await.unwrap();
    let producer = within(hub.producer("tweets", ProducerOptions::new()));
    within(producer.await.unwrap().send(event("0")))
        .await
        .unwrap();
    first(&mut *consumer).await;
    within(consumer.seek(Point::Start)).await.unwrap();
    first(&mut *consumer).await;
    within(consumer.close()).await.unwrap();
    let ids = ids.lock().unwrap();
    let different: HashSet<_> = ids.iter().collect();
    assert!(ids.len() == 3 && different.len() == 3, "{ids:?}");
}

/// A group that an earlier attempt has made is one's own: nobody else brings it to its start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_making_was_not_answered_begins_at_its_start() {
    let server = server();
    let owner = hub(&server).await;
    let producer = within(owner.producer("tweets", ProducerOptions::new()));
    within(producer.await.unwrap().send(event("0")))
        .await
        .unwrap();
    let lost = AtomicBool::new(false);
    let rule = move |method: &str| match method == "CreateSubscription"
        && !lost.swap(true, Ordering::Relaxed)
    {
        true => Answer::Late(502),
        false => Answer::Its,
    };
    let endpoint = front(server.endpoint(), rule, |_, _| ()).await;
    let hub = PubSubHub::new(PubSubConfig::new("local").endpoint(endpoint)).unwrap();
    for options in [
        ConsumerOptions::new().group("score"),
        ConsumerOptions::new(),
    ] {
        let mut consumer = within(hub.consumer("tweets", options)).await.unwrap();
        assert_eq!(first(&mut *consumer).await, event("0"));
        within(consumer.close()).await.unwrap();
    }
    assert_eq!(server.counts().requests("CreateSubscription"), 3);
    assert_eq!(server.counts().requests("Seek"), 2);
}
