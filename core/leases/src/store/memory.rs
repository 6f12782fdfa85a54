use super::{LeaseStore, Written};
use crate::{Key, Row, Scope, Stored, Version};
use anyhub_core::Result;
use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Leases in memory, for members of one process. Clones share the rows.
#[derive(Debug, Clone, Default)]
pub struct MemoryLeases(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    scopes: BTreeMap<Scope, BTreeMap<Key, Stored>>,
    writes: u64,
}

impl MemoryLeases {
    /// A store without rows.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What it guards is whole between statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LeaseStore for MemoryLeases {
    async fn list(&self, scope: &Scope) -> Result<Vec<Stored>> {
        let inner = self.lock();
        let rows = inner.scopes.get(scope).into_iter().flatten();
        Ok(rows.map(|(_, stored)| stored.clone()).collect())
    }

    async fn write(&self, scope: &Scope, row: &Row, expected: Option<&Version>) -> Result<Written> {
        let inner = &mut *self.lock();
        let key = row.key();
        let current = inner.scopes.get(scope).and_then(|rows| rows.get(&key));
        if current.map(|stored| &stored.version) != expected {
            return Ok(Written::Conflict(current.cloned()));
        }
        inner.writes += 1;
        let version = Version::number(inner.writes);
        let rows = inner.scopes.entry(scope.clone()).or_default();
        rows.insert(key, Stored::new(row.clone(), version.clone()));
        Ok(Written::At(version))
    }

    async fn remove(&self, scope: &Scope, key: &Key, expected: Option<&Version>) -> Result<bool> {
        let inner = &mut *self.lock();
        let Some(rows) = inner.scopes.get_mut(scope) else {
            return Ok(true);
        };
        if let (Some(expected), Some(stored)) = (expected, rows.get(key))
            && stored.version != *expected
        {
            return Ok(false);
        }
        rows.remove(key);
        if rows.is_empty() {
            inner.scopes.remove(scope);
        }
        Ok(true)
    }

    async fn scopes(&self) -> Result<Vec<Scope>> {
        Ok(self.lock().scopes.keys().cloned().collect())
    }

    fn is_of_one_process(&self) -> bool {
        true
    }
}
