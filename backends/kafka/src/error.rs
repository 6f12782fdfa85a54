//! librdkafka's errors as kinds to act on, each with what to do.

use anyhub_core::{Error, ErrorKind, shown};
use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Code};

/// The hub's name in errors.
pub(crate) const HUB: &str = "kafka";

/// A setting is wrong.
pub(crate) fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, HUB, "connect", message)
}

/// The topic is not there.
pub(crate) fn no_topic(operation: &'static str, topic: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        HUB,
        operation,
        format!("there is no topic '{}'", shown(topic)),
    )
    .with_advice("create it with Admin::create_topic")
}

pub(crate) fn closed(operation: &'static str, what: &str) -> Error {
    Error::new(
        ErrorKind::Closed,
        HUB,
        operation,
        format!("the {what} is closed"),
    )
}

/// What librdkafka answered to `operation`.
pub(crate) fn failed(operation: &'static str, error: &KafkaError) -> Error {
    match error.rdkafka_error_code() {
        Some(code) => coded(operation, code).with_source(error.clone()),
        None => match error {
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => {
                crate::config::refused_value(error)
            }
            KafkaError::AdminOp(code) => coded(operation, *code).with_source(error.clone()),
            KafkaError::Canceled => closed(operation, "hub"),
            other => Error::new(ErrorKind::Unexpected, HUB, operation, other.to_string())
                .with_source(error.clone()),
        },
    }
}

/// The broker's or librdkafka's code.
pub(crate) fn coded(operation: &'static str, code: Code) -> Error {
    let kind = kind(code);
    // Its texts begin with where they come from: "Broker: " or "Local: ".
    let text = code.to_string();
    let text = text
        .split_once('(')
        .map_or(text.as_str(), |(_, text)| text.trim_end_matches(')'));
    let text = text
        .trim_start_matches("Broker: ")
        .trim_start_matches("Local: ");
    let error = Error::new(kind, HUB, operation, text);
    match advice(kind, code) {
        Some(advice) => error.with_advice(advice),
        None => error,
    }
}

/// What a caller can do about it.
pub(crate) fn kind(code: Code) -> ErrorKind {
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::DelegationTokenAuthorizationFailed
        | Code::DelegationTokenExpired
        | Code::UnacceptableCredential
        | Code::SSL => ErrorKind::Denied,
        Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicId
        | Code::GroupIdNotFound
        | Code::ResourceNotFound => ErrorKind::NotFound,
        Code::TopicAlreadyExists => ErrorKind::AlreadyExists,
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            ErrorKind::TooLarge
        }
        Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::LogTruncation => {
            ErrorKind::OutOfRange
        }
        Code::ThrottlingQuotaExceeded | Code::QueueFull => ErrorKind::Throttled,
        Code::MessageTimedOut
        | Code::OperationTimedOut
        | Code::TimedOutQueue
        | Code::RequestTimedOut => ErrorKind::Timeout,
        Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidReplicaAssignment
        | Code::InvalidTopic
        | Code::InvalidConfig
        | Code::InvalidRequest
        | Code::InvalidRecord
        | Code::InvalidTimestamp
        | Code::InvalidGroupId
        | Code::InvalidArgument
        | Code::PolicyViolation
        | Code::GroupSubscribedToTopic
        | Code::NonEmptyGroup => ErrorKind::Invalid,
        Code::InvalidSessionTimeout
        | Code::InconsistentGroupProtocol
        | Code::InvalidRequiredAcks
        | Code::NotConfigured => ErrorKind::Config,
        Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::FencedInstanceId
        | Code::Fenced
        | Code::AssignmentLost
        | Code::PollExceeded => ErrorKind::Fenced,
        Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedCompressionType
        | Code::SecurityDisabled
        | Code::TopicDeletionDisabled
        | Code::NotImplemented => ErrorKind::Unsupported,
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::BrokerNotAvailable
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::ReplicaNotAvailable
        | Code::NetworkException
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::WaitingForCoordinator
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::NotController
        | Code::KafkaStorageError
        | Code::RebalanceInProgress
        | Code::OffsetNotAvailable
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::UnknownBroker
        | Code::Retry => ErrorKind::Unavailable,
        Code::PurgeQueue | Code::PurgeInflight | Code::BrokerDestroy | Code::DestroyBroker => {
            ErrorKind::Closed
        }
        _ => ErrorKind::Unexpected,
    }
}

fn advice(kind: ErrorKind, code: Code) -> Option<&'static str> {
    Some(match (kind, code) {
        (_, Code::SSL) => {
            "look at security.protocol, ssl.ca.location and the name in the brokers' certificate"
        }
        (
            _,
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed,
        ) => "the cluster's administrator has to allow it to this user",
        (ErrorKind::Denied, _) => {
            "look at security.protocol, sasl.mechanism, sasl.username and sasl.password"
        }
        (ErrorKind::Unavailable, Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend) => {
            "fewer replicas are in sync than min.insync.replicas asks for: look at the brokers"
        }
        (ErrorKind::Unavailable, _) => "look at the brokers and their addresses",
        (_, Code::InvalidSessionTimeout) => {
            "max_processing must not be under the brokers' group.min.session.timeout.ms (6 s)"
        }
        (_, Code::InconsistentGroupProtocol) => {
            "members of the group use another partition.assignment.strategy: set theirs"
        }
        (_, Code::NonEmptyGroup) => "close its consumers first",
        (_, Code::InvalidReplicationFactor) => "there are fewer brokers than copies asked for",
        (_, Code::InvalidConfig) => "look at the names and values of the topic's properties",
        (ErrorKind::Fenced, _) => "what was not committed comes again to the new owner",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_for_a_name_is_not_printed() {
        let error = no_topic("producer", "user:hunter2@broker:9092");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }

    #[test]
    fn says_what_happened_and_what_to_do() {
        let error = failed(
            "admin",
            &KafkaError::MetadataFetch(Code::BrokerTransportFailure),
        );
        assert_eq!(
            error.to_string(),
            "kafka: admin: Broker transport failure (Unavailable); \
             look at the brokers and their addresses"
        );
        assert!(error.is_retryable());
        assert_eq!(
            coded("submit", Code::SaslAuthenticationFailed).kind(),
            ErrorKind::Denied
        );
    }
}
