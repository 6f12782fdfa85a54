//! `anyhub-local up pubsub --with pstest`.

use std::process::ExitCode;
use std::time::Instant;

use anyhub_local::PsTest;
use serde_json::json;

use super::stop::Stop;
use super::{of_eventhubs, of_kafka, port, refuse, stay};
use crate::cli::{Failure, Up, step};

const LIMITS: &str = "a seek ends pstest, and it gives about 60 messages a second: the examples consume and replay don't \
                      run on it";

pub(super) fn run(options: &Up, start: Instant, stop: &Stop) -> Result<ExitCode, Failure> {
    refuse(&of_kafka(options), "pubsub")?;
    refuse(&of_eventhubs(options), "pubsub")?;
    refuse(&[("limits", options.limits)], "pstest")?;
    refuse(&[("logs", options.logs.is_some())], "pstest")?;
    let pstest = PsTest::start(port(options)?, |phase| step(start, &phase.to_string()))?;
    let line = json!({
        "hub": "pubsub",
        "server": "pstest",
        "version": pstest.version(),
        "url": pstest.url(),
        "endpoint": pstest.endpoint(),
        "emulator_host": pstest.emulator_host(),
        "pid": pstest.pid(),
        "log": pstest.log(),
    });
    let reached_by = if options.json {
        line.to_string()
    } else {
        pstest.url()
    };
    step(start, LIMITS);
    stay(start, stop, "pstest answers", &reached_by, || {
        pstest.failure()
    })?;
    pstest.stop();
    step(start, "stopped");
    Ok(ExitCode::SUCCESS)
}
