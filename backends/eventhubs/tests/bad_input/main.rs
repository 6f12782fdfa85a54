//! What can be got wrong, and what is told: the kind, in one line, with what to do about it; in time, and nothing is lost.
#![allow(missing_docs, clippy::unwrap_used)]

mod events;
#[path = "../producer/log.rs"]
#[allow(dead_code)]
mod log;
mod opening;
mod tokens;

use anyhub_core::{Error, ErrorKind};

/// An error is of this kind, names what is wrong in one line, and says what to do.
fn told(error: &Error, kind: ErrorKind, names: &str) {
    let line = error.to_string();
    assert_eq!(error.kind(), kind, "{line}");
    assert!(!line.contains('\n'), "{line}");
    assert!(line.contains(names), "'{names}' is not in: {line}");
    assert!(error.advice().is_some(), "no advice: {line}");
}
