//! What a topic or a subscription may be told to do.

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
use prost_types::Duration;
use tonic::Status;

use super::bounds::{check_labels, check_size};
use crate::pubsub::limits;
use crate::pubsub::name::{self, Kind};
use crate::pubsub::service::Service;
use crate::pubsub::status::not_here;

/// # Errors
/// INVALID_ARGUMENT for labels or a retention that can't be, and where it is too much; UNIMPLEMENTED for what isn't here.
pub(super) fn check_topic(topic: &v1::Topic) -> Result<(), Status> {
    check_size(topic)?;
    for (what, asked) in [
        (
            "A topic with a key of Cloud KMS",
            !topic.kms_key_name.is_empty(),
        ),
        ("A topic with a schema", topic.schema_settings.is_some()),
        (
            "A topic that ingests data",
            topic.ingestion_data_source_settings.is_some(),
        ),
        (
            "A topic with transforms",
            !topic.message_transforms.is_empty(),
        ),
    ] {
        if asked {
            return Err(not_here(what));
        }
    }
    check_labels(&topic.labels)?;
    check_retention(topic.message_retention_duration.as_ref())
}

/// Completes what is left out, as the service does.
///
/// # Errors
/// INVALID_ARGUMENT for what can't be; NOT_FOUND without the dead-letter topic; UNIMPLEMENTED for what isn't here.
pub(super) fn complete(service: &Service, config: &mut v1::Subscription) -> Result<(), Status> {
    check_size(&*config)?;
    check_labels(&config.labels)?;
    let pushes = |push: &v1::PushConfig| *push != v1::PushConfig::default();
    for (what, asked) in [
        ("A subscription with a filter", !config.filter.is_empty()),
        (
            "A push subscription",
            config.push_config.as_ref().is_some_and(pushes),
        ),
        ("A BigQuery subscription", config.bigquery_config.is_some()),
        ("A Bigtable subscription", config.bigtable_config.is_some()),
        (
            "A Cloud Storage subscription",
            config.cloud_storage_config.is_some(),
        ),
        (
            "A subscription with transforms",
            !config.message_transforms.is_empty(),
        ),
    ] {
        if asked {
            return Err(not_here(what));
        }
    }
    let deadline = &mut config.ack_deadline_seconds;
    if *deadline == 0 {
        *deadline = *limits::DEADLINES.start();
    }
    if !limits::DEADLINES.contains(deadline) {
        return Err(Status::invalid_argument(format!(
            "Invalid ack deadline given: {deadline} s; it has to be {} to {}.",
            limits::DEADLINES.start(),
            limits::DEADLINES.end()
        )));
    }
    let retention = &mut config.message_retention_duration;
    check_retention(retention.as_ref())?;
    retention.get_or_insert(seconds(limits::DEFAULT_RETENTION));
    // Source: reference of the API, Subscription.expiration_policy (2026-11).
    let expiration = config
        .expiration_policy
        .get_or_insert(v1::ExpirationPolicy {
            ttl: Some(seconds(31 * 24 * 3_600)),
        });
    if expiration
        .ttl
        .as_ref()
        .is_some_and(|ttl| ttl.seconds < 24 * 3_600)
    {
        return Err(Status::invalid_argument(
            "The ttl of an expiration policy has to be a day or longer.",
        ));
    }
    if let Some(policy) = &mut config.dead_letter_policy {
        check_dead_letters(service, policy)?;
    }
    if let Some(policy) = &config.retry_policy {
        check_retries(policy)?;
    }
    config.state = v1::subscription::State::Active.into();
    Ok(())
}

fn check_retention(retention: Option<&Duration>) -> Result<(), Status> {
    match retention {
        Some(told) if !limits::RETENTION.contains(&told.seconds) => {
            Err(Status::invalid_argument(format!(
                "Invalid message retention duration: {} s; it has to be {} to {}.",
                told.seconds,
                limits::RETENTION.start(),
                limits::RETENTION.end()
            )))
        }
        _ => Ok(()),
    }
}

fn check_dead_letters(service: &Service, policy: &mut v1::DeadLetterPolicy) -> Result<(), Status> {
    name::check(Kind::Topic, &policy.dead_letter_topic)?;
    service.topic(&policy.dead_letter_topic)?;
    let attempts = &mut policy.max_delivery_attempts;
    if *attempts == 0 {
        *attempts = *limits::ATTEMPTS.start();
    }
    match limits::ATTEMPTS.contains(attempts) {
        true => Ok(()),
        false => Err(Status::invalid_argument(format!(
            "max_delivery_attempts can't be {attempts}: it has to be {} to {}.",
            limits::ATTEMPTS.start(),
            limits::ATTEMPTS.end()
        ))),
    }
}

fn check_retries(policy: &v1::RetryPolicy) -> Result<(), Status> {
    let shortest = policy.minimum_backoff.unwrap_or(seconds(10)).seconds;
    let longest = policy.maximum_backoff.unwrap_or(seconds(600)).seconds;
    match 0 <= shortest && shortest <= longest && longest <= limits::BACKOFF {
        true => Ok(()),
        false => Err(Status::invalid_argument(format!(
            "The backoff of a retry policy has to be 0 to {} s, and the minimum no more than the maximum.",
            limits::BACKOFF
        ))),
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration { seconds, nanos: 0 }
}
