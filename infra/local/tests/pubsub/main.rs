//! The local Pub/Sub as Google's Rust client sees it: what it does, what it limits, what it makes go wrong, and what it counts.
#![allow(clippy::unwrap_used, missing_docs)]

mod admin;
mod client;
mod dead_letter;
mod exactly_once;
mod faults;
mod json;
mod limits;
mod order;
mod raw;
mod replay;
mod streams;

use client::{begin, next, publish, publisher, subscribe, until};

#[tokio::test]
async fn what_is_published_is_received_acknowledged_and_counted() {
    let pubsub = begin().await;
    let publisher = publisher(&pubsub).await;
    publish(&publisher, "k", &["one", "two", "three"]).await;
    let mut stream = subscribe(&pubsub).await;
    for expected in ["one", "two", "three"] {
        let (text, handler) = next(&mut stream).await;
        assert_eq!(text, expected);
        handler.ack();
    }
    until(|| pubsub.counts().acked == 3).await;
    let counts = pubsub.counts();
    assert_eq!((counts.messages_in, counts.messages_out), (3, 3));
    assert_eq!((counts.messages_again, counts.late_acks), (0, 0));
    assert_eq!((counts.unordered_acks, pubsub.outstanding()), (0, 0));
    assert_eq!(pubsub.stored_bytes(), 0);
    // Dropped in async code.
}
