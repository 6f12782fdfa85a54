//! `anyhub-local up kinesis`, ours or LocalStack's.

use std::process::ExitCode;
use std::time::Instant;

use anyhub_local::{Kinesis, LocalStack};
use serde_json::json;

use super::stop::Stop;
use super::{port, refuse, stay};
use crate::cli::{Failure, Up, step};

pub(super) fn run(options: &Up, start: Instant, stop: &Stop) -> Result<ExitCode, Failure> {
    refuse(&kafkas(options), "kinesis")?;
    refuse(
        &[("logs", options.logs.is_some())],
        "kinesis: it writes none",
    )?;
    let mut builder = Kinesis::builder().limits(options.limits);
    if let Some(port) = port(options)? {
        builder = builder.port(port);
    }
    let kinesis = builder.start()?;
    let line = json!({
        "hub": "kinesis",
        "server": "ferrokinesis",
        "version": kinesis.version(),
        "url": kinesis.url(),
        "endpoint": kinesis.endpoint(),
        "limits": options.limits,
    });
    let reached_by = if options.json {
        line.to_string()
    } else {
        kinesis.url()
    };
    stay(start, stop, "Kinesis answers", &reached_by, || None)?;
    kinesis.stop();
    step(start, "stopped");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn run_localstack(
    options: &Up,
    start: Instant,
    stop: &Stop,
) -> Result<ExitCode, Failure> {
    refuse(&kafkas(options), "kinesis")?;
    refuse(&[("limits", options.limits)], "LocalStack")?;
    let mut builder =
        LocalStack::builder().on_progress(move |phase| step(start, &phase.to_string()));
    if let Some(port) = port(options)? {
        builder = builder.port(port);
    }
    if let Some(folder) = &options.logs {
        builder = builder.log_dir(folder);
    }
    let localstack = builder.start()?;
    let line = json!({
        "hub": "kinesis",
        "server": "localstack",
        "version": localstack.version(),
        "url": localstack.url(),
        "endpoint": localstack.endpoint(),
        "pid": localstack.pid(),
        "data": localstack.data_dir(),
        "log": localstack.log(),
    });
    let reached_by = if options.json {
        line.to_string()
    } else {
        localstack.url()
    };
    stay(start, stop, "LocalStack answers", &reached_by, || {
        localstack.failure()
    })?;
    localstack.stop();
    step(start, "stopped");
    Ok(ExitCode::SUCCESS)
}

/// What only Kafka's brokers have.
fn kafkas(options: &Up) -> [(&'static str, bool); 3] {
    [
        ("brokers", options.brokers.is_some()),
        ("data", options.data.is_some()),
        ("set", !options.set.is_empty()),
    ]
}
