//! `anyhub-local up pubsub`.

use std::process::ExitCode;
use std::time::Instant;

use anyhub_local::PubSub;
use serde_json::json;

use super::stop::Stop;
use super::{example, of_eventhubs, of_kafka, port, refuse, stay, with_topic};
use crate::cli::{Failure, Up, step};

pub(super) fn run(options: &Up, start: Instant, stop: &Stop) -> Result<ExitCode, Failure> {
    refuse(&of_kafka(options), "pubsub")?;
    refuse(&of_eventhubs(options), "pubsub")?;
    refuse(
        &[("logs", options.logs.is_some())],
        "pubsub: it writes none",
    )?;
    let mut builder = PubSub::builder().limits(options.limits);
    if let Some(port) = port(options)? {
        builder = builder.port(port);
    }
    let pubsub = builder.start()?;
    let line = json!({
        "hub": "pubsub",
        "server": "anyhub-local",
        "version": env!("CARGO_PKG_VERSION"),
        "url": pubsub.url(),
        "endpoint": pubsub.endpoint(),
        "emulator_host": pubsub.emulator_host(),
        "limits": options.limits,
    });
    let reached_by = if options.json {
        line.to_string()
    } else {
        pubsub.url()
    };
    example(start, &with_topic(&pubsub.url()));
    stay(start, stop, "Pub/Sub answers", &reached_by, || None)?;
    pubsub.stop();
    step(start, "stopped");
    Ok(ExitCode::SUCCESS)
}
