//! Requests, from JSON.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::seek_request::Target;
use tonic::Status;

use super::fields::Fields;
use crate::pubsub::status::not_here;

/// Both alphabets, with padding or without, as ProtoJSON has it.
fn decode(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = match text.contains(['-', '_']) {
        true => &base64::alphabet::URL_SAFE,
        false => &base64::alphabet::STANDARD,
    };
    GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()
}

/// Refuses what isn't here, and would otherwise be dropped in silence.
fn refuse(fields: &mut Fields, of: &str, names: &[&str]) -> Result<(), Status> {
    match names.iter().find(|name| fields.has(name)) {
        Some(name) => Err(not_here(&format!("A {of} with {name}"))),
        None => Ok(()),
    }
}

pub(super) fn topic(mut fields: Fields) -> Result<v1::Topic, Status> {
    let elsewhere = [
        "kmsKeyName",
        "schemaSettings",
        "ingestionDataSourceSettings",
        "messageTransforms",
    ];
    refuse(&mut fields, "topic", &elsewhere)?;
    fields.ignore(&["satisfiesPzs", "state"]);
    let policy = fields.object("messageStoragePolicy")?;
    let message_storage_policy = policy.map(storage_policy).transpose()?;
    let topic = v1::Topic {
        name: fields.string("name")?,
        labels: fields.map("labels")?,
        tags: fields.map("tags")?,
        message_retention_duration: fields.text("messageRetentionDuration")?,
        message_storage_policy,
        ..v1::Topic::default()
    };
    fields.done()?;
    Ok(topic)
}

fn storage_policy(mut fields: Fields) -> Result<v1::MessageStoragePolicy, Status> {
    let policy = v1::MessageStoragePolicy {
        allowed_persistence_regions: fields.strings("allowedPersistenceRegions")?,
        enforce_in_transit: fields.boolean("enforceInTransit")?,
    };
    fields.done()?;
    Ok(policy)
}

pub(super) fn update_topic(
    name: String,
    mut fields: Fields,
) -> Result<v1::UpdateTopicRequest, Status> {
    let told = fields.object("topic")?.map(topic).transpose()?;
    let update_mask = Some(fields.mask("updateMask")?);
    fields.done()?;
    Ok(v1::UpdateTopicRequest {
        topic: told.map(|topic| v1::Topic { name, ..topic }),
        update_mask,
    })
}

pub(super) fn subscription(mut fields: Fields) -> Result<v1::Subscription, Status> {
    let elsewhere = [
        "pushConfig",
        "bigqueryConfig",
        "bigtableConfig",
        "cloudStorageConfig",
        "messageTransforms",
    ];
    refuse(&mut fields, "subscription", &elsewhere)?;
    fields.ignore(&[
        "detached",
        "topicMessageRetentionDuration",
        "state",
        "analyticsHubSubscriptionInfo",
    ]);
    let dead_letters = fields.object("deadLetterPolicy")?;
    let retries = fields.object("retryPolicy")?;
    let expiration = fields.object("expirationPolicy")?;
    let subscription = v1::Subscription {
        name: fields.string("name")?,
        topic: fields.string("topic")?,
        ack_deadline_seconds: fields.number("ackDeadlineSeconds")?,
        retain_acked_messages: fields.boolean("retainAckedMessages")?,
        message_retention_duration: fields.text("messageRetentionDuration")?,
        labels: fields.map("labels")?,
        tags: fields.map("tags")?,
        enable_message_ordering: fields.boolean("enableMessageOrdering")?,
        expiration_policy: expiration.map(expiration_policy).transpose()?,
        filter: fields.string("filter")?,
        dead_letter_policy: dead_letters.map(dead_letter_policy).transpose()?,
        retry_policy: retries.map(retry_policy).transpose()?,
        enable_exactly_once_delivery: fields.boolean("enableExactlyOnceDelivery")?,
        ..v1::Subscription::default()
    };
    fields.done()?;
    Ok(subscription)
}

fn dead_letter_policy(mut fields: Fields) -> Result<v1::DeadLetterPolicy, Status> {
    let policy = v1::DeadLetterPolicy {
        dead_letter_topic: fields.string("deadLetterTopic")?,
        max_delivery_attempts: fields.number("maxDeliveryAttempts")?,
    };
    fields.done()?;
    Ok(policy)
}

fn retry_policy(mut fields: Fields) -> Result<v1::RetryPolicy, Status> {
    let policy = v1::RetryPolicy {
        minimum_backoff: fields.text("minimumBackoff")?,
        maximum_backoff: fields.text("maximumBackoff")?,
    };
    fields.done()?;
    Ok(policy)
}

fn expiration_policy(mut fields: Fields) -> Result<v1::ExpirationPolicy, Status> {
    let policy = v1::ExpirationPolicy {
        ttl: fields.text("ttl")?,
    };
    fields.done()?;
    Ok(policy)
}

pub(super) fn update_subscription(
    name: String,
    mut fields: Fields,
) -> Result<v1::UpdateSubscriptionRequest, Status> {
    let told = fields.object("subscription")?;
    let told = told.map(subscription).transpose()?;
    let update_mask = Some(fields.mask("updateMask")?);
    fields.done()?;
    Ok(v1::UpdateSubscriptionRequest {
        subscription: told.map(|config| v1::Subscription { name, ..config }),
        update_mask,
    })
}

pub(super) fn create_snapshot(
    name: String,
    mut fields: Fields,
) -> Result<v1::CreateSnapshotRequest, Status> {
    fields.ignore(&["name"]);
    let request = v1::CreateSnapshotRequest {
        name,
        subscription: fields.string("subscription")?,
        labels: fields.map("labels")?,
        tags: fields.map("tags")?,
    };
    fields.done()?;
    Ok(request)
}

pub(super) fn update_snapshot(
    name: String,
    mut fields: Fields,
) -> Result<v1::UpdateSnapshotRequest, Status> {
    let snapshot = |mut fields: Fields| {
        let snapshot = v1::Snapshot {
            name,
            topic: fields.string("topic")?,
            expire_time: fields.text("expireTime")?,
            labels: fields.map("labels")?,
        };
        fields.ignore(&["name"]);
        fields.done()?;
        Ok::<_, Status>(snapshot)
    };
    let told = fields.object("snapshot")?.map(snapshot).transpose()?;
    let update_mask = Some(fields.mask("updateMask")?);
    fields.done()?;
    Ok(v1::UpdateSnapshotRequest {
        snapshot: told,
        update_mask,
    })
}

pub(super) fn seek(name: String, mut fields: Fields) -> Result<v1::SeekRequest, Status> {
    fields.ignore(&["subscription"]);
    let time = fields.text("time")?.map(Target::Time);
    let snapshot = Some(fields.string("snapshot")?).filter(|name| !name.is_empty());
    fields.done()?;
    Ok(v1::SeekRequest {
        subscription: name,
        target: time.or(snapshot.map(Target::Snapshot)),
    })
}

pub(super) fn publish(topic: String, mut fields: Fields) -> Result<v1::PublishRequest, Status> {
    fields.ignore(&["topic"]);
    let messages = fields.objects("messages")?.into_iter().map(message);
    let messages = messages.collect::<Result<_, _>>()?;
    fields.done()?;
    Ok(v1::PublishRequest { topic, messages })
}

fn message(mut fields: Fields) -> Result<v1::PubsubMessage, Status> {
    fields.ignore(&["messageId", "publishTime"]);
    let data = fields.string("data")?;
    let data = decode(&data)
        .ok_or_else(|| Status::invalid_argument("Invalid value at 'data': it is no base64."))?;
    let message = v1::PubsubMessage {
        data: data.into(),
        attributes: fields.map("attributes")?,
        ordering_key: fields.string("orderingKey")?,
        ..v1::PubsubMessage::default()
    };
    fields.done()?;
    Ok(message)
}

pub(super) fn pull(subscription: String, mut fields: Fields) -> Result<v1::PullRequest, Status> {
    fields.ignore(&["subscription"]);
    #[allow(deprecated)] // clients still send it
    let request = v1::PullRequest {
        subscription,
        return_immediately: fields.boolean("returnImmediately")?,
        max_messages: fields.number("maxMessages")?,
    };
    fields.done()?;
    Ok(request)
}

pub(super) fn acknowledge(
    subscription: String,
    mut fields: Fields,
) -> Result<v1::AcknowledgeRequest, Status> {
    fields.ignore(&["subscription"]);
    let ack_ids = fields.strings("ackIds")?;
    fields.done()?;
    Ok(v1::AcknowledgeRequest {
        subscription,
        ack_ids,
    })
}

pub(super) fn modify_ack_deadline(
    subscription: String,
    mut fields: Fields,
) -> Result<v1::ModifyAckDeadlineRequest, Status> {
    fields.ignore(&["subscription"]);
    let request = v1::ModifyAckDeadlineRequest {
        subscription,
        ack_ids: fields.strings("ackIds")?,
        ack_deadline_seconds: fields.number("ackDeadlineSeconds")?,
    };
    fields.done()?;
    Ok(request)
}
