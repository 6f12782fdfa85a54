//! Subscriptions.

use std::sync::Arc;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
use tonic::Status;

use super::bounds::check_number;
use super::{immutable, missing, page, paths, policy};
use crate::pubsub::limits;
use crate::pubsub::name::{self, Kind};
use crate::pubsub::service::Service;
use crate::pubsub::status;
use crate::pubsub::subscription::{End, Subscription};

/// It gets what is published from now on.
///
/// # Errors
/// INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, UNIMPLEMENTED; RESOURCE_EXHAUSTED where there are too many.
pub(in super::super) fn create(
    service: &Service,
    mut config: v1::Subscription,
) -> Result<v1::Subscription, Status> {
    name::check(Kind::Subscription, &config.name)?;
    policy::complete(service, &mut config)?;
    config.detached = false;
    // Held, so that it isn't deleted before it has the subscription.
    let topics = service.topics();
    let topic = topics.get(&config.topic);
    let topic = topic.ok_or_else(|| status::not_found(&config.topic))?;
    let mut subscriptions = service.subscriptions_mut();
    if subscriptions.contains_key(&config.name) {
        return Err(status::already_exists(&config.name));
    }
    check_number(&subscriptions, &config.name, limits::SUBSCRIPTIONS)?;
    let made = Arc::new(Subscription::new(config.clone(), service));
    subscriptions.insert(config.name.clone(), Arc::clone(&made));
    topic.state().subscriptions.push(Arc::clone(&made));
    drop((subscriptions, topics));
    Ok(describe(service, &made))
}

/// # Errors
/// NOT_FOUND.
pub(in super::super) fn get(
    service: &Service,
    request: v1::GetSubscriptionRequest,
) -> Result<v1::Subscription, Status> {
    let subscription = service.subscription(&request.subscription)?;
    Ok(describe(service, &subscription))
}

/// Changes all but the topic, the order and the filter.
///
/// # Errors
/// NOT_FOUND, INVALID_ARGUMENT, UNIMPLEMENTED.
pub(in super::super) fn update(
    service: &Service,
    request: v1::UpdateSubscriptionRequest,
) -> Result<v1::Subscription, Status> {
    let told = request
        .subscription
        .ok_or_else(|| missing("subscription"))?;
    let subscription = service.subscription(&told.name)?;
    let paths = paths(request.update_mask)?;
    let mut config = subscription.config().clone();
    set(&mut config, &told, &paths)?;
    policy::complete(service, &mut config)?;
    // Meanwhile it may have been changed otherwise, which stays.
    set(&mut subscription.config(), &config, &paths)?;
    subscription.configure(service);
    Ok(describe(service, &subscription))
}

/// Takes over what may be changed.
fn set(
    config: &mut v1::Subscription,
    told: &v1::Subscription,
    paths: &[String],
) -> Result<(), Status> {
    for path in paths {
        match path.as_str() {
            "ack_deadline_seconds" => config.ack_deadline_seconds = told.ack_deadline_seconds,
            "retain_acked_messages" => config.retain_acked_messages = told.retain_acked_messages,
            "message_retention_duration" => {
                config.message_retention_duration = told.message_retention_duration;
            }
            "labels" => config.labels.clone_from(&told.labels),
            "expiration_policy" => config.expiration_policy = told.expiration_policy,
            "dead_letter_policy" => {
                config
                    .dead_letter_policy
                    .clone_from(&told.dead_letter_policy);
            }
            "retry_policy" => config.retry_policy = told.retry_policy,
            "enable_exactly_once_delivery" => {
                config.enable_exactly_once_delivery = told.enable_exactly_once_delivery;
            }
            "push_config" => config.push_config.clone_from(&told.push_config),
            path => return Err(immutable(path)),
        }
    }
    Ok(())
}

/// # Errors
/// NOT_FOUND.
pub(in super::super) fn delete(
    service: &Service,
    request: v1::DeleteSubscriptionRequest,
) -> Result<(), Status> {
    let name = &request.subscription;
    let removed = service.subscriptions_mut().remove(name);
    let subscription = removed.ok_or_else(|| status::not_found(name))?;
    leave(service, &subscription, End::Deleted);
    Ok(())
}

/// It stays, without messages, and gets no more.
///
/// # Errors
/// NOT_FOUND.
pub(in super::super) fn detach(
    service: &Service,
    request: v1::DetachSubscriptionRequest,
) -> Result<v1::DetachSubscriptionResponse, Status> {
    let subscription = service.subscription(&request.subscription)?;
    subscription.config().detached = true;
    leave(service, &subscription, End::Detached);
    Ok(v1::DetachSubscriptionResponse {})
}

fn leave(service: &Service, subscription: &Arc<Subscription>, end: End) {
    let topic = subscription.config().topic.clone();
    if let Ok(topic) = service.topic(&topic) {
        topic
            .state()
            .subscriptions
            .retain(|other| !Arc::ptr_eq(other, subscription));
    }
    subscription.end(end);
}

/// # Errors
/// INVALID_ARGUMENT.
pub(in super::super) fn list(
    service: &Service,
    request: v1::ListSubscriptionsRequest,
) -> Result<v1::ListSubscriptionsResponse, Status> {
    name::check_project(&request.project)?;
    let all: Vec<_> = service.subscriptions().values().cloned().collect();
    let of = all
        .iter()
        .filter(|subscription| name::project(&subscription.name) == request.project);
    let (page, next_page_token) = page(
        of,
        |subscription| &subscription.name,
        request.page_size,
        &request.page_token,
    )?;
    let subscriptions = page.into_iter().map(|s| describe(service, s));
    Ok(v1::ListSubscriptionsResponse {
        subscriptions: subscriptions.collect(),
        next_page_token,
    })
}

fn describe(service: &Service, subscription: &Subscription) -> v1::Subscription {
    let mut config = subscription.config().clone();
    let topic = service.topic(&config.topic).ok();
    config.topic_message_retention_duration =
        topic.and_then(|topic| topic.state().config.message_retention_duration);
    config
}

#[cfg(test)]
#[path = "subscriptions_tests.rs"]
mod tests;
