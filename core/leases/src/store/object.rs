use super::{LeaseStore, Written, record};
use crate::{
    Key, Row, Scope, Stored, Version,
    scope::{escape, unescape},
};
use anyhub_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
    path::Path,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Leases as small objects, for many machines: one for each row, written with conditional puts.
///
/// It needs a store that can put an object only if it still has a certain version: Amazon S3, Azure
/// Blob Storage, Google Cloud Storage, and what speaks like them. `object_store`'s local files can't
/// (0.14, `PutMode::Update` is not implemented): there, [`SqliteLeases`](crate::SqliteLeases) is the
/// store for one machine. A listing costs one list request and one get for each row that has
/// changed since; a partition costs a put every third of a lease.
///
/// Objects can't be removed conditionally through `object_store`, so [`LeaseStore::remove`] compares
/// first and then removes.
#[derive(Clone)]
pub struct ObjectLeases {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// What was read last, so that it is read again only if it has changed.
    known: Arc<Mutex<HashMap<Path, Stored>>>,
}

/// Gets in flight while a scope is listed.
const GETS: usize = 16;

impl ObjectLeases {
    /// Leases beneath `prefix`. It writes a small object there and removes it, to see that puts are
    /// conditional: Unsupported if they are not.
    pub async fn open(store: Arc<dyn ObjectStore>, prefix: Path) -> Result<Self> {
        let this = Self {
            store,
            prefix,
            known: Arc::default(),
        };
        // No scope has such a name.
        let probe = this.path(&["=probe", &format!("{:016x}", rand::random::<u64>())])?;
        let probed = this.probe(&probe).await;
        // Left behind, it would be read by nobody.
        let _ = this.store.delete(&probe).await;
        probed.map(|()| this)
    }

    async fn probe(&self, probe: &Path) -> Result<()> {
        let unconditional = || {
            let text = "the object store puts without regard to the condition";
            Error::new(ErrorKind::Unsupported, "leases", "open", text)
                .with_advice("leases need conditional puts: use another store, or a SQLite file")
        };
        let create = || PutOptions::from(PutMode::Create);
        let put = |mode| {
            self.store
                .put_opts(probe, PutPayload::from_static(b"a"), mode)
        };
        let first = put(create()).await.map_err(|cause| error("open", cause))?;
        match put(create()).await {
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Ok(_) => return Err(unconditional()),
            Err(cause) => return Err(error("open", cause)),
        }
        let first: UpdateVersion = first.into();
        let update = PutOptions::from(PutMode::Update(first.clone()));
        let second = PutPayload::from_static(b"b");
        let second = self.store.put_opts(probe, second, update).await;
        second.map_err(|cause| error("open", cause))?;
        match put(PutMode::Update(first).into()).await {
            Err(object_store::Error::Precondition { .. }) => Ok(()),
            Ok(_) => Err(unconditional()),
            Err(cause) => Err(error("open", cause)),
        }
    }

    /// Every part is made of characters that no store takes amiss.
    fn path(&self, parts: &[&str]) -> Result<Path> {
        let mut text = self.prefix.as_ref().to_owned();
        for part in parts {
            if !text.is_empty() {
                text.push('/');
            }
            text.push_str(part);
        }
        Path::parse(text).map_err(|cause| {
            let text = "the prefix is no path of an object store";
            Error::new(ErrorKind::Invalid, "leases", "path", text).with_source(cause)
        })
    }

    fn place(&self, scope: &Scope, key: &Key) -> Result<Path> {
        let (kind, id) = match key {
            Key::Lease(partition) => ("lease", partition),
            Key::Member(name) => ("member", name),
        };
        self.path(&[scope.as_str(), kind, &escape(id)])
    }

    async fn get(&self, place: &Path, operation: &'static str) -> Result<Option<Stored>> {
        let read = async {
            let object = self.store.get(place).await?;
            let version = Version::tag(object.meta.e_tag.clone(), object.meta.version.clone());
            Ok((object.bytes().await?, version))
        };
        let (body, version) = match read.await {
            Ok(read) => read,
            Err(object_store::Error::NotFound { .. }) => {
                self.lock().remove(place);
                return Ok(None);
            }
            Err(cause) => return Err(error(operation, cause)),
        };
        let row = record::decode(&body, &format!("the object '{place}'"))?;
        let stored = Stored::new(row, version);
        self.lock().insert(place.clone(), stored.clone());
        Ok(Some(stored))
    }

    /// The row as it is known, if the listing shows the same entity tag.
    async fn read(&self, listed: ObjectMeta) -> Result<Option<Stored>> {
        let known = self.lock().get(&listed.location).cloned();
        if let (Some(stored), Some(tag)) = (known, listed.e_tag.as_deref())
            && stored
                .version
                .as_tag()
                .is_some_and(|known| known.0 == Some(tag))
        {
            return Ok(Some(stored));
        }
        self.get(&listed.location, "list").await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Path, Stored>> {
        // What it guards is whole between statements.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn folders(&self, path: Path) -> Result<Vec<Path>> {
        let listed = self.store.list_with_delimiter(Some(&path)).await;
        Ok(listed
            .map_err(|cause| error("scopes", cause))?
            .common_prefixes)
    }
}

impl fmt::Debug for ObjectLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectLeases")
            .field("store", &format_args!("{}", self.store))
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl LeaseStore for ObjectLeases {
    async fn list(&self, scope: &Scope) -> Result<Vec<Stored>> {
        let folder = self.path(&[scope.as_str()])?;
        let listed = self.store.list(Some(&folder));
        let listed: Vec<_> = listed
            .try_collect()
            .await
            .map_err(|cause| error("list", cause))?;
        let there: std::collections::HashSet<_> =
            listed.iter().map(|it| it.location.clone()).collect();
        self.lock()
            .retain(|place, _| !place.prefix_matches(&folder) || there.contains(place));
        let rows = stream::iter(listed).map(|listed| self.read(listed));
        let rows: Vec<_> = rows.buffered(GETS).try_collect().await?;
        Ok(rows.into_iter().flatten().collect())
    }

    async fn write(&self, scope: &Scope, row: &Row, expected: Option<&Version>) -> Result<Written> {
        let place = self.place(scope, &row.key())?;
        let body = PutPayload::from(record::encode(row)?);
        let mode = match expected {
            None => PutMode::Create,
            Some(version) => {
                // A version of another store is none that an object here can have.
                let (e_tag, version) = version.as_tag().unwrap_or((Some(""), Some("")));
                PutMode::Update(UpdateVersion {
                    e_tag: e_tag.map(str::to_owned),
                    version: version.map(str::to_owned),
                })
            }
        };
        match self.store.put_opts(&place, body, mode.into()).await {
            Ok(put) => {
                let version = Version::tag(put.e_tag, put.version);
                let stored = Stored::new(row.clone(), version.clone());
                self.lock().insert(place, stored);
                Ok(Written::At(version))
            }
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(Written::Conflict(self.get(&place, "write").await?)),
            // Some stores say so of an object that was to be updated.
            Err(object_store::Error::NotFound { .. }) if expected.is_some() => {
                Ok(Written::Conflict(self.get(&place, "write").await?))
            }
            Err(cause) => Err(error("write", cause)),
        }
    }

    async fn remove(&self, scope: &Scope, key: &Key, expected: Option<&Version>) -> Result<bool> {
        let place = self.place(scope, key)?;
        if let Some(expected) = expected {
            match self.get(&place, "remove").await? {
                None => return Ok(true),
                Some(stored) if stored.version != *expected => return Ok(false),
                Some(_) => {}
            }
        }
        match self.store.delete(&place).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {
                self.lock().remove(&place);
                Ok(true)
            }
            Err(cause) => Err(error("remove", cause)),
        }
    }

    async fn scopes(&self) -> Result<Vec<Scope>> {
        let mut scopes = Vec::new();
        for hub in self.folders(self.prefix.clone()).await? {
            for topic in self.folders(hub).await? {
                for group in self.folders(topic).await? {
                    let parts: Vec<_> = group.parts().collect();
                    let last = parts.len().saturating_sub(3);
                    let names: Option<Vec<_>> = parts[last..]
                        .iter()
                        .map(|part| unescape(part.as_ref()))
                        .collect();
                    if let Some([hub, topic, group]) = names.as_deref() {
                        scopes.push(Scope::new(hub, topic, group));
                    }
                }
            }
        }
        scopes.sort();
        Ok(scopes)
    }
}

fn error(operation: &'static str, cause: object_store::Error) -> Error {
    use object_store::Error as E;
    let (kind, text, advice) = match &cause {
        E::NotImplemented { .. } | E::NotSupported { .. } => (
            ErrorKind::Unsupported,
            "the object store can't put conditionally",
            "leases need that: use S3, Azure Blob or Google Cloud Storage, or a SQLite file",
        ),
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => (
            ErrorKind::Denied,
            "the object store refuses",
            "a member lists, reads, writes and deletes beneath its prefix",
        ),
        E::NotFound { .. } => (
            ErrorKind::NotFound,
            "the object store knows no such place",
            "check the bucket or container; it is not made here",
        ),
        E::InvalidPath { .. } => (
            ErrorKind::Invalid,
            "the object store can't have such a path",
            "choose another prefix or a shorter group name",
        ),
        E::UnknownConfigurationKey { .. } => (
            ErrorKind::Config,
            "the object store knows no such setting",
            "the cause names it",
        ),
        E::Generic { .. } => (
            ErrorKind::Unavailable,
            "the object store did not answer as it should",
            "the cause says what it answered",
        ),
        _ => (
            ErrorKind::Unexpected,
            "the object store did not do what it was asked",
            "the cause says what it answered",
        ),
    };
    let error = Error::new(kind, "leases", operation, text);
    error.with_advice(advice).with_source(cause)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "object_tests.rs"]
mod tests;
