use anyhub_core::{Hub, Retention, TopicConfig};
use async_trait::async_trait;
use std::{any::Any, fmt, sync::Arc, time::Duration};

/// What a backend hands over to get every trial: a hub, or the reason why there is none here.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The hub's name in the results: `memory`, `kafka`, ...
    fn name(&self) -> &str;

    /// What the results were made on: `memory`, `stand-in`, `emulator`, `real broker` or `cloud`.
    fn runs_on(&self) -> &str;

    /// A hub of its own to try, or why there is none. Called again for trials that close the whole
    /// hub; whether two of them share their topics does not matter.
    async fn start(&self) -> Result<Arc<dyn Hub>, String>;

    /// Whether each trial gets a hub of its own from [`start`](Self::start), as where one may bring the
    /// server down. By default all share one.
    fn hub_for_each_trial(&self) -> bool {
        false
    }

    /// How fast the hub is. The defaults fit a hub in memory.
    fn settings(&self) -> Settings {
        Settings::default()
    }

    /// The topic with a retention so small that, of [`Settings::overflow_bytes`] published to one
    /// partition, the oldest are soon gone, or all of them are if it is a retention by time (which has to
    /// leave a reader a few times as long as it needs to open and read); None where the hub can't be told
    /// so. By default a retention by size at a quarter of that.
    fn forgetful(&self, topic: TopicConfig) -> Option<TopicConfig> {
        let bytes = self.settings().overflow_bytes / 4;
        Some(topic.retention(Retention::new().bytes(bytes)))
    }

    /// How a producer of this topic is held up: by the topic, which takes few events, or by the server,
    /// which stops to answer. `hub` is the one that [`start`](Self::start) gave.
    async fn stalling(&self, hub: Arc<dyn Hub>, topic: TopicConfig) -> Result<Stalling, String>;

    /// Trials that the server here can't serve, whoever asks: they have to fail, and one that begins to
    /// pass fails the run. A line for each, `TRIAL: WHY`; `#` begins a comment. By default none.
    fn exceptions(&self) -> &str {
        ""
    }

    /// Whether they may be more than a tenth of all trials, as of a server that is a second opinion on a
    /// part of the contract. By default not.
    fn serves_a_part(&self) -> bool {
        false
    }

    /// Called after the last trial.
    async fn stop(&self) {}
}

/// A topic whose producers are held up, refused nothing for good.
pub struct Stalling {
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) topic: TopicConfig,
    pub(crate) hold: Box<dyn FnOnce() -> Held + Send>,
}

/// What has to live for as long as a server is held up.
pub(crate) type Held = Box<dyn Any + Send>;

impl Stalling {
    /// The topic takes so few events that a producer without a reader soon has to wait.
    pub fn by_topic(hub: Arc<dyn Hub>, topic: TopicConfig) -> Self {
        Self::by_server(hub, topic, || ())
    }

    /// The server of `hub`, which nobody else uses, answers nothing more after `hold`, until what that
    /// gives is dropped.
    pub fn by_server<H: Send + 'static>(
        hub: Arc<dyn Hub>,
        topic: TopicConfig,
        hold: impl FnOnce() -> H + Send + 'static,
    ) -> Self {
        Self {
            hub,
            topic,
            hold: Box::new(|| Box::new(hold())),
        }
    }
}

impl fmt::Debug for Stalling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stalling").field(&self.topic.name).finish()
    }
}

/// How long a hub needs for things, and how much is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How long one awaited condition may take before the trial fails. 20 s.
    pub patience: Duration,
    /// How long a whole trial may take. 120 s.
    pub trial_timeout: Duration,
    /// The commit interval and the first nack delay that trials ask for. 5 ms.
    pub tick: Duration,
    /// The shortest `max_processing` that the hub keeps. 100 ms.
    pub max_processing: Duration,
    /// How long the hub waits for a member that shows no sign of life, with the default options. 0:
    /// a hub in memory sees at once who is gone.
    pub silence: Duration,
    /// The events of the large verification; other trials take a part of them. 20,000.
    pub events: usize,
    /// The bytes with which a trial makes retention overtake a consumer. 64 KiB.
    pub overflow_bytes: u64,
    /// How far the hub's clock may stand from ours. 2 s.
    pub clock_slack: Duration,
    /// Trials that run side by side, unless `--test-threads` says otherwise. 4.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(20),
            trial_timeout: Duration::from_secs(120),
            tick: Duration::from_millis(5),
            max_processing: Duration::from_millis(100),
            silence: Duration::ZERO,
            events: 20_000,
            overflow_bytes: 64 << 10,
            clock_slack: Duration::from_secs(2),
            threads: 4,
        }
    }
}

impl Settings {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`patience`](Self::patience).
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets [`trial_timeout`](Self::trial_timeout).
    pub fn trial_timeout(mut self, timeout: Duration) -> Self {
        self.trial_timeout = timeout;
        self
    }

    /// Sets [`tick`](Self::tick).
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// Sets [`max_processing`](Self::max_processing).
    pub fn max_processing(mut self, limit: Duration) -> Self {
        self.max_processing = limit;
        self
    }

    /// Sets [`silence`](Self::silence).
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Sets [`events`](Self::events).
    pub fn events(mut self, events: usize) -> Self {
        self.events = events;
        self
    }

    /// Sets [`overflow_bytes`](Self::overflow_bytes).
    pub fn overflow_bytes(mut self, bytes: u64) -> Self {
        self.overflow_bytes = bytes;
        self
    }

    /// Sets [`clock_slack`](Self::clock_slack).
    pub fn clock_slack(mut self, slack: Duration) -> Self {
        self.clock_slack = slack;
        self
    }

    /// Sets [`threads`](Self::threads).
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}
