//! Kinesis' errors as kinds to act on, each with what to do.

use anyhub_core::{Error, ErrorKind, shown};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use std::{error::Error as StdError, io};

/// The hub's name in errors.
pub(crate) const HUB: &str = "kinesis";

/// A setting is wrong.
pub(crate) fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, HUB, "connect", message)
}

/// The stream is not there.
pub(crate) fn no_topic(operation: &'static str, topic: &str) -> Error {
    let message = format!("there is no stream '{}'", shown(topic));
    Error::new(ErrorKind::NotFound, HUB, operation, message)
        .with_advice("look at the region and the account, or create it with Admin::create_topic")
}

pub(crate) fn closed(operation: &'static str, what: &str) -> Error {
    let message = format!("the {what} is closed");
    Error::new(ErrorKind::Closed, HUB, operation, message)
}

pub(crate) fn invalid(operation: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, HUB, operation, message)
}

/// An answer without something that Kinesis always tells.
pub(crate) fn incomplete(operation: &'static str, what: &str) -> Error {
    let message = format!("the answer tells no {what}");
    Error::new(ErrorKind::Unexpected, HUB, operation, message)
}

/// What Kinesis, or the way there, answered to `operation` on `topic`.
pub(crate) fn failed<E, R>(operation: &'static str, topic: &str, error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let told = match &error {
        SdkError::ServiceError(refused) => {
            let refused = refused.err();
            coded(operation, topic, refused.code(), refused.message())
        }
        SdkError::TimeoutError(_) => {
            Error::new(ErrorKind::Timeout, HUB, operation, "no answer in time")
                .with_advice("look at the endpoint and the network")
        }
        other => unreached(operation, other),
    };
    told.with_source(error)
}

/// It did not get there, or the answer did not get back.
fn unreached<E, R>(operation: &'static str, error: &SdkError<E, R>) -> Error
where
    E: StdError + 'static,
    R: std::fmt::Debug + 'static,
{
    let causes: Vec<String> = causes(error).map(ToString::to_string).collect();
    let credentials = |cause: &String| {
        let cause = cause.to_ascii_lowercase();
        cause.contains("credential") || cause.contains("sso token")
    };
    if causes.iter().any(credentials) {
        if let Some((set, missing)) = half_a_pair(|name| std::env::var_os(name).is_some()) {
            let message = format!("{set} is set, and {missing} is not");
            return Error::new(ErrorKind::Denied, HUB, operation, message)
                .with_advice("set both, or neither and AWS_PROFILE");
        }
        let message = "there are no credentials, or they can't be had";
        return Error::new(ErrorKind::Denied, HUB, operation, message).with_advice(
            "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is given",
        );
    }
    let region = |cause: &String| {
        cause.to_ascii_lowercase().contains("region")
            && cause.to_ascii_lowercase().contains("missing")
    };
    if causes.iter().any(region) {
        let message = "there is no region";
        return Error::new(ErrorKind::Config, HUB, operation, message).with_advice(
            "it stands in the URL before the stream, as in kinesis://us-east-1/STREAM; or set AWS_REGION",
        );
    }
    // As rustls and hyper say it (0.23, 1.12).
    let told = |text: &str| causes.iter().any(|cause| cause.contains(text));
    if told("InvalidContentType") {
        let message = "the endpoint answers without TLS";
        return Error::new(ErrorKind::Unavailable, HUB, operation, message)
            .with_advice("if it is a server without TLS, write endpoint=http:// and its address");
    }
    if told("invalid HTTP version") {
        let message = "the endpoint does not answer in HTTP: perhaps in TLS";
        return Error::new(ErrorKind::Unavailable, HUB, operation, message)
            .with_advice("if it is a server with TLS, write endpoint=https:// and its address");
    }
    let last = causes.last().map_or("no cause is told", String::as_str);
    let message = format!("the endpoint can't be reached: {}", one_line(last));
    Error::new(ErrorKind::Unavailable, HUB, operation, message)
        .with_advice("look at the endpoint, the region and the network")
}

/// Which of the two variables of an access key is set where the other one is not.
fn half_a_pair(is_set: impl Fn(&str) -> bool) -> Option<(&'static str, &'static str)> {
    let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    match (is_set(id), is_set(secret)) {
        (true, false) => Some((id, secret)),
        (false, true) => Some((secret, id)),
        _ => None,
    }
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        (**error).source()
    })
}

/// Whether the request certainly never left, so that nothing of it was written.
pub(crate) fn is_unsent<E, R>(error: &SdkError<E, R>) -> bool
where
    E: StdError + 'static,
    R: std::fmt::Debug + 'static,
{
    let refused = |cause: &(dyn StdError + 'static)| -> bool {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        kind == Some(io::ErrorKind::ConnectionRefused)
    };
    match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::DispatchFailure(failure) => failure
            .as_connector_error()
            .is_some_and(|error| causes(error).any(refused)),
        _ => false,
    }
}

/// An error of the service, by its code.
pub(crate) fn coded(
    operation: &'static str,
    topic: &str,
    code: Option<&str>,
    message: Option<&str>,
) -> Error {
    let code = code.unwrap_or("no code");
    let kind = kind(code);
    if kind == ErrorKind::NotFound && !code.starts_with("KMS") && !topic.is_empty() {
        return no_topic(operation, topic);
    }
    let text = match message.map(one_line).filter(|message| !message.is_empty()) {
        Some(message) => format!("{message} ({code})"),
        None => code.to_owned(),
    };
    let error = Error::new(kind, HUB, operation, text);
    match advice(kind, code) {
        Some(advice) => error.with_advice(advice),
        None => error,
    }
}

/// What a caller can do about it.
fn kind(code: &str) -> ErrorKind {
    match code {
        "AccessDeniedException"
        | "AccessDenied"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidClientTokenId"
        | "OptInRequired"
        | "NotAuthorized"
        | "SubscriptionRequiredException"
        | "KMSAccessDeniedException"
        | "KMSOptInRequired"
        | "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSNotFoundException" => ErrorKind::Denied,
        "ResourceNotFoundException" => ErrorKind::NotFound,
        "ResourceInUseException" => ErrorKind::AlreadyExists,
        "ProvisionedThroughputExceededException"
        | "LimitExceededException"
        | "KMSThrottlingException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded" => ErrorKind::Throttled,
        "InvalidArgumentException" | "ValidationException" | "SerializationException" => {
            ErrorKind::Invalid
        }
        "InternalFailureException"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalServerException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => ErrorKind::Unavailable,
        "RequestTimeout" | "RequestTimeoutException" => ErrorKind::Timeout,
        "UnknownOperationException" | "UnsupportedOperationException" => ErrorKind::Unsupported,
        _ => ErrorKind::Unexpected,
    }
}

fn advice(kind: ErrorKind, code: &str) -> Option<&'static str> {
    Some(match (kind, code) {
        (_, "ExpiredTokenException" | "ExpiredToken") => {
            "get fresh credentials, as by aws sso login"
        }
        (ErrorKind::Denied, code) if code.starts_with("KMS") => {
            "look at the key that encrypts the stream, and at who may use it"
        }
        (_, "InvalidSignatureException") => "look at the secret key, and at this machine's clock",
        (_, "AccessDeniedException" | "AccessDenied") => {
            "the account's administrator has to allow it to this role or user"
        }
        (ErrorKind::Denied, _) => "look at the credentials, the region and the account",
        (_, "LimitExceededException") => "look at the account's quota, and try again later",
        (ErrorKind::Throttled, _) => "give the stream more shards, or ask less often",
        _ => return None,
    })
}

/// Errors are one line each.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_access_key_is_named() {
        let set = |names: &'static [&'static str]| half_a_pair(|name| names.contains(&name));
        let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
        assert_eq!(set(&["AWS_ACCESS_KEY_ID"]), Some((id, secret)));
        assert_eq!(set(&["AWS_SECRET_ACCESS_KEY"]), Some((secret, id)));
        assert_eq!(set(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]), None);
        assert_eq!(set(&[]), None);
    }
}
