//! How LocalStack is to run, and its start.

use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::install::{self, Installed};
use super::{LocalStack, Phase};
use crate::cache::Check;
use crate::folder::Folder;
use crate::log::Log;
use crate::running::Running;
use crate::{Error, ports};

pub(super) const LOG: &str = "localstack.log";
/// Starts tried with other ports before it is given up.
const TRIES: usize = 3;

/// How LocalStack is to run. See [`LocalStack::builder`].
pub struct LocalStackBuilder {
    port: Option<u16>,
    logs: Option<PathBuf>,
    timeout: Duration,
    progress: Box<dyn Fn(Phase) + Send + Sync>,
}

impl fmt::Debug for LocalStackBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalStackBuilder")
            .field("port", &self.port)
            .field("logs", &self.logs)
            .finish_non_exhaustive()
    }
}

impl LocalStackBuilder {
    pub(super) fn new() -> Self {
        LocalStackBuilder {
            port: None,
            logs: None,
            timeout: Duration::from_secs(120),
            progress: Box::new(|_| {}),
        }
    }

    /// The port on 127.0.0.1; a free one is picked by default.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Where the log is kept, also beyond this process; by default in the data folder.
    #[must_use]
    pub fn log_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.logs = Some(folder.into());
        self
    }

    /// How long it has to make its first stream, from its start on; 120 s by default.
    #[must_use]
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Is told what the start is doing.
    #[must_use]
    pub fn on_progress(mut self, progress: impl Fn(Phase) + Send + Sync + 'static) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Starts LocalStack and returns when its Kinesis has made a stream, and removed it again.
    ///
    /// # Errors
    /// Missing without Python 3.13, Node.js or npm; Fetch if LocalStack can't be fetched; PortInUse; Ended if it ends by itself
    /// and NotReady if it makes no stream in time, both with the log kept.
    pub fn start(self) -> Result<LocalStack, Error> {
        if let Some(port) = self.port
            && !ports::is_free(port)
        {
            return Err(Error::PortInUse { port });
        }
        install::node()?;
        let installed = install::get(Check::Sizes, &self.progress)?;
        let mut tries = 1;
        loop {
            let localstack = self.launch(&installed)?;
            let Err(error) = localstack
                .running
                .await_ready(self.timeout, super::POLL, || localstack.missing())
            else {
                return Ok(localstack);
            };
            let clash = localstack.running.log().is_port_clash();
            if tries == TRIES || !clash || self.port.is_some() {
                localstack.running.give_up();
                return Err(error);
            }
            localstack.running.discard();
            tries += 1;
            (self.progress)(Phase::PickingPort);
        }
    }

    fn launch(&self, installed: &Installed) -> Result<LocalStack, Error> {
        let port = self.port.map_or_else(ports::pick_one, Ok)?;
        let address = ports::loopback(port);
        let folder = Folder::temporary("anyhub-localstack-")?;
        let root = folder.path().join("root");
        // Each has data of its own, and all share the servers that were fetched.
        let servers = root.join(install::SERVERS);
        fs::create_dir_all(servers.parent().unwrap_or(&root))
            .and_then(|()| symlink(&installed.servers, &servers))
            .map_err(|e| Error::io("creating", &servers, e))?;
        let log = match &self.logs {
            Some(folder) => {
                fs::create_dir_all(folder).map_err(|e| Error::io("creating", folder, e))?;
                std::path::absolute(folder)
                    .map_err(|e| Error::io("finding", folder, e))?
                    .join(LOG)
            }
            None => folder.path().join(LOG),
        };
        let mut log = Log::new(log);
        log.mark();
        let mut command = Command::new(&installed.python);
        install::settings(&mut command, &root);
        command
            .args(["-m", "localstack.runtime.main"])
            .current_dir(folder.path())
            .env("SERVICES", "kinesis")
            .env("EAGER_SERVICE_LOADING", "1")
            .env("GATEWAY_LISTEN", address.to_string())
            // 100 by default, of all streams together.
            .env("KINESIS_SHARD_LIMIT", "1000")
            .env("TMPDIR", folder.path());
        (self.progress)(Phase::Starting);
        let running = Running::start(super::NAME, &command, log, folder, super::STOP)?;
        Ok(LocalStack { address, running })
    }
}
