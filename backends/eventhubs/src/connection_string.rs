//! A connection string, as the Azure portal gives it, taken apart.

use crate::{access::VARIABLE, config::is_host_or_ipv6, error::config};
use anyhub_core::{Result, Secret};

/// `Endpoint=sb://HOST/;SharedAccessKeyName=NAME;SharedAccessKey=KEY;EntityPath=HUB`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionString {
    pub(crate) host: String,
    /// Where it is dialed, if not at the namespace's own address.
    pub(crate) endpoint: Option<String>,
    pub(crate) signer: Signer,
    /// The event hub that it is for, where it is for one alone.
    pub(crate) hub: Option<String>,
}

/// What signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signer {
    /// A key and its name.
    Key { name: String, key: Secret },
    /// A signature that was made before, good until it expires.
    Signature(Secret),
}

impl ConnectionString {
    /// Config, naming what is missing; what stands in it is not printed.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (mut host, mut name, mut key, mut signature, mut hub) = (None, None, None, None, None);
        let mut emulator = None;
        let text = text.trim();
        check(text)?;
        for part in text
            .split(';')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let Some((field, value)) = part.split_once('=') else {
                return Err(wrong("a part of it is no NAME=VALUE"));
            };
            let (field, place) = match field.trim().to_ascii_lowercase().as_str() {
                "endpoint" => ("Endpoint", &mut host),
                "sharedaccesskeyname" => ("SharedAccessKeyName", &mut name),
                "sharedaccesskey" => ("SharedAccessKey", &mut key),
                "sharedaccesssignature" => ("SharedAccessSignature", &mut signature),
                "entitypath" => ("EntityPath", &mut hub),
                "usedevelopmentemulator" => ("UseDevelopmentEmulator", &mut emulator),
                // What is to come.
                _ => continue,
            };
            if place.replace(value.trim().to_owned()).is_some() {
                return Err(wrong(&format!("it has {field} twice")));
            }
        }
        let given = |field: Option<String>| field.filter(|value| !value.is_empty());
        let [host, name, key] = [host, name, key].map(given);
        let [signature, hub, emulator] = [signature, hub, emulator].map(given);
        let host = host.ok_or_else(|| missing("Endpoint"))?;
        let signer = match (signature, name, key) {
            (Some(signature), ..) => Signer::Signature(Secret::new(signature)),
            (None, Some(name), Some(key)) => Signer::Key {
                name,
                key: Secret::new(key),
            },
            (None, None, Some(_)) => return Err(missing("SharedAccessKeyName")),
            (None, Some(_), None) => return Err(missing("SharedAccessKey")),
            (None, None, None) => {
                return Err(missing("SharedAccessKeyName and SharedAccessKey"));
            }
        };
        let emulator = emulator.is_some_and(|value: String| value.eq_ignore_ascii_case("true"));
        let (host, port) = authority(&host)?;
        Ok(Self {
            endpoint: endpoint(&host, port, emulator),
            host,
            signer,
            hub,
        })
    }
}

/// What stands round a connection string, or more than one: it would be taken for a part of a value.
fn check(text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(wrong("it is empty"));
    }
    if text.lines().any(names_variable) {
        return Err(wrong(&format!(
            "it begins with the name of a variable, as in {VARIABLE}=Endpoint=..., which has to go"
        )));
    }
    if text.starts_with(['"', '\'']) || text.ends_with(['"', '\'']) {
        return Err(wrong("it stands in quotes, which have to go"));
    }
    if text.lines().any(|line| line.trim_start().starts_with('#')) {
        return Err(wrong("it has a line of comment (#), which has to go"));
    }
    if text.contains(['\n', '\r']) {
        return Err(wrong("it has more than one line"));
    }
    if text.contains(char::is_control) {
        return Err(wrong("it has a control character in it"));
    }
    Ok(())
}

/// `NAME=Endpoint=...`, as shells and files of variables have it.
fn names_variable(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((name, value)) = line.split_once('=') else {
        return false;
    };
    let value = value.trim_start().trim_start_matches(['"', '\'']);
    let field = value.split_once('=').map(|(field, _)| field.trim_end());
    name.trim() == VARIABLE || field.is_some_and(|field| field.eq_ignore_ascii_case("Endpoint"))
}

/// The host and port of `sb://HOST:PORT/`. Microsoft's clients take any scheme and mean this one
/// (azure-eventhub 5 for Python, azure_messaging_eventhubs 0.16; 2026-11); what is meant by another one,
/// such as http:, can't be told.
fn authority(endpoint: &str) -> Result<(String, Option<u16>)> {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or_default();
    if !["sb", "amqps"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return Err(wrong(
            "its Endpoint does not begin with sb://, as in sb://NAMESPACE.servicebus.windows.net/",
        ));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let number = port.and_then(|port| port.parse().ok());
    if !is_host_or_ipv6(host) || number.is_some() != port.is_some() || number == Some(0) {
        return Err(wrong(
            "its Endpoint is no sb://NAMESPACE.servicebus.windows.net/",
        ));
    }
    Ok((host.to_ascii_lowercase(), number))
}

/// Microsoft's emulator is dialed in the clear, as Microsoft's clients do it (azure-eventhub 5 for
/// Python, `use_tls`; 2026-11).
fn endpoint(host: &str, port: Option<u16>, emulator: bool) -> Option<String> {
    match (emulator, port) {
        (true, port) => Some(format!("amqp://{host}:{}", port.unwrap_or(5672))),
        (false, None | Some(5671)) => None,
        (false, Some(port)) => Some(format!("amqps://{host}:{port}")),
    }
}

fn missing(part: &str) -> anyhub_core::Error {
    wrong(&format!("it has no {part}"))
}

fn wrong(what: &str) -> anyhub_core::Error {
    config(format!("the connection string is of no use: {what}")).with_advice(
        "take it whole from the Azure portal, under shared access policies: \
         Endpoint=sb://...;SharedAccessKeyName=...;SharedAccessKey=...",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const WHOLE: &str = "Endpoint=sb://N.servicebus.windows.net:5671/;SharedAccessKeyName=root;\
                         SharedAccessKey=a=b==;EntityPath=tweets";
    /// Endpoint is not the first.
    const SWAPPED: &str = "SharedAccessKeyName=root;SharedAccessKey=a=b==;Endpoint=sb://n/";

    #[test]
    fn is_taken_apart() {
        let parsed = ConnectionString::parse(WHOLE).unwrap();
        assert_eq!(parsed.host, "n.servicebus.windows.net");
        assert_eq!(parsed.hub.as_deref(), Some("tweets"));
        let Signer::Key { name, key } = parsed.signer else {
            panic!("it has a key");
        };
        assert_eq!((name.as_str(), key.expose()), ("root", "a=b=="));
        let parsed = ConnectionString::parse(
            "endpoint=sb://localhost;SHAREDACCESSSIGNATURE=SharedAccessSignature sr=x&se=1;UseDevelopmentEmulator=true",
        );
        let signature = Secret::new("SharedAccessSignature sr=x&se=1");
        assert_eq!(parsed.unwrap().signer, Signer::Signature(signature));
    }

    #[test]
    fn says_where_it_is_dialed() {
        for (text, expected) in [
            ("sb://n.example.com/", None),
            ("sb://n.example.com:5671", None),
            (
                "sb://n.example.com:5672/",
                Some("amqps://n.example.com:5672"),
            ),
            (
                "sb://localhost;UseDevelopmentEmulator=true",
                Some("amqp://localhost:5672"),
            ),
            (
                "sb://localhost:7;usedevelopmentemulator=True;",
                Some("amqp://localhost:7"),
            ),
            (
                "sb://[::1]:7;UseDevelopmentEmulator=true;",
                Some("amqp://[::1]:7"),
            ),
            ("sb://localhost;UseDevelopmentEmulator=false", None),
        ] {
            let text = format!("SharedAccessKeyName=a;SharedAccessKey=b;Endpoint={text}");
            let parsed = ConnectionString::parse(&text).unwrap();
            assert_eq!(parsed.endpoint.as_deref(), expected, "{text}");
        }
        for port in ["0", "65536", "x", ""] {
            let text = WHOLE.replace("5671", port);
            assert!(ConnectionString::parse(&text).is_err(), "{port}");
        }
    }

    #[test]
    fn only_an_endpoint_of_the_service_will_do() {
        for endpoint in ["SB://n.example.com/", "amqps://n.example.com"] {
            let text = WHOLE.replace("sb://N.servicebus.windows.net:5671/", endpoint);
            let parsed = ConnectionString::parse(&text).unwrap();
            assert_eq!(parsed.host, "n.example.com", "{endpoint}");
        }
        for endpoint in ["http", "https", "amqp", "", "kafka"] {
            let text = WHOLE.replace("Endpoint=sb", &format!("Endpoint={endpoint}"));
            let error = ConnectionString::parse(&text).unwrap_err().to_string();
            assert!(error.contains("does not begin with sb://"), "{error}");
        }
        for host in [
            "me:hunter2@n.example.com",
            "hunter2=",
            "n?sig=hunter2",
            "[x]",
        ] {
            let text = WHOLE.replace("N.servicebus.windows.net:5671", host);
            let error = ConnectionString::parse(&text).unwrap_err();
            let printed = format!("{error} {error:?}");
            assert!(
                printed.contains("no sb://NAMESPACE") && !printed.contains("hunter2"),
                "{printed}"
            );
        }
    }

    #[test]
    fn what_stands_round_it_is_named() {
        for (text, says) in [
            ("", "it is empty"),
            (" \n", "it is empty"),
            (&*format!("\"{WHOLE}\"\n"), "it stands in quotes"),
            (&*format!("'{WHOLE}'"), "it stands in quotes"),
            (
                &*format!("EVENTHUBS_CONNECTION_STRING={WHOLE}"),
                "the name of a variable",
            ),
            (
                &*format!("export CONNECTION=\"{WHOLE}\"\n"),
                "the name of a variable",
            ),
            (
                &*format!("A=b\nEVENTHUBS_CONNECTION_STRING=\"{SWAPPED}\""),
                "the name of a variable",
            ),
            (&*format!("# of prod\n{WHOLE}"), "a line of comment"),
            (&*format!("{WHOLE}\n  # of prod"), "a line of comment"),
        ] {
            let error = ConnectionString::parse(text).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("a=b"), "{error}");
        }
    }

    #[test]
    fn more_than_one_is_none() {
        for ending in ["\n", "\r\n", "\n\n", " \t"] {
            let text = format!("\n{WHOLE}{ending}");
            assert!(ConnectionString::parse(&text).is_ok(), "{ending:?}");
        }
        let other = WHOLE.replace("N.service", "M.service");
        for (text, says) in [
            (format!("{WHOLE}\n{other}"), "more than one line"),
            (format!("{WHOLE};\r\n{other}"), "more than one line"),
            (format!("{WHOLE}\r{other}"), "more than one line"),
            (WHOLE.replace("a=b", "a\n=b"), "more than one line"),
            (WHOLE.replace("a=b", "a\0=b"), "a control character"),
            (format!("{WHOLE};{other}"), "it has Endpoint twice"),
            (
                format!("{WHOLE};sharedaccesskey="),
                "it has SharedAccessKey twice",
            ),
            (format!("{WHOLE};EntityPath=b"), "it has EntityPath twice"),
        ] {
            let error = ConnectionString::parse(&text).unwrap_err();
            assert!(error.to_string().contains(says), "{text:?}: {error}");
            assert!(!format!("{error} {error:?}").contains("=b"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_is_printed() {
        for (field, named) in [
            (
                "Endpoint=sb://N.servicebus.windows.net:5671/;",
                "no Endpoint",
            ),
            ("SharedAccessKeyName=root;", "no SharedAccessKeyName"),
            ("SharedAccessKey=a=b==;", "no SharedAccessKey"),
        ] {
            let error = ConnectionString::parse(&WHOLE.replace(field, "")).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
            assert!(!format!("{error} {error:?}").contains("a=b"), "{error}");
        }
        for nonsense in ["", "hunter2", "Endpoint=x;SharedAccessSignature=hunter2"] {
            let error = ConnectionString::parse(nonsense).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let printed = format!("{:?}", ConnectionString::parse(WHOLE));
        assert!(!printed.contains("a=b"), "{printed}");
    }
}
