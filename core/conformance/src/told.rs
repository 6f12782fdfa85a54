//! What tracing is told, for tests of what has no other way to be told.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// What this process tells at the levels info, warn and error: a line each, as `WARN the message topic="t"`.
#[derive(Debug, Clone)]
pub struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    /// From the first call on. Panics where another subscriber is set: a test would see nothing.
    pub fn listen() -> Self {
        static LISTENING: OnceLock<Told> = OnceLock::new();
        let listen = || {
            let told = Self(Arc::default());
            let set = tracing::subscriber::set_global_default(told.clone());
            set.unwrap_or_else(|error| panic!("{error}"));
            told
        };
        LISTENING.get_or_init(listen).clone()
    }

    /// The lines that contain all of these.
    pub fn with(&self, parts: &[&str]) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let meant = lines
            .iter()
            .filter(|line| parts.iter().all(|part| line.contains(part)));
        meant.cloned().collect()
    }
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String can't fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
