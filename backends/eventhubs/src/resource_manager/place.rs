//! Where a namespace is among Azure's resources, and the addresses of what is in it.

use crate::{
    config::EventHubsConfig,
    error::{HUB, config},
    name,
};
use anyhub_core::{Error, ErrorKind, Result, shown};
use azure_core::http::Url;
use std::fmt;

/// The namespace of a subscription and resource group, and who manages it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    endpoint: Url,
    pub(super) subscription: String,
    pub(super) resource_group: String,
    pub(super) namespace: String,
}

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) enum About<'a> {
    /// All event hubs of the namespace.
    Hubs,
    Hub(&'a str),
    /// A consumer group of an event hub.
    Group {
        hub: &'a str,
        group: &'a str,
    },
}

/// Azure's own. Its other clouds: `https://management.usgovcloudapi.net` and
/// `https://management.chinacloudapi.cn` (Azure documentation, "Compare Azure Government and global
/// Azure" and "Azure China developer guide", 2026-11).
const ENDPOINT: &str = "https://management.azure.com";
/// The version of Event Hubs' part that the requests are written for.
const VERSION: &str = "2024-01-01";

/// Config for a part that is missing or can't be; None where no part is given.
pub(crate) fn check(settings: &EventHubsConfig) -> Result<Option<(Url, &str, &str)>> {
    let (subscription, group) = match (&settings.subscription, &settings.resource_group) {
        (Some(subscription), Some(group)) => (subscription, group),
        (None, None) if settings.management_endpoint.is_none() => return Ok(None),
        (subscription, _) => {
            let missing = match subscription {
                Some(_) => "resource_group",
                None => "subscription",
            };
            return Err(config(format!("{missing} is missing")).with_advice(
                "Azure Resource Manager finds a namespace by subscription= and resource_group= \
                 together",
            ));
        }
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if subscription.is_empty() || !subscription.chars().all(fits) {
        return Err(
            config(format!("'{}' is no subscription", shown(subscription)))
                .with_advice("give its ID, as az account show --query id tells it"),
        );
    }
    // "Naming rules and restrictions for Azure resources", 2026-11.
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '(' | ')');
    if !(1..=90).contains(&group.chars().count())
        || !group.chars().all(fits)
        || group.ends_with('.')
    {
        return Err(
            config(format!("'{}' is no resource group", shown(group))).with_advice("give its name")
        );
    }
    let endpoint = endpoint(settings.management_endpoint.as_deref().unwrap_or(ENDPOINT))?;
    Ok(Some((endpoint, subscription, group)))
}

/// A scheme, a host and perhaps a port; in the clear on this machine alone.
fn endpoint(text: &str) -> Result<Url> {
    let parsed = Url::parse(text).ok();
    let bare = parsed.filter(|url| {
        let whole = matches!(url.path(), "" | "/") && url.query().is_none();
        let whole = whole && url.fragment().is_none() && url.username().is_empty();
        whole && url.password().is_none() && matches!(url.scheme(), "https" | "http")
    });
    let bare = bare.ok_or_else(|| {
        config("management_endpoint is none").with_advice(format!("it looks like {ENDPOINT}"))
    })?;
    let host = bare.host_str().unwrap_or_default();
    let is_local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    if bare.scheme() == "http" && !is_local {
        return Err(
            config(format!("'{}' would send tokens in the clear", shown(text)))
                .with_advice("https: is for every machine, http: for this one alone"),
        );
    }
    Ok(bare)
}

impl Place {
    /// None where the settings name no subscription. The namespace is the first part of its host.
    pub(super) fn of(settings: &EventHubsConfig, host: &str) -> Result<Option<Self>> {
        let Some((endpoint, subscription, resource_group)) = check(settings)? else {
            return Ok(None);
        };
        let namespace = host.split('.').next().unwrap_or(host);
        Ok(Some(Self {
            endpoint,
            subscription: subscription.to_owned(),
            resource_group: resource_group.to_owned(),
            namespace: namespace.to_owned(),
        }))
    }

    /// What a token is asked for.
    pub(super) fn scope(&self) -> String {
        let origin = self.endpoint.as_str().trim_end_matches('/');
        format!("{origin}/.default")
    }

    /// Invalid for a name that can't be one.
    pub(super) fn url(&self, operation: &'static str, about: About<'_>) -> Result<Url> {
        let mut url = self.endpoint.clone();
        let mut path = vec!["subscriptions", &self.subscription, "resourceGroups"];
        path.extend([&*self.resource_group, "providers", "Microsoft.EventHub"]);
        path.extend(["namespaces", &self.namespace, "eventhubs"]);
        match about {
            About::Hubs => {}
            About::Hub(hub) => path.push(name::of_hub(operation, hub)?),
            About::Group { hub, group } => {
                path.push(name::of_hub(operation, hub)?);
                path.extend(["consumergroups", name::of_group(operation, group)?]);
            }
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        url.query_pairs_mut().append_pair("api-version", VERSION);
        Ok(url)
    }

    /// The next page, which has to be where the first one was: the token goes along.
    pub(super) fn next(&self, operation: &'static str, link: &str) -> Result<Url> {
        let url = Url::parse(link).ok();
        let url = url.filter(|url| url.origin() == self.endpoint.origin());
        url.ok_or_else(|| {
            let message = "Azure Resource Manager says that the next page is elsewhere";
            Error::new(ErrorKind::Unexpected, HUB, operation, message)
        })
    }
}

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hubs => f.write_str("the event hubs"),
            Self::Hub(hub) => write!(f, "the event hub '{hub}'"),
            Self::Group { hub, group } => {
                write!(f, "the consumer group '{group}' of the event hub '{hub}'")
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settings(endpoint: Option<&str>) -> EventHubsConfig {
        let settings = EventHubsConfig::new()
            .subscription("5f750a97-50d9-4e36-8081-c9ee4c0210d4")
            .resource_group("rg_(test)");
        match endpoint {
            Some(endpoint) => settings.management_endpoint(endpoint),
            None => settings,
        }
    }

    #[test]
    fn addresses_are_as_documented() {
        let place = Place::of(&settings(None), "ns.servicebus.windows.net");
        let place = place.unwrap().unwrap();
        assert_eq!(place.scope(), "https://management.azure.com/.default");
        let namespace = "https://management.azure.com/subscriptions/5f750a97-50d9-4e36-8081-c9ee4c0210d4\
                         /resourceGroups/rg_(test)/providers/Microsoft.EventHub/namespaces/ns/eventhubs";
        let url = |about| place.url("test", about).unwrap().to_string();
        let version = "?api-version=2024-01-01";
        assert_eq!(url(About::Hubs), format!("{namespace}{version}"));
        assert_eq!(url(About::Hub("t")), format!("{namespace}/t{version}"));
        let (hub, group) = ("t", "$Default");
        assert_eq!(
            url(About::Group { hub, group }),
            format!("{namespace}/t/consumergroups/$Default{version}")
        );
    }

    #[test]
    fn names_that_would_lead_elsewhere_are_refused() {
        let place = Place::of(&settings(None), "ns").unwrap().unwrap();
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a?b",
            "-a",
            "a.",
            "ü",
            &"x".repeat(257),
        ] {
            let refused = place.url("test", About::Hub(name)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{name}");
            let about = About::Group {
                hub: "t",
                group: name,
            };
            assert!(place.url("test", about).is_err(), "{name}");
        }
        let next = |link: &str| place.next("test", link);
        assert!(next("https://management.azure.com/x?$skip=3").is_ok());
        for link in [
            "https://elsewhere.example/x",
            "http://management.azure.com/x",
            "x",
        ] {
            assert_eq!(next(link).unwrap_err().kind(), ErrorKind::Unexpected);
        }
    }

    #[test]
    fn only_an_endpoint_that_keeps_tokens_safe_will_do() {
        for endpoint in [
            "https://management.usgovcloudapi.net/",
            "http://127.0.0.1:8080",
            "http://localhost:1",
        ] {
            assert!(check(&settings(Some(endpoint))).is_ok(), "{endpoint}");
        }
        for endpoint in [
            "management.azure.com",
            "https://management.azure.com/path",
            "https://user:hunter2@management.azure.com",
            "http://10.0.0.1",
            "http://127.example.com",
            "ftp://localhost",
        ] {
            let refused = check(&settings(Some(endpoint))).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Config, "{endpoint}");
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn the_parts_belong_together() {
        let refused = |settings: EventHubsConfig, says: &str| {
            let error = check(&settings).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        };
        refused(EventHubsConfig::new().subscription("s"), "resource_group");
        refused(EventHubsConfig::new().resource_group("g"), "subscription");
        let alone = EventHubsConfig::new().management_endpoint(ENDPOINT);
        refused(alone, "subscription is missing");
        refused(settings(None).subscription("a/b"), "is no subscription");
        refused(settings(None).resource_group(".."), "is no resource group");
        assert!(check(&EventHubsConfig::new()).unwrap().is_none());
    }
}
