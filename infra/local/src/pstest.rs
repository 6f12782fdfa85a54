//! pstest, Google's own fake of Pub/Sub for Go: a server that shares no code with our own local Pub/Sub, as a second opinion. It
//! speaks gRPC only, delivers about 60 messages a second, and crashes on a seek: fit for small checks.

mod install;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::cache::Check;
use crate::folder::Folder;
use crate::log::Log;
use crate::requirement::Requirement;
use crate::running::Running;
use crate::{Error, ports};

/// The version of cloud.google.com/go/pubsub/v2 that it is from.
const VERSION: &str = "2.8.1";
const NAME: &str = "pstest";
const LOG: &str = "pstest.log";

/// How often a server that isn't ready is asked again.
const POLL: Duration = Duration::from_millis(10);
/// How long it has to answer, from its start on.
const READY: Duration = Duration::from_secs(30);
/// How long it has to stop in order; then it is killed.
const STOP: Duration = Duration::from_secs(5);
/// Starts tried with other ports before it is given up.
const TRIES: usize = 3;

/// A running pstest.
///
/// All methods block: in async code call them in `spawn_blocking`. Dropped, it is killed; should this process end in any other
/// way, it goes all the same. Everything is in its memory, and goes with it.
///
/// ```no_run
/// let pstest = anyhub_local::PsTest::start(None, |_| {})?;
/// println!("{}", pstest.emulator_host()); // 127.0.0.1:20001
/// # Ok::<(), anyhub_local::Error>(())
/// ```
#[derive(Debug)]
pub struct PsTest {
    address: SocketAddr,
    running: Running,
}

/// What a start is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Another process is building the same program.
    Waiting,
    /// Go fetches and builds it.
    Fetching,
    /// The server starts.
    Starting,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Phase::Waiting => write!(f, "waiting for another process that builds pstest"),
            Phase::Fetching => write!(
                f,
                "fetching and building pstest {VERSION} with Go (a minute or two, once)"
            ),
            Phase::Starting => write!(f, "starting pstest"),
        }
    }
}

/// What pstest needs from this machine, and whether it is there.
pub fn requirements() -> Vec<Requirement> {
    install::requirements()
}

impl PsTest {
    /// Builds what a start needs, checks what is there by its SHA-256 sums, and starts nothing that stays.
    ///
    /// # Errors
    /// Missing without Go; Fetch if it can't be built; Io.
    pub fn prepare(progress: impl Fn(Phase)) -> Result<(), Error> {
        install::get(Check::Contents, &progress)?;
        Ok(())
    }

    /// Starts it, on a free port where none is asked for, and returns when it answers.
    ///
    /// # Errors
    /// Missing without Go; Fetch if it can't be built; PortInUse; Ended if it ends by itself and NotReady if it doesn't answer
    /// within 30 s, both with the log kept; Io.
    pub fn start(port: Option<u16>, progress: impl Fn(Phase)) -> Result<Self, Error> {
        if let Some(port) = port.filter(|port| !ports::is_free(*port)) {
            return Err(Error::PortInUse { port });
        }
        let program = install::get(Check::Sizes, &progress)?;
        progress(Phase::Starting);
        let mut tries = 1;
        loop {
            let pstest = PsTest::launch(&program, port)?;
            let Err(error) = pstest.await_ready() else {
                return Ok(pstest);
            };
            if tries == TRIES || port.is_some() || !pstest.running.log().is_port_clash() {
                pstest.running.give_up();
                return Err(error);
            }
            pstest.running.discard();
            tries += 1;
        }
    }

    fn launch(program: &Path, port: Option<u16>) -> Result<Self, Error> {
        let address = ports::loopback(port.map_or_else(ports::pick_one, Ok)?);
        let folder = Folder::temporary("anyhub-pstest-")?;
        let log = Log::new(folder.path().join(LOG));
        let mut command = Command::new(program);
        command.arg(address.to_string()).current_dir(folder.path());
        let running = Running::start(NAME, &command, log, folder, STOP)?;
        Ok(PsTest { address, running })
    }

    /// The version of the Go client that it is from, for instance `2.8.1`.
    pub fn version(&self) -> &'static str {
        VERSION
    }

    /// The endpoint for an SDK: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `PUBSUB_EMULATOR_HOST` has to be for the clients that know it: `127.0.0.1:PORT`.
    pub fn emulator_host(&self) -> String {
        self.address.to_string()
    }

    /// The URL without a topic: `pubsub://local?endpoint=http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("pubsub://local?endpoint={}", self.endpoint())
    }

    /// Its log: what it wrote to stdout and stderr.
    pub fn log(&self) -> &Path {
        self.running.log().path()
    }

    /// Its process id, or None once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.running.pid()
    }

    /// How and why it ended, if it did so by itself, and where its log is.
    pub fn failure(&self) -> Option<Error> {
        self.running.failure()
    }

    /// Stops it with SIGTERM, and kills it if it still runs after 5 s. If it had ended by itself, the log stays. A second call
    /// does nothing.
    pub fn stop(&self) {
        self.running.stop();
    }

    /// Waits until it says that it is ready: it listens by then.
    fn await_ready(&self) -> Result<(), Error> {
        let mark = ready(self.address);
        self.running.await_ready(READY, POLL, || {
            let said = self.running.log().first(&mark).is_some();
            (!said).then(|| "it has not said that it is ready".into())
        })
    }
}

/// What it says when it listens. That a port is "already in use" holds a part of it.
fn ready(address: SocketAddr) -> String {
    format!("ready {address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_word_says_that_it_is_ready() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let log = Log::new(folder.path().join(LOG));
        let address = ports::loopback(20_001);
        let clash = format!("panic: listen tcp {address}: bind: address already in use\n");
        std::fs::write(log.path(), &clash)?;
        assert!(log.is_port_clash());
        assert_eq!(log.first(&ready(address)), None);
        std::fs::write(log.path(), "ready 127.0.0.1:20001\n")?;
        assert!(log.first(&ready(address)).is_some());
        Ok(())
    }
}
