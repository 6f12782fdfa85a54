use crate::{
    client::{Client, Namespace},
    config::EventHubsConfig,
    connection::Connection,
    describe,
    error::HUB,
    log::EventHubsLog,
    name,
    native::NativeClient,
    receiver::{Opening, Origin, Receiver},
    usage::Counters,
};
use anyhub_core::{ConsumerOptions, ErrorKind, Result, driver::check_consumer};
use anyhub_groups::{Group, GroupedConsumer, Leasing};
use anyhub_leases::Scope;
use std::sync::Arc;

pub(crate) type EventHubsConsumer = GroupedConsumer<EventHubsLog>;

pub(crate) async fn open(
    namespace: &Namespace,
    leasing: &Leasing,
    topic: &str,
    options: ConsumerOptions,
    counters: Arc<Counters>,
) -> Result<EventHubsConsumer> {
    check_consumer(&options, HUB)?;
    let config = namespace.config();
    let reads_as = options.group.as_ref().unwrap_or(&config.reader_group);
    let reads_as = name::of_group("consumer", reads_as)?.into();
    let client = Client::new(namespace, "consumer", topic)?;
    let group = match &options.group {
        Some(name) => {
            let store = leasing.store("consumer").await?;
            ensure(&client, namespace, topic, name).await?;
            let scope = scope(&namespace.place()?, topic, name);
            Some(Group::new(store, scope, config.lease_time))
        }
        None => None,
    };
    let log = EventHubsLog {
        namespace: namespace.clone(),
        native: NativeClient(client.clone()),
        client,
        group: reads_as,
        counters,
    };
    GroupedConsumer::open(log, options, group).await
}

/// Where the groups of Event Hubs are kept.
pub(crate) fn leasing(config: &EventHubsConfig) -> Leasing {
    let (own, leases) = (config.store.clone(), config.leases.clone());
    Leasing::new(HUB, "EventHubsConfig::store", own, leases)
}

/// Event Hubs takes names in any case for the same.
pub(crate) fn scope(place: &str, topic: &str, group: &str) -> Scope {
    let (topic, group) = (topic.to_ascii_lowercase(), group.to_ascii_lowercase());
    Scope::new(place, &topic, &group)
}

/// The consumer group of this name is there from now on; NotFound where nobody can make it.
async fn ensure(client: &Client, namespace: &Namespace, topic: &str, group: &str) -> Result<()> {
    if let Some(provisioner) = namespace.provisioner()? {
        return provisioner.ensure_group(topic, group).await;
    }
    // AMQP tells of no groups: a reader without an epoch is let in, or refused for other readers of
    // the group.
    let group: Arc<str> = group.into();
    let question = move |connection: Arc<Connection>| {
        let group = group.clone();
        async move {
            let partitions = describe::partitions(&connection, "consumer").await?;
            let opening = Opening {
                group: &group,
                partition: partitions.first().copied().unwrap_or_default(),
                origin: Origin::Start,
                epoch: None,
                credit: 1,
            };
            match Receiver::open(connection, "consumer", opening).await {
                Err(error) if matches!(error.kind(), ErrorKind::Fenced | ErrorKind::Denied) => {
                    Ok(())
                }
                opened => opened.map(drop),
            }
        }
    };
    client.ask("consumer", question).await
}
