//! The data folder of a local hub: its own temporary one, which goes with this process however it ends, or the user's.

use std::fs::{self, File, TryLockError};
use std::io::{self, PipeWriter, Write};
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Error;

const SWEEP: &str = include_str!("process/sweep.sh");

/// A folder that a local hub has to itself.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Removed on drop; by the sweeper if this process is killed. `hold` is its pipe.
    Temporary {
        sweeper: Child,
        hold: PipeWriter,
    },
    /// The user's: locked while in use, never removed.
    Given {
        _lock: File,
    },
    Closed,
}

impl Folder {
    /// A new temporary folder, in `$TMPDIR` or `/tmp`.
    pub(crate) fn temporary(prefix: &str) -> Result<Self, Error> {
        let parent = std::env::temp_dir();
        let made = || -> io::Result<Self> {
            let folder = tempfile::Builder::new()
                .prefix(prefix)
                .tempdir_in(&parent)?;
            let (ends, hold) = io::pipe()?;
            let sweeper = Command::new("/bin/sh")
                .args(["-c", SWEEP, "anyhub-local"])
                .arg(std::path::absolute(folder.path())?)
                .current_dir("/")
                .process_group(0)
                .stdin(Stdio::from(ends))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            Ok(Folder {
                path: std::path::absolute(folder.keep())?,
                kind: Kind::Temporary { sweeper, hold },
            })
        };
        made().map_err(|e| Error::io("creating a folder in", &parent, e))
    }

    /// The user's folder, created where it isn't there.
    pub(crate) fn given(path: &Path) -> Result<Self, Error> {
        let failed = |e| Error::io("opening the data folder", path, e);
        fs::create_dir_all(path).map_err(failed)?;
        let path = std::path::absolute(path).map_err(failed)?;
        let lock = File::create(path.join(".anyhub-lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder {
                path,
                kind: Kind::Given { _lock: lock },
            }),
            Err(TryLockError::WouldBlock) => Err(Error::Invalid(format!(
                "the data folder {} is in use by another local hub: stop that one, or name another folder",
                path.display()
            ))),
            Err(TryLockError::Error(e)) => Err(failed(e)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What each process that writes to the folder holds open: only when the last is gone is the folder swept.
    pub(crate) fn hold(&self) -> Result<Option<OwnedFd>, Error> {
        match &self.kind {
            Kind::Temporary { hold, .. } => hold
                .try_clone()
                .map(|hold| Some(hold.into()))
                .map_err(|e| Error::io("holding", &self.path, e)),
            Kind::Given { .. } | Kind::Closed => Ok(None),
        }
    }

    /// Ends the use of the folder; of a temporary one only `kept` stays, if it is there.
    pub(crate) fn close(mut self, kept: Option<&str>) {
        self.clear(kept);
    }

    fn clear(&mut self, kept: Option<&str>) {
        let Kind::Temporary {
            mut sweeper,
            mut hold,
        } = mem::replace(&mut self.kind, Kind::Closed)
        else {
            return;
        };
        match kept.filter(|name| self.path.join(name).exists()) {
            None => {
                let _ = fs::remove_dir_all(&self.path);
            }
            Some(kept) => {
                for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
                    if entry.file_name() != kept {
                        let _ = fs::remove_dir_all(entry.path())
                            .or_else(|_| fs::remove_file(entry.path()));
                    }
                }
            }
        }
        let _ = hold.write_all(b"done\n");
        let _ = sweeper.wait();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.clear(None);
    }
}
