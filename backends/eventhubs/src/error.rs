//! Event Hubs' errors as kinds to act on, each with what to do.

use crate::connection::Target;
use anyhub_core::{Error, ErrorKind, shown};
use azure_core::error::ErrorKind as AzureErrorKind;
use azure_core_amqp::{AmqpDescribedError, AmqpError, AmqpErrorCondition, AmqpErrorKind};
use azure_messaging_eventhubs::{EventHubsError, error::ErrorKind as EventHubsErrorKind};
use fe2o3_amqp::link::RecvError;
use std::{error::Error as StdError, fmt, io};

/// The hub's name in errors.
pub(crate) const HUB: &str = "eventhubs";

/// A setting is wrong.
pub(crate) fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, HUB, "connect", message)
}

/// How a server on this machine is reached, which is at no namespace's own port.
pub(crate) const HERE: &str = "a server on this machine goes by endpoint=amqp://127.0.0.1:PORT, as anyhub-local up eventhubs prints it";

/// How what is not there is made: in Azure, and on a server of this machine, which has what it is started with.
const MAKE_HUB: [&str; 2] = [
    "look at its name and the namespace, or create it in the Azure portal",
    "look at its name, or start the server with it: anyhub-local up eventhubs --event-hub NAME=PARTITIONS",
];
const MAKE_GROUP: [&str; 2] = [
    "create the consumer group in the Azure portal, or by az eventhubs eventhub consumer-group create",
    "start the server with the consumer group: anyhub-local up eventhubs --group NAME",
];

/// The event hub is not there.
pub(crate) fn no_topic(operation: &'static str, topic: &str) -> Error {
    let message = format!("there is no event hub '{}'", shown(topic));
    Error::new(ErrorKind::NotFound, HUB, operation, message).with_advice(MAKE_HUB[0])
}

/// An error of a server on this machine, where nothing is made in a portal.
pub(crate) fn on_this_machine(error: Error) -> Error {
    let made = [MAKE_HUB, MAKE_GROUP].into_iter();
    let made = made.filter(|[in_azure, _]| error.advice() == Some(in_azure));
    match made.map(|[_, here]| here).next() {
        Some(here) => error.with_advice(here),
        None => error,
    }
}

pub(crate) fn closed(operation: &'static str, what: &str) -> Error {
    let message = format!("the {what} is closed");
    Error::new(ErrorKind::Closed, HUB, operation, message)
}

pub(crate) fn invalid(operation: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, HUB, operation, message)
}

/// An answer without something that Event Hubs always tells, or with something else in its place.
pub(crate) fn incomplete(operation: &'static str, what: &str) -> Error {
    let message = format!("the answer tells no {what}");
    Error::new(ErrorKind::Unexpected, HUB, operation, message)
}

/// No connection within the time that one may take.
pub(crate) fn unconnected(operation: &'static str, target: &Target) -> Error {
    unanswered(operation, &format!("a connection to {}", target.place()))
}

/// No answer within the time that one may take.
pub(crate) fn unanswered(operation: &'static str, what: &str) -> Error {
    let message = format!("{what} was not answered in time");
    Error::new(ErrorKind::Timeout, HUB, operation, message)
        .with_advice("look at the endpoint and the network")
}

/// The connection's token has ended, or one that was kept is refused; another connection asks for another one, or tells why there is none.
pub(crate) fn expired(operation: &'static str, source: Error) -> Error {
    let message = "the connection's token is good no more";
    Error::new(ErrorKind::Unavailable, HUB, operation, message).with_source(source)
}

/// The connection is gone.
pub(crate) fn lost(operation: &'static str) -> Error {
    let message = "the connection to the namespace is lost";
    Error::new(ErrorKind::Unavailable, HUB, operation, message)
        .with_advice("look at the endpoint and the network")
}

/// What Event Hubs, or the way there, answered to `operation` on `topic`.
pub(crate) fn failed(operation: &'static str, topic: &str, error: AmqpError) -> Error {
    let told = match error.kind() {
        AmqpErrorKind::AmqpDescribedError(described) => {
            return refused(operation, topic, described);
        }
        AmqpErrorKind::ManagementStatusCode(status, text) => {
            status_code(operation, topic, u16::from(*status), text.as_deref())
        }
        _ if is_unreadable(&error) => {
            let message = format!("a message can't be read: {error}");
            Error::new(ErrorKind::Unexpected, HUB, operation, one_line(&message))
        }
        _ => unreached(operation, "the namespace", &error),
    };
    match shown(topic) == topic {
        true => told.with_source(error),
        // What the service says has the name in it.
        false => told,
    }
}

/// What one of the SDK's own clients says.
pub(crate) fn of_client(operation: &'static str, topic: &str, error: EventHubsError) -> Error {
    match error.kind {
        EventHubsErrorKind::AmqpError(error) => failed(operation, topic, error),
        EventHubsErrorKind::AzureCore(error) => match error.kind() {
            AzureErrorKind::Credential => no_token(operation, error),
            _ => {
                let text = one_line(&root(&error).to_string());
                let message = format!("the namespace can't be reached: {text}");
                Error::new(ErrorKind::Unavailable, HUB, operation, message)
                    .with_advice("look at the namespace's name, the endpoint and the network")
                    .with_source(error)
            }
        },
        kind => {
            let error = EventHubsError { kind };
            let message = one_line(&error.to_string());
            Error::new(ErrorKind::Unexpected, HUB, operation, message).with_source(error)
        }
    }
}

/// Whether a message came whole, and is nothing that the SDK can read: it never will.
pub(crate) fn is_unreadable(error: &AmqpError) -> bool {
    let AmqpErrorKind::TransportImplementationError(cause) = error.kind() else {
        return false;
    };
    matches!(cause.downcast_ref(), Some(RecvError::MessageDecode(_)))
}

/// The SDK has panicked at a message.
#[derive(Debug)]
struct Panicked;

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the SDK panics at it; the panic hook has told where")
    }
}

impl StdError for Panicked {}

pub(crate) fn panicked(operation: &'static str) -> Error {
    let message = format!("a message can't be read: {Panicked}");
    Error::new(ErrorKind::Unexpected, HUB, operation, message).with_source(Panicked)
}

/// Whether it says that a message can't be read, now or ever.
pub(crate) fn is_of_a_message(error: &Error) -> bool {
    let cause = StdError::source(error);
    cause.is_some_and(|cause| {
        cause.is::<Panicked>() || cause.downcast_ref().is_some_and(is_unreadable)
    })
}

/// No connection could be opened there.
pub(crate) fn unopened(operation: &'static str, target: &Target, error: AmqpError) -> Error {
    let place = target.place();
    match error.kind() {
        AmqpErrorKind::AmqpDescribedError(_) | AmqpErrorKind::ManagementStatusCode(..) => {
            failed(operation, "", error)
        }
        _ => {
            let told = match mismatch(target, &error) {
                Some((what, advice)) => {
                    let message = format!("{place} can't be reached: {what}");
                    Error::new(ErrorKind::Unavailable, HUB, operation, message).with_advice(advice)
                }
                None => unreached(operation, &place, &error),
            };
            told.with_source(error)
        }
    }
}

/// TLS where there is none, or none where there is, and what to do about it.
fn mismatch(target: &Target, error: &AmqpError) -> Option<(&'static str, &'static str)> {
    let cause = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>())?;
    let inner = cause.get_ref()?;
    if let Some(rustls::Error::InvalidMessage(_)) = inner.downcast_ref() {
        return Some((
            "no TLS is spoken there",
            "a server on this machine without TLS goes by endpoint=amqp://HOST:PORT, or by \
             UseDevelopmentEmulator=true in the connection string",
        ));
    }
    // A TLS alert is a byte shorter than the header that AMQP begins with.
    if target.is_in_the_clear() && inner.to_string() == "bytes remaining on stream" {
        return Some((
            "no plain AMQP is spoken there",
            "a server with TLS goes by endpoint=amqps://HOST:PORT",
        ));
    }
    None
}

/// What Azure's libraries beneath the AMQP answered: those that give tokens. Unavailable where nobody
/// could be asked, Denied where there is none to be had.
pub(crate) fn no_token(operation: &'static str, error: azure_core::Error) -> Error {
    let text = one_line(&root(&error).to_string());
    let message = format!("Microsoft Entra ID gives no token: {text}");
    // A program or a file that is not there, or not allowed, does not come by waiting.
    let missing = causes(&error).any(|cause| {
        let kind = cause.downcast_ref().map(io::Error::kind);
        matches!(
            kind,
            Some(io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
        )
    });
    let (kind, advice) = match !missing && causes(&error).any(is_passing) {
        true => (
            ErrorKind::Unavailable,
            "look at the network, and at the service that gives the tokens",
        ),
        false => (
            ErrorKind::Denied,
            "look at credential= in the URL, and at what that one needs; az login for a developer's machine",
        ),
    };
    Error::new(kind, HUB, operation, message)
        .with_advice(advice)
        .with_source(error)
}

/// Whether a token may be had later, by this cause.
fn is_passing(cause: &(dyn StdError + 'static)) -> bool {
    match cause.downcast_ref().map(azure_core::Error::kind) {
        Some(AzureErrorKind::Connection | AzureErrorKind::Io) => return true,
        Some(AzureErrorKind::HttpResponse { status, .. }) => {
            let status = u16::from(*status);
            return matches!(status, 408 | 429 | 500..);
        }
        _ => {}
    }
    cause.is::<io::Error>() || cause.is::<tokio::time::error::Elapsed>()
}

/// An error by its AMQP condition.
pub(crate) fn refused(
    operation: &'static str,
    topic: &str,
    described: &AmqpDescribedError,
) -> Error {
    let condition = <&str>::from(&described.condition);
    let kind = kind(&described.condition);
    let text = described.description.as_deref().map(one_line);
    let text = text.unwrap_or_default();
    if kind == ErrorKind::NotFound && !topic.is_empty() {
        return match names_group(&text) {
            true => no_group(operation, topic, &text),
            false => no_topic(operation, topic),
        };
    }
    let message = match text.is_empty() {
        true => condition.to_owned(),
        false => format!("{text} ({condition})"),
    };
    let error = Error::new(kind, HUB, operation, message);
    match advice(kind, &described.condition) {
        Some(advice) => error.with_advice(advice),
        None => error,
    }
}

/// Whether a text of the service's names a consumer group: as `NAMESPACE:eventhub:HUB~N|GROUP` (as
/// users quote it, logstash-input-azure_event_hubs #32), or by its path.
fn names_group(text: &str) -> bool {
    let numbered = |rest: &str| {
        let (number, _) = rest.split_once('|').unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    text.split('~').skip(1).any(numbered) || is_path_of_group(text)
}

/// The gateway writes it in lower case.
fn is_path_of_group(text: &str) -> bool {
    text.to_ascii_lowercase().contains("/consumergroups/")
}

fn no_group(operation: &'static str, topic: &str, text: &str) -> Error {
    let message = match is_path_of_group(text) {
        // The path of a reader, whatever of it is missing.
        true => {
            format!("there is no event hub '{topic}', or it has no such consumer group: {text}")
        }
        false => format!("the event hub '{topic}' has no such consumer group: {text}"),
    };
    Error::new(ErrorKind::NotFound, HUB, operation, message).with_advice(MAKE_GROUP[0])
}

/// What a caller can do about it.
fn kind(condition: &AmqpErrorCondition) -> ErrorKind {
    use AmqpErrorCondition as Is;
    match condition {
        Is::UnauthorizedAccess
        | Is::NotAllowed
        | Is::PublisherRevokedError
        // A sixth reader: waiting would not help it.
        | Is::ResourceLimitExceeded => ErrorKind::Denied,
        Is::NotFound | Is::ResourceDeleted => ErrorKind::NotFound,
        Is::ServerBusyError => ErrorKind::Throttled,
        Is::LinkPayloadSizeExceeded => ErrorKind::TooLarge,
        Is::LinkStolen | Is::PartitionNotOwnedError => ErrorKind::Fenced,
        Is::TimeoutError => ErrorKind::Timeout,
        Is::ArgumentError | Is::ArgumentOutOfRangeError | Is::InvalidField | Is::DecodeError => {
            ErrorKind::Invalid
        }
        Is::NotImplemented => ErrorKind::Unsupported,
        Is::InternalError
        | Is::LinkDetachForced
        | Is::ConnectionForced
        | Is::OperationCancelled
        | Is::ResourceLocked
        | Is::EntityDisabledError
        | Is::LinkRedirect
        | Is::ConnectionRedirect
        | Is::StoreLockLostError => ErrorKind::Unavailable,
        Is::UnknownValue(name) if name.contains("size-exceeded") => ErrorKind::TooLarge,
        _ => ErrorKind::Unexpected,
    }
}

fn advice(kind: ErrorKind, condition: &AmqpErrorCondition) -> Option<&'static str> {
    use AmqpErrorCondition as Is;
    Some(match (kind, condition) {
        (_, Is::ResourceLimitExceeded) => {
            "a partition has five readers without a group at most: read as another consumer group, by reader_group="
        }
        (_, Is::LinkStolen) => {
            "another reader of this consumer group has an epoch: read as another consumer group, by reader_group="
        }
        (ErrorKind::Denied, _) => {
            "look at the key and its claims (Send, Listen), or at the roles of the identity"
        }
        (ErrorKind::Throttled, _) => "give the namespace more throughput units, or ask less often",
        (_, Is::EntityDisabledError) => "the event hub is disabled: enable it in the Azure portal",
        _ => return None,
    })
}

/// An error of `$management` or `$cbs`, which answer with HTTP's codes.
fn status_code(operation: &'static str, topic: &str, status: u16, text: Option<&str>) -> Error {
    if status == 404 && !topic.is_empty() {
        return no_topic(operation, topic);
    }
    let kind = kind_of_status(status);
    let message = match text.map(one_line).filter(|text| !text.is_empty()) {
        Some(text) => format!("{text} ({status})"),
        None => format!("status {status}"),
    };
    let error = Error::new(kind, HUB, operation, message);
    match kind {
        ErrorKind::Denied => error.with_advice(
            "look at the key and its name, at this machine's clock, or at the roles of the identity",
        ),
        _ => error,
    }
}

/// What a caller can do about a status of HTTP.
pub(crate) fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        400 => ErrorKind::Invalid,
        408 | 504 => ErrorKind::Timeout,
        429 => ErrorKind::Throttled,
        500 | 502 | 503 => ErrorKind::Unavailable,
        501 => ErrorKind::Unsupported,
        _ => ErrorKind::Unexpected,
    }
}

/// It did not get there, or the answer did not get back.
fn unreached(operation: &'static str, place: &str, error: &AmqpError) -> Error {
    let root = root(error);
    let text = one_line(&root.to_string());
    let denied = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    let certificate = denied.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData);
    let message = format!("{place} can't be reached: {text}");
    let advice = match certificate {
        true => "look at the server's certificate: SSL_CERT_FILE names a file with those to trust",
        false if place == "localhost:5671" => HERE,
        false => "look at the namespace's name, the endpoint and the network",
    };
    Error::new(ErrorKind::Unavailable, HUB, operation, message).with_advice(advice)
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        (**error).source()
    })
}

pub(crate) fn root<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    causes(error).last().unwrap_or(error)
}

/// Errors are one line each.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use azure_core_amqp::AmqpOrderedMap;

    fn described(condition: AmqpErrorCondition, text: &str) -> Error {
        let described =
            AmqpDescribedError::new(condition, Some(text.to_owned()), AmqpOrderedMap::new());
        failed(
            "submit",
            "tweets",
            AmqpErrorKind::AmqpDescribedError(described).into(),
        )
    }

    #[test]
    fn conditions_are_kinds() {
        use AmqpErrorCondition as Is;
        for (condition, kind) in [
            (Is::ServerBusyError, ErrorKind::Throttled),
            (Is::UnauthorizedAccess, ErrorKind::Denied),
            (Is::LinkStolen, ErrorKind::Fenced),
            (Is::LinkPayloadSizeExceeded, ErrorKind::TooLarge),
            (
                Is::UnknownValue("amqp:link:message-size-exceeded".to_owned()),
                ErrorKind::TooLarge,
            ),
            (Is::LinkDetachForced, ErrorKind::Unavailable),
            (Is::UnknownValue("x".to_owned()), ErrorKind::Unexpected),
        ] {
            assert_eq!(described(condition, "why").kind(), kind);
        }
        let error = described(Is::ServerBusyError, "The request\n was terminated.");
        assert_eq!(
            error.to_string(),
            "eventhubs: submit: The request was terminated. (com.microsoft:server-busy) (Throttled); \
             give the namespace more throughput units, or ask less often"
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = described(AmqpErrorCondition::NotFound, "The messaging entity 'x'");
        assert!(error.message().contains("'tweets'"), "{error}");
        for (text, may_be_hub) in [
            (
                "The messaging entity 'ns:eventhub:tweets~32766|score' could not be found.",
                false,
            ),
            (
                "'amqps://ns/tweets/consumergroups/score/partitions/0' could not be found.",
                true,
            ),
            ("'tweets/ConsumerGroups/score' could not be found.", true),
        ] {
            let error = described(AmqpErrorCondition::NotFound, text);
            let message = error.message();
            assert!(message.contains("no such consumer group"), "{error}");
            assert!(message.contains("score"), "{error}");
            let hub = message.contains("there is no event hub 'tweets'");
            assert_eq!(hub, may_be_hub, "{error}");
        }
        let text = "The messaging entity 'ns:eventhub:a~b|c' could not be found.";
        let error = described(AmqpErrorCondition::NotFound, text);
        assert_eq!(error.message(), "there is no event hub 'tweets'");
        let status = azure_core::http::StatusCode::from(404);
        let error = failed(
            "producer",
            "t",
            AmqpErrorKind::ManagementStatusCode(status, None).into(),
        );
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
