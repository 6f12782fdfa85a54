//! The store of the leases, opened when it is first asked for.

use crate::{
    client::Link,
    config::{KinesisConfig, LeasesIn},
    error::HUB,
};
use anyhub_core::{Error, ErrorKind, Result};
use anyhub_leases::{LeaseStore, MemoryLeases};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Where a hub's consumer groups are kept. Clones share the store.
#[derive(Debug, Clone)]
pub(crate) struct Leasing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoint: Option<String>,
    own: Option<Arc<dyn LeaseStore>>,
    leases: Option<LeasesIn>,
    opened: OnceCell<Arc<dyn LeaseStore>>,
}

impl Leasing {
    pub(crate) fn new(config: &KinesisConfig) -> Self {
        Self(Arc::new(Inner {
            endpoint: config.endpoint.clone(),
            own: config.store.clone(),
            leases: config.leases.clone(),
            opened: OnceCell::new(),
        }))
    }

    /// Whether there is a place for groups.
    pub(crate) fn is_set(&self) -> bool {
        self.0.own.is_some() || self.0.leases.is_some()
    }

    /// The store; a later call tries again to open what could not be opened. Config where none was
    /// chosen; fails as the store does.
    pub(crate) async fn store(&self, operation: &'static str) -> Result<Arc<dyn LeaseStore>> {
        let opened = self.0.opened.get_or_try_init(|| self.open(operation));
        opened.await.cloned()
    }

    async fn open(&self, operation: &'static str) -> Result<Arc<dyn LeaseStore>> {
        if let Some(own) = &self.0.own {
            return Ok(own.clone());
        }
        match &self.0.leases {
            Some(LeasesIn::Memory) => Ok(Arc::new(MemoryLeases::new())),
            #[cfg(feature = "sqlite")]
            Some(LeasesIn::Sqlite(file)) => {
                let opened = anyhub_leases::SqliteLeases::open(file).await;
                let told = |error| crate::error::of_leases(operation, &error);
                let store = opened.map_err(told)?;
                Ok(Arc::new(store))
            }
            #[cfg(not(feature = "sqlite"))]
            Some(LeasesIn::Sqlite(_)) => {
                let message = "leases in SQLite were left out of this program";
                Err(Error::new(ErrorKind::Config, HUB, operation, message)
                    .with_advice("add the feature 'sqlite' of the crate anyhub-kinesis"))
            }
            None => Err(no_place(operation)),
        }
    }

    /// What tells this Kinesis from others that share the store.
    pub(crate) async fn place(&self, link: &Link, operation: &'static str) -> Result<String> {
        let client = link.patient(operation).await?;
        let region = client.config().region().map_or("", AsRef::as_ref);
        Ok(match &self.0.endpoint {
            Some(endpoint) => format!("{HUB}:{region}:{endpoint}"),
            None => format!("{HUB}:{region}"),
        })
    }
}

/// Nobody has chosen where groups are kept.
pub(crate) fn no_place(operation: &'static str) -> Error {
    let message = "there is no place for the leases of consumer groups";
    Error::new(ErrorKind::Config, HUB, operation, message).with_advice(
        "leases=memory for one process, leases=sqlite:FILE for one machine, or your own by \
         KinesisConfig::store",
    )
}
