//! Topics.

use std::sync::Arc;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
use tonic::Status;

use super::bounds::check_number;
use super::{immutable, missing, page, paths, policy};
use crate::pubsub::limits;
use crate::pubsub::name::{self, DELETED_TOPIC, Kind};
use crate::pubsub::service::Service;
use crate::pubsub::status;
use crate::pubsub::topic::Topic;

/// # Errors
/// INVALID_ARGUMENT, ALREADY_EXISTS, UNIMPLEMENTED; RESOURCE_EXHAUSTED where there are too many.
pub(in super::super) fn create(
    service: &Service,
    mut topic: v1::Topic,
) -> Result<v1::Topic, Status> {
    name::check(Kind::Topic, &topic.name)?;
    policy::check_topic(&topic)?;
    topic.state = v1::topic::State::Active.into();
    let made = Topic::new(topic.clone(), service);
    let mut topics = service.topics_mut();
    if topics.contains_key(&topic.name) {
        return Err(status::already_exists(&topic.name));
    }
    check_number(&topics, &topic.name, limits::TOPICS)?;
    topics.insert(topic.name.clone(), Arc::new(made));
    Ok(topic)
}

/// # Errors
/// NOT_FOUND.
pub(in super::super) fn get(
    service: &Service,
    request: v1::GetTopicRequest,
) -> Result<v1::Topic, Status> {
    Ok(service.topic(&request.topic)?.state().config.clone())
}

/// Changes labels, retention or storage policy.
///
/// # Errors
/// NOT_FOUND, INVALID_ARGUMENT.
pub(in super::super) fn update(
    service: &Service,
    request: v1::UpdateTopicRequest,
) -> Result<v1::Topic, Status> {
    let told = request.topic.ok_or_else(|| missing("topic"))?;
    let topic = service.topic(&told.name)?;
    let mut state = topic.state();
    let mut config = state.config.clone();
    for path in paths(request.update_mask)? {
        match path.as_str() {
            "labels" => config.labels = told.labels.clone(),
            "message_retention_duration" => {
                config.message_retention_duration = told.message_retention_duration;
            }
            "message_storage_policy" => {
                config.message_storage_policy = told.message_storage_policy.clone();
            }
            path => return Err(immutable(path)),
        }
    }
    policy::check_topic(&config)?;
    state.config = config.clone();
    drop(state);
    topic.configure(service);
    Ok(config)
}

/// Its subscriptions stay, with what they have.
///
/// # Errors
/// NOT_FOUND.
pub(in super::super) fn delete(
    service: &Service,
    request: v1::DeleteTopicRequest,
) -> Result<(), Status> {
    let removed = service.topics_mut().remove(&request.topic);
    let topic = removed.ok_or_else(|| status::not_found(&request.topic))?;
    for subscription in std::mem::take(&mut topic.state().subscriptions) {
        DELETED_TOPIC.clone_into(&mut subscription.config().topic);
    }
    Ok(())
}

/// # Errors
/// INVALID_ARGUMENT.
pub(in super::super) fn list(
    service: &Service,
    request: v1::ListTopicsRequest,
) -> Result<v1::ListTopicsResponse, Status> {
    name::check_project(&request.project)?;
    let topics = service.topics();
    let of = topics
        .iter()
        .filter(|(name, _)| name::project(name) == request.project);
    let (page, next_page_token) =
        page(of, |(name, _)| name, request.page_size, &request.page_token)?;
    let topics = page.iter().map(|(_, topic)| topic.state().config.clone());
    Ok(v1::ListTopicsResponse {
        topics: topics.collect(),
        next_page_token,
    })
}

/// # Errors
/// NOT_FOUND, INVALID_ARGUMENT.
pub(in super::super) fn list_subscriptions(
    service: &Service,
    request: v1::ListTopicSubscriptionsRequest,
) -> Result<v1::ListTopicSubscriptionsResponse, Status> {
    let topic = service.topic(&request.topic)?;
    let attached = topic.state().subscriptions.clone();
    let mut names: Vec<_> = attached.iter().map(|s| s.name.clone()).collect();
    names.sort_unstable();
    let (subscriptions, next_page_token) = page(
        names.into_iter(),
        |name| name,
        request.page_size,
        &request.page_token,
    )?;
    Ok(v1::ListTopicSubscriptionsResponse {
        subscriptions,
        next_page_token,
    })
}

/// # Errors
/// NOT_FOUND, INVALID_ARGUMENT.
pub(in super::super) fn list_snapshots(
    service: &Service,
    request: v1::ListTopicSnapshotsRequest,
) -> Result<v1::ListTopicSnapshotsResponse, Status> {
    service.topic(&request.topic)?;
    let of: Vec<_> = {
        let snapshots = service.snapshots();
        let of = snapshots.values().filter(|s| s.topic == request.topic);
        of.map(|snapshot| snapshot.name.clone()).collect()
    };
    let (snapshots, next_page_token) = page(
        of.into_iter(),
        |name| name,
        request.page_size,
        &request.page_token,
    )?;
    Ok(v1::ListTopicSnapshotsResponse {
        snapshots,
        next_page_token,
    })
}
