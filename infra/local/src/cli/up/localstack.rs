//! `anyhub-local up kinesis --with localstack`.

use std::process::ExitCode;
use std::time::Instant;

use anyhub_local::LocalStack;
use serde_json::json;

use super::stop::Stop;
use super::{example, of_eventhubs, of_kafka, port, refuse, stay, with_topic};
use crate::cli::{Failure, Up, step};

pub(super) fn run(options: &Up, start: Instant, stop: &Stop) -> Result<ExitCode, Failure> {
    refuse(&of_kafka(options), "kinesis")?;
    refuse(&of_eventhubs(options), "kinesis")?;
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
    example(start, &with_topic(&localstack.url()));
    stay(start, stop, "LocalStack answers", &reached_by, || {
        localstack.failure()
    })?;
    localstack.stop();
    step(start, "stopped");
    Ok(ExitCode::SUCCESS)
}
