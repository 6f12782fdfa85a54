//! `anyhub-local up`: runs a hub until it is told to stop.

#[cfg(feature = "eventhubs")]
mod eventhubs;
mod kafka;
#[cfg(feature = "kinesis")]
mod kinesis;
mod localstack;
mod pstest;
#[cfg(feature = "pubsub")]
mod pubsub;
mod stop;

use std::num::NonZeroU16;
use std::process::ExitCode;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhub_local::Error;

use super::{Failure, Up, answer, step};
use stop::Stop;

/// How often the servers are looked after while nothing happens.
const LOOK: Duration = Duration::from_millis(250);

pub(super) fn run(options: &Up) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let stop = stop::stop_signals()?;
    match (options.hub.as_str(), &options.with) {
        ("kafka", _) => kafka::run(options, start, &stop),
        #[cfg(feature = "eventhubs")]
        ("eventhubs", _) => eventhubs::run(options, start, &stop),
        #[cfg(not(feature = "eventhubs"))]
        ("eventhubs", _) => Err(Failure::usage(
            "this build has no Event Hubs: build it with --features eventhubs".into(),
        )),
        ("pubsub", Some(_)) => pstest::run(options, start, &stop),
        #[cfg(feature = "pubsub")]
        ("pubsub", None) => pubsub::run(options, start, &stop),
        #[cfg(not(feature = "pubsub"))]
        ("pubsub", None) => Err(Failure::usage(
            "this build has no Pub/Sub of its own: build it with --features pubsub, or say --with pstest".into(),
        )),
        (_, Some(_)) => localstack::run(options, start, &stop),
        #[cfg(feature = "kinesis")]
        (_, None) => kinesis::run(options, start, &stop),
        #[cfg(not(feature = "kinesis"))]
        (_, None) => Err(Failure::usage(
            "this build has no Kinesis of its own: build it with --features kinesis, or say --with localstack".into(),
        )),
    }
}

/// Prints what a hub that answers is reached by, and waits until it is told to stop, or fails.
fn stay(
    start: Instant,
    stop: &Stop,
    what: &str,
    reached_by: &str,
    failure: impl Fn() -> Option<Error>,
) -> Result<(), Failure> {
    stop.ready();
    step(start, &format!("{what}; Ctrl-C stops the hub"));
    answer(reached_by);
    while stop.signals.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        if let Some(failure) = failure() {
            return Err(failure.into());
        }
    }
    step(start, "stopping; Ctrl-C again ends it at once");
    Ok(())
}

/// A URL with a topic, in a command that can be copied. Quoted: the options have an & between them.
fn example(start: Instant, url: &str) {
    step(
        start,
        &format!("to try it: cargo run -p anyhub-examples --bin publish -- '{url}'"),
    );
    if url.contains("leases=memory") {
        step(
            start,
            "leases=memory is forgotten when the program ends; leases=sqlite:FILE keeps it",
        );
    }
}

/// The URL of a hub with the topic `tweets`.
fn with_topic(url: &str) -> String {
    match url.split_once('?') {
        Some((hub, options)) => format!("{hub}/tweets?{options}"),
        None => format!("{url}/tweets"),
    }
}

/// Options that were given and mean nothing for this hub.
fn refuse(given: &[(&str, bool)], hub: &str) -> Result<(), Failure> {
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Failure::usage(format!("--{option} is not for {hub}"))),
        None => Ok(()),
    }
}

/// What only Event Hubs has.
fn of_eventhubs(options: &Up) -> [(&'static str, bool); 3] {
    [
        ("event-hub", !options.event_hub.is_empty()),
        ("group", !options.group.is_empty()),
        (
            "first-sequence-number",
            options.first_sequence_number.is_some(),
        ),
    ]
}

/// What only Kafka's brokers have.
fn of_kafka(options: &Up) -> [(&'static str, bool); 3] {
    [
        ("brokers", options.brokers.is_some()),
        ("data", options.data.is_some()),
        ("set", !options.set.is_empty()),
    ]
}

fn port(options: &Up) -> Result<Option<u16>, Failure> {
    let port = options.port.as_deref();
    let port = port.map(|port| number::<NonZeroU16>("port", port, "1 to 65535"));
    Ok(port.transpose()?.map(NonZeroU16::get))
}

fn number<T: std::str::FromStr>(option: &str, text: &str, range: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| {
        Failure::usage(format!(
            "--{option} {text} can't be used: choose a number from {range}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::with_topic;

    #[test]
    fn a_topic_stands_before_the_options() {
        assert_eq!(
            with_topic("kafka://127.0.0.1:9092"),
            "kafka://127.0.0.1:9092/tweets"
        );
        assert_eq!(
            with_topic("kinesis://us-east-1?endpoint=http://127.0.0.1:4566&leases=memory"),
            "kinesis://us-east-1/tweets?endpoint=http://127.0.0.1:4566&leases=memory"
        );
    }
}
