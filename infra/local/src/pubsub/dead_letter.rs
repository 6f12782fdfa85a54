//! Where messages go that fail too often.

use std::sync::Arc;
use std::time::SystemTime;

use super::backlog::Dead;
use super::name;
use super::service::Service;
use super::subscription::Subscription;
use super::topic::Topic;

/// What is set on a forwarded message. Source: Pub/Sub documentation, "Dead-letter topics" (2026-11).
const COUNT: &str = "CloudPubSubDeadLetterSourceDeliveryCount";
const SUBSCRIPTION: &str = "CloudPubSubDeadLetterSourceSubscription";
const PROJECT: &str = "CloudPubSubDeadLetterSourceSubscriptionProject";
const PUBLISHED: &str = "CloudPubSubDeadLetterSourceTopicPublishTime";

/// A subscription's dead-letter topic, if it has one that is there and has room: without it, messages come again for ever.
pub(super) fn topic(subscription: &Subscription, service: &Service) -> Option<Arc<Topic>> {
    let policy = subscription.config().dead_letter_policy.clone()?;
    // With the configuration locked no topic may be looked into: a topic that is deleted has them the other way round.
    let topic = service.topic(&policy.dead_letter_topic).ok()?;
    topic.has_room(service).then_some(topic)
}

/// Publishes what failed too often.
pub(super) fn forward(
    subscription: &Subscription,
    service: &Service,
    topic: Option<Arc<Topic>>,
    dead: Vec<Dead>,
) {
    let Some(topic) = topic.filter(|_| !dead.is_empty()) else {
        return;
    };
    let count = dead.len() as u64;
    let id = subscription.name.rsplit('/').next().unwrap_or_default();
    let project = name::project(&subscription.name).trim_start_matches("projects/");
    let messages = dead.into_iter().map(|dead| {
        let mut message = dead.message.decode();
        let published: prost_types::Timestamp = SystemTime::into(dead.message.published);
        message.attributes.extend([
            (COUNT.to_owned(), dead.attempts.to_string()),
            (SUBSCRIPTION.to_owned(), id.to_owned()),
            (PROJECT.to_owned(), project.to_owned()),
            (PUBLISHED.to_owned(), published.to_string()),
        ]);
        message
    });
    topic.write(service, messages.collect());
    service.counters.add(|counts| counts.dead_lettered += count);
}
