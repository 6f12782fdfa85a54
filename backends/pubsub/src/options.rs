//! The options of a group's subscription: what the settings ask for, and how one that is there differs.

use crate::{
    api::from_duration,
    config::PubSubConfig,
    error::{invalid, one_line},
    name,
};
use anyhub_core::{Result, shown};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1 as pb;

/// Where events of this topic go that failed too often. None for the dead-letter topic itself: they would come back
/// for ever. NotFound for what can be no topic's name.
pub(crate) fn dead_letters(
    config: &PubSubConfig,
    topic: &str,
) -> Result<Option<pb::DeadLetterPolicy>> {
    let Some(dead_letter) = &config.dead_letter else {
        return Ok(None);
    };
    let dead_letter_topic = name::any_topic(&config.project, dead_letter, "consumer")?;
    Ok(
        (dead_letter_topic != topic).then_some(pb::DeadLetterPolicy {
            dead_letter_topic,
            max_delivery_attempts: config.max_delivery_attempts as i32,
        }),
    )
}

/// Whether a subscription that is there is what the settings ask for. Invalid where its acks are less than that; what
/// else differs is told, and stays.
pub(crate) fn compare(config: &PubSubConfig, found: &pb::Subscription) -> Result<()> {
    let group = name::id(&found.name);
    if config.exactly_once && !found.enable_exactly_once_delivery {
        let message = format!("the group '{group}' is there, without exactly-once delivery");
        return Err(invalid("consumer", message).with_advice(format!(
            "turn it on by gcloud pubsub subscriptions update {} --enable-exactly-once-delivery, or delete the group, so \
             that it is made anew, or leave exactly_once out",
            found.name
        )));
    }
    let differences = differences(config, found)?;
    if !differences.is_empty() {
        let differences = differences.join("; ");
        tracing::warn!(
            group,
            "the group is there, and stays as it is: {differences}"
        );
    }
    Ok(())
}

/// What is there, and what was asked for in its place.
fn differences(config: &PubSubConfig, found: &pb::Subscription) -> Result<Vec<String>> {
    let mut told = Vec::new();
    if found.enable_exactly_once_delivery && !config.exactly_once {
        told.push("exactly_once is true, not false".to_owned());
    }
    let asked = dead_letters(config, &found.topic)?;
    match (&found.dead_letter_policy, asked) {
        (Some(policy), _) if policy.dead_letter_topic == found.topic => {
            told.push("dead_letter is its own topic: what fails comes back for ever".to_owned());
        }
        (None, Some(asked)) => {
            let asked = shown(&asked.dead_letter_topic).to_owned();
            told.push(format!("dead_letter is none, not {asked}"));
        }
        (Some(policy), Some(asked)) => {
            let (is, was) = (&policy.dead_letter_topic, &asked.dead_letter_topic);
            if is != was {
                told.push(format!("dead_letter is {}, not {}", shown(is), shown(was)));
            }
            let (is, was) = (policy.max_delivery_attempts, asked.max_delivery_attempts);
            if is != was {
                told.push(format!("max_delivery_attempts is {is}, not {was}"));
            }
        }
        (_, None) => {}
    }
    if !found.filter.is_empty() {
        told.push(format!(
            "its filter, {}, keeps a part of the topic from it",
            one_line(&found.filter)
        ));
    }
    if !found.message_transforms.is_empty() {
        told.push("its transforms may change or drop messages".to_owned());
    }
    let expires = found.expiration_policy.and_then(|policy| policy.ttl);
    if let Some(unused) = from_duration(expires) {
        told.push(format!("it is deleted after {unused:?} without a consumer"));
    }
    let waits = found.retry_policy.and_then(|policy| policy.minimum_backoff);
    if let Some(least) = from_duration(waits).filter(|least| !least.is_zero()) {
        told.push(format!(
            "its retry policy waits {least:?} at least, whatever nack_delay says"
        ));
    }
    let kept = from_duration(found.message_retention_duration);
    if let (Some(asked), Some(kept)) = (config.retention, kept)
        && asked != kept
    {
        told.push(format!("retention is {kept:?}, not {asked:?}"));
    }
    Ok(told)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TOPIC: &str = "projects/p/topics/tweets";

    fn found() -> pb::Subscription {
        pb::Subscription {
            name: "projects/p/subscriptions/score".to_owned(),
            topic: TOPIC.to_owned(),
            message_retention_duration: Some(crate::api::duration(Duration::from_secs(604_800))),
            ..pb::Subscription::default()
        }
    }

    fn buried(topic: &str) -> pb::Subscription {
        pb::Subscription {
            dead_letter_policy: Some(pb::DeadLetterPolicy {
                dead_letter_topic: topic.to_owned(),
                max_delivery_attempts: 5,
            }),
            ..found()
        }
    }

    #[test]
    fn what_was_not_asked_for_is_no_difference() {
        let config = PubSubConfig::new("p");
        assert!(differences(&config, &found()).unwrap().is_empty());
        let buried = buried("projects/p/topics/dead");
        assert!(differences(&config, &buried).unwrap().is_empty());
        let config = config.dead_letter("dead");
        assert!(differences(&config, &buried).unwrap().is_empty());
        // The dead-letter topic's own.
        let config = config.dead_letter("tweets");
        assert!(differences(&config, &found()).unwrap().is_empty());
    }

    #[test]
    fn each_difference_is_named() {
        let config = PubSubConfig::new("p")
            .dead_letter("dead")
            .retention(Duration::from_secs(86_400));
        let told = |found: &pb::Subscription| differences(&config, found).unwrap().join("; ");
        assert_eq!(
            told(&found()),
            "dead_letter is none, not projects/p/topics/dead; retention is 604800s, not 86400s"
        );
        assert!(told(&buried(TOPIC)).contains("comes back for ever"));
    }

    #[test]
    fn what_others_have_set_is_told() {
        let config = PubSubConfig::new("p");
        let strange = pb::Subscription {
            filter: "attributes:\nx".to_owned(),
            message_transforms: vec![pb::MessageTransform::default()],
            expiration_policy: Some(pb::ExpirationPolicy {
                ttl: Some(crate::api::duration(Duration::from_secs(86_400))),
            }),
            retry_policy: Some(pb::RetryPolicy {
                minimum_backoff: Some(crate::api::duration(Duration::from_secs(10))),
                maximum_backoff: None,
            }),
            ..found()
        };
        let told = differences(&config, &strange).unwrap().join("; ");
        for part in ["attributes: x", "transforms", "after 86400s", "waits 10s"] {
            assert!(told.contains(part), "{part} is not in: {told}");
        }
    }

    #[test]
    fn a_topic_has_no_dead_letters_in_itself() {
        for own in ["tweets", TOPIC] {
            let config = PubSubConfig::new("p").dead_letter(own);
            assert_eq!(dead_letters(&config, TOPIC).unwrap(), None);
            assert!(
                dead_letters(&config, "projects/p/topics/x")
                    .unwrap()
                    .is_some()
            );
        }
    }
}
