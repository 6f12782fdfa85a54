use crate::error::config;
use anyhub_core::{Error, HubUrl, Result, shown};
use google_cloud_auth::credentials::Credentials;
use serde::Deserialize;
use std::{fmt, net::IpAddr, time::Duration};
use tonic::transport::Uri;

/// Where Pub/Sub is, who asks, and how subscriptions are made.
///
/// A URL says the same: `pubsub://PROJECT/TOPIC?option=value`. Secrets never stand in it. Who asks is found by
/// Google's application default credentials: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, what
/// `gcloud auth application-default login` left, or the account that Google gives to the machine. An emulator, and an
/// `http:` endpoint on this machine, are asked without credentials.
///
/// | option | what | default |
/// |---|---|---|
/// | `endpoint` | another address: `https://HOST` of a region or a private endpoint; `http:`, in the clear, on this machine alone | that of `PUBSUB_EMULATOR_HOST`, if it is set, or `https://pubsub.googleapis.com` |
/// | `ack_deadline` | how long a member that died keeps its events, from `10s` to `600s`; while it lives, it has them prolonged | `30s` |
/// | `exactly_once` | `true`: Pub/Sub confirms each ack, and gives nothing again that it has confirmed, in one region | `false` |
/// | `dead_letter` | the topic for events that failed too often | none |
/// | `max_delivery_attempts` | after how many deliveries, from `5` to `100` | `5` |
/// | `retention` | how long subscriptions keep what is not acknowledged, from `10m` to `31d` | Pub/Sub's, 7 days |
/// | `topic_retention` | how long topics made by `Admin` keep all events, for what is read later from the start or from a time | `7d` |
///
/// `endpoint` and `ack_deadline` are each consumer's own; the others are of subscriptions and topics when they are made,
/// and those that are there stay as they are. A group that is there without `exactly_once`, where it is asked for, is refused; what else it has otherwise is told by
/// a warning.
///
/// Debug prints no value that may be secret.
///
/// ## Dead letters
///
/// The project's Pub/Sub service agent forwards them. It needs `pubsub.publisher` on the dead-letter topic and
/// `pubsub.subscriber` on the group's subscription, or nothing is forwarded, and what fails comes again (Pub/Sub
/// documentation, "Dead-letter topics", 2026-11). A dead-letter topic without a subscription loses what it gets: make a
/// group of it first. Its own groups have no dead letters, which would come back to them for ever.
///
/// Every delivery that ends by a nack or a passed deadline counts as a try, also of what was only fetched ahead and never
/// handed to the application, such as at a crash. Therefore consumers of a group with dead letters fetch at most 1,000
/// events ahead.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PubSubConfig {
    /// The project's id.
    pub project: String,
    /// Another address than Pub/Sub's own.
    pub endpoint: Option<String>,
    /// How long a member that died keeps its events. 30 s; 10 s to 600 s.
    pub ack_deadline: Duration,
    /// Whether subscriptions are made with exactly-once delivery.
    pub exactly_once: bool,
    /// The topic for events that failed too often, by its id or by its full name. Of groups of that topic itself it is
    /// none. See above for the roles that it takes.
    pub dead_letter: Option<String>,
    /// After how many delivery attempts. 5; 5 to 100.
    pub max_delivery_attempts: u32,
    /// How long subscriptions keep what is not acknowledged; None: Pub/Sub's default, 7 days.
    pub retention: Option<Duration>,
    /// How long topics made by [`Admin`](anyhub_core::Admin) keep all events. 7 days.
    pub topic_retention: Duration,
    /// Credentials of your own, in the place of the application default.
    #[serde(skip)]
    pub credentials: Option<Credentials>,
}

const OPTIONS: [&str; 7] = [
    "endpoint",
    "ack_deadline",
    "exactly_once",
    "dead_letter",
    "max_delivery_attempts",
    "retention",
    "topic_retention",
];

const DEFAULT_ENDPOINT: &str = "https://pubsub.googleapis.com";
const EMULATOR: &str = "PUBSUB_EMULATOR_HOST";
const DAY: Duration = Duration::from_secs(86_400);
/// What Pub/Sub keeps at least and at most (reference of the API, 2026-11).
const RETENTION: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(600)..=Duration::from_secs(31 * 86_400);
/// The ack deadlines that Pub/Sub takes (reference of the API, 2026-11).
const DEADLINES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(600);
/// The delivery attempts that a dead-letter policy takes (reference of the API, 2026-11).
const ATTEMPTS: std::ops::RangeInclusive<u32> = 5..=100;

impl Default for PubSubConfig {
    fn default() -> Self {
        Self {
            project: String::new(),
            endpoint: None,
            ack_deadline: Duration::from_secs(30),
            exactly_once: false,
            dead_letter: None,
            max_delivery_attempts: *ATTEMPTS.start(),
            retention: None,
            topic_retention: 7 * DAY,
            credentials: None,
        }
    }
}

impl PubSubConfig {
    /// The defaults, in this project.
    pub fn new(project: impl Into<String>) -> Self {
        Self {
            project: project.into(),
            ..Self::default()
        }
    }

    /// Sets [`endpoint`](Self::endpoint).
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Sets [`ack_deadline`](Self::ack_deadline).
    pub fn ack_deadline(mut self, deadline: Duration) -> Self {
        self.ack_deadline = deadline;
        self
    }

    /// Sets [`exactly_once`](Self::exactly_once).
    pub fn exactly_once(mut self, on: bool) -> Self {
        self.exactly_once = on;
        self
    }

    /// Sets [`dead_letter`](Self::dead_letter).
    pub fn dead_letter(mut self, topic: impl Into<String>) -> Self {
        self.dead_letter = Some(topic.into());
        self
    }

    /// Sets [`max_delivery_attempts`](Self::max_delivery_attempts).
    pub fn max_delivery_attempts(mut self, attempts: u32) -> Self {
        self.max_delivery_attempts = attempts;
        self
    }

    /// Sets [`retention`](Self::retention).
    pub fn retention(mut self, time: Duration) -> Self {
        self.retention = Some(time);
        self
    }

    /// Sets [`topic_retention`](Self::topic_retention).
    pub fn topic_retention(mut self, time: Duration) -> Self {
        self.topic_retention = time;
        self
    }

    /// Sets [`credentials`](Self::credentials).
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// What a URL says; the emulator's address is taken from the environment. Config for an option that is none, or
    /// a value that can't be.
    pub fn from_url(url: &HubUrl) -> Result<Self> {
        url.refuse_unknown_options(&OPTIONS)?;
        let mut this = Self::new(url.authority());
        for (name, value) in url.options() {
            match name {
                "endpoint" => this.endpoint = Some(value.to_owned()),
                "ack_deadline" => this.ack_deadline = duration(name, value)?,
                "exactly_once" => {
                    this.exactly_once = value.parse().map_err(|_| {
                        config(format!("{name} can't be '{}'", shown(value)))
                            .with_advice("it is exactly_once=true or exactly_once=false")
                    })?;
                }
                "dead_letter" => this.dead_letter = Some(value.to_owned()),
                "max_delivery_attempts" => {
                    this.max_delivery_attempts = value.parse().map_err(|_| {
                        config(format!("{name} can't be '{}'", shown(value)))
                            .with_advice("it is a number, as in max_delivery_attempts=5")
                    })?;
                }
                "retention" => this.retention = Some(duration(name, value)?),
                "topic_retention" => this.topic_retention = duration(name, value)?,
                _ => {}
            }
        }
        this.check()?;
        Ok(this)
    }

    /// Config for a value that can't be.
    pub(crate) fn check(&self) -> Result<()> {
        if self.project.is_empty() {
            return Err(config("there is no project")
                .with_advice("it stands first, as in pubsub://PROJECT/TOPIC"));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if !self.project.bytes().all(allowed) {
            let message = format!("'{}' is no project's id", shown(&self.project));
            return Err(
                config(message).with_advice("a project's id has letters, digits and hyphens")
            );
        }
        self.service()?;
        if !DEADLINES.contains(&self.ack_deadline) {
            return Err(outside("ack_deadline", "10s to 600s"));
        }
        if !ATTEMPTS.contains(&self.max_delivery_attempts) {
            return Err(outside("max_delivery_attempts", "5 to 100"));
        }
        if self
            .retention
            .is_some_and(|time| !RETENTION.contains(&time))
        {
            return Err(outside("retention", "10m to 31d"));
        }
        if !RETENTION.contains(&self.topic_retention) {
            return Err(outside("topic_retention", "10m to 31d"));
        }
        if self.dead_letter.as_deref() == Some("") {
            return Err(config("dead_letter is empty").with_advice("it names a topic"));
        }
        Ok(())
    }

    /// The address, and whether nobody asks, which is so on this machine.
    pub(crate) fn service(&self) -> Result<Service> {
        let emulator = std::env::var(EMULATOR).ok();
        Service::new(self.endpoint.as_deref(), emulator.as_deref())
    }
}

impl fmt::Debug for PubSubConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSubConfig")
            .field("project", &shown(&self.project))
            .field("endpoint", &self.endpoint.as_deref().map(shown))
            .field("ack_deadline", &self.ack_deadline)
            .field("exactly_once", &self.exactly_once)
            .field("dead_letter", &self.dead_letter.as_deref().map(shown))
            .field("max_delivery_attempts", &self.max_delivery_attempts)
            .field("retention", &self.retention)
            .field("topic_retention", &self.topic_retention)
            .field("credentials", &self.credentials.as_ref().map(|_| "***"))
            .finish()
    }
}

/// Where the service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) url: String,
    /// Without credentials, in the clear or not.
    pub(crate) anonymous: bool,
}

impl Service {
    fn new(endpoint: Option<&str>, emulator: Option<&str>) -> Result<Self> {
        let emulator = emulator.filter(|host| !host.is_empty());
        let (text, emulated) = match (endpoint, emulator) {
            (Some(endpoint), _) => (endpoint.to_owned(), false),
            (None, Some(host)) if host.contains("://") => (host.to_owned(), true),
            (None, Some(host)) => (format!("http://{host}"), true),
            (None, None) => (DEFAULT_ENDPOINT.to_owned(), false),
        };
        let named = match emulated {
            true => EMULATOR,
            false => "endpoint",
        };
        let no_endpoint = || {
            config(format!("{named}: '{}' is no endpoint", shown(&text)))
                .with_advice("it looks like https://HOST or http://127.0.0.1:8085")
        };
        let uri: Uri = text.parse().map_err(|_| no_endpoint())?;
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or_else(no_endpoint)?;
        let has_user = uri.authority().is_some_and(|it| it.as_str().contains('@'));
        if has_user || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(no_endpoint());
        }
        let local = is_local(host);
        match uri.scheme_str() {
            Some("https") => {}
            // The emulator's variable names it, so that it may be another machine, as in a container beside this one.
            Some("http") if local || emulated => {}
            Some("http") => {
                let message = format!("'{}' would send tokens in the clear", shown(&text));
                let at = uri.authority().map_or("HOST:PORT", |at| shown(at.as_str()));
                return Err(config(message).with_advice(format!(
                    "https: is for every machine, http: for this one alone; for an emulator leave endpoint out and set \
                     {EMULATOR}={at}"
                )));
            }
            _ => return Err(no_endpoint()),
        }
        Ok(Self {
            anonymous: emulated || (local && uri.scheme_str() == Some("http")),
            url: text.trim_end_matches('/').to_owned(),
        })
    }
}

fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn outside(name: &str, range: &str) -> Error {
    config(format!("{name} is out of its range")).with_advice(format!("it goes from {range}"))
}

/// `30s`, `10m`, `12h` or `7d`.
fn duration(name: &str, text: &str) -> Result<Duration> {
    let wrong = || {
        config(format!("{name} can't be '{}'", shown(text)))
            .with_advice("it is a whole number with its unit, as in 30s, 10m, 12h or 7d")
    };
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(seconds).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use anyhub_conformance::assert_no_secret_is_printed;
    use anyhub_core::ErrorKind;

    fn from(url: &str) -> Result<PubSubConfig> {
        PubSubConfig::from_url(&url.parse()?)
    }

    #[test]
    fn a_url_says_all() {
        let url = "pubsub://p-1/t?endpoint=http://127.0.0.1:8085&ack_deadline=10s&exactly_once=true\
                   &dead_letter=dead&max_delivery_attempts=7&retention=12h&topic_retention=1d";
        let config = from(url).unwrap();
        assert_eq!(config.project, "p-1");
        assert_eq!(config.ack_deadline, Duration::from_secs(10));
        assert!(config.exactly_once);
        assert_eq!(config.dead_letter.as_deref(), Some("dead"));
        assert_eq!(config.max_delivery_attempts, 7);
        assert_eq!(config.retention, Some(Duration::from_secs(12 * 3_600)));
        assert_eq!(config.topic_retention, DAY);
        assert!(config.service().unwrap().anonymous);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (url, says) in [
            ("pubsub:/t", "no project"),
            ("pubsub://p q/t", "no project's id"),
            (
                "pubsub://p/t?ack_dedline=10s",
                "did you mean 'ack_deadline'",
            ),
            ("pubsub://p/t?ack_deadline=9s", "10s to 600s"),
            ("pubsub://p/t?ack_deadline=ten", "30s, 10m"),
            ("pubsub://p/t?retention=1m", "10m to 31d"),
            ("pubsub://p/t?topic_retention=32d", "10m to 31d"),
            (
                "pubsub://p/t?exactly_once=yes",
                "exactly_once=true or exactly_once=false",
            ),
            ("pubsub://p/t?exactly_once=yes", "can't be 'yes'"),
            ("pubsub://p/t?max_delivery_attempts=five", "it is a number"),
            ("pubsub://p/t?endpoint=https://me@host", "no endpoint"),
            ("pubsub://p/t?max_delivery_attempts=4", "5 to 100"),
            ("pubsub://p/t?dead_letter=", "names a topic"),
            ("pubsub://p/t?endpoint=ftp://127.0.0.1", "no endpoint"),
            ("pubsub://p/t?endpoint=nothing", "no endpoint"),
            (
                "pubsub://p/t?endpoint=http://pubsub.example.com",
                "in the clear",
            ),
            (
                "pubsub://p/t?endpoint=http://emulator:8085",
                "PUBSUB_EMULATOR_HOST=emulator:8085",
            ),
        ] {
            let error = from(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(says), "{url}: {error}");
        }
    }

    #[test]
    fn what_may_be_secret_is_printed_nowhere() {
        assert_no_secret_is_printed("pubsub", "my-project", &OPTIONS, |url| {
            let config = PubSubConfig::from_url(url)?;
            let dead_letter = config.dead_letter.clone().unwrap_or_default();
            let topic = crate::name::any_topic("p", &dead_letter, "consumer").err();
            Ok((config.clone(), crate::PubSubHub::new(config), topic))
        });
        let mut config = PubSubConfig::new("p");
        config.credentials =
            Some(google_cloud_auth::credentials::anonymous::Builder::new().build());
        assert!(format!("{config:?}").contains("***"));
    }

    #[test]
    fn an_emulator_is_asked_by_nobody() {
        let service = |endpoint, emulator| Service::new(endpoint, emulator).unwrap();
        let emulated = service(None, Some("emulator:8085"));
        assert_eq!(
            (emulated.url.as_str(), emulated.anonymous),
            ("http://emulator:8085", true)
        );
        let google = service(None, None);
        assert_eq!(
            (google.url.as_str(), google.anonymous),
            (DEFAULT_ENDPOINT, false)
        );
        let told = service(
            Some("https://eu-pubsub.googleapis.com"),
            Some("emulator:8085"),
        );
        assert!(
            !told.anonymous,
            "what the URL says stands above the environment"
        );
        assert!(service(Some("http://localhost:1"), None).anonymous);
        assert!(service(Some("http://[::1]:1"), None).anonymous);
    }
}
