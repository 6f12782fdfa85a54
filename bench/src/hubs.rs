//! The hubs of a run: built-in ones, started on this machine, and ones that exist, reached by a URL.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhub::kafka::{KafkaConfig, KafkaHub};
use anyhub::{Hub, HubUrl, Secret};
use anyhub_local::Kafka;

use crate::bad_input::BadInput;
use crate::nearest::hint;
use crate::progress::Progress;
use crate::report::{self, Limits, RanOn, Status};

/// The built-in hubs, in the order in which they run.
pub const BUILT_IN: [&str; 2] = ["memory", "kafka"];

/// Hubs that a later version has.
const LATER: [&str; 3] = ["kinesis", "eventhubs", "pubsub"];

/// Room is made by what the consumers have committed, so that a run of any length fits.
const MEMORY_URL: &str = "memory:/?retention=consumed&capacity_bytes=33554432";

/// How long a hub has for its first answer. librdkafka alone takes some seconds to give up on an address.
const REACH: Duration = Duration::from_secs(15);

/// `--hub [NAME=]URL`. Debug shows no values of the URL's options, which may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubArg {
    name: String,
    url: HubUrl,
    text: Secret,
}

impl FromStr for HubArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A name ends before the URL's scheme does: what follows the colon may hold any number of `=`.
        let (name, text) = match text.split_once('=') {
            Some((name, url)) if !name.contains(':') => (Some(name), url),
            _ => (None, text),
        };
        // Unknown schemes and options are told here, before anything is started.
        anyhub::connect(text).map_err(|error| error.to_string())?;
        let url: HubUrl = text
            .parse()
            .map_err(|error: anyhub::Error| error.to_string())?;
        let name = name.unwrap_or(url.scheme()).to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 32 || !name.chars().all(plain) {
            return Err(format!(
                "'{name}' is no name for a hub: take up to 32 letters, digits, - and _"
            ));
        }
        Ok(Self {
            name,
            url,
            text: Secret::new(text),
        })
    }
}

/// As it may be printed: `NAME=URL` without what may be secret.
impl fmt::Display for HubArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name != self.url.scheme() {
            write!(f, "{}=", self.name)?;
        }
        f.write_str(&printable(&self.url))
    }
}

/// The URL with the options that can't be secret: numbers and yes or no, under names that sound like neither user nor key.
fn printable(url: &HubUrl) -> String {
    const TELLING: [&str; 9] = [
        "user", "pass", "secret", "token", "key", "cred", "auth", "sasl", "ssl",
    ];
    let mut text = url.to_string();
    for (nth, (name, value)) in url.options().enumerate() {
        let harmless = value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok();
        let telling = TELLING
            .iter()
            .any(|part| name.to_ascii_lowercase().contains(part));
        let shown = if harmless && !telling { value } else { "***" };
        text.push(if nth == 0 { '?' } else { '&' });
        text.push_str(&format!("{name}={shown}"));
    }
    text
}

/// A hub that is to be measured.
#[derive(Debug, Clone)]
pub struct Target {
    name: String,
    place: Place,
    /// Asked for by name: it has to be there.
    required: bool,
}

#[derive(Debug, Clone)]
enum Place {
    Memory,
    LocalKafka,
    Url(HubArg),
}

/// A hub that answers. Its server, if it is one of ours, ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// The hub, through the traits.
    pub hub: Arc<dyn Hub>,
    /// The topic that the URL names; without one each run makes its own.
    pub topic: Option<String>,
    server: Option<Kafka>,
    limits_on: bool,
}

/// The hubs of a run, memory first: `built_in` by name, `urls` behind them. Without names, every built-in one, or memory alone
/// beside URLs, as the yardstick of what the harness can do.
pub fn targets(built_in: Option<&[String]>, urls: &[HubArg]) -> Result<Vec<Target>, BadInput> {
    let mut targets = Vec::new();
    match built_in {
        Some(names) => {
            for name in names {
                targets.push(Target {
                    name: name.clone(),
                    place: place(name)?,
                    required: true,
                });
            }
            targets.sort_by_key(|target| BUILT_IN.iter().position(|name| *name == target.name));
        }
        None => {
            let names = if urls.is_empty() {
                &BUILT_IN[..]
            } else {
                &BUILT_IN[..1]
            };
            for name in names {
                targets.push(Target {
                    name: (*name).to_owned(),
                    place: place(name)?,
                    required: false,
                });
            }
            // A URL of that name takes the row.
            targets.retain(|target| urls.iter().all(|url| url.name != target.name));
        }
    }
    targets.extend(urls.iter().map(|url| Target {
        name: url.name.clone(),
        place: Place::Url(url.clone()),
        required: true,
    }));
    for (i, target) in targets.iter().enumerate() {
        if targets[..i].iter().any(|other| other.name == target.name) {
            let name = &target.name;
            return Err(BadInput::new(format!(
                "two hubs are called '{name}': name one of them, as in --hub other=URL"
            )));
        }
    }
    Ok(targets)
}

fn place(name: &str) -> Result<Place, BadInput> {
    match name {
        "memory" => Ok(Place::Memory),
        "kafka" => Ok(Place::LocalKafka),
        _ if LATER.contains(&name) => Err(BadInput::new(format!(
            "the hub '{name}' is not in this version, which has {}",
            BUILT_IN.join(", ")
        ))),
        _ => {
            let hint = hint(name, BUILT_IN);
            let built_in = BUILT_IN.join(", ");
            Err(BadInput::new(format!(
                "there is no built-in hub '{name}'{hint}; --hubs takes {built_in}, --hub takes a URL"
            )))
        }
    }
}

impl Target {
    /// Keys its row.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it was asked for by name, and so must be there.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// In a few words, for `--dry-run`.
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Memory => "in this process".into(),
            Place::LocalKafka => "Apache Kafka, one broker, started on this machine".into(),
            Place::Url(url) => printable(&url.url),
        }
    }

    /// Starts or reaches it; an error is one line that says why not. Blocks while a server starts.
    pub async fn start(
        &self,
        limits_on: bool,
        progress: &Arc<Progress>,
    ) -> Result<Running, String> {
        let connect = |url: &str| anyhub::connect(url).map_err(|error| error.to_string());
        let (hub, topic, server) = match &self.place {
            Place::Memory => (connect(MEMORY_URL)?, None, None),
            Place::LocalKafka => {
                let kafka = start_kafka(self.name.clone(), progress.clone()).await?;
                // Without the environment, which is about other brokers.
                let config = KafkaConfig::new(kafka.bootstrap());
                let hub = KafkaHub::new(config).map_err(|error| error.to_string())?;
                (Arc::new(hub) as Arc<dyn Hub>, None, Some(kafka))
            }
            Place::Url(url) => (
                connect(url.text.expose())?,
                url.url.topic().ok().map(str::to_owned),
                None,
            ),
        };
        let answer = async {
            match &topic {
                Some(topic) => hub.admin().describe_topic(topic).await.map(drop),
                None => hub.admin().list_topics().await.map(drop),
            }
        };
        match tokio::time::timeout(REACH, answer).await {
            Ok(Ok(())) => Ok(Running {
                hub,
                topic,
                server,
                limits_on,
            }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!(
                "no answer from {} within {} s: is it running, and its address right?",
                self.describe(),
                REACH.as_secs()
            )),
        }
    }

    /// A row without numbers, for a hub that could not be started.
    pub fn skipped(&self, why: String) -> report::Hub {
        let mut row = self.row(None);
        row.status = Status::Skipped;
        row.why = Some(why);
        row
    }

    /// A row that says what it is and holds no numbers yet.
    pub fn row(&self, running: Option<&Running>) -> report::Hub {
        let (provider, ran_on) = match &self.place {
            Place::Memory => ("memory", RanOn::Memory),
            Place::LocalKafka => ("kafka", RanOn::Broker),
            Place::Url(url) if url.url.scheme() == "memory" => ("memory", RanOn::Memory),
            Place::Url(url) => (url.url.scheme(), RanOn::Broker),
        };
        let server = running.and_then(|running| running.server.as_ref());
        let url = match &self.place {
            Place::Memory => Some(MEMORY_URL.to_owned()),
            Place::LocalKafka => server.map(Kafka::url),
            Place::Url(url) => Some(printable(&url.url)),
        };
        report::Hub {
            name: self.name.clone(),
            provider: provider.to_owned(),
            url,
            ran_on,
            server: server.map(|kafka| format!("Apache Kafka {}", kafka.version())),
            client: client(provider),
            // Neither of them has a quota.
            limits: Limits {
                on: running.is_some_and(|running| running.limits_on),
                quota: None,
            },
            status: Status::Ok,
            why: None,
            latency: None,
            throughput: None,
            runs: Vec::new(),
            delivery: None,
            sentiment: None,
            usage: None,
            cost: None,
            process: None,
        }
    }
}

fn client(provider: &str) -> Option<String> {
    let version = env!("CARGO_PKG_VERSION");
    match provider {
        "memory" => Some(format!("anyhub-core {version}")),
        "kafka" => Some(format!(
            "anyhub-kafka {version}, librdkafka {}",
            anyhub::kafka::librdkafka_version()
        )),
        _ => Some(format!("anyhub-{provider} {version}")),
    }
}

async fn start_kafka(name: String, progress: Arc<Progress>) -> Result<Kafka, String> {
    let start = move || {
        let told = move |phase| progress.note(&format!("{name}: {phase}"));
        Kafka::builder()
            .on_progress(told)
            .start()
            .map_err(|error| error.to_string())
    };
    match tokio::task::spawn_blocking(start).await {
        Ok(started) => started,
        Err(error) => Err(format!("starting Kafka was cut off: {error}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(built_in: Option<&[&str]>, urls: &[&str]) -> Result<Vec<String>, String> {
        let built_in: Option<Vec<String>> =
            built_in.map(|names| names.iter().map(|n| (*n).to_owned()).collect());
        let urls: Vec<HubArg> = urls.iter().map(|url| url.parse().unwrap()).collect();
        let targets = targets(built_in.as_deref(), &urls).map_err(|told| told.to_string())?;
        Ok(targets
            .iter()
            .map(|target| target.name().to_owned())
            .collect())
    }

    #[test]
    fn memory_comes_first() {
        assert_eq!(names(None, &[]).unwrap(), ["memory", "kafka"]);
        assert_eq!(
            names(Some(&["kafka", "memory"]), &[]).unwrap(),
            ["memory", "kafka"]
        );
        assert_eq!(
            names(None, &["prod=kafka://a:9092/t?linger.ms=1"]).unwrap(),
            ["memory", "prod"]
        );
        assert_eq!(
            names(Some(&["kafka"]), &["b=memory:/"]).unwrap(),
            ["kafka", "b"]
        );
    }

    #[test]
    fn mistakes_are_told() {
        assert!(
            names(Some(&["kafak"]), &[])
                .unwrap_err()
                .contains("did you mean 'kafka'")
        );
        assert!(
            names(Some(&["pubsub"]), &[])
                .unwrap_err()
                .contains("not in this version")
        );
        assert!(
            names(Some(&["kafka"]), &["kafka://a:9092"])
                .unwrap_err()
                .contains("two hubs")
        );
        assert!(
            "a b=memory:/"
                .parse::<HubArg>()
                .unwrap_err()
                .contains("letters")
        );
        assert!(
            "kafak://a"
                .parse::<HubArg>()
                .unwrap_err()
                .contains("did you mean 'kafka'")
        );
    }

    #[test]
    fn nothing_secret_is_printed() {
        let hub: HubArg = "prod=kafka://a:9092/t?linger.ms=5&sasl.password=12345678"
            .parse()
            .unwrap();
        let printed = format!(
            "{hub} {hub:?} {}",
            Target {
                name: "prod".into(),
                place: Place::Url(hub.clone()),
                required: true
            }
            .describe()
        );
        assert!(!printed.contains("12345678"), "{printed}");
        assert!(
            printed.starts_with("prod=kafka://a:9092/t?linger.ms=5&sasl.password=***"),
            "{printed}"
        );
    }
}
