//! What a link is to: `HUB`, `HUB/Partitions/N`, `HUB/ConsumerGroups/GROUP/Partitions/N`, `$cbs`, `$management`; as a path, or
//! as a URL with that path, which the Rust and Python clients send.

/// A link's other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// Where tokens are put.
    Cbs,
    /// Where a hub and its partitions are described.
    Management,
    /// Where events go: to any partition, or to one.
    Hub {
        hub: String,
        partition: Option<String>,
    },
    /// Where events come from.
    Group {
        hub: String,
        group: String,
        partition: String,
    },
    Unknown,
}

impl Address {
    pub(super) fn parse(text: &str) -> Self {
        let parts: Vec<&str> = path(text).split('/').collect();
        let is = |part: &str, name: &str| part.eq_ignore_ascii_case(name);
        match parts[..] {
            [""] => Address::Unknown,
            ["$cbs"] => Address::Cbs,
            ["$management"] => Address::Management,
            [hub] => Address::Hub {
                hub: hub.to_owned(),
                partition: None,
            },
            [hub, partitions, partition] if is(partitions, "Partitions") => Address::Hub {
                hub: hub.to_owned(),
                partition: Some(partition.to_owned()),
            },
            [hub, groups, group, partitions, partition]
                if is(groups, "ConsumerGroups") && is(partitions, "Partitions") =>
            {
                Address::Group {
                    hub: hub.to_owned(),
                    group: group.to_owned(),
                    partition: partition.to_owned(),
                }
            }
            _ => Address::Unknown,
        }
    }
}

/// The path of a URL, or what is a path already; without the slashes around it.
pub(super) fn path(text: &str) -> &str {
    let path = match text.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => text,
    };
    path.trim_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_are_the_same() {
        let hub = |partition: Option<&str>| Address::Hub {
            hub: "h".into(),
            partition: partition.map(Into::into),
        };
        let group = Address::Group {
            hub: "h".into(),
            group: "$Default".into(),
            partition: "3".into(),
        };
        for (text, address) in [
            ("h", hub(None)),
            ("/h/", hub(None)),
            ("amqps://localhost:5672/h", hub(None)),
            ("h/Partitions/0", hub(Some("0"))),
            ("amqps://ns/h/partitions/x", hub(Some("x"))),
            ("h/ConsumerGroups/$Default/Partitions/3", group.clone()),
            ("sb://ns/h/ConsumerGroups/$Default/Partitions/3", group),
            ("$cbs", Address::Cbs),
            ("amqps://ns/$management", Address::Management),
            ("", Address::Unknown),
            ("amqps://ns", Address::Unknown),
            ("h/Partitions", Address::Unknown),
            ("h/Partitions/0/more", Address::Unknown),
        ] {
            assert_eq!(Address::parse(text), address, "{text}");
        }
    }
}
