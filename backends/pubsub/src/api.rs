//! Pub/Sub's methods, as far as they are used here, over gRPC.
//!
//! The SDK's clients of topics and subscriptions speak JSON, which Google's emulator does and its fake for Go doesn't;
//! its publisher and subscriber can't tell what became of a message, or an ack. So all of them go by Google's own
//! messages and stubs, over the transport that the SDK uses.

use crate::{
    client::{ATTEMPT, About, Line},
    error::{Failure, no_dead_letter_topic, no_topic},
    wire::{Holds, Publish},
};
use anyhub_core::{ErrorKind, Result};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1 as pb;
use pb::{publisher_client::PublisherClient, subscriber_client::SubscriberClient};
use prost_types::{FieldMask, Timestamp};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tonic::{Response, Status, transport::Channel};
use tonic_prost::ProstCodec;

/// The most bytes of an answer: a response with a message of the largest size, and what goes around it.
const ANSWER: usize = 64 << 20;

fn publisher(channel: Channel) -> PublisherClient<Channel> {
    PublisherClient::new(channel).max_decoding_message_size(ANSWER)
}

pub(crate) fn subscriber(channel: Channel) -> SubscriberClient<Channel> {
    SubscriberClient::new(channel).max_decoding_message_size(ANSWER)
}

/// An answer by what it takes to make one again.
macro_rules! ask {
    ($line:expr, $operation:expr, $field:literal, $subject:expr, $client:ident, $method:ident, $message:expr) => {{
        let about = About {
            operation: $operation,
            field: $field,
            subject: $subject,
        };
        $line
            .ask(about, $message, |channel, request| async move {
                $client(channel).$method(request).await
            })
            .await
    }};
}

impl Line {
    /// One request to publish, all or nothing of it, answered within `limit` with the messages' ids.
    pub(crate) async fn publish<T: Holds>(
        &self,
        topic: &Arc<str>,
        entries: Arc<Vec<T>>,
        limit: Duration,
    ) -> Result<Vec<String>, Failure> {
        let about = About {
            operation: "submit",
            field: "topic",
            subject: topic,
        };
        let message = Publish {
            topic: topic.clone(),
            entries,
        };
        let published: pb::PublishResponse = self
            .once(about, limit, message, |channel, request| async move {
                let mut grpc = tonic::client::Grpc::new(channel);
                grpc.ready()
                    .await
                    .map_err(|error| Status::from_error(error.into()))?;
                let path =
                    http::uri::PathAndQuery::from_static("/google.pubsub.v1.Publisher/Publish");
                grpc.unary(request, path, ProstCodec::default()).await
            })
            .await?;
        Ok(published.message_ids)
    }

    pub(crate) async fn acknowledge(
        &self,
        subscription: &str,
        ack_ids: Vec<String>,
        limit: Duration,
    ) -> Result<(), Failure> {
        let message = pb::AcknowledgeRequest {
            subscription: subscription.to_owned(),
            ack_ids,
        };
        let about = of_subscription("commit", subscription);
        self.counters().acked();
        self.once(about, limit, message, |channel, request| async move {
            subscriber(channel).acknowledge(request).await
        })
        .await
    }

    /// Gives deliveries so many seconds more; 0 is a nack.
    pub(crate) async fn modify(
        &self,
        subscription: &str,
        ack_ids: Vec<String>,
        seconds: i32,
        limit: Duration,
    ) -> Result<(), Failure> {
        let message = pb::ModifyAckDeadlineRequest {
            subscription: subscription.to_owned(),
            ack_ids,
            ack_deadline_seconds: seconds,
        };
        let about = of_subscription("receive", subscription);
        self.counters().acked();
        self.once(about, limit, message, |channel, request| async move {
            subscriber(channel).modify_ack_deadline(request).await
        })
        .await
    }

    pub(crate) async fn seek(
        &self,
        operation: &'static str,
        subscription: &str,
        time: SystemTime,
    ) -> Result<()> {
        let message = pb::SeekRequest {
            subscription: subscription.to_owned(),
            target: Some(pb::seek_request::Target::Time(timestamp(time))),
        };
        let (sought, _) = ask!(
            self,
            operation,
            "subscription",
            subscription,
            subscriber,
            seek,
            message
        );
        told(sought).map(drop)
    }

    pub(crate) async fn get_topic(
        &self,
        operation: &'static str,
        topic: &str,
    ) -> Result<pb::Topic> {
        told(self.topic(operation, topic).await)
    }

    /// NotFound where a topic is known not to be there: who may only publish may not look (Pub/Sub documentation,
    /// "Access control with IAM", 2026-11).
    pub(crate) async fn check_topic(&self, operation: &'static str, topic: &str) -> Result<()> {
        match self.topic(operation, topic).await {
            Err(failure) if failure.forbidden => Ok(()),
            found => told(found).map(drop),
        }
    }

    async fn topic(&self, operation: &'static str, topic: &str) -> Result<pb::Topic, Failure> {
        let message = pb::GetTopicRequest {
            topic: topic.to_owned(),
        };
        let (found, _) = ask!(
            self, operation, "topic", topic, publisher, get_topic, message
        );
        found
    }

    pub(crate) async fn create_topic(&self, topic: pb::Topic) -> Result<()> {
        let name = topic.name.clone();
        let (made, maybe) = ask!(
            self,
            "create_topic",
            "name",
            &name,
            publisher,
            create_topic,
            topic
        );
        made_once(made.map(drop), maybe)
    }

    pub(crate) async fn update_topic(&self, topic: pb::Topic, fields: &[&str]) -> Result<()> {
        let name = topic.name.clone();
        let message = pb::UpdateTopicRequest {
            topic: Some(topic),
            update_mask: Some(mask(fields)),
        };
        let (updated, _) = ask!(
            self,
            "set_retention",
            "topic.name",
            &name,
            publisher,
            update_topic,
            message
        );
        told(updated).map(drop)
    }

    pub(crate) async fn delete_topic(&self, topic: &str) -> Result<()> {
        let message = pb::DeleteTopicRequest {
            topic: topic.to_owned(),
        };
        let (deleted, maybe) = ask!(
            self,
            "delete_topic",
            "topic",
            topic,
            publisher,
            delete_topic,
            message
        );
        gone_once(deleted, maybe)
    }

    /// The full names of the project's topics.
    pub(crate) async fn list_topics(&self, project: &str) -> Result<Vec<String>> {
        let project = format!("projects/{project}");
        let (mut names, mut page_token) = (Vec::new(), String::new());
        loop {
            let message = pb::ListTopicsRequest {
                project: project.clone(),
                page_size: PAGE,
                page_token,
            };
            let (page, _) = ask!(
                self,
                "list_topics",
                "project",
                &project,
                publisher,
                list_topics,
                message
            );
            let page = told(page)?;
            names.extend(page.topics.into_iter().map(|topic| topic.name));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(names);
            }
        }
    }

    /// The full names of a topic's subscriptions.
    pub(crate) async fn list_subscriptions(&self, topic: &str) -> Result<Vec<String>> {
        let (mut names, mut page_token) = (Vec::new(), String::new());
        loop {
            let message = pb::ListTopicSubscriptionsRequest {
                topic: topic.to_owned(),
                page_size: PAGE,
                page_token,
            };
            let (page, _) = ask!(
                self,
                "list_groups",
                "topic",
                topic,
                publisher,
                list_topic_subscriptions,
                message
            );
            let page = told(page)?;
            names.extend(page.subscriptions);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(names);
            }
        }
    }

    pub(crate) async fn get_subscription(
        &self,
        operation: &'static str,
        subscription: &str,
    ) -> Result<pb::Subscription> {
        let message = pb::GetSubscriptionRequest {
            subscription: subscription.to_owned(),
        };
        let (found, _) = ask!(
            self,
            operation,
            "subscription",
            subscription,
            subscriber,
            get_subscription,
            message
        );
        told(found)
    }

    /// The same, once: who asks again and again by itself needs no attempts beside. None where the account may not ask.
    pub(crate) async fn look_at_subscription(
        &self,
        operation: &'static str,
        subscription: &str,
    ) -> Result<Option<pb::Subscription>> {
        let message = pb::GetSubscriptionRequest {
            subscription: subscription.to_owned(),
        };
        let about = of_subscription(operation, subscription);
        let found = self.once(about, ATTEMPT, message, |channel, request| async move {
            subscriber(channel).get_subscription(request).await
        });
        match found.await {
            Err(failure) if failure.forbidden => Ok(None),
            found => told(found).map(Some),
        }
    }

    /// AlreadyExists where another one was faster, or an earlier attempt whose answer was lost; NotFound without the topic, or the dead-letter topic.
    pub(crate) async fn create_subscription(&self, made: pb::Subscription) -> Result<()> {
        let (name, topic) = (made.name.clone(), made.topic.clone());
        let dead_letters = made.dead_letter_policy.clone();
        let (made, _) = ask!(
            self,
            "consumer",
            "name",
            &name,
            subscriber,
            create_subscription,
            made
        );
        match told(made.map(drop)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Which topic that is, the service tells in its text alone.
                self.check_topic("consumer", &topic).await?;
                Err(match dead_letters {
                    Some(policy) => no_dead_letter_topic("consumer", &policy.dead_letter_topic),
                    None => no_topic("consumer", &topic),
                })
            }
            made => made,
        }
    }

    pub(crate) async fn update_subscription(
        &self,
        changed: pb::Subscription,
        fields: &[&str],
    ) -> Result<()> {
        let name = changed.name.clone();
        let message = pb::UpdateSubscriptionRequest {
            subscription: Some(changed),
            update_mask: Some(mask(fields)),
        };
        let (updated, _) = ask!(
            self,
            "consumer",
            "subscription.name",
            &name,
            subscriber,
            update_subscription,
            message
        );
        told(updated).map(drop)
    }

    pub(crate) async fn delete_subscription(
        &self,
        operation: &'static str,
        subscription: &str,
    ) -> Result<()> {
        let message = pb::DeleteSubscriptionRequest {
            subscription: subscription.to_owned(),
        };
        let (deleted, maybe) = ask!(
            self,
            operation,
            "subscription",
            subscription,
            subscriber,
            delete_subscription,
            message
        );
        gone_once(deleted, maybe)
    }
}

/// What a list gives at once.
const PAGE: i32 = 1_000;

pub(crate) fn of_subscription<'a>(operation: &'static str, subscription: &'a str) -> About<'a> {
    About {
        operation,
        field: "subscription",
        subject: subscription,
    }
}

fn told<T>(answer: Result<T, Failure>) -> Result<T> {
    answer.map_err(|failure| failure.error)
}

/// What is there already may have been made by an earlier attempt, whose answer was lost.
fn made_once(answer: Result<(), Failure>, maybe: bool) -> Result<()> {
    match told(answer) {
        Err(error) if maybe && error.kind() == ErrorKind::AlreadyExists => Ok(()),
        answer => answer,
    }
}

/// The same where it is gone.
fn gone_once(answer: Result<(), Failure>, maybe: bool) -> Result<()> {
    match told(answer) {
        Err(error) if maybe && error.kind() == ErrorKind::NotFound => Ok(()),
        answer => answer,
    }
}

fn mask(fields: &[&str]) -> FieldMask {
    FieldMask {
        paths: fields.iter().map(|&field| field.to_owned()).collect(),
    }
}

pub(crate) fn duration(time: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        nanos: time.subsec_nanos() as i32,
    }
}

/// None where it is none, or negative.
pub(crate) fn from_duration(time: Option<prost_types::Duration>) -> Option<Duration> {
    let time = time?;
    let seconds = u64::try_from(time.seconds).ok()?;
    Some(Duration::new(seconds, u32::try_from(time.nanos).ok()?))
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos() as i32,
    }
}

/// An answer of a stream.
pub(crate) type Pulled = Response<tonic::Streaming<pb::StreamingPullResponse>>;
