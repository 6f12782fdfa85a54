use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

/// Any error, owned and sendable.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The result of every hub operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it was: what a caller acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The topic or group is there already.
    AlreadyExists,
    /// The producer, consumer or hub was closed.
    Closed,
    /// A setting or a URL is wrong.
    Config,
    /// Credentials are missing, wrong or not sufficient.
    Denied,
    /// Another owner has taken the partition; what was not committed will come again to it.
    Fenced,
    /// The request can't be carried by this hub as it stands.
    Invalid,
    /// The topic, partition or group is not there.
    NotFound,
    /// The position is no longer, or not yet, in the log.
    OutOfRange,
    /// The service asked for a slower pace.
    Throttled,
    /// A deadline passed.
    Timeout,
    /// The event or batch is larger than the topic takes.
    TooLarge,
    /// The hub can't be reached now.
    Unavailable,
    /// Anything that should not happen.
    Unexpected,
    /// The hub can't do this at all; its capabilities say so.
    Unsupported,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A failed operation: which hub, which operation, what happened, and what to do.
///
/// Cheap to clone, since one failure often ends a whole batch.
///
/// ```
/// use anyhub_core::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::NotFound, "memory", "producer", "there is no topic 'twets'")
///     .with_advice("create it with Admin::create_topic");
/// assert_eq!(
///     error.to_string(),
///     "memory: producer: there is no topic 'twets' (NotFound); create it with Admin::create_topic"
/// );
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    hub: &'static str,
    operation: &'static str,
    message: String,
    advice: Option<String>,
    indeterminate: bool,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that `hub` met in `operation`; `message` says what happened.
    pub fn new(
        kind: ErrorKind,
        hub: &'static str,
        operation: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self(Arc::new(Inner {
            kind,
            hub,
            operation,
            message: message.into(),
            advice: None,
            indeterminate: false,
            retry_after: None,
            source: None,
        }))
    }

    /// What the user can do about it.
    pub fn with_advice(self, advice: impl Into<String>) -> Self {
        self.with(|inner| inner.advice = Some(advice.into()))
    }

    /// The error beneath this one.
    pub fn with_source(self, source: impl Into<BoxError>) -> Self {
        self.with(|inner| inner.source = Some(Arc::from(source.into())))
    }

    /// Marks that the event may have been written all the same (P2).
    pub fn with_indeterminate(self) -> Self {
        self.with(|inner| inner.indeterminate = true)
    }

    /// How long the service asked to wait.
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.with(|inner| inner.retry_after = Some(wait))
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The hub that answered: `memory`, `kafka`, ...
    pub fn hub(&self) -> &'static str {
        self.0.hub
    }

    /// What was being done: `submit`, `receive`, `create_topic`, ...
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// What happened, without the hub, the kind and the advice.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the user can do about it, where that is known.
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// Whether the same call may succeed later, unchanged.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::Unavailable
        )
    }

    /// Whether the event may have been written although no receipt came (P2).
    pub fn is_indeterminate(&self) -> bool {
        self.0.indeterminate
    }

    /// How long the service asked to wait before a retry.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind,
            hub,
            operation,
            message,
            advice,
            ..
        } = &*self.0;
        write!(f, "{hub}: {operation}: {message} ({kind})")?;
        match advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind)
            .field("hub", &self.0.hub)
            .field("operation", &self.0.operation)
            .field("message", &self.0.message);
        if self.0.indeterminate {
            out.field("indeterminate", &true);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
