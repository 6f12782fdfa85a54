//! The properties of each broker.

use std::fmt::{self, Write};
use std::path::Path;

use crate::Error;

/// The user and password that the clients' listener asks for.
#[derive(Clone)]
pub(crate) struct Sasl {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Sasl {
    pub(crate) fn new(user: &str, password: &str) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if user.is_empty() || !user.chars().all(plain) {
            return Err(Error::Invalid(format!(
                "the SASL user {user:?} can't be used: letters, digits, '_', '-' and '.' only"
            )));
        }
        if password.is_empty() || password.chars().any(char::is_control) {
            return Err(Error::Invalid(
                "the SASL password can't be used: it is empty or holds a control character".into(),
            ));
        }
        Ok(Sasl {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }
}

/// The ports of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) client: u16,
    pub(crate) internal: u16,
    pub(crate) controller: u16,
}

/// What all nodes of a cluster share.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) sasl: Option<Sasl>,
    /// The user's own, which come last and so win.
    pub(crate) extra: Vec<(String, String)>,
}

/// What makes the cluster reachable and finds its data again can't be changed from outside.
const OURS: [&str; 13] = [
    "advertised.listeners",
    "controller.listener.names",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.voters",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    "listeners",
    "log.dir",
    "log.dirs",
    "metadata.log.dir",
    "node.id",
    "broker.id",
    "process.roles",
];

/// Checks a property of the user's.
pub(crate) fn check(name: &str) -> Result<(), Error> {
    if OURS.contains(&name) {
        return Err(Error::Invalid(format!(
            "the Kafka property {name} can't be set: the local cluster sets it itself"
        )));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(Error::Invalid(format!(
            "{name:?} is no name of a Kafka property"
        )));
    }
    Ok(())
}

impl Settings {
    /// `server.properties` of the node `id`, with its data in `data`.
    pub(crate) fn properties(&self, nodes: &[Ports], id: usize, data: &Path) -> String {
        let Some(own) = nodes.get(id) else {
            return String::new();
        };
        let count = nodes.len();
        let replicas = count.min(3).to_string();
        let in_sync = if count >= 3 { "2" } else { "1" };
        let voters: Vec<_> = nodes
            .iter()
            .enumerate()
            .map(|(id, ports)| format!("{id}@127.0.0.1:{}", ports.controller))
            .collect();
        let client = if self.sasl.is_some() {
            "SASL_PLAINTEXT"
        } else {
            "PLAINTEXT"
        };
        let advertised = format!(
            "CLIENT://127.0.0.1:{},INTERNAL://127.0.0.1:{}",
            own.client, own.internal
        );

        let mut file = Properties(String::new());
        file.set("process.roles", "broker,controller");
        file.set("node.id", &id.to_string());
        file.set("log.dirs", &data.display().to_string());
        file.set("controller.quorum.voters", &voters.join(","));
        file.set("controller.listener.names", "CONTROLLER");
        file.set("inter.broker.listener.name", "INTERNAL");
        file.set(
            "listeners",
            &format!("{advertised},CONTROLLER://127.0.0.1:{}", own.controller),
        );
        file.set("advertised.listeners", &advertised);
        file.set(
            "listener.security.protocol.map",
            &format!("CLIENT:{client},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        );
        if let Some(sasl) = &self.sasl {
            file.set("listener.name.client.sasl.enabled.mechanisms", "PLAIN");
            file.set("listener.name.client.plain.sasl.jaas.config", &jaas(sasl));
        }

        for topic in [
            "offsets.topic",
            "transaction.state.log",
            "share.coordinator.state.topic",
        ] {
            file.set(&format!("{topic}.replication.factor"), &replicas);
        }
        for topic in ["transaction.state.log", "share.coordinator.state.topic"] {
            file.set(&format!("{topic}.min.isr"), in_sync);
        }
        file.set("default.replication.factor", &replicas);
        file.set("min.insync.replicas", in_sync);
        file.set("auto.create.topics.enable", "false");
        // A lone consumer must not wait 3 s for others to join.
        file.set("group.initial.rebalance.delay.ms", "0");
        // A dead broker is noticed within 3 s, instead of 9 s; a killed one may come back only after that.
        file.set("broker.heartbeat.interval.ms", "500");
        file.set("broker.session.timeout.ms", "3000");
        if count > 1 {
            // A replica that lags is out of sync after 3 s, instead of 30 s.
            file.set("controller.quorum.election.timeout.ms", "500");
            file.set("controller.quorum.fetch.timeout.ms", "1000");
            file.set("replica.lag.time.max.ms", "3000");
        }
        for (name, value) in &self.extra {
            file.set(name, value);
        }
        file.0
    }
}

/// JAAS quotes as Java's StreamTokenizer reads them.
fn jaas(sasl: &Sasl) -> String {
    let password = sasl.password.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required user_{}=\"{password}\";",
        sasl.user
    )
}

/// The format of java.util.Properties.
struct Properties(String);

impl Properties {
    fn set(&mut self, name: &str, value: &str) {
        self.0.push_str(name);
        self.0.push('=');
        for (at, c) in value.char_indices() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                // Otherwise leading spaces are skipped.
                ' ' if at == 0 => self.0.push_str("\\ "),
                ' '..='~' => self.0.push(c),
                _ => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        // Writing to a String can't fail.
                        let _ = write!(self.0, "\\u{unit:04x}");
                    }
                }
            }
        }
        self.0.push('\n');
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PORTS: Ports = Ports {
        client: 1,
        internal: 2,
        controller: 3,
    };

    fn lines(settings: &Settings, nodes: usize) -> Vec<String> {
        let text = settings.properties(&vec![PORTS; nodes], 0, Path::new("/data"));
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn values_are_escaped_and_the_users_come_last() {
        let settings = Settings {
            sasl: None,
            extra: vec![
                ("min.insync.replicas".into(), "3".into()),
                ("x".into(), " a\\b\nlisteners=é😀".into()),
            ],
        };
        let lines = lines(&settings, 3);
        let own = lines
            .iter()
            .position(|l| l == "min.insync.replicas=2")
            .unwrap();
        let users = lines
            .iter()
            .position(|l| l == "min.insync.replicas=3")
            .unwrap();
        assert!(own < users);
        assert_eq!(
            lines.last().unwrap(),
            r"x=\ a\\b\u000alisteners=\u00e9\ud83d\ude00"
        );
    }

    #[test]
    fn a_password_is_quoted_and_never_shown() {
        let sasl = Sasl::new("ann", "a\"b\\c").unwrap();
        assert_eq!(
            jaas(&sasl),
            r#"org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="a\"b\\c";"#
        );
        assert!(!format!("{sasl:?}").contains("a\\\"b"));
        assert!(Sasl::new("a b", "x").is_err());
        assert!(Sasl::new("ann", "").is_err());
        assert!(Sasl::new("ann", "a\nb").is_err());
    }

    #[test]
    fn one_node_needs_no_other() {
        let settings = Settings {
            sasl: None,
            extra: Vec::new(),
        };
        let one = lines(&settings, 1);
        assert!(one.contains(&"offsets.topic.replication.factor=1".into()));
        assert!(one.contains(&"min.insync.replicas=1".into()));
        assert!(one.contains(&"controller.quorum.voters=0@127.0.0.1:3".into()));
        let five = lines(&settings, 5);
        assert!(five.contains(&"offsets.topic.replication.factor=3".into()));
    }

    #[test]
    fn what_is_ours_is_refused() {
        assert!(check("log.retention.ms").is_ok());
        assert!(check("listeners").is_err());
        assert!(check("").is_err());
        assert!(check("a=b").is_err());
    }
}
