//! The built-in hubs with a server: started on this machine for the run.

use std::sync::Arc;
use std::time::Duration;

use anyhub::Hub;
use anyhub::kafka::{KafkaConfig, KafkaHub};
use anyhub::kinesis::{KinesisConfig, KinesisHub, LeasesIn};
use anyhub::pubsub::{PubSubConfig, PubSubHub};
use anyhub_local::{Kafka, Kinesis, PubSub};

use super::eventhubs::Namespace;
use crate::progress::Progress;
use crate::report::RanOn;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    Kafka,
    Kinesis,
    EventHubs,
    PubSub,
}

/// A server that runs. It ends when this is dropped.
#[derive(Debug)]
pub(super) enum Server {
    Kafka(Box<Kafka>),
    Kinesis(Kinesis),
    EventHubs(Arc<Namespace>),
    PubSub(PubSub),
}

/// The quota of a provisioned shard (Amazon Kinesis Data Streams developer guide, "Quotas and limits",
/// 2026-11).
const OF_A_SHARD: &str = "1 MiB/s and 1,000 records/s a shard in, 2 MiB/s and 5 reads/s out";

/// The quota of as many throughput units as a namespace of the tier Standard may have, which is 40
/// (Event Hubs quotas, 2026-09).
const OF_A_NAMESPACE: &str = "40 throughput units: 40 MB/s and 40,000 events/s in, 80 MB/s and 163,840 events/s out; a full \
     bucket of one second comes on top";

/// What a key takes and a stream gives (Pub/Sub quotas, 2026-11).
const OF_A_STREAM: &str = "1 MB/s in with one ordering key, 10 MB/s out on one stream";

/// What the stand-in keeps of what is acknowledged, and lets wait: all that a run publishes.
const KEPT: usize = 64 << 30;

/// The most that the stand-in takes in one PutRecords; AWS takes twice that.
const KINESIS_BATCH: usize = 5 << 20;

impl Local {
    pub(super) fn provider(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Kinesis => "kinesis",
            Self::EventHubs => "eventhubs",
            Self::PubSub => "pubsub",
        }
    }

    /// In a few words, for `--dry-run`.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Kafka => "Apache Kafka, one broker, started on this machine",
            Self::Kinesis => "a stand-in for Amazon Kinesis, in this process",
            Self::EventHubs => "a stand-in for Azure Event Hubs, in this process",
            Self::PubSub => "a stand-in for Google Cloud Pub/Sub, in this process",
        }
    }

    pub(super) fn ran_on(self) -> RanOn {
        match self {
            Self::Kafka => RanOn::Broker,
            Self::Kinesis | Self::EventHubs | Self::PubSub => RanOn::StandIn,
        }
    }

    /// Memory of this process that an event of so many bytes takes while its topic is there: the
    /// stand-in keeps all. Kinesis', measured as resident, on Linux: 710 bytes for 134 and an event a
    /// record, 1,570 for 1,000. Event Hubs' keeps what was sent: sections and the key's annotation around
    /// the payload, which take less than is said here. Pub/Sub's, measured likewise: 1,010 bytes for 134, 1,300 for
    /// 1,000.
    pub(super) fn bytes_per_event(self, event: u64) -> u64 {
        match self {
            Self::Kafka => 0,
            Self::Kinesis => 600 + event + event / 3,
            Self::EventHubs => 150 + event,
            Self::PubSub => (960 + event / 3).max(300 + event),
        }
    }

    /// What the service lets a client do, and the server too where `--limits` says so.
    pub(super) fn quota(self) -> Option<&'static str> {
        match self {
            Self::Kafka => None,
            Self::Kinesis => Some(OF_A_SHARD),
            Self::EventHubs => Some(OF_A_NAMESPACE),
            Self::PubSub => Some(OF_A_STREAM),
        }
    }

    /// Starts it; an error is one line that says why not. `name` is the hub's in what is told.
    pub(super) async fn start(
        self,
        name: &str,
        limits_on: bool,
        progress: &Arc<Progress>,
    ) -> Result<(Arc<dyn Hub>, Server), String> {
        match self {
            Self::Kafka => {
                let kafka = start_kafka(name.to_owned(), progress.clone()).await?;
                // Without the environment, which is about other brokers.
                let config = KafkaConfig::new(kafka.bootstrap());
                let hub = KafkaHub::new(config).map_err(|error| error.to_string())?;
                Ok((Arc::new(hub), Server::Kafka(Box::new(kafka))))
            }
            Self::Kinesis => {
                let kinesis = Kinesis::builder().limits(limits_on).start();
                let kinesis = kinesis.map_err(|error| error.to_string())?;
                let hub = KinesisHub::new(beside(&kinesis, limits_on));
                let hub = hub.map_err(|error| error.to_string())?;
                Ok((Arc::new(hub), Server::Kinesis(kinesis)))
            }
            Self::EventHubs => {
                let (hub, namespace) = Namespace::start(limits_on)?;
                Ok((hub, Server::EventHubs(namespace)))
            }
            Self::PubSub => {
                let pubsub = PubSub::builder()
                    .limits(limits_on)
                    .retained_bytes(KEPT)
                    .backlog_bytes(KEPT)
                    .start();
                let pubsub = pubsub.map_err(|error| error.to_string())?;
                let config = PubSubConfig::new("local").endpoint(pubsub.endpoint());
                let hub = PubSubHub::new(config).map_err(|error| error.to_string())?;
                Ok((Arc::new(hub), Server::PubSub(pubsub)))
            }
        }
    }
}

/// A server without limits is read without pauses.
fn beside(kinesis: &Kinesis, limits_on: bool) -> KinesisConfig {
    let config = KinesisConfig::new()
        .region("us-east-1")
        .endpoint(kinesis.endpoint())
        .max_batch_bytes(KINESIS_BATCH)
        .leases(LeasesIn::Memory);
    if limits_on {
        config
    } else {
        config.read_share(None)
    }
}

impl Server {
    /// Where it is reached.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Kafka(kafka) => kafka.url(),
            Self::Kinesis(kinesis) => kinesis.url(),
            Self::EventHubs(namespace) => namespace.url(),
            Self::PubSub(pubsub) => pubsub.url(),
        }
    }

    /// Its name, version, and whether it is in this process.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Kafka(kafka) => format!("Apache Kafka {}", kafka.version()),
            Self::Kinesis(kinesis) => {
                format!("ferrokinesis {}, server in this process", kinesis.version())
            }
            Self::EventHubs(_) | Self::PubSub(_) => {
                let version = env!("CARGO_PKG_VERSION");
                format!("anyhub-local {version}, server in this process")
            }
        }
    }

    /// Whether what this process spends is the server's too.
    pub(super) fn is_in_process(&self) -> bool {
        matches!(
            self,
            Self::Kinesis(_) | Self::EventHubs(_) | Self::PubSub(_)
        )
    }

    /// Of the processor time of this process, the server's so far; None where the system does not
    /// tell.
    pub(super) fn cpu(&self) -> Option<Duration> {
        match self {
            Self::Kafka(_) => Some(Duration::ZERO),
            Self::Kinesis(kinesis) => kinesis.cpu(),
            Self::EventHubs(namespace) => namespace.cpu(),
            Self::PubSub(pubsub) => pubsub.cpu(),
        }
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
