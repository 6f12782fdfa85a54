//! Apache Kafka itself: a cluster of one to five brokers on loopback, in KRaft mode.

mod broker;
mod builder;
mod jars;
mod settings;
mod wire;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

pub use broker::Broker;
pub use builder::KafkaBuilder;

use crate::Error;
use crate::cache::Check;
use crate::folder::Folder;
use crate::java::Java;
use crate::requirement::Requirement;
use broker::Runtime;
use settings::{Ports, Sasl};

/// The version of Apache Kafka that is started.
const VERSION: &str = "4.3.1";

/// How often a broker that isn't ready is asked again.
const POLL: Duration = Duration::from_millis(25);
/// How long one answer is waited for.
const ANSWER: Duration = Duration::from_secs(2);
/// How long brokers have to stop in order; then they are killed.
const STOP: Duration = Duration::from_secs(10);

/// A running cluster of Apache Kafka. Brokers are counted from 0, and a broker's number is its `node.id`.
///
/// All methods block: in async code call them in `spawn_blocking`. Dropped, it kills its brokers and removes their data;
/// should this process end in any other way, they go all the same.
///
/// ```no_run
/// let kafka = anyhub_local::Kafka::builder().brokers(3).start()?;
/// println!("{}", kafka.url()); // kafka://127.0.0.1:20001,127.0.0.1:20002,127.0.0.1:20003
/// kafka.kill(1)?;
/// kafka.restart(1)?;
/// # Ok::<(), anyhub_local::Error>(())
/// ```
#[derive(Debug)]
pub struct Kafka {
    brokers: Vec<Broker>,
    cluster: String,
    nodes: Vec<Ports>,
    sasl: Option<Sasl>,
    runtime: Runtime,
    timeout: Duration,
    /// None once stopped.
    folder: Mutex<Option<Folder>>,
    /// The folder of the logs below the data folder, where they are there.
    logs: Option<&'static str>,
}

/// What a start is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Another process is fetching the same files.
    Waiting,
    /// Maven fetches the jars.
    Fetching,
    /// A first start writes an archive of Kafka's classes, from which later ones start in half the time.
    Archiving,
    /// Kafka's storage tool gives the new data folders their ids.
    Formatting,
    /// The brokers start.
    #[non_exhaustive]
    Starting {
        /// How many.
        brokers: usize,
    },
    /// A port that was free is taken by now: other ones are picked.
    PickingPorts,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Phase::Waiting => write!(f, "waiting for another process that fetches Kafka"),
            Phase::Fetching => write!(
                f,
                "fetching Apache Kafka {VERSION} with Maven (54 MB, once)"
            ),
            Phase::Archiving => write!(
                f,
                "archiving Kafka's classes for faster starts (10 s, once)"
            ),
            Phase::Formatting => write!(f, "formatting the data folders"),
            Phase::Starting { brokers: 1 } => write!(f, "starting the broker"),
            Phase::Starting { brokers } => write!(f, "starting {brokers} brokers"),
            Phase::PickingPorts => write!(f, "a port was taken meanwhile, picking others"),
        }
    }
}

/// What a local Kafka needs from this machine, and whether it is there.
pub fn requirements() -> Vec<Requirement> {
    jars::requirements()
}

impl Kafka {
    /// A cluster of one broker, unless told otherwise.
    pub fn builder() -> KafkaBuilder {
        KafkaBuilder::new()
    }

    /// Fetches what a start needs, checks what is there by its SHA-256 sums, and starts nothing that stays.
    pub fn prepare(progress: impl Fn(Phase)) -> Result<(), Error> {
        let java = Java::find()?;
        let lib = jars::get(&java, Check::Contents, &progress)?;
        builder::runtime(java, &lib, 1, None, &progress)?;
        Ok(())
    }

    /// The version of Apache Kafka, for instance `4.3.1`.
    pub fn version(&self) -> &'static str {
        VERSION
    }

    /// The brokers' addresses as clients take them: `127.0.0.1:9092,127.0.0.1:9093`.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<_> = self
            .brokers
            .iter()
            .map(|b| b.address().to_string())
            .collect();
        addresses.join(",")
    }

    /// The URL of the cluster without a topic: `kafka://` and [`bootstrap`](Kafka::bootstrap).
    pub fn url(&self) -> String {
        format!("kafka://{}", self.bootstrap())
    }

    /// The folder with the brokers' data, until the cluster is stopped.
    pub fn data_dir(&self) -> Option<PathBuf> {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        folder.as_ref().map(|folder| folder.path().to_owned())
    }

    /// How many brokers the cluster has, running or not.
    pub fn brokers(&self) -> usize {
        self.brokers.len()
    }

    /// The broker `id`; Invalid if there is none of that number.
    pub fn broker(&self, id: usize) -> Result<&Broker, Error> {
        self.brokers.get(id).ok_or_else(|| {
            Error::Invalid(format!(
                "there is no Kafka broker {id}: this cluster has {}, counted from 0",
                self.brokers.len()
            ))
        })
    }

    /// Kills a broker with SIGKILL, as a crash would, and returns when it is gone. Nothing happens to one that is down.
    pub fn kill(&self, id: usize) -> Result<(), Error> {
        let broker = self.broker(id)?;
        broker.ask_to_end(Signal::KILL);
        broker.end(ANSWER);
        Ok(())
    }

    /// Starts a broker again with the same id, ports and data, and returns when it and every other running broker count it
    /// in; one that still runs is killed before.
    pub fn restart(&self, id: usize) -> Result<(), Error> {
        let broker = self.broker(id)?;
        self.kill(id)?;
        match &*self.folder.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(folder) => broker.launch(&self.runtime, folder)?,
            None => {
                return Err(Error::Invalid(
                    "the local Kafka is stopped: start a new one".into(),
                ));
            }
        }
        self.await_ready(&[id])
    }

    /// Freezes a broker with SIGSTOP and returns when no thread of it runs: it keeps its connections and answers nothing.
    pub fn pause(&self, id: usize) -> Result<(), Error> {
        self.set_paused(id, true)
    }

    /// Lets a frozen broker go on.
    pub fn resume(&self, id: usize) -> Result<(), Error> {
        self.set_paused(id, false)
    }

    fn set_paused(&self, id: usize, paused: bool) -> Result<(), Error> {
        let broker = self.broker(id)?;
        if broker.pause(paused) {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "{} is down: restart it first",
            broker.name()
        )))
    }

    /// The first broker that ended by itself, if one did: how, why, and where its log is.
    pub fn failure(&self) -> Option<Error> {
        self.brokers.iter().find_map(Broker::failure)
    }

    /// Stops all brokers with SIGTERM, kills those that still run after 10 s, and removes the data, unless the folder was
    /// given. If a broker had ended by itself, the logs stay. A second call does nothing.
    pub fn stop(&self) {
        self.end(Signal::TERM, STOP, self.failure().is_some());
    }

    /// True if every broker ended on the signal, within `timeout`.
    fn end(&self, signal: Signal, timeout: Duration, keep_logs: bool) -> bool {
        let ended = self.end_brokers(signal, timeout);
        let folder = self
            .folder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(folder) = folder {
            folder.close(self.logs.filter(|_| keep_logs));
        }
        ended
    }

    fn end_brokers(&self, signal: Signal, timeout: Duration) -> bool {
        for broker in &self.brokers {
            broker.ask_to_end(signal);
        }
        let deadline = Instant::now() + timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        let ended: Vec<_> = self
            .brokers
            .iter()
            .map(|broker| broker.end(left()))
            .collect();
        ended.into_iter().all(|ended| ended)
    }

    /// Waits until every active broker answers and counts in all of `expected`.
    fn await_ready(&self, expected: &[usize]) -> Result<(), Error> {
        let deadline = Instant::now() + self.timeout;
        loop {
            for id in expected {
                if let Some(failure) = self.broker(*id)?.failure() {
                    return Err(failure);
                }
            }
            let active = self.brokers.iter().filter(|broker| broker.is_active());
            let missing = active
                .filter_map(|broker| self.missing(broker, expected).map(|why| (broker, why)))
                .next();
            let Some((broker, why)) = missing else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(broker.not_ready(self.timeout, &why));
            }
            thread::sleep(POLL);
        }
    }

    /// Why the cluster isn't ready as this broker sees it, or None.
    fn missing(&self, broker: &Broker, expected: &[usize]) -> Option<String> {
        let members = match wire::members(broker.address(), self.sasl.as_ref(), ANSWER) {
            Ok(members) => members,
            Err(e) => return Some(e.to_string()),
        };
        if members.cluster != self.cluster {
            return Some(format!(
                "a broker of another cluster ({}) answers",
                members.cluster
            ));
        }
        let lacks = |id: &&usize| {
            let port = self.nodes.get(**id).map(|ports| ports.client);
            let found = members
                .brokers
                .iter()
                .find(|(node, _)| usize::try_from(*node) == Ok(**id));
            found.map(|(_, port)| *port) != port
        };
        let absent = expected.iter().find(lacks)?;
        Some(format!("it does not count in broker {absent} yet"))
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.end(Signal::KILL, STOP, self.failure().is_some());
    }
}

#[cfg(test)]
#[path = "kafka/tests.rs"]
mod tests;
