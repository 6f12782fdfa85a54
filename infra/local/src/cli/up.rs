//! `anyhub-local up`: runs a hub until it is told to stop.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhub_local::Kafka;
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Failure, Up, answer, note, step};

/// How often the brokers are looked after while nothing happens.
const LOOK: Duration = Duration::from_millis(250);

pub(super) fn run(options: &Up) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let brokers = number("brokers", &options.brokers)?;
    let port = options
        .port
        .as_deref()
        .map(|port| number("port", port))
        .transpose()?;
    let stop = stop_signals()?;

    let mut builder = Kafka::builder()
        .brokers(brokers)
        .on_progress(move |phase| step(start, &phase.to_string()));
    if let Some(port) = port {
        builder = builder.port(port);
    }
    if let Some(folder) = &options.data {
        builder = builder.data_dir(folder);
    }
    if let Some(folder) = &options.logs {
        builder = builder.log_dir(folder);
    }
    for property in &options.set {
        let Some((name, value)) = property.split_once('=') else {
            return Err(Failure::usage(format!(
                "--set {property}: a property is given as NAME=VALUE, for instance --set message.max.bytes=2000000"
            )));
        };
        builder = builder.config(name, value);
    }
    let kafka = builder.start()?;
    stop.ready();

    let all = if brokers == 1 {
        "the broker answers"
    } else {
        "all brokers answer"
    };
    step(start, &format!("{all}; Ctrl-C stops the hub"));
    answer(&if options.json {
        describe(&kafka)?
    } else {
        kafka.url()
    });
    watch(&kafka, &stop.signals)?;
    step(start, "stopping; Ctrl-C again ends it at once");
    kafka.stop();
    step(start, "stopped");
    Ok(ExitCode::SUCCESS)
}

/// Until a signal comes, or a broker fails.
fn watch(kafka: &Kafka, signals: &mpsc::Receiver<()>) -> Result<(), Failure> {
    while signals.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        if let Some(failure) = kafka.failure() {
            return Err(failure.into());
        }
    }
    Ok(())
}

struct Stop {
    ready: Arc<AtomicBool>,
    signals: mpsc::Receiver<()>,
}

impl Stop {
    fn ready(&self) {
        self.ready.store(true, Ordering::SeqCst);
    }
}

/// The first signal after the start asks the hub to stop in order. One during the start, or a second one, ends this process at
/// once, and the hub with it.
fn stop_signals() -> Result<Stop, Failure> {
    let failed = |e| Failure {
        code: 1,
        message: format!("Ctrl-C can't be watched for: {e}"),
    };
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
    let (send, receive) = mpsc::channel();
    let ready = Arc::new(AtomicBool::new(false));
    let stop = Stop {
        ready: Arc::clone(&ready),
        signals: receive,
    };
    let watch = move || {
        let mut asked = false;
        for signal in signals.forever() {
            if asked || !ready.load(Ordering::SeqCst) || send.send(()).is_err() {
                note("ended at once");
                // As a shell counts a death by a signal.
                std::process::exit(128 + signal);
            }
            asked = true;
        }
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(watch)
        .map_err(failed)?;
    Ok(stop)
}

fn describe(kafka: &Kafka) -> Result<String, Failure> {
    let brokers = (0..kafka.brokers())
        .map(|id| {
            let broker = kafka.broker(id)?;
            Ok(json!({
                "id": broker.id(),
                "address": broker.address().to_string(),
                "pid": broker.pid(),
                "log": broker.log(),
            }))
        })
        .collect::<Result<Vec<_>, anyhub_local::Error>>()?;
    let line = json!({
        "hub": "kafka",
        "version": kafka.version(),
        "url": kafka.url(),
        "bootstrap": kafka.bootstrap(),
        "data": kafka.data_dir(),
        "brokers": brokers,
    });
    Ok(line.to_string())
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, Failure> {
    let range = if option == "port" {
        "1 to 65535"
    } else {
        "1 to 5"
    };
    text.parse().map_err(|_| {
        Failure::usage(format!(
            "--{option} {text} can't be used: choose a number from {range}"
        ))
    })
}
