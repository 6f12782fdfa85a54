//! `anyhub-local up kinesis`.

use std::process::ExitCode;
use std::time::Instant;

use anyhub_local::Kinesis;
use serde_json::json;

use super::stop::Stop;
use super::{example, of_eventhubs, of_kafka, port, refuse, stay, with_topic};
use crate::cli::{Failure, Up, step};

pub(super) fn run(options: &Up, start: Instant, stop: &Stop) -> Result<ExitCode, Failure> {
    refuse(&of_kafka(options), "kinesis")?;
    refuse(&of_eventhubs(options), "kinesis")?;
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
    example(start, &with_topic(&kinesis.url()));
    stay(start, stop, "Kinesis answers", &reached_by, || None)?;
    kinesis.stop();
    step(start, "stopped");
    Ok(ExitCode::SUCCESS)
}
