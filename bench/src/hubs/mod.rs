//! The hubs of a run: built-in ones, started on this machine, and ones that exist, reached by a URL.

mod eventhubs;
mod given;
mod local;
mod probe;

use std::sync::Arc;
use std::time::Duration;

use anyhub::{ConsumerOptions, Error, ErrorKind, Hub, Point};
use anyhub_core::shown;

use self::local::{Local, Server};
use crate::bad_input::BadInput;
use crate::job::RunId;
use crate::nearest::hint;
use crate::progress::Progress;
use crate::report::{self, Limits, RanOn, Status};
use crate::verify::BYTES_PER_FINGERPRINT;

pub use self::given::{HubArg, read_by};

/// The built-in hubs, in the order in which they run.
pub const BUILT_IN: [&str; 5] = ["memory", "kafka", "kinesis", "eventhubs", "pubsub"];

/// Room is made by what the consumers have committed, so that a run of any length fits.
const MEMORY_URL: &str = "memory:/?retention=consumed&capacity_bytes=33554432";

/// How long a hub has for its first answer. librdkafka alone takes some seconds to give up on an address.
const REACH: Duration = Duration::from_secs(15);

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
    Local(Local),
    Url(HubArg),
}

/// A topic that was there before the run, and stays.
#[derive(Debug, Clone)]
pub struct Given {
    /// The one that the URL names.
    pub topic: String,
    /// The consumer group by which it is read, as `--group` says; without one each run makes its own.
    pub group: Option<String>,
}

impl Given {
    /// An error is one line that says what is not there, and what to do.
    async fn check(&self, hub: &dyn Hub, id: RunId) -> Result<(), String> {
        let told = |error: Error| error.to_string();
        let described = hub.admin().describe_topic(&self.topic).await;
        described.map_err(told)?;
        let group = self.group.clone().unwrap_or_else(|| id.name(1));
        let options = ConsumerOptions::new().group(&group).start(Point::End);
        let opened = hub.consumer(&self.topic, options).await;
        let mut consumer = opened.map_err(|error| match &self.group {
            Some(group) => format!("--group {}: {error}", shown(group)),
            None if error.kind() == ErrorKind::NotFound => {
                format!("name a consumer group that is there by --group: {error}")
            }
            None => error.to_string(),
        })?;
        consumer.close().await.map_err(told)
    }
}

/// A hub that answers. Its server, if it is one of ours, ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// The hub, through the traits.
    pub hub: Arc<dyn Hub>,
    /// What is there; without it each run makes its own.
    pub given: Option<Given>,
    server: Option<Server>,
    /// The URL leads to the stand-in of `anyhub-local`.
    stand_in: bool,
    limits_on: bool,
}

impl Running {
    /// Whether the hub's server runs in this process, and so spends of its time and memory.
    pub fn has_server_inside(&self) -> bool {
        self.server.as_ref().is_some_and(Server::is_in_process)
    }

    /// The processor time that this process has spent as the hub's server; None where it is not known.
    pub fn server_cpu(&self) -> Option<Duration> {
        self.server
            .as_ref()
            .map_or(Some(Duration::ZERO), Server::cpu)
    }
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
        "kafka" => Ok(Place::Local(Local::Kafka)),
        "kinesis" => Ok(Place::Local(Local::Kinesis)),
        "eventhubs" => Ok(Place::Local(Local::EventHubs)),
        "pubsub" => Ok(Place::Local(Local::PubSub)),
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
            Place::Local(local) => local.describe().into(),
            Place::Url(url) => url.printable(),
        }
    }

    /// Memory of this process that an event of so many bytes takes beside the ledger.
    pub fn bytes_per_event(&self, event: u64) -> u64 {
        let (provider, kept) = match &self.place {
            Place::Memory => ("memory", 0),
            Place::Local(local) => (local.provider(), local.bytes_per_event(event)),
            Place::Url(url) => (url.url.scheme(), 0),
        };
        let fingerprint = if provider == "kinesis" {
            BYTES_PER_FINGERPRINT
        } else {
            0
        };
        kept + fingerprint as u64
    }

    /// Starts or reaches it; an error is one line that says why not. Blocks while a server starts.
    pub async fn start(
        &self,
        limits_on: bool,
        id: RunId,
        progress: &Arc<Progress>,
    ) -> Result<Running, String> {
        let connect = |url: &str| anyhub::connect(url).map_err(|error| error.to_string());
        let (hub, given, server) = match &self.place {
            Place::Memory => (connect(MEMORY_URL)?, None, None),
            Place::Local(local) => {
                let (hub, server) = local.start(&self.name, limits_on, progress).await?;
                (hub, None, Some(server))
            }
            Place::Url(url) => (connect(url.text.expose())?, url.given(), None),
        };
        let answer = async {
            match &given {
                Some(given) => given.check(&*hub, id).await,
                None => {
                    let listed = hub.admin().list_topics().await;
                    listed.map(drop).map_err(|error| self.no_topic(&error))
                }
            }
        };
        match tokio::time::timeout(REACH, answer).await {
            Ok(Ok(())) => Ok(Running {
                hub,
                given,
                server,
                stand_in: match &self.place {
                    Place::Url(url) => url.is_stand_in().await,
                    _ => false,
                },
                limits_on,
            }),
            Ok(Err(why)) => Err(why),
            Err(_) => Err(format!(
                "no answer from {} within {} s: is it running, and its address right?",
                self.describe(),
                REACH.as_secs()
            )),
        }
    }

    /// Why each run can't make a topic of its own.
    fn no_topic(&self, error: &Error) -> String {
        match &self.place {
            Place::Url(url) if error.kind() == ErrorKind::Unsupported => format!(
                "its URL names no event hub, and to make one for each run takes subscription= and \
                 resource_group=; name one that is there, as in {}/NAME?..., and its consumer group by --group",
                url.url
            ),
            _ => error.to_string(),
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
        let (provider, ran_on, quota) = match &self.place {
            Place::Memory => ("memory", RanOn::Memory, None),
            Place::Local(local) => (local.provider(), local.ran_on(), local.quota()),
            Place::Url(url) if running.is_some_and(|running| running.stand_in) => {
                (url.url.scheme(), RanOn::StandIn, None)
            }
            Place::Url(url) => (url.url.scheme(), url.ran_on(), None),
        };
        let server = running.and_then(|running| running.server.as_ref());
        let url = match &self.place {
            Place::Memory => Some(MEMORY_URL.to_owned()),
            Place::Local(_) => server.map(Server::url),
            Place::Url(url) => Some(url.printable()),
        };
        report::Hub {
            name: self.name.clone(),
            provider: provider.to_owned(),
            url,
            ran_on,
            server: server.map(Server::describe),
            client: client(provider),
            limits: Limits {
                on: running.is_some_and(|running| running.limits_on),
                quota: quota.map(str::to_owned),
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
        "kinesis" => Some(format!(
            "anyhub-kinesis {version}, aws-sdk-kinesis {}",
            anyhub::kinesis::sdk_version()
        )),
        _ => Some(format!("anyhub-{provider} {version}")),
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
        assert_eq!(names(None, &[]).unwrap(), BUILT_IN);
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

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stand_in_behind_a_url_is_called_so() {
        let kinesis = anyhub_local::Kinesis::builder().start().unwrap();
        let url: HubArg = kinesis.url().parse().unwrap();
        let target = targets(Some(&[]), &[url]).unwrap().remove(0);
        let running = target
            .start(false, RunId::random(), &Arc::new(Progress::hidden()))
            .await;
        assert_eq!(target.row(Some(&running.unwrap())).ran_on, RanOn::StandIn);
    }

    #[test]
    fn mistakes_are_told() {
        assert!(
            names(Some(&["kafak"]), &[])
                .unwrap_err()
                .contains("did you mean 'kafka'")
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
}
