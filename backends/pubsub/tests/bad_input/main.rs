//! What can be got wrong, and what is told: the kind, in one line, with what to do about it; in time, and nothing is lost.
#![allow(missing_docs, clippy::unwrap_used)]

mod credentials;
mod events;
mod front;
mod gateway;
mod opening;
mod options;
mod roles;
mod strange;
mod streams;

use anyhub_core::{Consumer, Error, ErrorKind, Event, Hub, TopicConfig};
use anyhub_local::pubsub::PubSub;
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use std::time::Duration;

/// An error is of this kind, names what is wrong in one line, and says what to do.
fn told(error: &Error, kind: ErrorKind, names: &str) {
    let line = error.to_string();
    assert_eq!(error.kind(), kind, "{line}");
    assert!(!line.contains('\n'), "{line}");
    assert!(line.contains(names), "'{names}' is not in: {line}");
    assert!(error.advice().is_some(), "no advice: {line}");
}

/// No hang: whatever it is, it ends.
async fn within<T>(step: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(60), step).await;
    ended.expect("it hangs")
}

fn server() -> PubSub {
    PubSub::builder().start().unwrap()
}

fn config(server: &PubSub) -> PubSubConfig {
    PubSubConfig::new("local").endpoint(server.endpoint())
}

/// A hub with the topic `tweets`.
async fn hub(server: &PubSub) -> PubSubHub {
    let hub = PubSubHub::new(config(server)).unwrap();
    let topic = TopicConfig::new("tweets");
    within(hub.admin().create_topic(&topic)).await.unwrap();
    hub
}

fn event(name: &str) -> Event {
    Event::new(name.to_owned()).with_key("k")
}

/// The next event that comes.
async fn first(consumer: &mut dyn Consumer) -> Event {
    loop {
        let batch = within(consumer.receive(1)).await.unwrap();
        if let Some(delivery) = batch.deliveries.into_iter().next() {
            return delivery.event;
        }
    }
}
