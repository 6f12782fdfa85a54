//! Calls beside each other.
#![allow(clippy::unwrap_used)]

use std::sync::Barrier;
use std::time::Duration;

use prost_types::FieldMask;

use super::*;
use crate::pubsub::admin::topics;
use crate::pubsub::faults::{Dice, Faults};
use crate::pubsub::name::DELETED_TOPIC;
use crate::pubsub::service::Terms;

const TOPIC: &str = "projects/p/topics/tweets";
const SUBSCRIPTION: &str = "projects/p/subscriptions/readers";
/// Each is another chance for the two to meet.
const ROUNDS: usize = 2_000;

fn service() -> Service {
    let terms = Terms {
        seed: 1,
        limits: false,
        second: Duration::from_secs(1),
        stream: Duration::from_secs(1),
        retained_bytes: 0,
        backlog_bytes: 0,
    };
    Service::new(terms, Dice::new(Faults::none(), 1))
}

fn make_topic(service: &Service) {
    let topic = v1::Topic {
        name: TOPIC.into(),
        ..v1::Topic::default()
    };
    topics::create(service, topic).unwrap();
}

fn make_subscription(service: &Service) -> Result<v1::Subscription, Status> {
    let config = v1::Subscription {
        name: SUBSCRIPTION.into(),
        topic: TOPIC.into(),
        ..v1::Subscription::default()
    };
    create(service, config)
}

fn delete_topic(service: &Service) {
    let request = v1::DeleteTopicRequest {
        topic: TOPIC.into(),
    };
    topics::delete(service, request).unwrap();
}

fn change(service: &Service, path: &str) {
    let request = v1::UpdateSubscriptionRequest {
        subscription: Some(v1::Subscription {
            name: SUBSCRIPTION.into(),
            ack_deadline_seconds: 99,
            retain_acked_messages: true,
            ..v1::Subscription::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec![path.into()],
        }),
    };
    update(service, request).unwrap();
}

/// Does both at once, as far as that can be.
fn both<A: Send>(one: impl FnOnce() -> A + Send, other: impl FnOnce() + Send) -> A {
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            barrier.wait();
            other();
        });
        barrier.wait();
        one()
    })
}

#[test]
fn one_that_is_made_as_its_topic_goes_knows_of_it() {
    for round in 0..ROUNDS {
        let service = service();
        make_topic(&service);
        let made = both(|| make_subscription(&service), || delete_topic(&service));
        if made.is_ok() {
            let subscription = service.subscription(SUBSCRIPTION).unwrap();
            assert_eq!(subscription.config().topic, DELETED_TOPIC, "round {round}");
        }
    }
}

#[test]
fn a_change_undoes_nothing_that_comes_beside_it() {
    for round in 0..ROUNDS {
        let service = service();
        make_topic(&service);
        make_subscription(&service).unwrap();
        both(|| change(&service, "labels"), || delete_topic(&service));
        let subscription = service.subscription(SUBSCRIPTION).unwrap();
        assert_eq!(subscription.config().topic, DELETED_TOPIC, "round {round}");
        both(
            || change(&service, "ack_deadline_seconds"),
            || change(&service, "retain_acked_messages"),
        );
        let changed = subscription.config().clone();
        assert_eq!(
            (changed.ack_deadline_seconds, changed.retain_acked_messages),
            (99, true),
            "round {round}"
        );
        let request = v1::DetachSubscriptionRequest {
            subscription: SUBSCRIPTION.into(),
        };
        both(
            || change(&service, "labels"),
            || {
                detach(&service, request).unwrap();
            },
        );
        assert!(subscription.config().detached, "round {round}");
    }
}
