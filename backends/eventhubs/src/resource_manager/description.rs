//! An event hub as Azure Resource Manager describes it.
//!
//! Source: Azure/azure-rest-api-specs, Microsoft.EventHub/stable/2024-01-01/eventhubs.json (2026-11).

use crate::error::{HUB, incomplete, invalid};
use anyhub_core::{Error, ErrorKind, Result, Retention, TopicConfig};
use serde_json::{Map, Value, json};

/// What an event hub is like. All of it goes back when a part is changed: a put sets what it leaves out
/// to its default.
#[derive(Debug)]
pub(super) struct Description(Map<String, Value>);

/// What is told and can't be set.
const TOLD: [&str; 3] = ["createdAt", "partitionIds", "updatedAt"];
/// Days, which say less than the hours beside them.
const DAYS: &str = "messageRetentionInDays";
const KEEPS: &str = "retentionDescription";
const HOURS: &str = "retentionTimeInHours";

const HOUR: u64 = 3_600;
/// Premium and Dedicated keep events for 90 days ("Event Hubs quotas and limits", 2026-11); less in the
/// other tiers, which the service refuses itself.
const MOST_HOURS: u64 = 90 * 24;

impl Description {
    /// An event hub to be made. Unsupported or Invalid for what none can be.
    pub(super) fn new(operation: &'static str, topic: &TopicConfig) -> Result<Self> {
        if topic.replication.is_some() {
            let message = "an event hub's copies can't be chosen";
            return Err(Error::new(ErrorKind::Unsupported, HUB, operation, message)
                .with_advice("leave replication out: Event Hubs keeps its copies by itself"));
        }
        if let Some((name, _)) = topic.properties.first() {
            let message = format!("'{name}' is no property of an event hub");
            return Err(invalid(operation, message)
                .with_advice("there are none: capture and the like are set in the Azure portal"));
        }
        let mut properties = Map::new();
        properties.insert("partitionCount".to_owned(), topic.partitions.into());
        if let Some(hours) = hours(operation, &topic.retention)? {
            properties.insert(KEEPS.to_owned(), kept_for(hours));
        }
        Ok(Self(properties))
    }

    pub(super) fn read(operation: &'static str, answer: &Value) -> Result<Self> {
        let properties = answer.get("properties").and_then(Value::as_object);
        let properties = properties.ok_or_else(|| incomplete(operation, "properties"))?;
        Ok(Self(properties.clone()))
    }

    pub(super) fn set_partitions(&mut self, partitions: u32) {
        let count = "partitionCount".to_owned();
        self.0.insert(count, partitions.into());
    }

    /// Unsupported for one that is compacted, which keeps the last event of each key for ever.
    pub(super) fn set_hours(&mut self, operation: &'static str, hours: u32) -> Result<()> {
        if self.is_compacted() {
            let message = "the event hub is compacted: it keeps the last event of each key";
            return Err(Error::new(ErrorKind::Unsupported, HUB, operation, message)
                .with_advice("make another one, which deletes by time"));
        }
        self.0.remove(DAYS);
        self.0.insert(KEEPS.to_owned(), kept_for(hours));
        Ok(())
    }

    /// As it is put.
    pub(super) fn into_body(mut self) -> Value {
        for told in TOLD {
            self.0.remove(told);
        }
        // With both, it would be for the service to choose.
        if self.0.contains_key(KEEPS) {
            self.0.remove(DAYS);
        }
        if self.is_compacted()
            && let Some(keeps) = self.0.get_mut(KEEPS).and_then(Value::as_object_mut)
        {
            // It is told as the largest number, and means nothing.
            keeps.remove(HOURS);
        }
        json!({ "properties": self.0 })
    }

    /// Whether it is still being made or changed.
    pub(super) fn is_changing(&self) -> bool {
        let status = self.0.get("status").and_then(Value::as_str);
        let changing = ["Creating", "Renaming", "Restoring"];
        status.is_none_or(|status| changing.iter().any(|one| status.eq_ignore_ascii_case(one)))
    }

    fn is_compacted(&self) -> bool {
        let policy = self
            .0
            .get(KEEPS)
            .and_then(|keeps| keeps.get("cleanupPolicy"));
        let policy = policy.and_then(Value::as_str);
        policy.is_some_and(|policy| !policy.eq_ignore_ascii_case("Delete"))
    }
}

fn kept_for(hours: u32) -> Value {
    json!({ "cleanupPolicy": "Delete", HOURS: hours })
}

/// What an event hub keeps, in hours; None: as it is.
pub(super) fn hours(operation: &'static str, keeps: &Retention) -> Result<Option<u32>> {
    if keeps.bytes.is_some() {
        let message = "Event Hubs keeps events by time, not by size";
        return Err(Error::new(ErrorKind::Unsupported, HUB, operation, message));
    }
    let Some(time) = keeps.time else {
        return Ok(None);
    };
    let (hours, rest) = (time.as_secs() / HOUR, time.as_secs() % HOUR);
    let is_whole = rest == 0 && time.subsec_nanos() == 0;
    match u32::try_from(hours) {
        Ok(fits) if is_whole && (1..=MOST_HOURS).contains(&hours) => Ok(Some(fits)),
        _ => {
            let message = format!("an event hub can't keep events for {time:?}");
            Err(invalid(operation, message).with_advice(format!(
                "whole hours, 1 to {MOST_HOURS}: 24 at most in the tier Basic, 168 in Standard"
            )))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn topic() -> TopicConfig {
        TopicConfig::new("t").partitions(3)
    }

    fn of_hours(hours: u64) -> Retention {
        Retention::new().time(Duration::from_secs(hours * HOUR))
    }

    #[test]
    fn a_topic_in_resource_managers_terms() {
        let body =
            |topic: &TopicConfig| Description::new("test", topic).map(Description::into_body);
        assert_eq!(
            body(&topic()).unwrap(),
            json!({ "properties": { "partitionCount": 3 } })
        );
        assert_eq!(
            body(&topic().retention(of_hours(48))).unwrap(),
            json!({ "properties": {
                "partitionCount": 3,
                "retentionDescription": { "cleanupPolicy": "Delete", "retentionTimeInHours": 48 },
            } })
        );
        for (topic, kind, says) in [
            (topic().replication(3), ErrorKind::Unsupported, "copies"),
            (topic().property("mode", "x"), ErrorKind::Invalid, "'mode'"),
            (
                topic().retention(Retention::new().bytes(1)),
                ErrorKind::Unsupported,
                "by time",
            ),
            (
                topic().retention(of_hours(0)),
                ErrorKind::Invalid,
                "1 to 2160",
            ),
            (
                topic().retention(of_hours(2_161)),
                ErrorKind::Invalid,
                "1 to 2160",
            ),
            (
                topic().retention(Retention::new().time(Duration::from_millis(3_600_001))),
                ErrorKind::Invalid,
                "whole hours",
            ),
            (
                topic().retention(Retention::new().time(Duration::MAX)),
                ErrorKind::Invalid,
                "whole hours",
            ),
        ] {
            let error = body(&topic).unwrap_err();
            assert_eq!(error.kind(), kind, "{topic:?}");
            assert!(error.to_string().contains(says), "{topic:?}: {error}");
        }
    }

    #[test]
    fn what_is_not_changed_goes_back_as_it_came() {
        let capture = json!({ "enabled": true, "encoding": "Avro" });
        let told = json!({ "id": "/x", "properties": {
            "messageRetentionInDays": 7,
            "partitionCount": 4,
            "status": "Active",
            "createdAt": "2017-06-28T02:45:55.877Z",
            "updatedAt": "2017-06-28T02:46:05.877Z",
            "partitionIds": ["0", "1", "2", "3"],
            "captureDescription": capture,
            "retentionDescription": { "cleanupPolicy": "Delete", "retentionTimeInHours": 168 },
        } });
        let mut hub = Description::read("test", &told).unwrap();
        assert!(!hub.is_changing());
        hub.set_partitions(8);
        hub.set_hours("test", 24).unwrap();
        assert_eq!(
            hub.into_body(),
            json!({ "properties": {
                "partitionCount": 8,
                "status": "Active",
                "captureDescription": capture,
                "retentionDescription": { "cleanupPolicy": "Delete", "retentionTimeInHours": 24 },
            } })
        );
        // One of the days before hours were known keeps its days.
        let told = json!({ "properties": { "messageRetentionInDays": 7, "partitionCount": 4 } });
        let hub = Description::read("test", &told).unwrap();
        assert!(hub.is_changing(), "it has no status yet");
        assert_eq!(hub.into_body(), told);
    }

    #[test]
    fn one_that_is_compacted_stays_so() {
        let told = json!({ "properties": { "retentionDescription": {
            "cleanupPolicy": "Compact",
            "retentionTimeInHours": i64::MAX,
            "tombstoneRetentionTimeInHours": 1,
        } } });
        let mut hub = Description::read("test", &told).unwrap();
        let refused = hub.set_hours("test", 24).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        hub.set_partitions(8);
        assert_eq!(
            hub.into_body(),
            json!({ "properties": { "partitionCount": 8, "retentionDescription": {
                "cleanupPolicy": "Compact",
                "tombstoneRetentionTimeInHours": 1,
            } } })
        );
        assert!(Description::read("test", &json!({})).is_err());
    }
}
