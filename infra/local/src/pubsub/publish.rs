//! Publish: what may be in a request.

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    PublishRequest, PublishResponse, PubsubMessage,
};
use prost::Message as _;
use tonic::Status;

use super::limits;
use super::service::Service;

/// Writes the messages of a request, all or none.
///
/// # Errors
/// NOT_FOUND without the topic; INVALID_ARGUMENT for what can't be published; RESOURCE_EXHAUSTED where a backlog is full, or a
/// key too fast.
pub(super) fn publish(
    service: &Service,
    request: PublishRequest,
) -> Result<PublishResponse, Status> {
    let topic = service.topic(&request.topic)?;
    let bytes = check(&request).map_err(Status::invalid_argument)?;
    let message_ids = topic.publish(service, request.messages, bytes)?;
    Ok(PublishResponse { message_ids })
}

/// How large a request is, or what is wrong with it.
fn check(request: &PublishRequest) -> Result<usize, String> {
    let messages = &request.messages;
    let Some(first) = messages.first() else {
        return Err(
            "The value for message_count is too small: a request has to have a message.".into(),
        );
    };
    if messages.len() > limits::PUBLISH_MESSAGES {
        return Err(format!(
            "The value for message_count is too large. You passed {} in the request, but the maximum value is {}.",
            messages.len(),
            limits::PUBLISH_MESSAGES
        ));
    }
    let bytes = request.encoded_len();
    if bytes > limits::PUBLISH_BYTES {
        return Err(format!(
            "Request payload size exceeds the limit: {} bytes, and it has {bytes}.",
            limits::PUBLISH_BYTES
        ));
    }
    if messages
        .iter()
        .any(|message| message.ordering_key != first.ordering_key)
    {
        return Err(
            "In a single publish request, all messages must have no ordering key or they must all have the same ordering key.".into(),
        );
    }
    messages.iter().try_for_each(check_message)?;
    Ok(bytes)
}

fn check_message(message: &PubsubMessage) -> Result<(), String> {
    if message.data.is_empty() && message.attributes.is_empty() {
        return Err("Some messages in the batch have neither data nor attributes.".into());
    }
    if message.ordering_key.len() > limits::ORDERING_KEY {
        return Err(format!(
            "The ordering key is too long: {} bytes, and {} are allowed.",
            message.ordering_key.len(),
            limits::ORDERING_KEY
        ));
    }
    if message.attributes.len() > limits::ATTRIBUTES {
        return Err(format!(
            "Too many attributes: {}, and {} are allowed.",
            message.attributes.len(),
            limits::ATTRIBUTES
        ));
    }
    for (key, value) in &message.attributes {
        if key.is_empty() || key.starts_with("goog") {
            return Err(format!(
                "The attribute key {key:?} can't be used: it may not be empty, nor begin with goog."
            ));
        }
        if key.len() > limits::ATTRIBUTE_KEY || value.len() > limits::ATTRIBUTE_VALUE {
            return Err(format!(
                "An attribute is too long: a key has up to {} bytes, a value up to {}.",
                limits::ATTRIBUTE_KEY,
                limits::ATTRIBUTE_VALUE
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use super::*;

    fn message(data: usize) -> PubsubMessage {
        PubsubMessage {
            data: vec![b'x'; data].into(),
            ..PubsubMessage::default()
        }
    }

    fn with(attributes: impl IntoIterator<Item = (String, String)>) -> PubsubMessage {
        PubsubMessage {
            attributes: HashMap::from_iter(attributes),
            ..message(1)
        }
    }

    fn keyed(key: String) -> PubsubMessage {
        PubsubMessage {
            ordering_key: key,
            ..message(1)
        }
    }

    fn request(messages: Vec<PubsubMessage>) -> PublishRequest {
        PublishRequest {
            topic: "projects/p/topics/abc".into(),
            messages,
        }
    }

    #[test]
    fn everything_up_to_a_limit_and_nothing_beyond() {
        let numbered = |count: usize| with((0..count).map(|n| (n.to_string(), String::new())));
        let one = |key: usize, value: usize| with([("k".repeat(key), "v".repeat(value))]);
        // What goes around the data of a message this large.
        let around = request(vec![message(9_000_000)]).encoded_len() - 9_000_000;
        for (good, bad, text) in [
            (
                vec![message(1); 1_000],
                vec![message(1); 1_001],
                "message_count",
            ),
            (
                vec![message(10_000_000 - around)],
                vec![message(10_000_001 - around)],
                "payload size",
            ),
            (vec![message(1)], vec![message(0)], "neither data"),
            (vec![message(1)], vec![], "message_count"),
            (
                vec![keyed("k".repeat(1_000))],
                vec![keyed("k".repeat(1_001))],
                "ordering key is",
            ),
            (
                vec![keyed("a".into()); 2],
                vec![keyed("a".into()), message(1)],
                "same ordering key",
            ),
            (vec![numbered(100)], vec![numbered(101)], "Too many"),
            (vec![one(256, 1_024)], vec![one(257, 0)], "too long"),
            (vec![one(1, 0)], vec![one(1, 1_025)], "too long"),
            (vec![one(1, 0)], vec![one(0, 1)], "goog"),
            (
                vec![with([("xgoog".into(), String::new())])],
                vec![with([("googx".into(), String::new())])],
                "goog",
            ),
        ] {
            assert_eq!(
                check(&request(good.clone())),
                Ok(request(good).encoded_len())
            );
            let error = check(&request(bad)).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
