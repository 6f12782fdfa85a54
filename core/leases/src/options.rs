use crate::{Clock, SystemClock, natural_order};
use anyhub_core::{Error, ErrorKind, Result};
use std::{cmp::Ordering, fmt, sync::Arc, time::Duration};

/// How a member keeps its leases.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// How long others wait, after the last sign of an owner, before they take its partition. It
    /// renews at a third of this, and stops delivering a tenth before the end. 10 s; at least
    /// 100 ms.
    pub lease: Duration,
    /// How long an owner that was asked for a partition may take to drain it; then it is given up
    /// as it stands. 30 s.
    pub handover: Duration,
    /// Within this every call of [`Leases`](crate::Leases) resolves. 30 s.
    pub deadline: Duration,
    /// What the member's name begins with; a random part makes it unique. `member`.
    pub name: String,
    /// Which of two positions of one partition comes first. A beginning that is no place in the
    /// log, such as a time, must come before all that are, or no checkpoint is past it.
    /// [`natural_order`].
    pub order: fn(&str, &str) -> Ordering,
    /// The clock. [`SystemClock`].
    pub clock: Arc<dyn Clock>,
    /// Seeds the member's choices and its name; None: from the system's randomness.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            handover: Duration::from_secs(30),
            deadline: Duration::from_secs(30),
            name: "member".into(),
            order: natural_order,
            clock: Arc::new(SystemClock::new()),
            seed: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("lease", &self.lease)
            .field("handover", &self.handover)
            .field("deadline", &self.deadline)
            .field("name", &self.name)
            .field("clock", &self.clock)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`lease`](Self::lease).
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets [`handover`](Self::handover).
    pub fn handover(mut self, handover: Duration) -> Self {
        self.handover = handover;
        self
    }

    /// Sets [`deadline`](Self::deadline).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets [`name`](Self::name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets [`order`](Self::order).
    pub fn order(mut self, order: fn(&str, &str) -> Ordering) -> Self {
        self.order = order;
        self
    }

    /// Sets [`clock`](Self::clock).
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets [`seed`](Self::seed).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Config for a lease too short to be kept.
    pub(crate) fn check(&self) -> Result<()> {
        if self.lease < Duration::from_millis(100) {
            return Err(Error::new(
                ErrorKind::Config,
                "leases",
                "join",
                format!("a lease of {:?} is below 100 ms", self.lease),
            )
            .with_advice("10 s suits most; a store must answer within a sixth of it"));
        }
        Ok(())
    }
}
