//! A hub that exists, as `--hub` names it.

use std::fmt;
use std::str::FromStr;

use anyhub::{HubUrl, Secret};
use anyhub_core::shown;

use super::Given;
use super::probe::is_stand_in;
use crate::report::RanOn;

/// `--hub [NAME=]URL`. Debug shows no values of the URL's options, which may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubArg {
    pub(super) name: String,
    pub(super) url: HubUrl,
    pub(super) text: Secret,
    group: Option<String>,
    /// Where the emulator is that Pub/Sub's clients are told of by the environment, if they go by it.
    emulator: Option<String>,
}

/// The hubs, each with the group by which `groups`, which are `[NAME=]GROUP`, let it be read. An error says what of
/// them means no hub.
pub fn read_by(mut hubs: Vec<HubArg>, groups: &[String]) -> Result<Vec<HubArg>, String> {
    for text in groups {
        let (name, group) = match text.split_once('=') {
            Some((name, group)) => (Some(name), group),
            None => (None, text.as_str()),
        };
        if group.is_empty() {
            return Err("a group has a name: give NAME, or HUB=NAME".to_owned());
        }
        let mut meant: Vec<_> = hubs
            .iter_mut()
            .filter(|hub| name.is_none_or(|name| hub.name == name))
            .collect();
        if let (true, Some(name)) = (meant.is_empty(), name) {
            return Err(format!("no --hub is called '{}'", shown(name)));
        }
        meant.retain(|hub| hub.url.topic().is_ok());
        if meant.is_empty() {
            return Err(format!(
                "'{}' is for a --hub whose URL names a topic: others make a group of their own",
                shown(group)
            ));
        }
        for hub in meant {
            if hub.group.replace(group.to_owned()).is_some() {
                return Err(format!("the hub '{}' is given two groups", hub.name));
            }
        }
    }
    Ok(hubs)
}

impl FromStr for HubArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A name ends before the URL's scheme does: what follows the colon may hold any number of `=`.
        let (name, text) = match text.split_once('=') {
            Some((name, url)) if !name.contains(':') => (Some(name), url),
            _ => (None, text),
        };
        // Unknown schemes and options are told here, before anything is started.
        anyhub::connect(text).map_err(|error| error.to_string())?;
        let url: HubUrl = text
            .parse()
            .map_err(|error: anyhub::Error| error.to_string())?;
        // Its consumers are a group, of which these two keep nothing by themselves.
        let keeps_none = matches!(url.scheme(), "kinesis" | "eventhubs");
        if keeps_none && url.options().all(|(name, _)| name != "leases") {
            let sign = if url.options().next().is_none() {
                '?'
            } else {
                '&'
            };
            return Err(format!(
                "{} URL says where the consumer group is kept: add {sign}leases=memory to it",
                match url.scheme() {
                    "kinesis" => "a kinesis",
                    _ => "an eventhubs",
                }
            ));
        }
        let emulator = emulator_of(&url, std::env::var("PUBSUB_EMULATOR_HOST").ok());
        let name = name.unwrap_or(url.scheme()).to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 32 || !name.chars().all(plain) {
            return Err(format!(
                "'{}' is no name for a hub: take up to 32 letters, digits, - and _",
                shown(&name)
            ));
        }
        Ok(Self {
            name,
            url,
            text: Secret::new(text),
            group: None,
            emulator,
        })
    }
}

/// As it may be printed: `NAME=URL` without what may be secret.
impl fmt::Display for HubArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name != self.url.scheme() {
            write!(f, "{}=", self.name)?;
        }
        f.write_str(&self.printable())
    }
}

impl HubArg {
    /// The URL with the options that can't be secret.
    pub(super) fn printable(&self) -> String {
        let mut text = self.url.to_string();
        for (nth, (name, value)) in self.url.options().enumerate() {
            let value = match self.url.scheme() {
                // Credentials are no option there.
                "kinesis" | "eventhubs" | "pubsub" => shown(value),
                _ if is_harmless(name, value) => value,
                _ => "***",
            };
            text.push(if nth == 0 { '?' } else { '&' });
            text.push_str(&format!("{}={value}", shown(name)));
        }
        text
    }

    /// The topic that is there, if the URL names one.
    pub(super) fn given(&self) -> Option<Given> {
        let topic = self.url.topic().ok()?.to_owned();
        let group = self.group.clone();
        Some(Given { topic, group })
    }

    fn endpoint(&self) -> Option<&str> {
        endpoint_in(&self.url).or(self.emulator.as_deref())
    }

    /// Whether the stand-in of `anyhub-local` answers there.
    pub(super) async fn is_stand_in(&self) -> bool {
        match self.endpoint() {
            Some(endpoint) if self.ran_on() == RanOn::Emulator => is_stand_in(endpoint).await,
            _ => false,
        }
    }

    /// What answers there, as far as the URL tells.
    pub(super) fn ran_on(&self) -> RanOn {
        match self.url.scheme() {
            "memory" => RanOn::Memory,
            // Nobody but AWS runs Kinesis itself.
            "kinesis" => match self.endpoint() {
                Some(endpoint) if !is_aws(endpoint) => RanOn::Emulator,
                _ => RanOn::Cloud,
            },
            "pubsub" if self.emulator.is_some() => RanOn::Emulator,
            // Nor anybody but Azure and Google theirs; a private endpoint is on no machine of its user.
            "eventhubs" | "pubsub" => match self.endpoint() {
                Some(endpoint) if is_here(endpoint) => RanOn::Emulator,
                _ => RanOn::Cloud,
            },
            _ => RanOn::Broker,
        }
    }
}

fn endpoint_in(url: &HubUrl) -> Option<&str> {
    let mut options = url.options();
    options.find_map(|(name, value)| (name == "endpoint").then_some(value))
}

fn emulator_of(url: &HubUrl, host: Option<String>) -> Option<String> {
    let host = host.filter(|host| !host.is_empty())?;
    let is_meant = url.scheme() == "pubsub" && endpoint_in(url).is_none();
    is_meant.then(|| match host.contains("://") {
        true => host,
        false => format!("http://{host}"),
    })
}

/// Whether an endpoint is on this machine.
fn is_here(endpoint: &str) -> bool {
    let rest = endpoint.split_once("://");
    let authority = rest.map_or(endpoint, |(_, rest)| rest);
    ["localhost", "127.", "[::1]"]
        .iter()
        .any(|here| authority.starts_with(here))
}

/// Numbers and yes or no, under names that sound like neither user nor key.
fn is_harmless(name: &str, value: &str) -> bool {
    const TELLING: [&str; 9] = [
        "user", "pass", "secret", "token", "key", "cred", "auth", "sasl", "ssl",
    ];
    let telling = TELLING
        .iter()
        .any(|part| name.to_ascii_lowercase().contains(part));
    !telling && (value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok())
}

/// Whether the host of an endpoint is AWS', such as one of its VPC endpoints; its names end so in all
/// partitions (AWS General Reference, "Kinesis Data Streams endpoints", 2026-11).
fn is_aws(endpoint: &str) -> bool {
    let rest = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default();
    ["amazonaws.com", "amazonaws.com.cn", "api.aws"]
        .iter()
        .any(|ours| {
            host.strip_suffix(ours)
                .is_some_and(|name| name.ends_with('.'))
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hub(text: &str) -> HubArg {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_secret_is_printed() {
        let hub = hub("prod=kafka://a:9092/t?linger.ms=5&sasl.password=12345678");
        let printed = format!("{hub} {hub:?} {}", hub.printable());
        assert!(!printed.contains("12345678"), "{printed}");
        assert!(
            printed.starts_with("prod=kafka://a:9092/t?linger.ms=5&sasl.password=***"),
            "{printed}"
        );
    }

    #[test]
    fn kinesis_and_eventhubs_are_shown_whole_but_for_what_may_be_secret() {
        let plain = "kinesis://us-east-1?endpoint=http://127.0.0.1:4566&leases=memory";
        assert_eq!(hub(plain).to_string(), plain);
        let pasted = hub(
            "eventhubs:/t?leases=memory&connection_string_file=Endpoint=sb://a/;SharedAccessKey=hunter2",
        );
        assert!(!pasted.to_string().contains("hunter2"), "{pasted}");
    }

    #[test]
    fn a_group_that_has_no_place_is_told_before_anything_is_started() {
        for (url, add) in [
            ("kinesis://us-east-1/t", "?leases=memory"),
            ("kinesis://us-east-1?aggregate=off", "&leases=memory"),
            ("eventhubs://n.servicebus.windows.net/t", "an eventhubs URL"),
        ] {
            let told = url.parse::<HubArg>().unwrap_err();
            assert!(told.contains(add) && !told.contains('\n'), "{told}");
        }
        hub("kinesis://us-east-1/t?leases=sqlite:leases.db");
    }

    #[test]
    fn a_group_is_of_the_hub_that_is_meant() {
        let hubs = || {
            vec![
                hub("a=kafka://a:1/t"),
                hub("b=kafka://b:1/t"),
                hub("c=kafka://c:1"),
            ]
        };
        let groups = |groups: &[&str]| {
            let groups: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
            let hubs = read_by(hubs(), &groups)?;
            let given = hubs.iter().map(|hub| hub.given()?.group);
            Ok::<_, String>(given.collect::<Vec<_>>())
        };
        let some = |group: &str| Some(group.to_owned());
        assert_eq!(groups(&[]), Ok(vec![None, None, None]));
        assert_eq!(groups(&["g"]), Ok(vec![some("g"), some("g"), None]));
        assert_eq!(
            groups(&["b=x=y", "a=g"]),
            Ok(vec![some("g"), some("x=y"), None])
        );
        for (wrong, told) in [
            (&["d=g"][..], "no --hub is called 'd'"),
            (&["c=g"], "names a topic"),
            (&["g", "a=h"], "'a' is given two groups"),
            (&["a="], "a group has a name"),
            (&[""], "a group has a name"),
        ] {
            let refused = groups(wrong).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
        assert!(
            read_by(Vec::new(), &["g".into()])
                .unwrap_err()
                .contains("--hub")
        );
    }

    #[test]
    fn the_emulator_of_the_environment_counts_where_the_url_names_no_place() {
        let at = |url: &str, host: &str| emulator_of(&url.parse().unwrap(), Some(host.to_owned()));
        let found = Some("http://emulator:8085".to_owned());
        assert_eq!(at("pubsub://p/t", "emulator:8085"), found);
        assert_eq!(at("pubsub://p/t", "http://emulator:8085"), found);
        for (url, host) in [
            ("pubsub://p/t", ""),
            ("pubsub://p/t?endpoint=http://127.0.0.1:1", "emulator:8085"),
            ("kafka://a:1/t", "emulator:8085"),
        ] {
            assert_eq!(at(url, host), None, "{url}");
        }
        let emulated = HubArg {
            emulator: found,
            ..hub("pubsub://p/t?topic_retention=1d")
        };
        assert_eq!(emulated.ran_on(), RanOn::Emulator);
        assert_eq!(emulated.endpoint(), Some("http://emulator:8085"));
    }

    #[test]
    fn what_it_ran_on_is_told_by_the_url() {
        for (url, ran_on) in [
            ("memory:/t", RanOn::Memory),
            ("kafka://a:9092", RanOn::Broker),
            ("kinesis://us-east-1/t?leases=memory", RanOn::Cloud),
            (
                "eventhubs://n.servicebus.windows.net/t?leases=memory",
                RanOn::Cloud,
            ),
            (
                "eventhubs://localhost/t?leases=memory&endpoint=amqp://127.0.0.1:5672",
                RanOn::Emulator,
            ),
            ("pubsub://project/t", RanOn::Cloud),
            (
                "pubsub://project/t?endpoint=http://127.0.0.1:8085",
                RanOn::Emulator,
            ),
            (
                "kinesis://us-east-1/t?leases=memory&endpoint=http://127.0.0.1:4566",
                RanOn::Emulator,
            ),
            (
                "kinesis://us-east-1/t?leases=memory&endpoint=https://amazonaws.com.example.org",
                RanOn::Emulator,
            ),
            (
                "kinesis://us-east-1/t?leases=memory&endpoint=https://vpce-1.kinesis.us-east-1.vpce.amazonaws.com",
                RanOn::Cloud,
            ),
        ] {
            assert_eq!(hub(url).ran_on(), ran_on, "{url}");
        }
    }
}
