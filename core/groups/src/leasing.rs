use crate::LeasesIn;
use anyhub_core::{Error, ErrorKind, Result};
use anyhub_leases::{LeaseStore, MemoryLeases};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Where a hub's consumer groups are kept: the store of the leases, opened when it is first asked for.
/// Clones share it.
#[derive(Debug, Clone)]
pub struct Leasing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hub: &'static str,
    own: Option<Arc<dyn LeaseStore>>,
    leases: Option<LeasesIn>,
    setting: &'static str,
    opened: OnceCell<Arc<dyn LeaseStore>>,
}

impl Leasing {
    /// For this hub: its own store, or one that is opened. `setting` is what an application sets to give
    /// a store of its own, such as `KinesisConfig::store`.
    pub fn new(
        hub: &'static str,
        setting: &'static str,
        own: Option<Arc<dyn LeaseStore>>,
        leases: Option<LeasesIn>,
    ) -> Self {
        Self(Arc::new(Inner {
            hub,
            own,
            leases,
            setting,
            opened: OnceCell::new(),
        }))
    }

    /// Whether there is a place for groups.
    pub fn is_set(&self) -> bool {
        self.0.own.is_some() || self.0.leases.is_some()
    }

    /// The store; a later call tries again to open what could not be opened. Config where none was
    /// chosen; fails as the store does.
    pub async fn store(&self, operation: &'static str) -> Result<Arc<dyn LeaseStore>> {
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
                let told = |error| crate::error::of_leases(self.0.hub, operation, &error);
                let store = opened.map_err(told)?;
                Ok(Arc::new(store))
            }
            #[cfg(not(feature = "sqlite"))]
            Some(LeasesIn::Sqlite(_)) => {
                let message = "leases in SQLite were left out of this program";
                let advice = format!(
                    "add the feature 'sqlite' of the crate anyhub-{}",
                    self.0.hub
                );
                Err(
                    Error::new(ErrorKind::Config, self.0.hub, operation, message)
                        .with_advice(advice),
                )
            }
            None => Err(self.no_place(operation)),
        }
    }

    /// Nobody has chosen where groups are kept.
    pub(crate) fn no_place(&self, operation: &'static str) -> Error {
        let message = "there is no place for the leases of consumer groups";
        let setting = self.0.setting;
        Error::new(ErrorKind::Config, self.0.hub, operation, message).with_advice(format!(
            "leases=memory for one process, leases=sqlite:FILE for one machine, or your own by \
             {setting}"
        ))
    }
}
