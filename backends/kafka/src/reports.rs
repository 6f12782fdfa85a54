use crate::{
    error::coded,
    flights::Flights,
    hub::Traffic,
    trouble::{self, Trouble},
};
use anyhub_core::Error;
use rdkafka::{
    ClientContext, Message, bindings, config::RDKafkaLogLevel, error::KafkaError,
    message::DeliveryResult, producer::ProducerContext, types::RDKafkaErrorCode,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Where librdkafka reports what became of each event.
#[derive(Debug)]
pub struct Reports {
    flights: Arc<Flights>,
    traffic: Arc<Traffic>,
    trouble: Trouble,
    /// Set when the client can't go on.
    fatal: AtomicBool,
}

impl Reports {
    pub(crate) fn new(flights: Arc<Flights>, traffic: Arc<Traffic>) -> Self {
        Self {
            flights,
            traffic,
            trouble: Trouble::default(),
            fatal: AtomicBool::new(false),
        }
    }

    /// Whether the client can't go on.
    pub(crate) fn is_fatal(&self) -> bool {
        self.fatal.load(Ordering::Relaxed)
    }

    /// After a fatal error the client takes nothing more.
    pub(crate) fn met(&self, code: RDKafkaErrorCode) {
        if code == RDKafkaErrorCode::Fatal {
            self.fatal.store(true, Ordering::Relaxed);
        }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        trouble::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.met(code);
        }
        self.trouble.note(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        tracing::trace!(target: "librdkafka", "{}", String::from_utf8_lossy(statistics));
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, report: &DeliveryResult<'_>, event: usize) {
        match report {
            Ok(message) => self
                .flights
                .written(event, message.partition(), message.offset()),
            Err((error, message)) => {
                // SAFETY: the message of a report is alive while the report is borrowed, and this
                // only reads its status.
                #[allow(unsafe_code)]
                let status = unsafe { bindings::rd_kafka_message_status(message.ptr()) };
                let size = message.payload_len() + message.key_len();
                self.traffic.unsent(size);
                self.flights.failed(event, self.not_told(error, status));
            }
        }
    }
}

impl Reports {
    fn not_told(&self, error: &KafkaError, status: bindings::rd_kafka_msg_status_t) -> Error {
        let code = error
            .rdkafka_error_code()
            .unwrap_or(RDKafkaErrorCode::Unknown);
        self.met(code);
        let told = match code {
            RDKafkaErrorCode::MessageTimedOut => match self.trouble.denied("submit") {
                Some(denied) => denied,
                None => coded("submit", code),
            },
            code => coded("submit", code),
        };
        if status == bindings::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED {
            told
        } else {
            told.with_indeterminate()
        }
    }
}
