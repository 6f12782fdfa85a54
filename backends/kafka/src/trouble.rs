use crate::error::{HUB, coded, kind};
use anyhub_core::{Error, ErrorKind};
use rdkafka::{config::RDKafkaLogLevel as Level, error::KafkaError, types::RDKafkaErrorCode};
use std::sync::{Mutex, PoisonError};

/// What went wrong last between a client and its brokers: librdkafka tells it aside, while the
/// call that suffers from it only times out.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    reason: Option<String>,
    denied: Option<Error>,
}

impl Trouble {
    /// Notes an error that librdkafka tells of itself.
    pub(crate) fn note(&self, error: &KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // That all are down is only the sum of what was told before.
        if code != RDKafkaErrorCode::AllBrokersDown || last.reason.is_none() {
            last.reason = Some(shorten(reason));
        }
        if kind(code) == ErrorKind::Denied {
            let advice = coded("connect", code);
            last.denied = Some(advice);
        }
    }

    /// The brokers answered: what was before is over.
    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Last::default();
    }

    /// The refusal of our credentials, if that is what happened.
    pub(crate) fn denied(&self, operation: &'static str) -> Option<Error> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let denied = last.denied.as_ref()?;
        let reason = last.reason.clone().unwrap_or_default();
        Some(
            Error::new(ErrorKind::Denied, HUB, operation, reason)
                .with_advice(
                    "look at security.protocol, sasl.mechanism, sasl.username, sasl.password and \
                     ssl.ca.location",
                )
                .with_source(denied.clone()),
        )
    }

    /// Why the brokers did not answer: Denied or Unavailable.
    pub(crate) fn explain(&self, operation: &'static str, brokers: &str) -> Error {
        if let Some(denied) = self.denied(operation) {
            return denied;
        }
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = last.reason.as_deref().unwrap_or("they do not answer");
        Error::new(
            ErrorKind::Unavailable,
            HUB,
            operation,
            format!("the brokers at {brokers} can't be reached: {reason}"),
        )
        .with_advice("look at their addresses, and whether they run")
    }
}

/// Puts a line of librdkafka's log into tracing.
pub(crate) fn log(level: Level, facility: &str, line: &str) {
    match level {
        Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
            tracing::error!(target: "librdkafka", facility, "{line}");
        }
        Level::Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
        Level::Notice | Level::Info => tracing::info!(target: "librdkafka", facility, "{line}"),
        Level::Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

/// The same for a level as librdkafka counts them, which is syslog's way.
pub(crate) fn log_at(level: i32, facility: &str, line: &str) {
    let level = match level {
        ..=3 => Level::Error,
        4 => Level::Warning,
        5 | 6 => Level::Info,
        _ => Level::Debug,
    };
    log(level, facility, line);
}

/// Without the remark on how often and how long ago that librdkafka adds.
fn shorten(reason: &str) -> String {
    let end = reason.find(" (after ").unwrap_or(reason.len());
    reason[..end].trim().replace('\n', " ")
}
