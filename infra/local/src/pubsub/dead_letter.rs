//! Where messages go that fail too often.

use std::sync::Arc;
use std::time::SystemTime;

use super::backlog::Dead;
use super::faults::Fault;
use super::message::{Message, key_memory};
use super::name;
use super::service::Service;
use super::subscription::Subscription;
use super::topic::Topic;

/// What is set on a forwarded message. Source: Pub/Sub documentation, "Dead-letter topics" (2026-11).
const COUNT: &str = "CloudPubSubDeadLetterSourceDeliveryCount";
const SUBSCRIPTION: &str = "CloudPubSubDeadLetterSourceSubscription";
const PROJECT: &str = "CloudPubSubDeadLetterSourceSubscriptionProject";
const PUBLISHED: &str = "CloudPubSubDeadLetterSourceTopicPublishTime";

/// What these take beside names, at most.
const MARKS: usize = 300;

/// Where a subscription's messages go that fail too often, while it is looked at some.
pub(super) struct Grave<'a> {
    subscription: &'a Subscription,
    service: &'a Service,
    /// None where there is no such topic: messages come again for ever.
    topic: Option<Arc<Topic>>,
    /// How many bytes it takes yet.
    room: usize,
    /// How much larger a message is there.
    marks: usize,
}

impl<'a> Grave<'a> {
    pub(super) fn of(subscription: &'a Subscription, service: &'a Service) -> Self {
        let policy = subscription.config().dead_letter_policy.clone();
        // With the configuration locked no topic may be looked into: a topic that is deleted has them the other way round.
        let topic = policy.and_then(|policy| service.topic(&policy.dead_letter_topic).ok());
        Grave {
            subscription,
            service,
            room: topic.as_ref().map_or(0, |topic| topic.room(service)),
            topic,
            marks: MARKS + subscription.name.len(),
        }
    }

    /// Whether there is room for a message that was tried so often after its last try; if so, less is left.
    pub(super) fn takes(&mut self, message: &Message, over: u32) -> bool {
        let memory = message.memory() + key_memory(&message.key) + self.marks;
        let Some(left) = self.room.checked_sub(memory) else {
            return false;
        };
        if over == 0 && self.service.dice.buries_late() {
            self.service.counters.strike(Fault::LateBurial, 1, 0);
            return false;
        }
        self.room = left;
        true
    }

    /// Publishes what it took.
    pub(super) fn bury(self, dead: Vec<Dead>) {
        if let Some(topic) = self.topic.filter(|_| !dead.is_empty()) {
            forward(self.subscription, self.service, &topic, dead);
        }
    }
}

fn forward(subscription: &Subscription, service: &Service, topic: &Topic, dead: Vec<Dead>) {
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
