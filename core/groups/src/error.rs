use anyhub_core::{Error, ErrorKind};

pub(crate) fn closed(hub: &'static str, operation: &'static str, what: &str) -> Error {
    let message = format!("the {what} is closed");
    Error::new(ErrorKind::Closed, hub, operation, message)
}

pub(crate) fn invalid(
    hub: &'static str,
    operation: &'static str,
    message: impl Into<String>,
) -> Error {
    Error::new(ErrorKind::Invalid, hub, operation, message)
}

/// A setting is wrong.
pub(crate) fn config(hub: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, hub, "connect", message)
}

/// An error of the lease store, as the hub's.
pub(crate) fn of_leases(hub: &'static str, operation: &'static str, error: &Error) -> Error {
    let message = format!("the leases: {}", error.message());
    let mut told = Error::new(error.kind(), hub, operation, message).with_source(error.clone());
    if error.is_indeterminate() {
        told = told.with_indeterminate();
    }
    match error.advice() {
        Some(advice) => told.with_advice(advice),
        None => told,
    }
}
