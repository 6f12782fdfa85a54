//! Snapshots, and seeks.

use std::sync::Arc;
use std::time::SystemTime;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::seek_request;
use tonic::Status;

use super::bounds::{check_labels, check_number, check_size};
use super::{immutable, missing, page, paths};
use crate::pubsub::backlog::Target;
use crate::pubsub::limits;
use crate::pubsub::message;
use crate::pubsub::name::{self, DELETED_TOPIC, Kind};
use crate::pubsub::service::Service;
use crate::pubsub::snapshot::{LIFE, SHORTEST, Snapshot};
use crate::pubsub::{status, subscription};

/// # Errors
/// INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS; FAILED_PRECONDITION where the oldest message is too old, or the topic gone;
/// RESOURCE_EXHAUSTED where there are too many snapshots, or they keep too much.
pub(in super::super) fn create(
    service: &Service,
    request: v1::CreateSnapshotRequest,
) -> Result<v1::Snapshot, Status> {
    name::check(Kind::Snapshot, &request.name)?;
    check_size(&request)?;
    check_labels(&request.labels)?;
    let subscription = subscription::of(service, &request.subscription)?;
    let topic_name = subscription.config().topic.clone();
    if topic_name == DELETED_TOPIC {
        return Err(Status::failed_precondition(format!(
            "The topic of {} was deleted.",
            subscription.name
        )));
    }
    let topic = service.topic(&topic_name)?;
    let now = message::now();
    let mut snapshots = service.snapshots();
    if snapshots.contains_key(&request.name) {
        return Err(status::already_exists(&request.name));
    }
    check_number(&snapshots, &request.name, limits::SNAPSHOTS)?;
    // Nothing is published between the one and the other.
    let mut state = topic.state();
    let unacked = subscription.backlog().unacked().cloned().collect();
    let rest = (unacked, service.message_ids(0));
    let snapshot = Snapshot::new(request.name, topic_name, request.labels, rest, now);
    let left = snapshot.expires.duration_since(now).unwrap_or_default();
    if left < SHORTEST {
        return Err(Status::failed_precondition(format!(
            "The snapshot would expire within an hour: its oldest message would be kept for {} days.",
            LIFE.as_secs() / (24 * 3_600)
        )));
    }
    let kept: usize = snapshots.values().map(|snapshot| snapshot.bytes).sum();
    let most = service.terms.backlog_bytes;
    if kept + snapshot.bytes > most {
        return Err(Status::resource_exhausted(format!(
            "The snapshot has {} bytes unacknowledged, and others have {kept}: the local Pub/Sub keeps {most} in all of them.",
            snapshot.bytes
        )));
    }
    let snapshot = Arc::new(snapshot);
    state.serve(&snapshot);
    snapshots.insert(snapshot.name.clone(), Arc::clone(&snapshot));
    Ok(snapshot.describe())
}

/// # Errors
/// NOT_FOUND.
pub(in super::super) fn get(
    service: &Service,
    request: v1::GetSnapshotRequest,
) -> Result<v1::Snapshot, Status> {
    Ok(service.snapshot(&request.snapshot)?.describe())
}

/// Changes the labels.
///
/// # Errors
/// NOT_FOUND, INVALID_ARGUMENT; UNIMPLEMENTED for the time that it expires.
pub(in super::super) fn update(
    service: &Service,
    request: v1::UpdateSnapshotRequest,
) -> Result<v1::Snapshot, Status> {
    let told = request.snapshot.ok_or_else(|| missing("snapshot"))?;
    let snapshot = service.snapshot(&told.name)?;
    for path in paths(request.update_mask)? {
        match path.as_str() {
            "labels" => {
                check_labels(&told.labels)?;
                *snapshot.labels() = told.labels.clone();
            }
            "expire_time" => return Err(status::not_here("A snapshot with a new expire_time")),
            path => return Err(immutable(path)),
        }
    }
    Ok(snapshot.describe())
}

/// # Errors
/// NOT_FOUND.
pub(in super::super) fn delete(
    service: &Service,
    request: v1::DeleteSnapshotRequest,
) -> Result<(), Status> {
    let removed = service.snapshots().remove(&request.snapshot);
    match removed {
        Some(_) => Ok(()),
        None => Err(status::not_found(&request.snapshot)),
    }
}

/// # Errors
/// INVALID_ARGUMENT.
pub(in super::super) fn list(
    service: &Service,
    request: v1::ListSnapshotsRequest,
) -> Result<v1::ListSnapshotsResponse, Status> {
    name::check_project(&request.project)?;
    let all: Vec<_> = service.snapshots().values().cloned().collect();
    let of = all
        .iter()
        .filter(|snapshot| name::project(&snapshot.name) == request.project);
    let (page, next_page_token) = page(
        of,
        |snapshot| &snapshot.name,
        request.page_size,
        &request.page_token,
    )?;
    Ok(v1::ListSnapshotsResponse {
        snapshots: page.into_iter().map(|s| s.describe()).collect(),
        next_page_token,
    })
}

/// Makes messages acknowledged or not, by a time or a snapshot. What readers have is void.
///
/// # Errors
/// NOT_FOUND, INVALID_ARGUMENT; FAILED_PRECONDITION where it is detached.
pub(in super::super) fn seek(
    service: &Service,
    request: v1::SeekRequest,
) -> Result<v1::SeekResponse, Status> {
    let subscription = subscription::of(service, &request.subscription)?;
    let topic = subscription.config().topic.clone();
    let mut kept = Vec::new();
    let target = match request.target.ok_or_else(|| missing("target"))? {
        seek_request::Target::Time(time) => {
            let time = SystemTime::try_from(time);
            Target::Time(time.map_err(|_| Status::invalid_argument("The time can't be."))?)
        }
        seek_request::Target::Snapshot(name) => {
            let snapshot = service.snapshot(&name)?;
            if snapshot.topic != topic {
                return Err(Status::invalid_argument(format!(
                    "The snapshot {name} is of {}, the subscription of {topic}.",
                    snapshot.topic
                )));
            }
            kept.extend(snapshot.unacked.iter().cloned());
            Target::Snapshot {
                unacked: snapshot.unacked.iter().map(|m| m.id).collect(),
                from: snapshot.from,
            }
        }
    };
    let topic = service.topic(&topic).ok();
    // Nothing is published meanwhile.
    let state = topic.as_ref().map(|topic| topic.state());
    if let Some(state) = &state {
        kept.extend(state.log().cloned());
    }
    kept.sort_unstable_by_key(|message| message.id);
    kept.dedup_by_key(|message| message.id);
    subscription.backlog().seek(&target, &kept, message::now());
    Ok(v1::SeekResponse {})
}
