//! How many topics, subscriptions and snapshots there may be, and what may be said of each.

use std::collections::{BTreeMap, HashMap};

use prost::Message;
use tonic::Status;

use crate::pubsub::limits::{DESCRIPTION, LABEL, LABELS, PROJECTS};
use crate::pubsub::name;

/// Refuses one more of a kind than a project may have, or all projects together.
///
/// # Errors
/// RESOURCE_EXHAUSTED.
pub(super) fn check_number<T>(
    all: &BTreeMap<String, T>,
    name: &str,
    most: usize,
) -> Result<(), Status> {
    // Only then it is worth counting.
    if all.len() < most {
        return Ok(());
    }
    let project = name::project(name);
    let from = format!("{project}/");
    let of = all.range(from.clone()..);
    let of = of.take_while(|(name, _)| name.starts_with(&from)).count();
    if of >= most {
        return Err(Status::resource_exhausted(format!(
            "Quota exceeded: {project} has {most} of the kind of {name}, and no more are allowed."
        )));
    }
    let most = most * PROJECTS;
    match all.len() < most {
        true => Ok(()),
        false => Err(Status::resource_exhausted(format!(
            "The local Pub/Sub has {most} of the kind of {name}: it takes no more in all projects together."
        ))),
    }
}

/// Refuses a description that is too large, whatever is in it.
///
/// # Errors
/// INVALID_ARGUMENT.
pub(super) fn check_size(description: &impl Message) -> Result<(), Status> {
    let bytes = description.encoded_len();
    match bytes <= DESCRIPTION {
        true => Ok(()),
        false => Err(Status::invalid_argument(format!(
            "The description has {bytes} bytes: the local Pub/Sub takes {DESCRIPTION}."
        ))),
    }
}

/// # Errors
/// INVALID_ARGUMENT for too many labels, and for one that can't be.
pub(super) fn check_labels(labels: &HashMap<String, String>) -> Result<(), Status> {
    if labels.len() > LABELS {
        return Err(Status::invalid_argument(format!(
            "Too many labels: {}, and {LABELS} are allowed.",
            labels.len()
        )));
    }
    match labels.iter().find(|(key, value)| !is_label(key, value)) {
        None => Ok(()),
        Some((key, value)) => Err(Status::invalid_argument(format!(
            "Invalid label {key:?}: {value:?}. Keys have 1 to {LABEL} characters, values up to {LABEL}: lower-case letters, \
             digits, _ and -; a key begins with a letter."
        ))),
    }
}

/// Letters of other alphabets are allowed, but for capitals.
fn is_label(key: &str, value: &str) -> bool {
    let is_letter = |c: char| match c.is_ascii() {
        true => c.is_ascii_lowercase(),
        false => c.is_alphabetic() && !c.is_uppercase(),
    };
    let is_allowed = |c: char| is_letter(c) || c.is_numeric() || "_-".contains(c);
    let fits = |text: &str| text.chars().all(is_allowed) && text.chars().count() <= LABEL;
    key.starts_with(is_letter) && fits(key) && fits(value)
}

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod tests;
