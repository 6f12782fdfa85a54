use crate::{
    client::{Link, Stream},
    config::KinesisConfig,
    error::HUB,
    log::KinesisLog,
    status,
    streams::Streams,
    usage::Counters,
};
use anyhub_core::{ConsumerOptions, Result, driver::check_consumer};
use anyhub_groups::{Group, GroupedConsumer, Leasing};
use anyhub_leases::Scope;
use std::sync::Arc;

pub(crate) type KinesisConsumer = GroupedConsumer<KinesisLog>;

/// The SDK's client, as [`Consumer::native`](anyhub_core::Consumer::native) hands it out.
#[derive(Debug, Clone)]
pub struct NativeConsumer(pub(crate) aws_sdk_kinesis::Client);

impl NativeConsumer {
    /// The client.
    pub fn client(&self) -> &aws_sdk_kinesis::Client {
        &self.0
    }
}

pub(crate) async fn open(
    link: Link,
    leasing: &Leasing,
    topic: &str,
    options: ConsumerOptions,
    counters: Arc<Counters>,
) -> Result<KinesisConsumer> {
    check_consumer(&options, HUB)?;
    let stream = Stream::new("consumer", topic)?;
    let summary = status::usable(&link, "consumer", &stream).await?;
    let native = NativeConsumer(link.patient("consumer").await?.clone());
    let group = match &options.group {
        Some(name) => {
            let store = leasing.store("consumer").await?;
            let place = place(&link, "consumer").await?;
            let scope = Scope::new(&place, &summary.arn, name);
            Some(Group::new(store, scope, link.config().lease_time))
        }
        None => None,
    };
    let fanout = match &link.config().fanout {
        Some(name) => {
            let streams = Streams::new(link.clone());
            Some(streams.fanout_arn("consumer", &stream, name).await?.into())
        }
        None => None,
    };
    let log = KinesisLog {
        link,
        stream,
        counters,
        fanout,
        native,
    };
    GroupedConsumer::open(log, options, group).await
}

/// Where the groups of Kinesis are kept.
pub(crate) fn leasing(config: &KinesisConfig) -> Leasing {
    let (own, leases) = (config.store.clone(), config.leases.clone());
    Leasing::new(HUB, "KinesisConfig::store", own, leases)
}

/// What tells this Kinesis from others that share the store.
pub(crate) async fn place(link: &Link, operation: &'static str) -> Result<String> {
    let client = link.patient(operation).await?;
    let region = client.config().region().map_or("", AsRef::as_ref);
    Ok(match &link.config().endpoint {
        Some(endpoint) => format!("{HUB}:{region}:{endpoint}"),
        None => format!("{HUB}:{region}"),
    })
}
