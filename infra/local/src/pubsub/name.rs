//! The names of topics, subscriptions and snapshots.

use tonic::Status;

/// Where a subscription's topic was deleted.
pub(super) const DELETED_TOPIC: &str = "_deleted-topic_";

/// The kinds of what has a name, as they stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Topic,
    Subscription,
    Snapshot,
}

impl Kind {
    pub(super) fn collection(self) -> &'static str {
        match self {
            Kind::Topic => "topics",
            Kind::Subscription => "subscriptions",
            Kind::Snapshot => "snapshots",
        }
    }
}

/// Refuses what can't be a name: `projects/PROJECT/topics/ID`. Source: reference of the Pub/Sub API, Topic.name and others
/// (2026-11): 3 to 255 characters that begin with a letter, not with "goog".
///
/// # Errors
/// INVALID_ARGUMENT.
pub(super) fn check(kind: Kind, name: &str) -> Result<(), Status> {
    match is_name(kind, name) {
        true => Ok(()),
        false => Err(Status::invalid_argument(format!(
            "Invalid resource name given (name={name}): it has to be projects/PROJECT/{}/ID, with an ID of 3 to 255 letters, \
             digits and -_.~+%, beginning with a letter and not with goog.",
            kind.collection()
        ))),
    }
}

fn is_name(kind: Kind, name: &str) -> bool {
    let mut parts = name.split('/');
    let (Some("projects"), Some(project), Some(collection), Some(id), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return false;
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.~+%".contains(c);
    !project.is_empty()
        && collection == kind.collection()
        && (3..=255).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_alphabetic())
        && id.chars().all(allowed)
        && !id.starts_with("goog")
}

/// `projects/PROJECT`, of a name or of itself.
pub(super) fn project(name: &str) -> &str {
    let end = name
        .match_indices('/')
        .nth(1)
        .map_or(name.len(), |(n, _)| n);
    &name[..end]
}

/// Refuses what can't be a project's name.
///
/// # Errors
/// INVALID_ARGUMENT.
pub(super) fn check_project(name: &str) -> Result<(), Status> {
    match name.strip_prefix("projects/") {
        Some(id) if !id.is_empty() && !id.contains('/') => Ok(()),
        _ => Err(Status::invalid_argument(format!(
            "Invalid project name given (name={name}): it has to be projects/PROJECT."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_as_the_service_does() {
        for good in ["projects/p/topics/abc", "projects/p-1/topics/a.b~c+d%e_f-g"] {
            assert!(check(Kind::Topic, good).is_ok(), "{good}");
        }
        let long = format!("projects/p/topics/{}", "a".repeat(256));
        for bad in [
            "",
            "abc",
            "projects/p/topics/ab",
            "projects//topics/abc",
            "projects/p/subscriptions/abc",
            "projects/p/topics/1bc",
            "projects/p/topics/google",
            "projects/p/topics/a b",
            "projects/p/topics/abc/d",
            &long,
        ] {
            assert!(check(Kind::Topic, bad).is_err(), "{bad}");
        }
        assert_eq!(project("projects/p/topics/abc"), "projects/p");
        assert_eq!(project("projects/p"), "projects/p");
    }
}
