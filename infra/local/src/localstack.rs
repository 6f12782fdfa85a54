//! LocalStack 4.14 with its Kinesis: a server that shares no code with
//! our own local Kinesis, as a second opinion. It writes about 450 records a second: fit to check what is right, not how
//! fast.

mod builder;
mod http;
mod install;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

pub use builder::LocalStackBuilder;

use crate::Error;
use crate::cache::Check;
use crate::kinesis_url;
use crate::requirement::Requirement;
use crate::running::Running;

/// The version that is started: the last one that needs no account.
const VERSION: &str = "4.14.0";
const NAME: &str = "LocalStack";

/// How often a server that isn't ready is asked again.
const POLL: Duration = Duration::from_millis(100);
/// How long one answer is waited for. The first CreateStream starts the Kinesis server.
const ANSWER: Duration = Duration::from_secs(60);
/// How long it has to stop in order; then it is killed.
const STOP: Duration = Duration::from_secs(10);

/// A running LocalStack, for Kinesis alone.
///
/// All methods block: in async code call them in `spawn_blocking`. Dropped, it is killed and its data removed; should this
/// process end in any other way, it goes all the same.
///
/// ```no_run
/// let localstack = anyhub_local::LocalStack::builder().start()?;
/// println!("{}", localstack.endpoint()); // http://127.0.0.1:20001
/// # Ok::<(), anyhub_local::Error>(())
/// ```
#[derive(Debug)]
pub struct LocalStack {
    address: SocketAddr,
    running: Running,
}

/// What a start is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Another process is fetching the same files.
    Waiting,
    /// pip and npm fetch LocalStack.
    Fetching,
    /// The server starts.
    Starting,
    /// A port that was free is taken by now: another one is picked.
    PickingPort,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Phase::Waiting => write!(f, "waiting for another process that fetches LocalStack"),
            Phase::Fetching => write!(
                f,
                "fetching LocalStack {VERSION} with pip and npm (some minutes, once)"
            ),
            Phase::Starting => write!(f, "starting LocalStack"),
            Phase::PickingPort => write!(f, "the port was taken meanwhile, picking another"),
        }
    }
}

/// What LocalStack needs from this machine, and whether it is there.
pub fn requirements() -> Vec<Requirement> {
    install::requirements()
}

impl LocalStack {
    /// On a free port, unless told otherwise.
    pub fn builder() -> LocalStackBuilder {
        LocalStackBuilder::new()
    }

    /// Fetches what a start needs, checks what is there by its SHA-256 sums, and starts nothing that stays.
    pub fn prepare(progress: impl Fn(Phase)) -> Result<(), Error> {
        install::node()?;
        install::get(Check::Contents, &progress)?;
        Ok(())
    }

    /// The version of LocalStack, for instance `4.14.0`.
    pub fn version(&self) -> &'static str {
        VERSION
    }

    /// The endpoint for an SDK: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL without a stream:
    /// `kinesis://us-east-1?endpoint=http://127.0.0.1:PORT&max_batch_bytes=5242880&leases=memory`.
    pub fn url(&self) -> String {
        kinesis_url::of(&self.endpoint())
    }

    /// Its log: what it wrote to stdout and stderr.
    pub fn log(&self) -> &Path {
        self.running.log().path()
    }

    /// The folder with its data, until it is stopped.
    pub fn data_dir(&self) -> Option<PathBuf> {
        self.running.folder()
    }

    /// The process id of its Python, or None once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.running.pid()
    }

    /// How and why it ended, if it did so by itself, and where its log is.
    pub fn failure(&self) -> Option<Error> {
        self.running.failure()
    }

    /// Stops it with SIGTERM, kills it if it still runs after 10 s, and removes its data. If it had ended by itself, the log
    /// stays. A second call does nothing.
    pub fn stop(&self) {
        self.running.stop();
    }

    /// Why it isn't ready, or None.
    fn missing(&self) -> Option<String> {
        match http::get(self.address, "/_localstack/health", ANSWER) {
            Ok((200, health)) if health["services"]["kinesis"] == "running" => {}
            Ok((status, health)) => return Some(format!("its health is {status}: {health}")),
            Err(e) => return Some(e.to_string()),
        }
        let stream = json!({ "StreamName": "anyhub-local-probe", "ShardCount": 1 });
        match http::kinesis(self.address, "CreateStream", &stream, ANSWER) {
            Ok((200, _)) => {}
            // From a try whose answer didn't come in time.
            Ok((400, error)) if error["__type"].to_string().contains("ResourceInUse") => {}
            Ok((status, error)) => {
                return Some(format!("CreateStream is answered with {status}: {error}"));
            }
            Err(e) => return Some(format!("CreateStream: {e}")),
        }
        let probe = json!({ "StreamName": "anyhub-local-probe" });
        match http::kinesis(self.address, "DeleteStream", &probe, ANSWER) {
            Ok((200, _)) => None,
            Ok((status, error)) => Some(format!("DeleteStream is answered with {status}: {error}")),
            Err(e) => Some(format!("DeleteStream: {e}")),
        }
    }
}
