use crate::{
    error::{HUB, config},
    property::{self, Role},
};
use anyhub_core::{Error, HubUrl, Result, Secret, nearest, read_settings_file, shown};
use rdkafka::{ClientConfig, config::RDKafkaLogLevel, error::KafkaError, types::RDKafkaConfRes};
use serde::Deserialize;
use std::{collections::BTreeMap, env, fmt, path::Path};
use tracing::level_filters::LevelFilter;

/// Where the brokers are, and how to talk to them.
///
/// A URL says the same: `kafka://host:9092,host2:9092/topic?property=value`. Properties are
/// [librdkafka's](https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md), all
/// but those that the options of a producer or consumer set; an unknown one is Config and names
/// the nearest one. `properties=FILE` names a file of `name=value` lines, where passwords are
/// better kept than in a URL. A property can also stand in the environment: `sasl.password` as
/// `ANYHUB_KAFKA_SASL_PASSWORD`. The URL goes before the environment, and that before the file.
///
/// Properties that run code (`plugin.library.paths`, `ssl.engine.*`, `ssl.providers`,
/// `sasl.kerberos.kinit.cmd`) are taken from the file and the environment, never from a URL.
///
/// Where this differs from librdkafka's defaults, unless a property says otherwise:
///
/// | property | here | librdkafka | why |
/// |---|---|---|---|
/// | `enable.idempotence` | true | false | a retry writes nothing twice |
/// | `acks` | all | all | said, since order and loss rest on it |
/// | `partitioner` | `murmur2_random` | `consistent_random` | keys go where Java sends them |
/// | `linger.ms` | [`ProducerOptions::linger`](anyhub_core::ProducerOptions) | 5 | set here, it goes before the option |
/// | `topic.metadata.refresh.interval.ms` | 2000 | 300000 | new partitions and leaders are seen soon |
/// | `reconnect.backoff.max.ms` | 1000 | 10000 | a broker that comes back is used soon |
/// | `partition.assignment.strategy` | `cooperative-sticky` | `range,roundrobin` | a rebalance moves only what moves |
/// | `fetch.queue.backoff.ms` | 2 | 1000 | the default starves a consumer a little slower than the network |
/// | `heartbeat.interval.ms` | 1000 | 3000 | members learn of a rebalance by it |
/// | `session.timeout.ms` | 45000, at most `max_processing` or 6000 | 45000 | a member counts as gone when its tokens do |
///
/// Values are never printed, since any of them may be secret.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KafkaConfig {
    /// The first brokers to ask, as `host:port,host:port`; 9092 where there is no port.
    pub bootstrap: String,
    /// librdkafka's properties.
    #[serde(default)]
    pub properties: BTreeMap<String, Secret>,
}

impl KafkaConfig {
    /// These brokers and librdkafka's defaults.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            properties: BTreeMap::new(),
        }
    }

    /// Sets one of librdkafka's properties.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let value = Secret::new(value);
        self.properties.insert(name.into(), value);
        self
    }

    /// What a URL, the file that it names and the environment say. Config for an option that is
    /// none, and for a file that can't be read.
    pub fn from_url(url: &HubUrl) -> Result<Self> {
        Self::gather(url, env::vars())
    }

    fn gather(url: &HubUrl, environment: impl Iterator<Item = (String, String)>) -> Result<Self> {
        if url.authority().is_empty() {
            return Err(config("the URL names no broker")
                .with_advice("it looks like kafka://host:9092/topic"));
        }
        let mut properties = BTreeMap::new();
        if let Some((_, file)) = url.options().find(|(name, _)| *name == FILE) {
            read_file(file, url.authority(), &mut properties)?;
        }
        for (variable, value) in environment {
            if let Some(name) = variable.strip_prefix(ENVIRONMENT) {
                let property = property::names().find(|known| variable_name(known) == name);
                let property = property.ok_or_else(|| unknown_variable(&variable))?;
                properties.insert(property.to_owned(), Secret::new(value));
            }
        }
        for (name, value) in url.options().filter(|(name, _)| *name != FILE) {
            if property::runs_code(name) {
                return Err(config(format!(
                    "the property '{name}' runs code, so a URL can't set it"
                ))
                .with_advice("set it in the properties file, or in the environment"));
            }
            properties.insert(name.to_owned(), Secret::new(value));
        }
        Ok(Self {
            bootstrap: url.authority().to_owned(),
            properties,
        })
    }

    /// Config if a broker is none, or a property is unknown, is the backend's own, or has a value that can't be.
    pub(crate) fn check(&self) -> Result<()> {
        for broker in self.bootstrap.split(',') {
            check_broker(broker)?;
        }
        for (name, value) in &self.properties {
            if property::role(name).is_none() {
                return Err(unknown_property(name));
            }
            if let Some(instead) = property::refusal(name, value.expose()) {
                return Err(
                    config(format!("the property '{name}' can't be set here")).with_advice(instead)
                );
            }
        }
        if !self.is_idempotent()
            && let Some(in_flight) = self.in_flight()
            && in_flight != "1"
        {
            return Err(config(
                "without idempotence, more than one request in flight loses the order of keys",
            )
            .with_advice("leave max.in.flight out, or set it to 1"));
        }
        for role in [Role::Producer, Role::Consumer] {
            let made = self.client(role).create_native_config();
            made.map_err(|error| refused_value(&error))?;
        }
        Ok(())
    }

    /// Whether a retry can't write an event twice.
    pub(crate) fn is_idempotent(&self) -> bool {
        let value = self.properties.get("enable.idempotence");
        value.is_none_or(|value| matches!(value.expose().trim(), "true" | "t" | "1"))
    }

    fn in_flight(&self) -> Option<&str> {
        let names = ["max.in.flight", "max.in.flight.requests.per.connection"];
        let value = names.iter().find_map(|name| self.properties.get(*name));
        value.map(|value| value.expose().trim())
    }

    /// The settings of a client of this role, before what its options add.
    pub(crate) fn client(&self, role: Role) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set_log_level(log_level());
        client.set("bootstrap.servers", &self.bootstrap);
        for (name, value) in defaults(role) {
            client.set(*name, *value);
        }
        if role == Role::Producer && !self.is_idempotent() {
            client.set("max.in.flight", "1");
        }
        for (name, value) in &self.properties {
            if property::role(name).is_some_and(|property| role.takes(property)) {
                client.set(name, value.expose());
            }
        }
        client
    }

    /// A value that was set, as the number that it is.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.properties.get(name)?.expose().trim().parse().ok()
    }

    /// Whether the property was set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.properties.contains_key(name)
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let properties = self.properties.iter();
        let properties: BTreeMap<_, _> = properties
            .map(|(name, value)| (shown(name), value))
            .collect();
        f.debug_struct("KafkaConfig")
            .field("bootstrap", &shown(&self.bootstrap))
            .field("properties", &properties)
            .finish()
    }
}

/// Where we differ from librdkafka's defaults.
fn defaults(role: Role) -> &'static [(&'static str, &'static str)] {
    match role {
        Role::Both => &[("client.id", "anyhub"), RECONNECT],
        Role::Producer => &[
            ("client.id", "anyhub"),
            ("enable.idempotence", "true"),
            ("acks", "all"),
            // What Java does; librdkafka's own default puts keys elsewhere.
            ("partitioner", "murmur2_random"),
            // New partitions are seen within this; 5 min is librdkafka's default.
            ("topic.metadata.refresh.interval.ms", "2000"),
            RECONNECT,
        ],
        Role::Consumer => &[
            ("client.id", "anyhub"),
            ("topic.metadata.refresh.interval.ms", "2000"),
            RECONNECT,
            // A rebalance takes only what moves, and needs no answer from members that keep all.
            ("partition.assignment.strategy", "cooperative-sticky"),
            // The default of 1 s starves any consumer a little slower than the network.
            ("fetch.queue.backoff.ms", "2"),
        ],
    }
}

/// A broker that comes back is seen within this; librdkafka's default of 10 s would keep the
/// partitions that it leads waiting.
const RECONNECT: (&str, &str) = ("reconnect.backoff.max.ms", "1000");

const FILE: &str = "properties";
/// More than all properties take, certificates among them.
const LARGEST: u64 = 1 << 20;
const ENVIRONMENT: &str = "ANYHUB_KAFKA_";

fn variable_name(property: &str) -> String {
    property.replace('.', "_").to_ascii_uppercase()
}

/// librdkafka would look for a port of 99999 until it gave up.
fn check_broker(broker: &str) -> Result<()> {
    // An IPv6 address stands in brackets; what follows them is the port.
    let (host, port) = match broker.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (broker, None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    if host.is_empty() || host.contains('@') || !port_fits {
        return Err(config(format!("'{}' is no broker", shown(broker)))
            .with_advice("a broker is host:port, its port from 1 to 65535, as in localhost:9092"));
    }
    Ok(())
}

fn read_file(path: &str, brokers: &str, into: &mut BTreeMap<String, Secret>) -> Result<()> {
    let text = read_settings_file(Path::new(path), LARGEST);
    let path = shown(path);
    let text = text.map_err(|error| {
        let message = format!("the properties file '{path}' can't be read: {error}");
        config(message).with_source(error)
    })?;
    for (nth, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(config(format!(
                "line {} of '{path}' is not name=value",
                nth + 1
            )));
        };
        let (name, value) = (name.trim(), value.trim());
        if name == "bootstrap.servers" {
            if value != brokers {
                return Err(config(format!(
                    "'{path}' names the brokers '{}', and the URL '{brokers}'",
                    shown(value)
                ))
                .with_advice("leave bootstrap.servers out of the file, or make both the same"));
            }
            continue;
        }
        into.insert(name.to_owned(), Secret::new(value));
    }
    Ok(())
}

fn unknown_property(name: &str) -> Error {
    let error = config(format!("{HUB} has no option '{}'", shown(name)));
    match nearest(name, property::names().chain([FILE])) {
        Some(nearest) => error.with_advice(format!("did you mean '{nearest}'?")),
        None => error.with_advice("the properties are those of librdkafka's CONFIGURATION.md"),
    }
}

fn unknown_variable(variable: &str) -> Error {
    let names: Vec<_> = property::names()
        .map(|name| format!("{ENVIRONMENT}{}", variable_name(name)))
        .collect();
    let error = config(format!("the variable {variable} names no property"));
    match nearest(variable, names.iter().map(String::as_str)) {
        Some(nearest) => error.with_advice(format!("did you mean {nearest}?")),
        None => error,
    }
}

/// Says which property librdkafka refused, without its value.
pub(crate) fn refused_value(error: &KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
            unknown_property(name)
        }
        KafkaError::ClientConfig(_, reason, name, value) => {
            let reason = match value.contains('"') {
                // Whose end would be taken for that of the value.
                true => "it has a quote".to_owned(),
                false => without_value(reason),
            };
            config(format!(
                "the property '{name}' can't have this value: {reason}"
            ))
        }
        KafkaError::ClientCreation(reason) => {
            let words: Vec<_> = reason.split(' ').map(shown).collect();
            config(format!("librdkafka refused: {}", words.join(" ")))
        }
        _ => config("a property has a NUL in its name or value"),
    }
}

/// librdkafka puts the value in quotes, or a part of it, or behind the name of the property, which it quotes
/// as well (2.12, rdkafka_conf.c).
fn without_value(reason: &str) -> String {
    let reason = match reason.split_once("\": ") {
        Some((before, _)) => format!("{before}\""),
        None => reason.to_owned(),
    };
    let parts = reason.split('"').enumerate();
    let parts = parts.map(
        |(nth, part)| match nth % 2 == 1 && property::role(part).is_none() {
            true => "***",
            false => part,
        },
    );
    parts.collect::<Vec<_>>().join("'")
}

/// What librdkafka need not say where nobody listens.
fn log_level() -> RDKafkaLogLevel {
    match LevelFilter::current() {
        LevelFilter::OFF | LevelFilter::ERROR => RDKafkaLogLevel::Error,
        LevelFilter::WARN => RDKafkaLogLevel::Warning,
        LevelFilter::INFO => RDKafkaLogLevel::Info,
        _ => RDKafkaLogLevel::Debug,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "config_tests.rs"]
mod tests;
