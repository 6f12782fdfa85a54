//! Where the rows are kept.

mod memory;
#[cfg(feature = "object-store")]
mod object;
#[cfg(any(feature = "object-store", feature = "sqlite"))]
mod record;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod trials;

pub use memory::MemoryLeases;
#[cfg(feature = "object-store")]
pub use object::ObjectLeases;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteLeases;

use crate::{Key, Row, Scope, Stored, Version};
use anyhub_core::Result;
use async_trait::async_trait;
use std::fmt;

/// Keeps the rows of many scopes, each row changed by compare-and-swap alone.
///
/// A call that fails, or that is dropped, may have written or may still write: callers compare
/// again. Errors that pass by themselves are of a kind that
/// [`is_retryable`](anyhub_core::Error::is_retryable).
#[async_trait]
pub trait LeaseStore: fmt::Debug + Send + Sync + 'static {
    /// All rows of a scope, each as it stood at some moment of the call; none if there is no such
    /// scope.
    async fn list(&self, scope: &Scope) -> Result<Vec<Stored>>;

    /// Writes the row if it stands at `expected`, or, with None, if it is not there.
    async fn write(&self, scope: &Scope, row: &Row, expected: Option<&Version>) -> Result<Written>;

    /// Removes the row if it stands at `expected`, or, with None, however it stands; says whether
    /// it is gone. A store that can't compare while it removes may remove what was written in the
    /// same moment; so this is called only for rows that nobody writes any more, or whose writer
    /// makes them again.
    async fn remove(&self, scope: &Scope, key: &Key, expected: Option<&Version>) -> Result<bool>;

    /// All scopes that have a row, sorted.
    async fn scopes(&self) -> Result<Vec<Scope>>;

    /// Whether the rows are seen in this process alone: members in another one don't know of these, and
    /// each takes everything for its own. False unless a store says otherwise.
    fn is_of_one_process(&self) -> bool {
        false
    }
}

/// How a [`LeaseStore::write`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Written; the row stands at this version.
    At(Version),
    /// Not written, since the row stands like this, or is not there.
    Conflict(Option<Stored>),
}
