//! One more than there may be.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
use tonic::Code;

use super::*;
use crate::pubsub::admin::{snapshots, subscriptions, topics};
use crate::pubsub::faults::{Dice, Faults};
use crate::pubsub::service::{Service, Terms};

const TOPIC: &str = "projects/p/topics/t-0";
const SUBSCRIPTION: &str = "projects/p/subscriptions/s-0";

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

fn topic(service: &Service, name: &str) -> Result<v1::Topic, Status> {
    let topic = v1::Topic {
        name: name.into(),
        ..v1::Topic::default()
    };
    topics::create(service, topic)
}

fn subscription(service: &Service, name: &str) -> Result<v1::Subscription, Status> {
    let config = v1::Subscription {
        name: name.into(),
        topic: TOPIC.into(),
        ..v1::Subscription::default()
    };
    subscriptions::create(service, config)
}

fn snapshot(service: &Service, name: &str) -> Result<v1::Snapshot, Status> {
    let request = v1::CreateSnapshotRequest {
        name: name.into(),
        subscription: SUBSCRIPTION.into(),
        ..v1::CreateSnapshotRequest::default()
    };
    snapshots::create(service, request)
}

/// Makes so many, and not one more, but for another project.
fn fill<T: std::fmt::Debug>(most: usize, kind: &str, make: impl Fn(&str) -> Result<T, Status>) {
    // A project whose name begins likewise, and comes first.
    make(&format!("projects/p-2/{kind}/x-0")).unwrap();
    let letter = &kind[..1];
    for n in 0..most {
        make(&format!("projects/p/{kind}/{letter}-{n}")).unwrap();
    }
    let error = make(&format!("projects/p/{kind}/more")).unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    let again = make(&format!("projects/p/{kind}/{letter}-0")).unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists, "{again}");
    make(&format!("projects/p-2/{kind}/x-1")).unwrap();
}

#[test]
fn a_project_has_so_many_topics_subscriptions_and_snapshots() {
    let service = service();
    fill(10_000, "topics", |name| topic(&service, name));
    fill(10_000, "subscriptions", |name| subscription(&service, name));
    fill(5_000, "snapshots", |name| snapshot(&service, name));
    // Where one goes there is room for another.
    let request = v1::DeleteSnapshotRequest {
        snapshot: "projects/p/snapshots/s-7".into(),
    };
    snapshots::delete(&service, request).unwrap();
    snapshot(&service, "projects/p/snapshots/more").unwrap();
}

#[test]
fn all_projects_together_have_ten_times_as_many() {
    let mut all = BTreeMap::new();
    for n in 0..20 {
        let name = format!("projects/p-{n}/topics/t");
        check_number(&all, &name, 2).unwrap();
        all.insert(name, ());
    }
    let error = check_number(&all, "projects/p/topics/t", 2).unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    assert!(error.message().contains("has 20"), "{error}");
}

fn labels(labels: &[(&str, &str)]) -> HashMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    labels.iter().map(owned).collect()
}

#[test]
fn labels_are_as_the_service_takes_them() {
    let long = &*"a".repeat(63);
    let longer = &*"a".repeat(64);
    let umlauts = &*"\u{e4}".repeat(63);
    for good in [
        ("a", ""),
        ("a-b_9", "9-_"),
        (long, long),
        (umlauts, umlauts),
        ("\u{65e5}\u{672c}", "\u{8a9e}"),
    ] {
        check_labels(&labels(&[good])).unwrap();
    }
    for bad in [
        ("", "a"),
        ("A", "a"),
        ("a", "A"),
        ("9", "a"),
        ("-a", "a"),
        ("_a", "a"),
        ("a.b", "a"),
        ("a", "a b"),
        ("\u{c4}", "a"),
        ("a", "\u{c4}"),
        (longer, "a"),
        ("a", longer),
    ] {
        let error = check_labels(&labels(&[bad])).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{bad:?}: {error}");
    }
    let many = |count: u32| {
        (0..count)
            .map(|n| (format!("k{n}"), String::new()))
            .collect()
    };
    check_labels(&many(64)).unwrap();
    let error = check_labels(&many(65)).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
}

#[test]
fn what_is_made_or_changed_with_such_labels_is_refused() {
    let service = service();
    topic(&service, TOPIC).unwrap();
    subscription(&service, SUBSCRIPTION).unwrap();
    let name = "projects/p/snapshots/s-0";
    snapshot(&service, name).unwrap();
    let labels = labels(&[("A", "")]);
    let mask = || {
        Some(prost_types::FieldMask {
            paths: vec!["labels".into()],
        })
    };
    let a_topic = v1::Topic {
        name: TOPIC.into(),
        labels: labels.clone(),
        ..v1::Topic::default()
    };
    let a_subscription = v1::Subscription {
        name: SUBSCRIPTION.into(),
        topic: TOPIC.into(),
        labels: labels.clone(),
        ..v1::Subscription::default()
    };
    let a_snapshot = v1::CreateSnapshotRequest {
        name: name.into(),
        subscription: SUBSCRIPTION.into(),
        labels: labels.clone(),
        ..v1::CreateSnapshotRequest::default()
    };
    let update_topic = v1::UpdateTopicRequest {
        topic: Some(a_topic.clone()),
        update_mask: mask(),
    };
    let update_subscription = v1::UpdateSubscriptionRequest {
        subscription: Some(a_subscription.clone()),
        update_mask: mask(),
    };
    let update_snapshot = v1::UpdateSnapshotRequest {
        snapshot: Some(v1::Snapshot {
            name: name.into(),
            labels,
            ..v1::Snapshot::default()
        }),
        update_mask: mask(),
    };
    for refused in [
        topics::create(&service, a_topic).err(),
        subscriptions::create(&service, a_subscription).err(),
        snapshots::create(&service, a_snapshot).err(),
        topics::update(&service, update_topic).err(),
        subscriptions::update(&service, update_subscription).err(),
        snapshots::update(&service, update_snapshot).err(),
    ] {
        assert_eq!(refused.unwrap().code(), Code::InvalidArgument);
    }
    let request = v1::GetSnapshotRequest {
        snapshot: name.into(),
    };
    let got = snapshots::get(&service, request).unwrap();
    assert_eq!(got.labels, HashMap::new());
}

#[test]
fn what_is_described_at_too_great_a_length_is_refused() {
    let service = service();
    for name in [
        format!("projects/{}/topics/abc", "p".repeat(70_000)),
        "projects/p/topics/abc".into(),
    ] {
        let region = "r".repeat(if name.len() < 100 { 70_000 } else { 1 });
        let policy = v1::MessageStoragePolicy {
            allowed_persistence_regions: vec![region],
            ..v1::MessageStoragePolicy::default()
        };
        let topic = v1::Topic {
            name,
            message_storage_policy: Some(policy),
            ..v1::Topic::default()
        };
        let error = topics::create(&service, topic).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.message().len() < 200, "{error}");
    }
}
