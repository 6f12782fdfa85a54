//! Pub/Sub's errors as kinds to act on, each with what to do.

use anyhub_core::{Error, ErrorKind, shown};
use std::{error::Error as StdError, time::Duration};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The hub's name in errors.
pub(crate) const HUB: &str = "pubsub";

/// A setting is wrong.
pub(crate) fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, HUB, "connect", message)
}

pub(crate) fn invalid(operation: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, HUB, operation, message)
}

pub(crate) fn unsupported(operation: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, HUB, operation, message)
}

pub(crate) fn closed(operation: &'static str, what: &str) -> Error {
    let message = format!("the {what} is closed");
    Error::new(ErrorKind::Closed, HUB, operation, message)
}

/// No answer within the time that one may take.
pub(crate) fn unanswered(operation: &'static str, limit: Duration) -> Error {
    let message = format!("no answer within {limit:?}");
    Error::new(ErrorKind::Timeout, HUB, operation, message)
        .with_advice("look at the endpoint and the network")
}

/// No credentials within the time that a request may take.
pub(crate) fn untold(operation: &'static str, limit: Duration) -> Error {
    let message = format!("no credentials within {limit:?}");
    Error::new(ErrorKind::Timeout, HUB, operation, message).with_advice(TOKENS)
}

/// Credentials that can't be had, for now or for good.
pub(crate) fn no_credentials(
    operation: &'static str,
    transient: bool,
    source: impl StdError + Send + Sync + 'static,
) -> Error {
    // Where nothing else was found, Google's own machines are asked for theirs; elsewhere nobody answers.
    let elsewhere = causes(&source).any(|cause| cause.to_string().contains(METADATA));
    let reason = root(&source);
    let (kind, message) = match (transient, elsewhere) {
        (true, true) => (
            ErrorKind::Denied,
            format!("no credentials: none are here, and {METADATA} does not answer: {reason}"),
        ),
        (true, false) => (ErrorKind::Unavailable, format!("no credentials: {reason}")),
        (false, _) => (ErrorKind::Denied, format!("no credentials: {reason}")),
    };
    let advice = match kind {
        ErrorKind::Denied => {
            "sign in by gcloud auth application-default login, or name a key's file in \
             GOOGLE_APPLICATION_CREDENTIALS; an emulator is found by PUBSUB_EMULATOR_HOST or endpoint="
        }
        _ => TOKENS,
    };
    Error::new(kind, HUB, operation, message)
        .with_advice(advice)
        .with_source(source)
}

const TOKENS: &str = "look at the network, and at the service that gives the tokens";

/// Where machines of Google's get their tokens (Compute Engine documentation, 2026-11).
const METADATA: &str = "metadata.google.internal";

/// A topic that is not there, by its full name.
pub(crate) fn no_topic(operation: &'static str, topic: &str) -> Error {
    Error::new(ErrorKind::NotFound, HUB, operation, missing(topic)).with_advice(NO_TOPIC)
}

/// The same of one that only the settings name.
pub(crate) fn no_dead_letter_topic(operation: &'static str, topic: &str) -> Error {
    let message = format!("{}, which dead_letter names", missing(shown(topic)));
    Error::new(ErrorKind::NotFound, HUB, operation, message).with_advice(
        "create it, and a group of it, which keeps what goes there; or leave dead_letter out",
    )
}

const NO_TOPIC: &str = "look at its name and the project, or create it with Admin::create_topic";

/// A request that failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// What a caller is told.
    pub(crate) error: Error,
    /// Whether it may have been carried out all the same.
    pub(crate) maybe: bool,
    /// Whether the same may succeed a little later.
    pub(crate) passing: bool,
    /// Whether the service knows the account, which may not do this.
    pub(crate) forbidden: bool,
    /// The ack ids that did not hold, each with whether for good: exactly-once delivery.
    pub(crate) acks: Vec<(String, bool)>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            passing: error.is_retryable(),
            error,
            maybe: false,
            forbidden: false,
            acks: Vec::new(),
        }
    }
}

/// What Pub/Sub, or the way there, answered to `operation`; `subject` is the full name of what it was
/// asked about.
///
/// Which codes pass, and which are final: Pub/Sub documentation, "Error codes" (2026-11).
pub(crate) fn failed(operation: &'static str, subject: &str, status: Status) -> Failure {
    let code = status.code();
    let unreached = is_unreached(&status);
    let gateway = http_status(&status).filter(|status| is_gateway(*status));
    let plain = unreached && is_plain(&status);
    let strange = plain || gateway.is_none() && is_strange(&status);
    let kind = match code {
        _ if gateway.is_some() => ErrorKind::Unavailable,
        _ if strange => ErrorKind::Unexpected,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::Denied,
        Code::ResourceExhausted => ErrorKind::Throttled,
        Code::DeadlineExceeded => ErrorKind::Timeout,
        Code::Unavailable | Code::Internal | Code::Aborted | Code::Cancelled | Code::Unknown => {
            ErrorKind::Unavailable
        }
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => ErrorKind::Invalid,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::Ok | Code::DataLoss => ErrorKind::Unexpected,
    };
    let passing = matches!(
        kind,
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Throttled
    );
    // What has a cause is not the service's word: a connection that was told to be calm had the request under way.
    let refused = match code {
        Code::Aborted => true,
        Code::ResourceExhausted => status.source().is_none(),
        _ => false,
    };
    let message = match (kind, gateway) {
        (ErrorKind::NotFound, _) => missing(subject),
        (_, Some(status)) => {
            format!("what is in front of the service answered: HTTP status {status}")
        }
        _ if plain => "what answers speaks no TLS".to_owned(),
        _ if unreached => format!("the service can't be reached: {}", root(&status)),
        _ if strange => format!("what answers is no Pub/Sub: {}", one_line(status.message())),
        // The kind is told beside the message.
        _ if format!("{code:?}") == kind.to_string() => one_line(status.message()),
        _ => format!("{} ({code:?})", one_line(status.message())),
    };
    let error = Error::new(kind, HUB, operation, message);
    let advised = match plain {
        true => Some(PLAIN.to_owned()),
        false => advice(kind, unreached || gateway.is_some(), subject),
    };
    let error = match advised {
        Some(advice) => error.with_advice(advice),
        None => error,
    };
    Failure {
        error,
        maybe: passing && !unreached && !refused,
        passing,
        forbidden: matches!(code, Code::PermissionDenied),
        acks: acks(&status),
    }
}

fn advice(kind: ErrorKind, on_the_way: bool, subject: &str) -> Option<String> {
    Some(match kind {
        ErrorKind::NotFound if subject.contains("/subscriptions/") => {
            "look at the group's name; a new consumer of it makes it again".to_owned()
        }
        ErrorKind::NotFound => NO_TOPIC.to_owned(),
        ErrorKind::AlreadyExists => "take it as it is, or another name".to_owned(),
        ErrorKind::Denied => {
            "look at the roles of the account: pubsub.publisher to write, pubsub.subscriber and pubsub.viewer to \
             read, the latter to see that a group is there, pubsub.editor to make topics and groups"
                .to_owned()
        }
        ErrorKind::Throttled => "look at the project's quotas, or ask less often".to_owned(),
        ErrorKind::Unexpected => "look at the endpoint: it has to speak gRPC".to_owned(),
        _ if on_the_way => "look at the endpoint and the network".to_owned(),
        _ => return None,
    })
}

/// What is not there, by its full name.
fn missing(subject: &str) -> String {
    let mut parts = subject.rsplit('/');
    match (parts.next(), parts.next()) {
        (Some(id), Some("topics")) => format!("there is no topic '{id}'"),
        (Some(id), Some("subscriptions")) => format!("there is no subscription '{id}'"),
        (Some(id), Some("snapshots")) => format!("there is no snapshot '{id}'"),
        _ => format!("there is no {subject}"),
    }
}

/// Whether it never got there: no connection could be had.
fn is_unreached(status: &Status) -> bool {
    causes(status).any(|cause| {
        // tonic's own type is not in its interface; its text is what it was made from.
        cause.is::<tonic::ConnectError>() || cause.to_string() == "tcp connect error"
    })
}

/// Whether a server without TLS was asked by TLS, as rustls says it (0.23).
fn is_plain(status: &Status) -> bool {
    causes(status).any(|cause| cause.to_string().contains("InvalidContentType"))
}

const PLAIN: &str = "use http: where that is meant: endpoint=http://127.0.0.1:8085 on this machine, and elsewhere \
                     PUBSUB_EMULATOR_HOST=HOST:PORT without endpoint=";

/// The HTTP status of an answer that is no gRPC, which tonic tells in its text alone.
fn http_status(status: &Status) -> Option<u16> {
    let of = |before| {
        let (_, status) = status.message().split_once(before)?;
        status.get(..3)?.parse().ok()
    };
    of("grpc-status header missing, mapped from HTTP status code ")
        .or_else(|| of("while receiving response with status: "))
}

/// Whether a gateway says by it that it has no answer of the service's; what it passed on may be carried out.
fn is_gateway(status: u16) -> bool {
    matches!(status, 429 | 500 | 502..=504)
}

/// Whether the answer is no gRPC: a web page, for instance.
fn is_strange(status: &Status) -> bool {
    let text = status.message();
    let html = status
        .metadata()
        .get("content-type")
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| !kind.starts_with("application/grpc"));
    // The first line of an answer in HTTP/1 makes no frame of HTTP/2.
    let source = causes(status).any(|cause| cause.to_string().contains("frame with invalid size"));
    html || source
        || text.contains("grpc-status header missing")
        || text.contains("compression flag")
}

/// What of an acknowledgement did not hold. Source: Pub/Sub documentation, "Exactly-once delivery"
/// (2026-11): by the id, PERMANENT_FAILURE_... or TRANSIENT_FAILURE_...
fn acks(status: &Status) -> Vec<(String, bool)> {
    let Some(info) = status.get_details_error_info() else {
        return Vec::new();
    };
    let failures = info.metadata.into_iter();
    failures
        .filter_map(|(id, failure)| {
            let permanent = failure.starts_with("PERMANENT_FAILURE");
            (permanent || failure.starts_with("TRANSIENT_FAILURE")).then_some((id, permanent))
        })
        .collect()
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        (**error).source()
    })
}

fn root(error: &(dyn StdError + 'static)) -> String {
    let root = causes(error).last().unwrap_or(error);
    one_line(&root.to_string())
}

/// Errors are one line each.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_kinds() {
        let subject = "projects/p/topics/tweets";
        for (code, kind, maybe) in [
            (Code::NotFound, ErrorKind::NotFound, false),
            (Code::PermissionDenied, ErrorKind::Denied, false),
            (Code::ResourceExhausted, ErrorKind::Throttled, false),
            (Code::Unavailable, ErrorKind::Unavailable, true),
            (Code::Unknown, ErrorKind::Unavailable, true),
            (Code::DeadlineExceeded, ErrorKind::Timeout, true),
            (Code::FailedPrecondition, ErrorKind::Invalid, false),
            (Code::Unimplemented, ErrorKind::Unsupported, false),
        ] {
            let failure = failed("submit", subject, Status::new(code, "why\n so"));
            assert_eq!(failure.error.kind(), kind, "{code:?}");
            assert_eq!(failure.maybe, maybe, "{code:?}");
            assert!(!failure.error.to_string().contains('\n'), "{code:?}");
        }
        let failure = failed("submit", subject, Status::not_found("Resource not found"));
        assert_eq!(failure.error.message(), "there is no topic 'tweets'");
        let told = failed("submit", subject, Status::unavailable("not now"));
        assert_eq!(
            told.error.to_string(),
            "pubsub: submit: not now (Unavailable)"
        );
    }

    #[test]
    fn a_quota_is_the_service_s_word_and_a_connection_s_end_is_not() {
        let mut calm = Status::resource_exhausted("h2 protocol error: http2 error");
        calm.set_source(std::sync::Arc::new(std::io::Error::other(
            "ENHANCE_YOUR_CALM",
        )));
        let failure = failed("submit", "projects/p/topics/tweets", calm);
        assert!(failure.passing && failure.maybe, "{failure:?}");
    }

    #[test]
    fn what_a_gateway_answers_passes_and_may_be_carried_out() {
        let page = |status: &str| {
            Status::internal(format!(
                "protocol error: received message with invalid compression flag: 60 (valid flags are 0 and 1) while \
                 receiving response with status: {status}"
            ))
        };
        let empty = |code, status: u16| {
            let text = format!("grpc-status header missing, mapped from HTTP status code {status}");
            Status::new(code, text)
        };
        for (status, kind, passing) in [
            (page("502 Bad Gateway"), ErrorKind::Unavailable, true),
            (page("504 Gateway Timeout"), ErrorKind::Unavailable, true),
            (empty(Code::Unavailable, 503), ErrorKind::Unavailable, true),
            (empty(Code::Unavailable, 429), ErrorKind::Unavailable, true),
            (page("200 OK"), ErrorKind::Unexpected, false),
            (page("404 Not Found"), ErrorKind::Unexpected, false),
            (
                empty(Code::Unimplemented, 404),
                ErrorKind::Unexpected,
                false,
            ),
        ] {
            let text = status.message().to_owned();
            let failure = failed("submit", "projects/p/topics/tweets", status);
            let told = (failure.error.kind(), failure.passing, failure.maybe);
            assert_eq!(told, (kind, passing, passing), "{text}");
            assert!(failure.error.advice().is_some(), "{text}");
        }
    }

    #[test]
    fn acks_that_do_not_hold_are_told_apart() {
        let failures = [
            (
                "a".to_owned(),
                "PERMANENT_FAILURE_INVALID_ACK_ID".to_owned(),
            ),
            (
                "b".to_owned(),
                "TRANSIENT_FAILURE_UNORDERED_ACK_ID".to_owned(),
            ),
            ("c".to_owned(), "something else".to_owned()),
        ];
        let details = tonic_types::ErrorDetails::with_error_info(
            "EXACTLY_ONCE_ACKID_FAILURE",
            "pubsub.googleapis.com",
            failures
                .into_iter()
                .collect::<std::collections::HashMap<_, _>>(),
        );
        let status = Status::with_error_details(Code::FailedPrecondition, "some", details);
        let mut acks = failed("commit", "projects/p/subscriptions/s", status).acks;
        acks.sort();
        assert_eq!(acks, [("a".to_owned(), true), ("b".to_owned(), false)]);
    }
}
