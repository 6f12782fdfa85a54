//! Topics, subscriptions and snapshots: making, describing, changing, deleting and listing them.

mod bounds;
pub(super) mod policy;
pub(super) mod snapshots;
pub(super) mod subscriptions;
pub(super) mod topics;

use prost_types::FieldMask;
use tonic::Status;

/// What a page has where its size isn't told, and at most.
const PAGE: usize = 1_000;

/// A page of what is named, in the order of names, and where the next one begins; the token is the last name.
fn page<T>(
    items: impl Iterator<Item = T>,
    name: impl Fn(&T) -> &str,
    size: i32,
    token: &str,
) -> Result<(Vec<T>, String), Status> {
    let size = match usize::try_from(size) {
        Ok(0) => PAGE,
        Ok(size) => size.min(PAGE),
        Err(_) => return Err(Status::invalid_argument("page_size can't be negative.")),
    };
    let mut rest = items.filter(|item| name(item) > token).peekable();
    let page: Vec<T> = rest.by_ref().take(size).collect();
    let next = match (page.last(), rest.peek()) {
        (Some(last), Some(_)) => name(last).to_owned(),
        _ => String::new(),
    };
    Ok((page, next))
}

/// The fields that are to be changed.
fn paths(mask: Option<FieldMask>) -> Result<Vec<String>, Status> {
    let paths = mask.unwrap_or_default().paths;
    match paths.is_empty() {
        true => Err(Status::invalid_argument(
            "The update_mask in the request has to name a field.",
        )),
        false => Ok(paths),
    }
}

fn immutable(path: &str) -> Status {
    Status::invalid_argument(format!(
        "Invalid update_mask provided in the request: {path} can't be changed."
    ))
}

fn missing(what: &str) -> Status {
    Status::invalid_argument(format!("The request has no {what}."))
}
