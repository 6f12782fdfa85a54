//! One broker: its process, its address and its log.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use super::settings::Ports;
use crate::Error;
use crate::folder::Folder;
use crate::java::Java;
use crate::log::Log;
use crate::ports;
use crate::process::{Exit, Process};

/// A broker of a local cluster. It is also one of the cluster's controllers.
#[derive(Debug)]
pub struct Broker {
    id: usize,
    address: SocketAddr,
    folder: PathBuf,
    log: PathBuf,
    slot: Mutex<Slot>,
}

#[derive(Debug)]
struct Slot {
    process: Option<Process>,
    log: Log,
    /// It is to be down: killed or stopped from here.
    asked: bool,
    paused: bool,
}

/// How Kafka's Java programs are run.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    pub(crate) java: Java,
    pub(crate) class_path: String,
    pub(crate) heap_mb: u32,
    pub(crate) classes: Classes,
}

/// The class archive that a broker starts from or writes when it ends.
#[derive(Clone, Debug)]
pub(crate) enum Classes {
    None,
    From(PathBuf),
    To(PathBuf),
}

impl Runtime {
    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(&self.java.path);
        // In the environment, so that `ps` shows the program and not 92 jars.
        command.env("CLASSPATH", &self.class_path).args(flags);
        match &self.classes {
            Classes::None => {}
            // A Java that the archive doesn't fit goes on without; that is nothing to warn of.
            Classes::From(archive) => {
                command
                    .arg("-Xshare:auto")
                    .arg("-Xlog:cds=off,cds+dynamic=off,class+path=off");
                command.arg(format!("-XX:SharedArchiveFile={}", archive.display()));
            }
            Classes::To(archive) => {
                command.arg(format!("-XX:ArchiveClassesAtExit={}", archive.display()));
            }
        }
        command.args([
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
        ]);
        command
    }
}

impl Broker {
    pub(crate) fn new(id: usize, ports: Ports, folder: PathBuf, log: PathBuf) -> Self {
        Broker {
            id,
            address: ports::loopback(ports.client),
            folder,
            slot: Mutex::new(Slot {
                process: None,
                log: Log::new(log.clone()),
                asked: false,
                paused: false,
            }),
            log,
        }
    }

    /// Kafka's `node.id`, and this broker's number in the cluster: the first is 0.
    pub fn id(&self) -> usize {
        self.id
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its log: what it wrote to stdout and stderr.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The process id of its Java, or None while it is down.
    pub fn pid(&self) -> Option<u32> {
        let slot = self.slot();
        let process = slot.process.as_ref()?;
        process.exit().is_none().then(|| process.pid())
    }

    /// True while its process is there, paused or not.
    pub fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    /// True if it runs and isn't paused.
    pub(crate) fn is_active(&self) -> bool {
        self.is_running() && !self.slot().paused
    }

    pub(crate) fn name(&self) -> String {
        format!("Kafka broker {}", self.id)
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    pub(crate) fn data(folder: &Path) -> PathBuf {
        folder.join("data")
    }

    /// Writes the properties; they may hold a password.
    pub(crate) fn configure(&self, properties: &str) -> Result<(), Error> {
        let path = self.properties();
        fs::create_dir_all(&self.folder).map_err(|e| Error::io("creating", &self.folder, e))?;
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(properties.as_bytes()))
            .map_err(|e| Error::io("writing", &path, e))
    }

    pub(crate) fn is_formatted(folder: &Path) -> bool {
        Broker::data(folder).join("meta.properties").exists()
    }

    /// Runs Kafka's storage tool, which gives a new data folder its ids. The answer is awaited by `formatted`.
    pub(crate) fn format(
        &self,
        runtime: &Runtime,
        cluster: &str,
        folder: &Folder,
    ) -> Result<Process, Error> {
        // A program that ends in half a second has no use for the optimizing compiler, or for several collector threads.
        let mut command = runtime.command(&["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
        command.args(["kafka.tools.StorageTool", "format", "-t", cluster, "-c"]);
        command.arg(self.properties());
        self.start(&mut command, folder)
    }

    pub(crate) fn formatted(&self, tool: &Process, timeout: Duration) -> Result<(), Error> {
        match tool.wait(timeout) {
            Some(exit) if exit.success() => Ok(()),
            Some(exit) => Err(self.ended("formatting the data folder of ", exit)),
            None => Err(self.not_ready(timeout, "formatting its data folder takes too long")),
        }
    }

    /// Starts the broker; whether it answers is for the cluster to see.
    pub(crate) fn launch(&self, runtime: &Runtime, folder: &Folder) -> Result<(), Error> {
        // Kafka's own settings (bin/kafka-run-class.sh of 4.3), so that what is measured is what people run.
        let mut command = runtime.command(&[
            "-server",
            &format!("-Xmx{}m", runtime.heap_mb),
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-XX:InitiatingHeapOccupancyPercent=35",
            "-XX:+ExplicitGCInvokesConcurrent",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
        ]);
        command.arg("kafka.Kafka").arg(self.properties());
        let process = self.start(&mut command, folder)?;
        let mut slot = self.slot();
        slot.asked = false;
        slot.paused = false;
        slot.process = Some(process);
        Ok(())
    }

    fn start(&self, command: &mut Command, folder: &Folder) -> Result<Process, Error> {
        command.current_dir(&self.folder);
        self.slot().log.mark();
        Process::start(command, &self.log, folder.hold()?)
            .map_err(|e| Error::io("starting", Path::new(command.get_program()), e))
    }

    /// How its process ended, if it did so by itself.
    pub(crate) fn failure(&self) -> Option<Error> {
        let exit = {
            let slot = self.slot();
            let exit = slot.process.as_ref()?.exit()?;
            (!slot.asked).then_some(exit)?
        };
        Some(self.ended("", exit))
    }

    /// True if it ended because a port was taken.
    pub(crate) fn met_a_port_clash(&self) -> bool {
        let slot = self.slot();
        let ended = slot.process.as_ref().is_some_and(|p| p.exit().is_some());
        ended && slot.log.is_port_clash()
    }

    fn ended(&self, doing: &str, exit: Exit) -> Error {
        let log = self.slot().log.clone();
        Error::Ended {
            server: format!("{doing}{}", self.name()),
            exit: exit.to_string(),
            cause: log.cause(),
            log: log.path().to_owned(),
            tail: log.tail(),
        }
    }

    pub(crate) fn not_ready(&self, after: Duration, cause: &str) -> Error {
        let log = self.slot().log.clone();
        Error::NotReady {
            server: self.name(),
            after,
            cause: cause.to_owned(),
            log: log.path().to_owned(),
            tail: log.tail(),
        }
    }

    /// Asks it to end: a paused one has to go on for that. SIGKILL is not waited for either.
    pub(crate) fn ask_to_end(&self, signal: Signal) {
        let mut slot = self.slot();
        slot.asked = slot.asked || slot.process.as_ref().is_some_and(|p| p.exit().is_none());
        slot.paused = false;
        if let Some(process) = &slot.process {
            process.signal(signal);
            process.signal(Signal::CONT);
        }
    }

    /// Waits until it is down; kills it after `timeout`, and then is false.
    pub(crate) fn end(&self, timeout: Duration) -> bool {
        let slot = self.slot();
        let Some(process) = &slot.process else {
            return true;
        };
        let ended = process.wait(timeout).is_some();
        if !ended {
            process.kill();
        }
        ended
    }

    /// Stops its threads where they are, or lets them go on; false if it is down.
    pub(crate) fn pause(&self, pause: bool) -> bool {
        let mut slot = self.slot();
        let sent = slot.process.as_ref().is_some_and(|process| match pause {
            true => process.freeze(),
            false => process.signal(Signal::CONT),
        });
        if sent {
            slot.paused = pause;
        }
        sent
    }
}
