//! How a cluster is to be, and its start.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::broker::{Broker, Classes, Runtime};
use super::jars;
use super::settings::{self, Ports, Sasl, Settings};
use super::{Kafka, Phase, STOP};
use rustix::process::Signal;

use crate::Error;
use crate::cache::Check;
use crate::folder::Folder;
use crate::java::Java;
use crate::ports;

/// More would starve each other on one machine.
const MOST_BROKERS: usize = 5;
/// Starts tried with other ports before it is given up.
const TRIES: usize = 3;
/// How long a broker may take to write its class archive (2 s alone on the machine).
const DUMP: Duration = Duration::from_secs(60);
const LOGS: &str = "logs";

/// How a local Kafka is to be. See [`Kafka::builder`].
pub struct KafkaBuilder {
    brokers: usize,
    port: Option<u16>,
    data: Option<PathBuf>,
    logs: Option<PathBuf>,
    heap_mb: Option<u32>,
    timeout: Duration,
    config: Vec<(String, String)>,
    sasl: Option<(String, String)>,
    progress: Box<dyn Fn(Phase) + Send + Sync>,
}

impl fmt::Debug for KafkaBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaBuilder")
            .field("brokers", &self.brokers)
            .field("port", &self.port)
            .field("data", &self.data)
            .field("logs", &self.logs)
            .finish_non_exhaustive()
    }
}

impl KafkaBuilder {
    pub(super) fn new() -> Self {
        KafkaBuilder {
            brokers: 1,
            port: None,
            data: None,
            logs: None,
            heap_mb: None,
            timeout: Duration::from_secs(90),
            config: Vec::new(),
            sasl: None,
            progress: Box::new(|_| {}),
        }
    }

    /// How many brokers, 1 to 5; 1 by default. From three on a topic has three replicas, of which two must be in sync, and a
    /// dead leader is replaced within about 3 s.
    #[must_use]
    pub fn brokers(mut self, count: usize) -> Self {
        self.brokers = count;
        self
    }

    /// The port of the first broker's clients; the other brokers take the ports after it. Free ones are picked by default.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Where the data is kept, also beyond this process; a later start with the same number of brokers finds it again. By
    /// default a temporary folder, which is removed in the end.
    #[must_use]
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// Where the logs are kept, also beyond this process; by default in the folder `logs` of the data folder.
    #[must_use]
    pub fn log_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.logs = Some(folder.into());
        self
    }

    /// A broker property, for instance `message.max.bytes`; it overrides the default.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.push((name.into(), value.into()));
        self
    }

    /// Clients must give this user and password (SASL_PLAINTEXT, mechanism PLAIN). The brokers among themselves need none.
    #[must_use]
    pub fn sasl_plain(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.sasl = Some((user.into(), password.into()));
        self
    }

    /// The largest heap of each broker in MiB; by default 1024, or 512 of several.
    #[must_use]
    pub fn heap_mb(mut self, megabytes: u32) -> Self {
        self.heap_mb = Some(megabytes);
        self
    }

    /// How long the brokers have to answer, from their start on; 90 s by default.
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

    /// Starts the cluster and returns when every broker answers and counts in all others.
    ///
    /// # Errors
    /// Invalid for an option that can't be used; Missing without Java or Maven; Fetch if the jars can't be fetched; PortInUse;
    /// Ended if a broker ends by itself and NotReady if one doesn't answer in time, both with the log kept.
    pub fn start(self) -> Result<Kafka, Error> {
        self.check()?;
        let java = Java::find()?;
        let lib = jars::get(&java, Check::Sizes, &self.progress)?;
        let runtime = runtime(java, &lib, self.brokers, self.heap_mb, &self.progress)?;
        self.run(runtime)
    }

    fn check(&self) -> Result<(), Error> {
        if !(1..=MOST_BROKERS).contains(&self.brokers) {
            return Err(Error::Invalid(format!(
                "{} brokers can't be started: choose 1 to {MOST_BROKERS}",
                self.brokers
            )));
        }
        if self.heap_mb.is_some_and(|heap| heap < 64) {
            return Err(Error::Invalid(
                "a broker needs a heap of 64 MiB or more".into(),
            ));
        }
        // Kafka takes a list of folders, and a comma in one for the end of it.
        if let Some(data) = &self.data
            && data.to_str().is_none_or(|path| path.contains(','))
        {
            return Err(Error::Invalid(format!(
                "the data folder {} can't be used: Kafka can't take a comma or a name that isn't UTF-8",
                data.display()
            )));
        }
        self.sasl()?;
        for (name, _) in &self.config {
            settings::check(name)?;
        }
        if let Some(first) = self.port {
            for port in self.client_ports(first)? {
                if !ports::is_free(port) {
                    return Err(Error::PortInUse { port });
                }
            }
        }
        Ok(())
    }

    fn sasl(&self) -> Result<Option<Sasl>, Error> {
        let given = self.sasl.as_ref();
        given
            .map(|(user, password)| Sasl::new(user, password))
            .transpose()
    }

    fn client_ports(&self, first: u16) -> Result<Vec<u16>, Error> {
        let last = u16::try_from(self.brokers - 1)
            .ok()
            .and_then(|more| first.checked_add(more));
        match last {
            Some(last) if first > 0 => Ok((first..=last).collect()),
            _ => Err(Error::Invalid(format!(
                "port {first} leaves no room for {} brokers: choose one from 1 to {}",
                self.brokers,
                usize::from(u16::MAX) + 1 - self.brokers
            ))),
        }
    }

    fn run(&self, runtime: Runtime) -> Result<Kafka, Error> {
        let folder = match &self.data {
            Some(path) => Folder::given(path)?,
            None => Folder::temporary("anyhub-kafka-")?,
        };
        let logs = match &self.logs {
            Some(path) => std::path::absolute(path).map_err(|e| Error::io("finding", path, e))?,
            None => folder.path().join(LOGS),
        };
        fs::create_dir_all(&logs).map_err(|e| Error::io("creating", &logs, e))?;
        let cluster = self.cluster_id(&folder)?;
        let mut kafka = Kafka {
            brokers: Vec::new(),
            cluster,
            nodes: Vec::new(),
            sasl: self.sasl()?,
            runtime,
            timeout: self.timeout,
            folder: Mutex::new(Some(folder)),
            logs: self.logs.is_none().then_some(LOGS),
        };
        let mut tries = 1;
        loop {
            let Err(error) = self.attempt(&mut kafka, &logs) else {
                return Ok(kafka);
            };
            let clash = kafka.brokers.iter().any(Broker::met_a_port_clash);
            kafka.end_brokers(Signal::KILL, STOP);
            if tries == TRIES || !clash || !self.may_pick_anew()? {
                kafka.end(Signal::KILL, STOP, error.log().is_some());
                return Err(error);
            }
            tries += 1;
            (self.progress)(Phase::PickingPorts);
        }
    }

    /// A clash is worth another try, unless it is with a port that was asked for.
    fn may_pick_anew(&self) -> Result<bool, Error> {
        let given = self
            .port
            .map(|first| self.client_ports(first))
            .transpose()?;
        Ok(given.into_iter().flatten().all(ports::is_free))
    }

    fn attempt(&self, kafka: &mut Kafka, logs: &Path) -> Result<(), Error> {
        kafka.nodes = self.pick_ports()?;
        let guard = kafka
            .folder
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(folder) = &*guard else {
            return Err(Error::Invalid("the local Kafka is stopped".into()));
        };
        let settings = Settings {
            sasl: kafka.sasl.clone(),
            extra: self.config.clone(),
        };
        kafka.brokers.clear();
        for (id, ports) in kafka.nodes.iter().enumerate() {
            let own = folder.path().join(format!("broker-{id}"));
            let properties = settings.properties(&kafka.nodes, id, &Broker::data(&own));
            let log = logs.join(format!("broker-{id}.log"));
            let broker = Broker::new(id, *ports, own, log);
            broker.configure(&properties)?;
            kafka.brokers.push(broker);
        }
        self.format(kafka, folder)?;
        (self.progress)(Phase::Starting {
            brokers: self.brokers,
        });
        for broker in &kafka.brokers {
            broker.launch(&kafka.runtime, folder)?;
        }
        drop(guard);
        let all: Vec<_> = (0..self.brokers).collect();
        kafka.await_ready(&all)
    }

    fn pick_ports(&self) -> Result<Vec<Ports>, Error> {
        let given = match self.port {
            Some(first) => self.client_ports(first)?,
            None => Vec::new(),
        };
        let mut free = ports::pick(3 * self.brokers, &given)?.into_iter();
        let mut given = given.into_iter();
        let mut next = || free.next().unwrap_or_default();
        Ok((0..self.brokers)
            .map(|_| Ports {
                client: given.next().unwrap_or_else(&mut next),
                internal: next(),
                controller: next(),
            })
            .collect())
    }

    fn format(&self, kafka: &Kafka, folder: &Folder) -> Result<(), Error> {
        let new = |broker: &&Broker| !Broker::is_formatted(&broker_folder(folder, broker.id()));
        let new: Vec<_> = kafka.brokers.iter().filter(new).collect();
        if new.is_empty() {
            return Ok(());
        }
        (self.progress)(Phase::Formatting);
        let mut tools = Vec::new();
        for broker in new {
            tools.push((
                broker,
                broker.format(&kafka.runtime, &kafka.cluster, folder)?,
            ));
        }
        tools
            .iter()
            .try_for_each(|(broker, tool)| broker.formatted(tool, self.timeout))
    }

    /// The id that an earlier start gave the data, or a new one.
    fn cluster_id(&self, folder: &Folder) -> Result<String, Error> {
        let formatted = (0..=MOST_BROKERS)
            .take_while(|id| Broker::is_formatted(&broker_folder(folder, *id)))
            .count();
        if formatted == 0 {
            return Ok(new_cluster_id());
        }
        if formatted != self.brokers {
            return Err(Error::Invalid(format!(
                "the data in {} is of {formatted} broker(s): start as many, or name another folder",
                folder.path().display()
            )));
        }
        let meta = Broker::data(&broker_folder(folder, 0)).join("meta.properties");
        let text = fs::read_to_string(&meta).map_err(|e| Error::io("reading", &meta, e))?;
        text.lines()
            .find_map(|line| line.strip_prefix("cluster.id="))
            .map(|id| id.trim().to_owned())
            .ok_or_else(|| Error::Invalid(format!("{} names no cluster.id", meta.display())))
    }
}

fn broker_folder(folder: &Folder, id: usize) -> PathBuf {
    folder.path().join(format!("broker-{id}"))
}

/// 16 random bytes in URL-safe base64, as Kafka's ids are; the first bits are zero, so that it begins with no hyphen.
fn new_cluster_id() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = u128::from(ports::random()) << 64 | u128::from(ports::random());
    bits >>= 6;
    // 128 bits are 21 digits of 6 bits and one of the last 2, padded with zeros.
    let digit = |at: u32| {
        let value = if at < 21 {
            bits >> (122 - 6 * at)
        } else {
            bits << 4
        };
        char::from(DIGITS[(value & 63) as usize])
    };
    (0..22).map(digit).collect()
}

/// Java with everything it needs to run Kafka; writes the class archive where it isn't there yet.
pub(super) fn runtime(
    java: Java,
    lib: &Path,
    brokers: usize,
    heap_mb: Option<u32>,
    progress: &dyn Fn(Phase),
) -> Result<Runtime, Error> {
    let mut runtime = Runtime {
        java,
        class_path: jars::class_path(lib)?,
        heap_mb: heap_mb.unwrap_or(if brokers == 1 { 1024 } else { 512 }),
        classes: Classes::None,
    };
    let plain = runtime.clone();
    let dump = |archive: &Path| {
        // A broker of its own writes it when it ends in order, which may take long beside other work.
        let folder = archive.parent().unwrap_or(archive);
        let kafka = KafkaBuilder::new().log_dir(folder).run(Runtime {
            classes: Classes::To(archive.to_owned()),
            ..plain
        })?;
        if kafka.end(Signal::TERM, DUMP, false) {
            return Ok(());
        }
        Err(Error::Invalid(
            "writing the class archive takes too long".into(),
        ))
    };
    if let Some(archive) = jars::classes(&runtime.java, lib, progress, dump) {
        runtime.classes = Classes::From(archive);
    }
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn cluster_ids_are_what_kafka_reads() {
        let ids: Vec<_> = (0..100).map(|_| new_cluster_id()).collect();
        for id in &ids {
            assert_eq!(id.len(), 22);
            assert!(id.starts_with('A'), "{id}");
            // The last digit holds two bits.
            assert!("AQgw".contains(id.chars().last().unwrap()), "{id}");
        }
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn options_that_cannot_be_used_are_refused_before_anything_starts() {
        let refused = |builder: KafkaBuilder| builder.start().unwrap_err().to_string();
        assert_eq!(
            refused(Kafka::builder().brokers(0)),
            "0 brokers can't be started: choose 1 to 5"
        );
        assert!(refused(Kafka::builder().brokers(6)).contains("choose 1 to 5"));
        assert!(refused(Kafka::builder().port(0)).contains("from 1 to 65535"));
        assert!(refused(Kafka::builder().brokers(3).port(65_534)).contains("to 65533"));
        assert!(refused(Kafka::builder().config("listeners", "x")).contains("listeners"));
        assert!(refused(Kafka::builder().data_dir("/tmp/a,b")).contains("comma"));
        assert!(refused(Kafka::builder().heap_mb(1)).contains("64 MiB"));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Kafka::builder().port(port).start().unwrap_err();
        assert!(
            matches!(taken, Error::PortInUse { port: p } if p == port),
            "{taken}"
        );
    }

    #[test]
    fn the_password_is_not_shown() {
        let shown = format!("{:?}", Kafka::builder().sasl_plain("ann", "tulip"));
        assert!(!shown.contains("tulip"));
    }
}
