//! A group's subscription, and a private reader's: found, checked, or made, and brought to its start.

mod opening;
mod start;

pub(crate) use start::{Start, of_partition};

use crate::{
    api::{self, from_duration},
    client::Line,
    error::HUB,
    name::{self, DELETED_TOPIC},
    options,
    watch::Watch,
};
use anyhub_core::{ConsumerOptions, Error, ErrorKind, Result};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1 as pb;
use opening::{Opening, Step};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout_at},
};

/// What a consumer reads by.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// Its full name.
    pub(crate) name: String,
    /// The topic's full name.
    pub(crate) topic: String,
    /// It is this consumer's alone, and goes with it.
    pub(crate) private: bool,
    pub(crate) ack_deadline: Duration,
    /// Tells this consumer's streams from others'.
    pub(crate) client_id: String,
    /// After so many tries a message goes to another topic.
    pub(crate) buries: Option<u32>,
    /// When something came of it last.
    pub(crate) watch: Watch,
}

/// A private reader's subscription that is left goes after the shortest time there is (reference of the API,
/// ExpirationPolicy, 2026-11).
const READER_LEFT: Duration = Duration::from_secs(86_400);

/// After how many tries a message goes to the dead-letter topic; 5 is the service's default (reference of the API,
/// DeadLetterPolicy, 2026-11).
fn tries(policy: &pb::DeadLetterPolicy) -> u32 {
    match u32::try_from(policy.max_delivery_attempts) {
        Ok(most) if most > 0 => most,
        _ => 5,
    }
}

impl Subscription {
    /// The one that these options ask for, made if it is not there. NotFound without the topic; Unsupported for a start
    /// that the topic does not keep; Invalid for one that is there and can't be read so.
    pub(crate) async fn open(line: &Line, topic: &str, options: &ConsumerOptions) -> Result<Self> {
        let config = line.client().config();
        let full = name::topic(&config.project, topic, "consumer")?;
        let mut this = Self {
            name: match &options.group {
                Some(group) => name::subscription(&config.project, group, "consumer")?,
                None => name::reader(&config.project),
            },
            topic: full,
            private: options.group.is_none(),
            ack_deadline: config.ack_deadline,
            client_id: format!("{:032x}", rand::random::<u128>()),
            buries: None,
            watch: Watch::default(),
        };
        this.buries = this.dead_letters(line)?.as_ref().map(tries);
        let mut opening = Opening::new(&this.client_id);
        if !this.private {
            let asked = Instant::now();
            match line.get_subscription("consumer", &this.name).await {
                Ok(found) => return this.taken_up(line, found, asked, opening).await,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let topic = line.get_topic("consumer", &this.topic).await?;
        let kept = from_duration(topic.message_retention_duration);
        let start = Start::of(&options.start, kept, "consumer")?;
        let mut owns = true;
        opening.owns(Instant::now());
        let mut left = Left(this.private.then(|| (line.clone(), this.name.clone())));
        match line.create_subscription(this.made(line, start)?).await {
            // A private one's name is nobody else's: an earlier attempt has made it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && this.private => {}
            // Another member was faster, or an earlier attempt of ours: the label tells.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => owns = false,
            made => made?,
        }
        let until = opening.until(Instant::now());
        if owns && this.begin(line, start, until).await? {
            left.0 = None;
            return Ok(this);
        }
        let asked = Instant::now();
        let found = line.get_subscription("consumer", &this.name).await?;
        this.taken_up(line, found, asked, opening).await
    }

    fn dead_letters(&self, line: &Line) -> Result<Option<pb::DeadLetterPolicy>> {
        match self.private {
            true => Ok(None),
            false => options::dead_letters(line.client().config(), &self.topic),
        }
    }

    fn made(&self, line: &Line, start: Start) -> Result<pb::Subscription> {
        let config = line.client().config();
        let start = start.label().filter(|_| !self.private);
        let labels = start.map(|start| {
            let opener = self.client_id.clone();
            [
                (opening::START.to_owned(), start),
                (opening::OPENER.to_owned(), opener),
            ]
        });
        Ok(pb::Subscription {
            name: self.name.clone(),
            topic: self.topic.clone(),
            enable_message_ordering: true,
            ack_deadline_seconds: self.seconds(),
            enable_exactly_once_delivery: config.exactly_once && !self.private,
            dead_letter_policy: self.dead_letters(line)?,
            message_retention_duration: config.retention.map(api::duration),
            labels: labels.into_iter().flatten().collect(),
            expiration_policy: Some(pb::ExpirationPolicy {
                // A group's never goes by itself.
                ttl: self.private.then(|| api::duration(READER_LEFT)),
            }),
            ..pb::Subscription::default()
        })
    }

    /// One that is there already, once it is at its start.
    async fn taken_up(
        mut self,
        line: &Line,
        mut found: pb::Subscription,
        mut asked: Instant,
        mut opening: Opening,
    ) -> Result<Self> {
        if found.topic != self.topic {
            line.check_topic("consumer", &self.topic).await?;
        }
        loop {
            self.check(&found, "consumer")?;
            match opening.step(&found.labels, asked, Instant::now()) {
                Step::Begun => break,
                Step::Begin(start, until) => {
                    if self.begin(line, start, until).await? {
                        break;
                    }
                }
                Step::Wait(pause) => sleep(pause).await,
                Step::Claim => {
                    opening.owns(Instant::now());
                    let labels = opening.claimed(&found.labels);
                    let until = asked + opening::CLAIM;
                    in_time(until, self.label(line, labels)).await?;
                    sleep(opening::SETTLED).await;
                }
            }
            if opening.tells(Instant::now()) {
                tracing::warn!(
                    hub = HUB,
                    subscription = %self.name,
                    "the group is not at its start yet: this consumer waits for the one that made it, and does it \
                     itself after 30 s without a change"
                );
            }
            asked = Instant::now();
            found = line.get_subscription("consumer", &self.name).await?;
        }
        options::compare(line.client().config(), &found)?;
        self.buries = found.dead_letter_policy.as_ref().map(tries);
        Ok(self)
    }

    /// An error for a subscription that can't be read as the contract has it: Invalid, and under a consumer NotFound where
    /// its topic was deleted.
    pub(crate) fn check(&self, found: &pb::Subscription, operation: &'static str) -> Result<()> {
        let id = name::id(&self.name);
        let refused = |kind, message: String, advice: &str| {
            Err(Error::new(kind, HUB, operation, message).with_advice(advice))
        };
        let anew = match self.private {
            true => "open another consumer",
            false => "delete the group, so that it is made anew, or take another one",
        };
        if found.topic == DELETED_TOPIC {
            let kind = match operation {
                "consumer" => ErrorKind::Invalid,
                _ => ErrorKind::NotFound,
            };
            let message = format!("the topic of the subscription '{id}' was deleted");
            return refused(kind, message, anew);
        }
        if found.topic != self.topic {
            return refused(
                ErrorKind::Invalid,
                format!(
                    "the subscription '{id}' is of another topic, {}",
                    found.topic
                ),
                "take another group: here a group is a subscription, which has one topic",
            );
        }
        if found.detached {
            let message = format!("the subscription '{id}' is detached from its topic");
            return refused(ErrorKind::Invalid, message, anew);
        }
        let pushes = |push: &pb::PushConfig| !push.push_endpoint.is_empty();
        if found.push_config.as_ref().is_some_and(pushes)
            || found.bigquery_config.is_some()
            || found.cloud_storage_config.is_some()
            || found.bigtable_config.is_some()
        {
            return refused(
                ErrorKind::Invalid,
                format!(
                    "the subscription '{id}' hands its messages to another service, and gives none to consumers"
                ),
                "take another group",
            );
        }
        if !found.enable_message_ordering {
            return refused(
                ErrorKind::Invalid,
                format!("the subscription '{id}' does not keep the order of keys"),
                "that can't be changed: delete it and let it be made anew, or make it with message ordering on",
            );
        }
        Ok(())
    }

    /// Moves it to its start, and says so; false where that is another's to do by now. Timeout where it can't be done before
    /// another one may take it for given up.
    async fn begin(&self, line: &Line, start: Start, until: Instant) -> Result<bool> {
        let Some(time) = start.time() else {
            return Ok(true);
        };
        in_time(until, async {
            line.seek("consumer", &self.name, time).await?;
            if self.private {
                return Ok(true);
            }
            // Others may have put labels there.
            let found = line.get_subscription("consumer", &self.name).await?;
            if found.labels.get(opening::OPENER) != Some(&self.client_id) {
                return Ok(false);
            }
            self.label(line, opening::begun(&found.labels)).await?;
            Ok(true)
        })
        .await
    }

    async fn label(&self, line: &Line, labels: HashMap<String, String>) -> Result<()> {
        let labelled = pb::Subscription {
            name: self.name.clone(),
            topic: self.topic.clone(),
            labels,
            ..pb::Subscription::default()
        };
        line.update_subscription(labelled, &["labels"]).await
    }

    /// The ack deadline, as the service takes it.
    pub(crate) fn seconds(&self) -> i32 {
        self.ack_deadline.as_secs() as i32
    }
}

/// Deletes a private reader's subscription: it goes by itself after a day.
pub(crate) async fn remove(line: &Line, name: &str) {
    let deleted = line.delete_subscription("close", name).await;
    if let Err(error) = deleted
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(%error, subscription = %name, "a private reader's subscription is left");
    }
}

/// A private reader's subscription that nobody may come to read: dropped, it is deleted.
struct Left(Option<(Line, String)>);

impl Drop for Left {
    fn drop(&mut self) {
        if let Some((line, name)) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { remove(&line, &name).await });
        }
    }
}

/// What is done until then, or given up.
async fn in_time<T>(until: Instant, step: impl Future<Output = Result<T>>) -> Result<T> {
    let done = timeout_at(until.into(), step).await;
    done.unwrap_or_else(|_| {
        let message = "the subscription could not be brought to its start in time";
        Err(Error::new(ErrorKind::Timeout, HUB, "consumer", message)
            .with_advice("open it again: the next consumer of a group does it, after 30 s"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "projects/p/topics/tweets";

    // The local Pub/Sub has none of these: it refuses to make them.
    #[test]
    fn one_that_hands_its_messages_elsewhere_is_refused() {
        let ours = Subscription {
            name: "projects/p/subscriptions/score".to_owned(),
            topic: TOPIC.to_owned(),
            private: false,
            ack_deadline: Duration::from_secs(10),
            client_id: String::new(),
            buries: None,
            watch: Watch::default(),
        };
        let pulled = pb::Subscription {
            topic: TOPIC.to_owned(),
            enable_message_ordering: true,
            // As the service tells of one that does not push.
            push_config: Some(pb::PushConfig::default()),
            ..pb::Subscription::default()
        };
        assert!(ours.check(&pulled, "consumer").is_ok());
        let pushed = pb::Subscription {
            push_config: Some(pb::PushConfig {
                push_endpoint: "https://example.com".to_owned(),
                ..pb::PushConfig::default()
            }),
            ..pulled.clone()
        };
        let exported = pb::Subscription {
            bigquery_config: Some(pb::BigQueryConfig::default()),
            ..pulled
        };
        for found in [pushed, exported] {
            let error = ours.check(&found, "consumer").err();
            let told = error.map(|error| (error.kind(), error.to_string()));
            assert!(
                told.as_ref()
                    .is_some_and(|(kind, told)| *kind == ErrorKind::Invalid
                        && told.contains("hands its messages")),
                "{told:?}"
            );
        }
    }
}
