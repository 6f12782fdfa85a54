//! The full names of topics and subscriptions, and what can be one.

use crate::error::HUB;
use anyhub_core::{Error, ErrorKind, Result, shown};

/// What a private reader's subscription begins with.
const READER: &str = "anyhub-reader-";

/// Where a subscription's topic was deleted.
pub(crate) const DELETED_TOPIC: &str = "_deleted-topic_";

/// `projects/PROJECT/topics/ID`. NotFound for what can be no topic's name.
pub(crate) fn topic(project: &str, id: &str, operation: &'static str) -> Result<String> {
    match is_id(id) {
        true => Ok(format!("projects/{project}/topics/{id}")),
        false => Err(Error::new(
            ErrorKind::NotFound,
            HUB,
            operation,
            format!("'{}' can be no topic's name", shown(id)),
        )
        .with_advice(match full(project, id) {
            Some((project, id)) => format!("write pubsub://{}/{}", shown(project), shown(id)),
            None => RULE.to_owned(),
        })),
    }
}

/// The project and the topic, where a full name was written into a URL.
fn full<'a>(project: &str, id: &'a str) -> Option<(&'a str, &'a str)> {
    let rest = match project {
        "projects" => id,
        _ => id.strip_prefix("projects/")?,
    };
    let (project, id) = rest.split_once("/topics/")?;
    (!project.contains('/') && is_id(id)).then_some((project, id))
}

/// A topic by its id, or by its full name where it is of another project.
pub(crate) fn any_topic(project: &str, name: &str, operation: &'static str) -> Result<String> {
    match name.starts_with("projects/") {
        true => Ok(name.to_owned()),
        false => topic(project, name, operation),
    }
}

/// `projects/PROJECT/subscriptions/ID`. Invalid for what can be no subscription's name.
pub(crate) fn subscription(project: &str, id: &str, operation: &'static str) -> Result<String> {
    match is_id(id) {
        true => Ok(format!("projects/{project}/subscriptions/{id}")),
        false => Err(Error::new(
            ErrorKind::Invalid,
            HUB,
            operation,
            format!(
                "'{}' can be no group's name: here a group is a subscription",
                shown(id)
            ),
        )
        .with_advice(RULE)),
    }
}

/// A private reader's, which nobody else has.
pub(crate) fn reader(project: &str) -> String {
    let id: u128 = rand::random();
    format!("projects/{project}/subscriptions/{READER}{id:032x}")
}

/// Whether a subscription is a private reader's.
pub(crate) fn is_reader(name: &str) -> bool {
    id(name).starts_with(READER)
}

/// The last part of a full name.
pub(crate) fn id(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

const RULE: &str =
    "it has 3 to 255 letters, digits and -_.~+%, begins with a letter, and not with goog";

/// Source: reference of the Pub/Sub API, Topic.name (2026-11).
fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+%".contains(&byte);
    (3..=255).contains(&id.len())
        && id.starts_with(|first: char| first.is_ascii_alphabetic())
        && id.bytes().all(allowed)
        && !id.starts_with("goog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_before_anything_is_asked() {
        let full = topic("p", "tweets", "t");
        assert_eq!(full.ok().as_deref(), Some("projects/p/topics/tweets"));
        for bad in ["", "ab", "1ab", "a b c", "google", "a/b/c"] {
            let kind = |error: Error| error.kind();
            assert_eq!(topic("p", bad, "t").map_err(kind), Err(ErrorKind::NotFound));
            assert_eq!(
                subscription("p", bad, "t").map_err(kind),
                Err(ErrorKind::Invalid)
            );
        }
        assert!(is_reader(&reader("p")) && !is_reader("projects/p/subscriptions/score"));
        assert_ne!(reader("p"), reader("p"));
    }
}
