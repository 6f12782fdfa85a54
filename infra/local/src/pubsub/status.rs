//! Refusals, in the service's words where they are known.

use std::collections::HashMap;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::streaming_pull_response::AcknowledgeConfirmation;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::subscription::Confirmed;

/// Where errors come from, in their details.
const DOMAIN: &str = "pubsub.googleapis.com";

pub(super) fn not_found(name: &str) -> Status {
    let kind = name.rsplit('/').nth(1).unwrap_or("resource");
    let kind = kind.strip_suffix('s').unwrap_or(kind);
    Status::not_found(format!(
        "Resource not found (resource={}): there is no {kind} {name}.",
        id(name)
    ))
}

pub(super) fn already_exists(name: &str) -> Status {
    Status::already_exists(format!(
        "Resource already exists in the project (resource={}).",
        id(name)
    ))
}

fn id(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

pub(super) fn malformed_ack_id(id: &str) -> Status {
    Status::invalid_argument(format!(
        "You have passed an invalid ack ID to the service (ack_id={id})."
    ))
}

/// Something that this stand-in does not do.
pub(super) fn not_here(what: &str) -> Status {
    Status::unimplemented(format!("{what}: the local Pub/Sub has none."))
}

pub(super) fn detached(name: &str) -> Status {
    Status::failed_precondition(format!(
        "Subscription is detached from its topic (resource={name})."
    ))
}

/// What of an acknowledgement, or of new deadlines, did not hold on a subscription with exactly-once delivery. Source: Pub/Sub
/// documentation, "Exactly-once delivery", and what Google's clients read (2026-11).
pub(super) fn not_confirmed(confirmed: &Confirmed) -> Status {
    let failures = [
        (&confirmed.over, "PERMANENT_FAILURE_INVALID_ACK_ID"),
        (&confirmed.unordered, "TRANSIENT_FAILURE_UNORDERED_ACK_ID"),
        (&confirmed.failed, "TRANSIENT_FAILURE_INVALID_ACK_ID"),
    ];
    let failures = failures.into_iter().flat_map(|(ids, failure)| {
        let ids = ids.iter().cloned();
        ids.map(move |id| (id, failure.to_owned()))
    });
    let failures: HashMap<String, String> = failures.collect();
    let details = ErrorDetails::with_error_info("EXACTLY_ONCE_ACKID_FAILURE", DOMAIN, failures);
    let text = "Some acknowledgement ids in the request were invalid. This could be because the acknowledgement ids have expired \
                or the acknowledgement ids were malformed.";
    Status::with_error_details(Code::FailedPrecondition, text, details)
}

/// The same on a stream, where nothing fails.
pub(super) fn confirmation(confirmed: Confirmed) -> AcknowledgeConfirmation {
    AcknowledgeConfirmation {
        ack_ids: confirmed.done,
        invalid_ack_ids: confirmed.over,
        unordered_ack_ids: confirmed.unordered,
        temporary_failed_ack_ids: confirmed.failed,
    }
}
