use super::{LeaseStore, Written, record};
use crate::{Key, Row, Scope, Stored, Version};
use anyhub_core::{Error, ErrorKind, Result, shown};
use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Leases in a SQLite file, for the processes of one machine. Clones share a connection.
///
/// The file is in WAL mode, so it must be on a local disk; each write is on the disk before it is
/// answered (`synchronous=FULL`). A call waits up to a second for other processes, then it is
/// Unavailable.
///
/// Every call looks whether the file is still the one that was opened: once it is removed, moved or
/// replaced, all of them are Unexpected. Elsewhere than on Unix only whether there is a file.
#[derive(Clone)]
pub struct SqliteLeases {
    connection: Arc<Mutex<Connection>>,
    path: Arc<Path>,
    file: FileId,
}

/// "anyL": marks the file as ours (pragma application_id).
const APPLICATION: i64 = 0x616e_794c;
/// Raised when older versions can't use the file (pragma user_version).
const SCHEMA: i64 = 1;
const PATIENCE: Duration = Duration::from_secs(1);

impl SqliteLeases {
    /// Opens the file, or makes it. NotFound if its folder is not there, Denied if it can't be
    /// written, Config if it is none of ours, Unexpected if it is damaged, Unsupported if a newer
    /// version made it or its place can't have WAL, Unavailable while another process locks it.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        // Looked at again later, perhaps from another folder.
        let path = std::path::absolute(&path).unwrap_or(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connect = move || {
            let start = Instant::now();
            loop {
                // Of several that make the file at once, SQLite refuses some without a wait.
                match Self::connect(&path, flags) {
                    Err(busy) if busy.is_retryable() && start.elapsed() < PATIENCE => {
                        std::thread::sleep(PATIENCE / 50);
                    }
                    connected => return connected,
                }
            }
        };
        blocking("open", connect).await
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self> {
        let fail = |cause| error("open", path, cause);
        let folder = path.parent();
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder
            && !folder.is_dir()
        {
            let what = "is in a folder that is not there";
            return Err(refuse(ErrorKind::NotFound, path, what));
        }
        let mut connection = Connection::open_with_flags(path, flags).map_err(fail)?;
        connection.busy_timeout(PATIENCE).map_err(fail)?;
        if connection.is_readonly("main").map_err(fail)? {
            return Err(refuse(ErrorKind::Denied, path, "can only be read")
                .with_advice("a member writes its leases: make it writable, and its folder too"));
        }
        match identity(&mut connection).map_err(fail)? {
            Identity {
                tables: 0,
                application: 0,
                ..
            } => {}
            Identity { application, .. } if application != APPLICATION => {
                let what = "is a SQLite file of something else";
                return Err(refuse(ErrorKind::Config, path, what)
                    .with_advice("name another file; it is made if it is not there"));
            }
            Identity { schema, .. } if schema > SCHEMA => {
                let what = format!("has schema {schema}, and this version knows {SCHEMA}");
                return Err(refuse(ErrorKind::Unsupported, path, &what)
                    .with_advice("a newer version of anyhub made it; use that one"));
            }
            Identity { .. } => {}
        }
        let mode: String = connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .map_err(fail)?;
        if mode != "wal" {
            let text = format!("can't be put in WAL mode, and stays in '{mode}'");
            return Err(refuse(ErrorKind::Unsupported, path, &text)
                .with_advice("put it on a local disk; for many machines use an object store"));
        }
        connection
            .execute_batch("PRAGMA synchronous = FULL")
            .map_err(fail)?;
        make(&mut connection).map_err(fail)?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            file: FileId::of(path).map_err(|cause| gone("open", path).with_source(cause))?,
            path: path.into(),
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let this = self.clone();
        blocking(operation, move || {
            // A panic of another call left the connection as it was: its transaction is undone.
            let mut connection = this
                .connection
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            // Who has it open goes on with a file that nobody else finds.
            match FileId::of(&this.path) {
                Ok(file) if file == this.file => {}
                Ok(_) => return Err(gone(operation, &this.path)),
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                    return Err(gone(operation, &this.path).with_source(cause));
                }
                // SQLite says what is wrong.
                Err(_) => {}
            }
            work(&mut connection).map_err(|cause| error(operation, &this.path, cause))
        })
        .await
    }

    fn decode(&self, (body, version): (Vec<u8>, i64)) -> Result<Stored> {
        let row = record::decode(&body, &format!("a row of '{}'", self.path.display()))?;
        Ok(Stored::new(row, Version::number(version as u64)))
    }
}

impl fmt::Debug for SqliteLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.to_string_lossy();
        f.debug_tuple("SqliteLeases").field(&shown(&path)).finish()
    }
}

#[async_trait]
impl LeaseStore for SqliteLeases {
    async fn list(&self, scope: &Scope) -> Result<Vec<Stored>> {
        let scope = scope.clone();
        let rows = self.run("list", move |connection| {
            let text = "SELECT body, version FROM leases WHERE scope = ? ORDER BY kind, id";
            let mut rows = connection.prepare_cached(text)?;
            let rows = rows.query_map([scope.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        rows.await?
            .into_iter()
            .map(|row| self.decode(row))
            .collect()
    }

    async fn write(&self, scope: &Scope, row: &Row, expected: Option<&Version>) -> Result<Written> {
        let (scope, body) = (scope.clone(), record::encode(row)?);
        let (kind, id) = columns(&row.key());
        let expected = expected.map(number);
        let write = self.run("write", move |connection| {
            let write = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let text = "SELECT body, version FROM leases WHERE scope = ? AND kind = ? AND id = ?";
            let found: Option<(Vec<u8>, i64)> = write
                .prepare_cached(text)?
                .query_row(params![scope.as_str(), kind, id], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            if found.as_ref().map(|found| found.1) != expected {
                return Ok(Err(found));
            }
            let next = "UPDATE writes SET count = count + 1 RETURNING count";
            let version: i64 = write.prepare_cached(next)?.query_row([], |row| row.get(0))?;
            let text = "INSERT OR REPLACE INTO leases (scope, kind, id, version, body) VALUES (?, ?, ?, ?, ?)";
            write
                .prepare_cached(text)?
                .execute(params![scope.as_str(), kind, id, version, body])?;
            write.commit()?;
            Ok(Ok(version))
        });
        Ok(match write.await? {
            Ok(version) => Written::At(Version::number(version as u64)),
            Err(found) => Written::Conflict(found.map(|row| self.decode(row)).transpose()?),
        })
    }

    async fn remove(&self, scope: &Scope, key: &Key, expected: Option<&Version>) -> Result<bool> {
        let scope = scope.clone();
        let (kind, id) = columns(key);
        let expected = expected.map(number);
        let remove = self.run("remove", move |connection| {
            let write = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let text = "DELETE FROM leases WHERE scope = ?1 AND kind = ?2 AND id = ?3 \
                        AND (?4 IS NULL OR version = ?4)";
            write
                .prepare_cached(text)?
                .execute(params![scope.as_str(), kind, id, expected])?;
            let text = "SELECT 1 FROM leases WHERE scope = ? AND kind = ? AND id = ?";
            let left = write
                .prepare_cached(text)?
                .exists(params![scope.as_str(), kind, id])?;
            write.commit()?;
            Ok(!left)
        });
        remove.await
    }

    async fn scopes(&self) -> Result<Vec<Scope>> {
        let scopes = self.run("scopes", |connection| {
            let text = "SELECT DISTINCT scope FROM leases ORDER BY scope";
            let mut scopes = connection.prepare_cached(text)?;
            let scopes = scopes.query_map([], |row| row.get(0))?;
            scopes.collect::<rusqlite::Result<Vec<String>>>()
        });
        scopes.await?.iter().map(|text| text.parse()).collect()
    }
}

/// The tables, unless they are there: the first of several processes makes them.
fn make(connection: &mut Connection) -> rusqlite::Result<()> {
    let make = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // A version is never used twice, not even for a row that was removed and made again.
    make.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS writes (count INTEGER NOT NULL) STRICT;
         INSERT INTO writes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM writes);
         CREATE TABLE IF NOT EXISTS leases (
             scope TEXT NOT NULL,
             kind INTEGER NOT NULL,
             id TEXT NOT NULL,
             version INTEGER NOT NULL,
             body BLOB NOT NULL,
             PRIMARY KEY (scope, kind, id)
         ) STRICT, WITHOUT ROWID;
         PRAGMA application_id = {APPLICATION};
         PRAGMA user_version = {SCHEMA};"
    ))?;
    make.commit()
}

/// Which file a path leads to. While it is open no other one has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
}

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(path)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
        })
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|_| Self {})
    }
}

fn gone(operation: &'static str, path: &Path) -> Error {
    let text = format!(
        "the lease file '{}' was removed, moved or replaced while it was in use",
        shown(&path.to_string_lossy())
    );
    Error::new(ErrorKind::Unexpected, "leases", operation, text).with_advice(
        "stop all members, put it back or leave a new one to them, and start them again: with a new \
         one, groups begin at their start",
    )
}

struct Identity {
    application: i64,
    schema: i64,
    tables: i64,
}

/// Read at one moment, while another process may make the tables.
fn identity(connection: &mut Connection) -> rusqlite::Result<Identity> {
    let read = connection.transaction()?;
    let number = |text| read.query_row(text, [], |row| row.get(0));
    Ok(Identity {
        tables: number("SELECT count(*) FROM sqlite_schema")?,
        application: number("PRAGMA application_id")?,
        schema: number("PRAGMA user_version")?,
    })
}

fn columns(key: &Key) -> (i64, Arc<str>) {
    match key {
        Key::Lease(partition) => (0, partition.clone()),
        Key::Member(name) => (1, name.clone()),
    }
}

/// A version of another store is none that a row here can have.
fn number(version: &Version) -> i64 {
    version.as_number().map_or(-1, |number| number as i64)
}

async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|cause| {
            let text = "the runtime ended the call";
            Err(Error::new(ErrorKind::Closed, "leases", operation, text).with_source(cause))
        })
}

fn refuse(kind: ErrorKind, path: &Path, what: &str) -> Error {
    let text = format!("the lease file '{}' {what}", shown(&path.to_string_lossy()));
    Error::new(kind, "leases", "open", text)
}

fn error(operation: &'static str, path: &Path, cause: rusqlite::Error) -> Error {
    let (kind, what, advice) = match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Unavailable,
            "was locked by another process for more than a second",
            "find who keeps it open in a transaction, such as a shell or a backup",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (
            ErrorKind::Denied,
            "can only be read",
            "a member writes its leases: make it writable, and its folder too",
        ),
        Some(ErrorCode::CannotOpen) => (
            ErrorKind::Denied,
            "can't be opened",
            "check that it is a file, and the permissions of it and of its folder",
        ),
        Some(ErrorCode::NotADatabase) => (
            ErrorKind::Config,
            "is no SQLite file",
            "name another file; it is made if it is not there",
        ),
        Some(ErrorCode::DatabaseCorrupt) => (
            ErrorKind::Unexpected,
            "is damaged",
            "restore it from a copy; without one its groups begin at their start",
        ),
        Some(ErrorCode::DiskFull) => (
            ErrorKind::Unavailable,
            "has no room left on its disk",
            "make room",
        ),
        Some(ErrorCode::SystemIoFailure) => (
            ErrorKind::Unavailable,
            "can't be read or written",
            "the cause says what the system answered",
        ),
        _ => (
            ErrorKind::Unexpected,
            "did not do what it was asked",
            "the cause says what SQLite answered",
        ),
    };
    let text = format!("the lease file '{}' {what}", shown(&path.to_string_lossy()));
    let error = Error::new(kind, "leases", operation, text);
    error.with_advice(advice).with_source(cause)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "sqlite_tests.rs"]
mod tests;
