//! `anyhub-local up eventhubs`.

use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhub_local::EventHubs;
use serde_json::json;

use super::stop::Stop;
use super::{example, number, of_kafka, port, refuse, stay};
use crate::cli::{Failure, Up, step};

/// What there is when nothing else is asked for.
const HUB: (&str, u32) = ("tweets", 4);

pub(super) fn run(options: &Up, start: Instant, stop: &Stop) -> Result<ExitCode, Failure> {
    refuse(&of_kafka(options), "eventhubs")?;
    refuse(
        &[("logs", options.logs.is_some())],
        "eventhubs: it writes none",
    )?;
    let mut hubs = options
        .event_hub
        .iter()
        .map(|hub| named(hub))
        .collect::<Result<Vec<_>, _>>()?;
    if hubs.is_empty() {
        hubs.push(HUB);
    }
    let first = options.first_sequence_number.as_deref();
    let first = first.map(|first| number("first-sequence-number", first, "0 to 2^52"));
    let mut builder = EventHubs::builder()
        .limits(options.limits)
        .first_sequence_number(first.transpose()?.unwrap_or_else(behind_all_before));
    for (name, partitions) in &hubs {
        builder = builder.hub(name, *partitions);
    }
    if let Some(port) = port(options)? {
        builder = builder.port(port);
    }
    let eventhubs = builder.start()?;
    for (hub, _) in &hubs {
        for group in &options.group {
            eventhubs.create_group(hub, group)?;
        }
    }
    let urls: Vec<_> = hubs.iter().map(|(name, _)| eventhubs.url(name)).collect();
    let described = |(name, partitions): &(&str, u32)| {
        json!({
            "name": name,
            "partitions": partitions,
            "url": eventhubs.url(name),
            "connection_string": eventhubs.connection_string(name),
        })
    };
    let line = json!({
        "hub": "eventhubs",
        "server": "anyhub-local",
        "version": env!("CARGO_PKG_VERSION"),
        "url": urls.first(),
        "endpoint": eventhubs.endpoint(),
        "limits": options.limits,
        "event_hubs": hubs.iter().map(described).collect::<Vec<_>>(),
    });
    let reached_by = if options.json {
        line.to_string()
    } else {
        urls.join("\n")
    };
    if let Some(url) = urls.first() {
        example(start, url);
    }
    stay(start, stop, "Event Hubs answers", &reached_by, || None)?;
    eventhubs.stop();
    step(start, "stopped");
    Ok(ExitCode::SUCCESS)
}

/// A number behind those of any server before: microseconds since 1970, as no partition takes more than an event in each. Whoever
/// has kept a checkpoint is told then that its events are gone, and passes over none of those to come.
fn behind_all_before() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(0)
}

/// A hub's name and its partitions, as in `tweets=4`.
fn named(text: &str) -> Result<(&str, u32), Failure> {
    let Some((name, partitions)) = text.split_once('=') else {
        return Err(Failure::usage(format!(
            "--event-hub {text} can't be used: say NAME=PARTITIONS"
        )));
    };
    Ok((name, number("event-hub", partitions, "1 to 1024")?))
}
