//! A place in the report, checked against its shape: which fields there are, and in which unit.

use std::fmt;

use serde_json::Value;

use crate::nearest::hint;
use crate::report::{self, Hub, Status};
use crate::units;

/// A value in the report: `hub.path.to.field`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) hub: String,
    pub(super) path: Vec<String>,
}

/// What stands at a place.
pub(super) enum Kind {
    Number,
    Word,
}

impl Place {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.trim().split('.').map(str::to_owned);
        let hub = parts.next().filter(|hub| !hub.is_empty());
        let path: Vec<_> = parts.collect();
        match hub {
            Some(hub) if !path.is_empty() => {
                let place = Self { hub, path };
                place.kind()?;
                Ok(place)
            }
            _ => Err(format!(
                "'{}' is no HUB.FIELD such as kafka.delivery.lost",
                text.trim()
            )),
        }
    }

    pub(super) fn field(&self) -> String {
        self.path.join(".")
    }

    /// What stands there in a full report; an error names the nearest field.
    pub(super) fn kind(&self) -> Result<Kind, String> {
        // What a provider bills has the provider's own names.
        if self.path[0] == "usage" && self.path.len() == 2 && self.path[1] != "counted" {
            return Ok(Kind::Number);
        }
        let shape = shape();
        let mut here = &shape;
        for (depth, name) in self.path.iter().enumerate() {
            let Some(next) = here.get(name) else {
                return Err(self.unknown(&shape, here, depth));
            };
            here = next;
        }
        match here {
            Value::Number(_) => Ok(Kind::Number),
            Value::String(_) | Value::Bool(_) => Ok(Kind::Word),
            Value::Object(members) => {
                let names: Vec<_> = members.keys().map(String::as_str).collect();
                Err(format!(
                    "'{}' is a group: name one of its fields, {}",
                    self.field(),
                    names.join(", ")
                ))
            }
            _ => Err(format!(
                "'{}' is a list, it can't be compared",
                self.field()
            )),
        }
    }

    fn unknown(&self, shape: &Value, here: &Value, depth: usize) -> String {
        let field = self.field();
        let mut all = Vec::new();
        leaves(shape, "", &mut all);
        let mut told = hint(&field, all.iter().map(String::as_str));
        if told.is_empty()
            && let Value::Object(members) = here
        {
            let names: Vec<_> = members.keys().map(String::as_str).collect();
            told = format!("; here stand {}", names.join(", "));
        }
        format!("unknown field '{}' in '{field}'{told}", self.path[depth])
    }

    pub(super) fn value_in(&self, hub: &Hub) -> Value {
        let hub = serde_json::to_value(hub).unwrap_or(Value::Null);
        self.path
            .iter()
            .try_fold(&hub, |here, name| here.get(name))
            .cloned()
            .unwrap_or(Value::Null)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.hub, self.field())
    }
}

/// A number in the unit of the field: microseconds for `_us`, or for a percentile inside one; see the module.
pub(super) fn number(field: &str, text: &str) -> Result<f64, String> {
    if let Ok(plain) = text.replace('_', "").parse::<f64>()
        && plain.is_finite()
    {
        return Ok(plain);
    }
    const OF_A_HISTOGRAM: [&str; 8] = ["min", "p50", "p90", "p99", "p999", "p9999", "max", "mean"];
    if field.ends_with("_us") || OF_A_HISTOGRAM.contains(&field) {
        units::parse_duration(text).map(|time| time.as_secs_f64() * 1e6)
    } else if field.contains("bytes") {
        units::parse_bytes(text).map(|n| n as f64)
    } else if field.ends_with("_per_s") {
        units::parse_rate(text)
    } else if field.ends_with("_s") {
        units::parse_duration(text).map(|time| time.as_secs_f64())
    } else {
        units::parse_count(text).map(|n| n as f64)
    }
}

/// A value as the report has it, and readable beside it where that differs.
pub(super) fn show(path: &[String], value: &Value) -> String {
    let Value::Number(number) = value else {
        return value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
    };
    let plain = match number.as_f64() {
        Some(n) if n.fract() == 0.0 => format!("{n:.0}"),
        _ => number.to_string(),
    };
    let in_us = path.iter().any(|name| name.ends_with("_us"))
        && path.last().is_some_and(|f| f != "count" && f != "negative");
    match number.as_f64() {
        Some(n) if in_us && n >= 0.0 => format!("{plain} ({})", units::micros(n as u64)),
        _ => plain,
    }
}

/// A hub's object with everything there, for its names and types alone.
fn shape() -> Value {
    let hub = Hub {
        name: String::new(),
        provider: String::new(),
        url: Some(String::new()),
        ran_on: report::RanOn::Memory,
        server: Some(String::new()),
        client: Some(String::new()),
        limits: report::Limits {
            on: false,
            quota: Some(String::new()),
        },
        status: Status::Ok,
        why: Some(String::new()),
        latency: Some(report::Latency::default()),
        throughput: Some(report::Throughput::default()),
        runs: Vec::new(),
        delivery: Some(report::Delivery::default()),
        sentiment: Some(report::Sentiment {
            digest: Some(String::new()),
            ..Default::default()
        }),
        usage: Some(report::Usage::default()),
        cost: None,
        process: Some(report::Process::default()),
    };
    serde_json::to_value(hub).unwrap_or(Value::Null)
}

fn leaves(value: &Value, prefix: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                leaves(member, &path, out);
            }
        }
        Value::Array(_) | Value::Null => {}
        _ => out.push(prefix.to_owned()),
    }
}
