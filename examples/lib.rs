//! What the examples share: opening a hub by URL, and a few events to begin with.

use anyhub::{ErrorKind, Event, Hub, ProducerExt, ProducerOptions, TopicConfig};
use clap::Args;
use std::io::stderr;
use std::process::ExitCode;
use std::sync::Arc;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{fmt, prelude::*};

/// Where an example works.
#[derive(Debug, Args)]
pub struct At {
    /// The hub and its topic; in quotes, where there is an & or a ?
    #[arg(default_value = "memory:/tweets")]
    url: String,
}

impl At {
    /// Opens the hub and the topic; makes the topic if it is not there, and if it can be made this way:
    /// on Event Hubs it is there. What the hub warns of goes to stderr from now on.
    pub async fn open(&self) -> anyhow::Result<(Arc<dyn Hub>, String)> {
        let ours = Targets::new().with_target("anyhub", LevelFilter::WARN);
        let warnings = fmt::layer().with_writer(stderr).with_filter(ours);
        // An Err: somebody else listens already.
        let _ = tracing_subscriber::registry().with(warnings).try_init();
        let (hub, topic) = (anyhub::connect(&self.url)?, anyhub::topic(&self.url)?);
        let config = TopicConfig::new(&topic).partitions(3);
        match hub.admin().create_topic(&config).await {
            Ok(()) => Ok((hub, topic)),
            Err(error) => match error.kind() {
                ErrorKind::AlreadyExists | ErrorKind::Unsupported => Ok((hub, topic)),
                _ => Err(error.into()),
            },
        }
    }
}

/// How an example ends. Its error is told in one line, which names the cause and what to do.
pub fn told(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Closes the hub, however the work on it ended: what is open on it lets go. The first error is the one to tell.
pub async fn closed(hub: &dyn Hub, done: anyhow::Result<()>) -> anyhow::Result<()> {
    let closed = hub.close().await;
    done?;
    Ok(closed?)
}

/// In three of three partitions, and of four: by the hash of Kafka and of Event Hubs, and in the hash ranges of Kinesis.
const KEYS: [&str; 3] = ["user-4", "user-15", "user-26"];

/// Publishes ten events under three keys.
pub async fn publish_ten(hub: &dyn Hub, topic: &str) -> anyhow::Result<()> {
    let producer = hub.producer(topic, ProducerOptions::new()).await?;
    let batch = (0..10)
        .map(|n| Event::new(format!("tweet {n}")).with_key(KEYS[n % KEYS.len()]))
        .collect();
    for outcome in producer.publish(batch).await? {
        let receipt = outcome?;
        match (receipt.partition, receipt.position) {
            (Some(partition), Some(position)) => {
                println!("published to partition {partition} at {position}");
            }
            (Some(partition), None) => println!("published to partition {partition}"),
            _ => println!("published"),
        }
    }
    Ok(producer.close().await?)
}

/// The memory hub lives and dies with its process, so there the example publishes for itself.
pub async fn play_both_sides(hub: &dyn Hub, topic: &str) -> anyhow::Result<()> {
    if hub.name() == "memory" {
        println!("the memory hub is empty at the start: publishing first");
        publish_ten(hub, topic).await?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use anyhub::eventhubs::partition_of;
    use std::collections::BTreeSet;

    /// Two members of a group each have something to do.
    #[tokio::test]
    async fn the_keys_spread_over_three_and_four_partitions() {
        for partitions in [3, 4] {
            let by_hash = KEYS.map(|key| partition_of(key, partitions));
            assert_eq!(BTreeSet::from(by_hash).len(), KEYS.len(), "{by_hash:?}");
            // The memory hub has Kafka's hash.
            let hub = anyhub::connect("memory:/").unwrap();
            let topic = TopicConfig::new("t").partitions(partitions);
            hub.admin().create_topic(&topic).await.unwrap();
            let producer = hub.producer("t", ProducerOptions::new()).await.unwrap();
            let mut written = BTreeSet::new();
            for key in KEYS {
                let receipt = producer.send(Event::new("").with_key(key)).await.unwrap();
                written.insert(receipt.partition);
            }
            assert_eq!(written.len(), KEYS.len(), "{written:?}");
        }
    }
}
