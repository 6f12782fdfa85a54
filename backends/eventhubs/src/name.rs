//! What can be a name in Azure ("Naming rules and restrictions for Azure resources", Microsoft.EventHub,
//! 2026-11). What can be none may be a secret in the wrong place: it is not sent, nor printed.

use crate::error::invalid;
use anyhub_core::{Result, shown};

/// An event hub's. Invalid for what can be none.
pub(crate) fn of_hub<'a>(operation: &'static str, name: &'a str) -> Result<&'a str> {
    check(operation, "an event hub", name, 256)
}

/// A consumer group's. Invalid for what can be none.
pub(crate) fn of_group<'a>(operation: &'static str, name: &'a str) -> Result<&'a str> {
    match name.eq_ignore_ascii_case("$Default") {
        true => Ok(name),
        false => check(operation, "a consumer group", name, 50),
    }
}

/// Whether an event hub can be asked for by this name: its ends are left to the service.
pub(crate) fn can_be_hub(name: &str) -> bool {
    (1..=256).contains(&name.len()) && name.chars().all(inside)
}

fn inside(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

fn check<'a>(operation: &'static str, what: &str, name: &'a str, most: usize) -> Result<&'a str> {
    let at_the_ends = |c: char| c.is_ascii_alphanumeric();
    let fits = name.starts_with(at_the_ends) && name.ends_with(at_the_ends);
    if fits && name.chars().all(inside) && name.len() <= most {
        return Ok(name);
    }
    let message = format!("'{}' can't be {what}'s name", shown(name));
    Err(invalid(operation, message).with_advice(format!(
        "up to {most} letters, digits, '.', '-' and '_', with a letter or digit at either end"
    )))
}
