//! Answers, to JSON: what is nothing or its default is left out.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
use prost::Message as _;
use serde_json::{Map, Value, json};
use tonic::Status;
use tonic_types::StatusExt;

use crate::pubsub::wire::PullResponse;

/// An object without the fields that are null, false, 0 or empty.
fn sparse(value: Value) -> Value {
    let Value::Object(map) = value else {
        return value;
    };
    let is_default = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(n) => n.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(map) => map.is_empty(),
    };
    map.into_iter()
        .filter(|(_, value)| !is_default(value))
        .collect::<Map<_, _>>()
        .into()
}

fn text(value: Option<&impl ToString>) -> Option<String> {
    value.map(ToString::to_string)
}

fn state(number: i32, name: &str, numbers: bool) -> Value {
    match numbers {
        true => number.into(),
        false => name.into(),
    }
}

pub(super) fn topic(topic: &v1::Topic, numbers: bool) -> Value {
    let policy = topic.message_storage_policy.as_ref().map(|policy| {
        json!({
            "allowedPersistenceRegions": policy.allowed_persistence_regions,
            "enforceInTransit": policy.enforce_in_transit,
        })
    });
    sparse(json!({
        "name": topic.name,
        "labels": topic.labels,
        "tags": topic.tags,
        "messageStoragePolicy": policy,
        "messageRetentionDuration": text(topic.message_retention_duration.as_ref()),
        "state": state(topic.state, topic.state().as_str_name(), numbers),
    }))
}

pub(super) fn subscription(config: &v1::Subscription, numbers: bool) -> Value {
    let dead_letters = config.dead_letter_policy.as_ref().map(|policy| {
        json!({
            "deadLetterTopic": policy.dead_letter_topic,
            "maxDeliveryAttempts": policy.max_delivery_attempts,
        })
    });
    let retries = config.retry_policy.as_ref().map(|policy| {
        sparse(json!({
            "minimumBackoff": text(policy.minimum_backoff.as_ref()),
            "maximumBackoff": text(policy.maximum_backoff.as_ref()),
        }))
    });
    let expiration = config.expiration_policy.as_ref();
    let expiration = expiration.map(|policy| sparse(json!({ "ttl": text(policy.ttl.as_ref()) })));
    let mut value = sparse(json!({
        "name": config.name,
        "topic": config.topic,
        "ackDeadlineSeconds": config.ack_deadline_seconds,
        "retainAckedMessages": config.retain_acked_messages,
        "messageRetentionDuration": text(config.message_retention_duration.as_ref()),
        "labels": config.labels,
        "tags": config.tags,
        "enableMessageOrdering": config.enable_message_ordering,
        "deadLetterPolicy": dead_letters,
        "detached": config.detached,
        "enableExactlyOnceDelivery": config.enable_exactly_once_delivery,
        "topicMessageRetentionDuration": text(config.topic_message_retention_duration.as_ref()),
        "state": state(config.state, config.state().as_str_name(), numbers),
    }));
    // An empty one means something.
    for (name, policy) in [("retryPolicy", retries), ("expirationPolicy", expiration)] {
        if let Some(policy) = policy {
            value[name] = policy;
        }
    }
    value
}

pub(super) fn snapshot(snapshot: &v1::Snapshot) -> Value {
    sparse(json!({
        "name": snapshot.name,
        "topic": snapshot.topic,
        "expireTime": text(snapshot.expire_time.as_ref()),
        "labels": snapshot.labels,
    }))
}

pub(super) fn list(name: &str, all: impl Iterator<Item = Value>, next: String) -> Value {
    sparse(json!({ name: all.collect::<Vec<_>>(), "nextPageToken": next }))
}

pub(super) fn pulled(pulled: &PullResponse) -> Value {
    let received = pulled.received_messages.iter().map(|received| {
        let message = v1::PubsubMessage::decode(received.message.clone()).unwrap_or_default();
        sparse(json!({
            "ackId": received.ack_id,
            "deliveryAttempt": received.delivery_attempt,
            "message": sparse(json!({
                "data": BASE64_STANDARD.encode(&message.data),
                "attributes": message.attributes,
                "messageId": message.message_id,
                "publishTime": text(message.publish_time.as_ref()),
                "orderingKey": message.ordering_key,
            })),
        }))
    });
    sparse(json!({ "receivedMessages": received.collect::<Vec<_>>() }))
}

/// What an error says beyond its text.
pub(super) fn details(status: &Status) -> Option<Value> {
    let info = status.get_details_error_info()?;
    Some(json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": info.reason,
        "domain": info.domain,
        "metadata": info.metadata,
    }]))
}
