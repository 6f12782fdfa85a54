//! What Azure Resource Manager answers, and what a refusal means.
//!
//! Sources: Azure documentation, "Azure Event Hubs - Resource Manager exceptions" and "Troubleshoot
//! common Azure deployment errors" (2026-11); Azure/azure-rest-api-specs, ErrorResponse of
//! Microsoft.EventHub (2026-11).

use super::place::{About, Place};
use crate::error::{HUB, kind_of_status, no_topic, one_line};
use anyhub_core::{Error, ErrorKind};
use azure_core::{
    http::{
        RawResponse, StatusCode,
        headers::{CONTENT_TYPE, HeaderName, RETRY_AFTER},
        policies::get_retry_after,
    },
    time::OffsetDateTime,
};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// An answer, read.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    /// Null where it has none.
    body: Option<Value>,
    content_type: String,
    wait: Option<Duration>,
}

/// What isn't there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// What was asked about.
    Itself,
    /// The event hub of a consumer group.
    Hub,
    /// The namespace, or what it is in.
    Namespace,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: Option<String>,
    message: Option<String>,
}

/// Characters of a text of others in an error.
const TEXT: usize = 400;
const WAITS: [HeaderName; 3] = [
    HeaderName::from_static("x-ms-retry-after-ms"),
    HeaderName::from_static("retry-after-ms"),
    RETRY_AFTER,
];

impl Answer {
    pub(super) fn read(response: &RawResponse) -> Self {
        let bytes: &[u8] = response.body().as_ref();
        let body = match bytes.is_empty() {
            true => Some(Value::Null),
            false => serde_json::from_slice(bytes).ok(),
        };
        let content_type = response.headers().get_optional_str(&CONTENT_TYPE);
        Self {
            status: u16::from(response.status()),
            body,
            content_type: content_type.unwrap_or_default().to_owned(),
            wait: wait(response.headers()),
        }
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What it tells. Unexpected if that is no JSON: somebody else has answered.
    pub(super) fn into_body(self, operation: &'static str) -> Result<Value, Error> {
        let Self {
            status,
            body,
            content_type,
            ..
        } = self;
        body.ok_or_else(|| no_json(ErrorKind::Unexpected, operation, status, &content_type))
    }

    fn refusal(&self) -> Refusal {
        let error = self.body.as_ref().and_then(|body| body.get("error"));
        let error = error.and_then(|error| Refusal::deserialize(error).ok());
        error.unwrap_or_default()
    }

    /// What isn't there, if it says that something isn't: a 404 of somebody else's says nothing of it.
    pub(super) fn missing(&self, place: &Place, about: About<'_>) -> Option<Missing> {
        let refusal = self.refusal();
        let text = refusal.message.unwrap_or_default().to_ascii_lowercase();
        // InvalidResourceType and the like: the question was wrong.
        let code = refusal.code.filter(|code| !code.starts_with("Invalid"))?;
        let namespace = place.namespace.to_ascii_lowercase();
        if self.status == 400 {
            let named = format!("namespace '{namespace}' doesn't exist");
            let named =
                text.contains(&named) || text.contains(&named.replace("doesn't", "does not"));
            return named.then_some(Missing::Namespace);
        }
        if self.status != 404 {
            return None;
        }
        let group_of = match about {
            About::Hubs => return Some(Missing::Namespace),
            About::Hub(_) => None,
            About::Group { hub, .. } => Some(hub.to_ascii_lowercase()),
        };
        Some(match code.as_str() {
            "ResourceGroupNotFound" | "SubscriptionNotFound" => Missing::Namespace,
            "ParentResourceNotFound" => match group_of {
                Some(hub)
                    if text.contains(&format!("eventhubs/{hub}'"))
                        || text.contains(&format!("{namespace}/{hub}'")) =>
                {
                    Missing::Hub
                }
                _ => Missing::Namespace,
            },
            "ResourceNotFound" => {
                let of_hub = text.contains("/eventhubs/");
                match group_of.is_some() {
                    true if of_hub && !text.contains("/consumergroups/") => Missing::Hub,
                    _ if !of_hub && text.contains("microsoft.eventhub/namespaces/") => {
                        Missing::Namespace
                    }
                    _ => Missing::Itself,
                }
            }
            _ => Missing::Itself,
        })
    }

    /// The refusal as an error.
    pub(super) fn refused(
        &self,
        operation: &'static str,
        place: &Place,
        about: About<'_>,
    ) -> Error {
        if let Some(missing) = self.missing(place, about) {
            return not_there(missing, operation, place, about);
        }
        let kind = match kind_of_status(self.status) {
            ErrorKind::NotFound => ErrorKind::Unexpected,
            kind => kind,
        };
        if self.body.is_none() {
            return self.waiting(no_json(kind, operation, self.status, &self.content_type));
        }
        let Refusal { code, message } = self.refusal();
        let code = code.map_or_else(|| self.status.to_string(), |code| clip(&code));
        let text = clip(&message.unwrap_or_default());
        let (kind, advice) = self.judge(kind, &text);
        let message = match text.is_empty() {
            true => format!("Azure Resource Manager refuses {about} ({code})"),
            false => format!("{text} ({code})"),
        };
        let error = Error::new(kind, HUB, operation, message);
        self.waiting(match advice {
            Some(advice) => error.with_advice(advice),
            None => error,
        })
    }

    /// What the text says beyond the status, and what to do.
    fn judge(&self, kind: ErrorKind, text: &str) -> (ErrorKind, Option<&'static str>) {
        let text = text.to_ascii_lowercase();
        let says = |part: &str| text.contains(part);
        let unchangeable = says("cannot be changed") || says("can't be changed");
        let (kind, advice) = match self.status {
            400 if says("partitioncount") && unchangeable => (
                ErrorKind::Unsupported,
                "partitions can be added in the tiers Premium and Dedicated alone: make another event \
                 hub with more",
            ),
            400 if says("consumergroup") && says("tier") => (
                ErrorKind::Unsupported,
                "the tier Basic has the consumer group $Default alone: take Standard or more, or read \
                 without a group",
            ),
            401 => (
                ErrorKind::Denied,
                "look at credential= in the URL, at its tenant and at this machine's clock",
            ),
            403 => (
                ErrorKind::Denied,
                "the identity needs a role that may write Microsoft.EventHub/namespaces/eventhubs, such \
                 as Contributor or Azure Event Hubs Data Owner: Data Sender and Data Receiver only look",
            ),
            // Waiting would not help.
            409 if says("maximum number") => (
                ErrorKind::Denied,
                "delete what is not used any more, or take a larger tier",
            ),
            409 if says("locked") || says("disabled") => (
                ErrorKind::Denied,
                "that lasts until somebody lifts it in Azure",
            ),
            409 => (
                ErrorKind::Unavailable,
                "something else is being done there: try again when it is through",
            ),
            429 => (
                ErrorKind::Throttled,
                "ask less often: the limit is for all who manage the subscription",
            ),
            _ => return (kind, None),
        };
        (kind, Some(advice))
    }

    fn waiting(&self, error: Error) -> Error {
        match self.wait {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }
}

/// How long an answer asks to wait.
pub(super) fn wait(headers: &azure_core::http::headers::Headers) -> Option<Duration> {
    let wait = get_retry_after(headers, OffsetDateTime::now_utc, &WAITS)?;
    Duration::try_from(wait).ok()
}

/// Whether the SDK waits for as long as such an answer asks.
pub(super) fn is_asking_to_wait(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TooManyRequests | StatusCode::ServiceUnavailable
    )
}

pub(super) fn not_there(
    missing: Missing,
    operation: &'static str,
    place: &Place,
    about: About<'_>,
) -> Error {
    match (missing, about) {
        (Missing::Itself, About::Hub(hub)) | (Missing::Hub, About::Group { hub, .. }) => {
            no_topic(operation, hub)
        }
        (Missing::Itself, About::Group { .. }) => {
            let message = format!("there is no such thing as {about}");
            Error::new(ErrorKind::NotFound, HUB, operation, message)
        }
        _ => {
            let Place {
                namespace,
                resource_group,
                subscription,
                ..
            } = place;
            let message = format!(
                "there is no namespace '{namespace}' in the resource group '{resource_group}' of the \
                 subscription {subscription}"
            );
            Error::new(ErrorKind::NotFound, HUB, operation, message)
                .with_advice("look at subscription=, resource_group= and the namespace")
        }
    }
}

fn no_json(kind: ErrorKind, operation: &'static str, status: u16, content_type: &str) -> Error {
    let what = match content_type.is_empty() {
        true => "something".to_owned(),
        false => clip(content_type),
    };
    let message = format!("the answer is {status} with {what} in the place of JSON");
    Error::new(kind, HUB, operation, message).with_advice(
        "that is not Azure Resource Manager: look at management_endpoint= and at proxies on the way",
    )
}

fn clip(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
