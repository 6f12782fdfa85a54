//! Ordering keys, by the rule of StreamingPull.

use std::time::Duration;

use anyhub_local::PubSub;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{StreamingPullRequest, Subscription};

use super::client::{begin, next, publish, publisher, subscribe, until};
use super::raw::{self, first, ids, texts, until_expired};

#[tokio::test]
async fn to_the_sdk_a_nack_is_a_rewind_of_its_key() {
    let pubsub = begin().await;
    let publisher = publisher(&pubsub).await;
    publish(&publisher, "k", &["1", "2", "3"]).await;
    let mut stream = subscribe(&pubsub).await;
    let mut held = Vec::new();
    for expected in ["1", "2", "3"] {
        let (text, handler) = next(&mut stream).await;
        assert_eq!(text, expected);
        held.push(handler);
    }
    let mut held = held.into_iter();
    held.next().unwrap().ack();
    until(|| pubsub.counts().acked == 1).await;
    held.next().unwrap().nack();
    until(|| pubsub.counts().nacked == 1).await;
    // What was delivered after it comes again, acknowledged or not.
    held.next().unwrap().ack();
    for expected in ["2", "3"] {
        let (text, handler) = next(&mut stream).await;
        assert_eq!(text, expected);
        handler.ack();
    }
    until(|| pubsub.counts().acked == 3).await;
    assert_eq!(pubsub.counts().messages_again, 2);
}

#[tokio::test]
async fn a_key_stays_with_its_stream_until_nothing_of_it_is_outstanding() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    raw.publish_texts("a", &["a1", "a2"]).await;
    let mut one = raw.stream(first());
    let taken = one.messages(2).await;
    assert_eq!(texts(&taken), ["a1", "a2"]);
    let mut two = raw.stream(first());
    raw.publish_texts("a", &["a3"]).await;
    let a3 = one.messages(1).await;
    assert_eq!(texts(&a3), ["a3"]);
    drop(one);
    until(|| pubsub.counts().open_streams == 1).await;
    raw.publish_texts("a", &["a4"]).await;
    raw.publish_texts("b", &["b1"]).await;
    // The other key is free; this one is still with the stream that is gone.
    assert_eq!(texts(&two.messages(1).await), ["b1"]);
    raw.ack(ids(&[taken, a3].concat())).await.unwrap();
    assert_eq!(texts(&two.messages(1).await), ["a4"]);
}

#[tokio::test]
async fn acks_out_of_order_do_not_hold_alone_and_the_rest_comes_again() {
    let second = Duration::from_millis(50);
    let pubsub = PubSub::builder().second(second).start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    raw.publish_texts("k", &["1", "2", "3", "4"]).await;
    let taken = raw.pull().await;
    assert_eq!(texts(&taken), ["1", "2", "3", "4"]);
    let mut acks = ids(&taken);
    raw.ack(vec![acks[2].clone()]).await.unwrap();
    assert_eq!(pubsub.counts().unordered_acks, 1);
    // In one request they hold, in whatever order.
    raw.ack(vec![acks[1].clone(), acks[0].clone()])
        .await
        .unwrap();
    assert_eq!(pubsub.counts().acked, 2);
    assert_eq!(
        raw.pull_now().await.unwrap(),
        [],
        "the key is with the first Pull"
    );
    until_expired(&pubsub, 2).await;
    raw.ack(acks.split_off(2)).await.unwrap();
    assert_eq!(pubsub.counts().late_acks, 2);
    assert_eq!(texts(&raw.pull().await), ["3", "4"]);
}

#[tokio::test]
async fn without_order_each_message_stands_alone() {
    let pubsub = PubSub::builder().start().unwrap();
    let unordered = |config| Subscription {
        enable_message_ordering: false,
        ..config
    };
    let mut raw = raw::begin(&pubsub, unordered).await;
    raw.publish_texts("k", &["1", "2", "3"]).await;
    let taken = raw.pull().await;
    raw.ack(vec![taken[2].ack_id.clone()]).await.unwrap();
    raw.modify(vec![taken[1].ack_id.clone()], 0).await.unwrap();
    assert_eq!(pubsub.counts().acked, 1);
    let again = raw.pull().await;
    assert_eq!(texts(&again), [raw::text(&taken[1])]);
}

/// As the reference of StreamingPullRequest.client_id says (2026-11): what a stream had is its client's.
#[tokio::test]
async fn a_key_goes_to_the_next_stream_of_its_client_with_what_is_outstanding_of_it() {
    let pubsub = PubSub::builder().start().unwrap();
    let mut raw = raw::begin(&pubsub, |config| config).await;
    let of = |client: &str| StreamingPullRequest {
        client_id: client.into(),
        ..first()
    };
    raw.publish_texts("k", &["1", "2"]).await;
    let mut stream = raw.stream(of("a"));
    let taken = stream.messages(2).await;
    drop(stream);
    until(|| pubsub.counts().open_streams == 0).await;
    raw.publish_texts("k", &["3"]).await;
    // Another client gets none of it, nor does a Pull.
    let mut other = raw.stream(of("b"));
    other.ping().await;
    assert_eq!(raw.pull_now().await.unwrap(), []);
    let mut next = raw.stream(of("a"));
    assert_eq!(texts(&next.messages(1).await), ["3"]);
    raw.publish_texts("k", &["4"]).await;
    assert_eq!(texts(&next.messages(1).await), ["4"]);
    raw.ack(ids(&taken)).await.unwrap();
    assert_eq!(
        (pubsub.counts().acked, pubsub.counts().messages_again),
        (2, 0)
    );
}
