//! `anyhub-local up kafka`.

use std::process::ExitCode;
use std::time::Instant;

use anyhub_local::Kafka;
use serde_json::json;

use super::stop::Stop;
use super::{example, number, of_eventhubs, port, refuse, stay, with_topic};
use crate::cli::{Failure, Up, step};

pub(super) fn run(options: &Up, start: Instant, stop: &Stop) -> Result<ExitCode, Failure> {
    refuse(&[("limits", options.limits)], "kafka")?;
    refuse(&of_eventhubs(options), "kafka")?;
    let brokers = number(
        "brokers",
        options.brokers.as_deref().unwrap_or("1"),
        "1 to 5",
    )?;
    let mut builder = Kafka::builder()
        .brokers(brokers)
        .on_progress(move |phase| step(start, &phase.to_string()));
    if let Some(port) = port(options)? {
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

    let all = if brokers == 1 {
        "the broker answers"
    } else {
        "all brokers answer"
    };
    let reached_by = if options.json {
        describe(&kafka)?
    } else {
        kafka.url()
    };
    example(start, &with_topic(&kafka.url()));
    stay(start, stop, all, &reached_by, || kafka.failure())?;
    kafka.stop();
    step(start, "stopped");
    Ok(ExitCode::SUCCESS)
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
