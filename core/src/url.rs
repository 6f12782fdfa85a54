use crate::{Error, ErrorKind, Result, nearest::nearest, shown};
use std::{fmt, str::FromStr};

/// A hub's URL in its parts: `scheme://authority/topic?name=value&...`, or `scheme:/topic`.
///
/// The authority is kept whole, since a hub may have several hosts (`kafka://a:9092,b:9092/t`),
/// which the usual URL parsers refuse. Names and values are percent-decoded. Debug prints names of
/// options without their values, which may be secret.
///
/// ```
/// use anyhub_core::HubUrl;
/// let url: HubUrl = "kafka://a:9092,b:9092/tweets?linger.ms=5".parse()?;
/// assert_eq!((url.scheme(), url.authority()), ("kafka", "a:9092,b:9092"));
/// assert_eq!(url.topic()?, "tweets");
/// assert_eq!(url.options().next(), Some(("linger.ms", "5")));
/// # Ok::<(), anyhub_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct HubUrl {
    scheme: String,
    authority: String,
    topic: Option<String>,
    options: Vec<(String, String)>,
}

impl HubUrl {
    /// What stands before the colon, in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What stands between `//` and the path; empty where there is none.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path: the topic. Config if the URL names none.
    pub fn topic(&self) -> Result<&str> {
        self.topic.as_deref().ok_or_else(|| {
            config("the URL names no topic")
                .with_advice(format!("add it as the path, as in {self}/tweets"))
        })
    }

    /// The options in order, decoded.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        let options = self.options.iter();
        options.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Config, naming the nearest one, if there is an option that is not in `known`.
    pub fn refuse_unknown_options(&self, known: &[&str]) -> Result<()> {
        match self.options().find(|(name, _)| !known.contains(name)) {
            Some((name, _)) => Err(unknown_option(&self.scheme, name, known)),
            None => Ok(()),
        }
    }
}

/// Config: `name` is no option of this scheme; names the nearest one that is.
pub fn unknown_option(scheme: &str, name: &str, known: &[&str]) -> Error {
    let advice = match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None if known.is_empty() => "it takes none".to_owned(),
        None => format!("it takes {}", known.join(", ")),
    };
    // What is no name may be the rest of a password.
    config(format!("{scheme} has no option '{}'", shown(name))).with_advice(advice)
}

/// The value of an option that takes a few words. Config for any other; names the nearest one, and prints
/// what was typed only beside that one: a secret is near to none.
pub fn one_of<T: Copy>(
    hub: &'static str,
    operation: &'static str,
    name: &str,
    value: &str,
    all: &[(&str, T)],
) -> Result<T> {
    if let Some((_, chosen)) = all.iter().find(|(known, _)| *known == value) {
        return Ok(*chosen);
    }
    let names = || all.iter().map(|(known, _)| *known);
    let error = |message| Error::new(ErrorKind::Config, hub, operation, message);
    Err(match nearest(value, names()) {
        Some(nearest) => error(format!("{name} can't be '{}'", shown(value)))
            .with_advice(format!("did you mean {name}={nearest}?")),
        None => {
            let all: Vec<_> = names().map(|known| format!("{name}={known}")).collect();
            error(format!("{name} can't be that"))
                .with_advice(format!("it is {}", all.join(" or ")))
        }
    })
}

impl FromStr for HubUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = |what: &str| {
            config(format!("not a hub's URL: {what}"))
                .with_advice("it looks like kafka://host:9092/topic or memory:/topic")
        };
        let (scheme, rest) = text
            .split_once(':')
            .ok_or_else(|| malformed("it has no scheme"))?;
        if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(malformed("its scheme is not a word"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // Before more is taken apart: a password may hold a slash, and must not be printed.
        if rest.contains('@') {
            return Err(
                config("a user or password can't stand in a hub's URL").with_advice(
                    "the hub's documentation says which environment variable or file holds it; \
                     an @ that means itself is written %40",
                ),
            );
        }
        // Nor may a connection string, which has no @.
        if rest.contains('=') {
            return Err(
                config("an = can't stand before the options of a hub's URL").with_advice(
                    "options begin with a ?, as in memory:/tweets?partitions=4; a connection string goes into \
                     the environment or a file; an = that means itself is written %3D",
                ),
            );
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
            None => ("", rest.trim_start_matches('/')),
        };
        let path = path.trim_end_matches('/');
        let topic = (!path.is_empty()).then(|| decode(path, "the topic"));
        let topic = topic.transpose()?;
        let options = options(query)?;
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            authority: authority.to_owned(),
            topic,
            options,
        })
    }
}

/// The URL without its options: safe to print, since no password can stand elsewhere. What is no plain host
/// or topic is left out.
impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme)?;
        if !self.authority.is_empty() {
            write!(f, "//{}", shown(&self.authority))?;
        }
        match &self.topic {
            Some(topic) => write!(f, "/{}", shown(topic)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        for (nth, (name, _)) in self.options.iter().enumerate() {
            let sign = if nth == 0 { '?' } else { '&' };
            write!(f, "{sign}{}=***", shown(name))?;
        }
        Ok(())
    }
}

fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "anyhub", "connect", message)
}

/// What stands behind the question mark. Values are not told: they may be secret.
fn options(query: &str) -> Result<Vec<(String, String)>> {
    let mut options: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            // What has no name may be the rest of a password.
            let place = match options.last() {
                Some((before, _)) => format!("what follows the option '{}'", shown(before)),
                None => "the first option".to_owned(),
            };
            return Err(
                config(format!("not a hub's URL: {place} has no =")).with_advice(
                    "an option is written name=value, as in memory:/tweets?partitions=4; an & that \
                     means itself is written %26",
                ),
            );
        };
        let name = decode(name, "the name of an option")?;
        if options.iter().any(|(other, _)| *other == name) {
            return Err(
                config(format!("the option '{}' is given twice", shown(&name)))
                    .with_advice("leave one of them out"),
            );
        }
        let value = decode(value, &format!("the option '{}'", shown(&name)))?;
        options.push((name, value));
    }
    Ok(options)
}

/// `of`: what it is, for who has to mend it.
fn decode(text: &str, of: &str) -> Result<String> {
    let bad = || {
        config(format!(
            "{of} has a % that is not followed by two hex digits of UTF-8 text"
        ))
        .with_advice("a % that means itself is written %25")
    };
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| (byte? as char).to_digit(16);
                let high = digit(bytes.next()).ok_or_else(bad)?;
                let low = digit(bytes.next()).ok_or_else(bad)?;
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(out).map_err(|_| bad())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<HubUrl> {
        text.parse()
    }

    #[test]
    fn takes_urls_apart() {
        let url = parse("memory:/tweets").unwrap();
        assert_eq!((url.authority(), url.topic().unwrap()), ("", "tweets"));
        let url = parse("kafka://a:1,b:2?sasl.password=p%26%3D").unwrap();
        assert_eq!(url.authority(), "a:1,b:2");
        assert_eq!(url.options().next(), Some(("sasl.password", "p&=")));
        assert_eq!(url.topic().unwrap_err().kind(), ErrorKind::Config);
    }

    #[test]
    fn never_prints_what_may_be_secret() {
        let url = parse("kafka://a:1/t?sasl.password=hunter2").unwrap();
        let printed = format!("{url} {url:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(printed.contains("sasl.password=***"), "{printed}");
        for text in [
            "kafka://u:hunter2@a:1/t",
            "kafka://u:hun/ter2@a:1/t",
            "p:/u:ter2@x",
            "Endpoint=sb://a/;SharedAccessKeyName=b;SharedAccessKey=hunter2",
            "sb://a/;SharedAccessKeyName=b;SharedAccessKey=hunter2",
            "eventhubs://a;SharedAccessKey=hunter2/t",
            "kafka://a/t?sasl.password=x&hunter2%2B=y&hunter2%2B=y",
        ] {
            let refused = parse(text).unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("ter2"), "{text}");
        }
    }

    #[test]
    fn names_the_nearest_option() {
        let url = parse("memory:/t?partitons=4").unwrap();
        let error = url.refuse_unknown_options(&["partitions"]).unwrap_err();
        assert!(
            error.to_string().contains("did you mean 'partitions'?"),
            "{error}"
        );
    }

    #[test]
    fn a_word_that_is_none_is_shown_beside_the_nearest_alone() {
        let all = [("managed_identity", 1), ("azure_cli", 2)];
        let choose = |value| one_of("h", "connect", "credential", value, &all);
        assert_eq!(choose("azure_cli").unwrap(), 2);
        let error = choose("azure_cil").unwrap_err().to_string();
        assert!(error.contains("'azure_cil'"), "{error}");
        assert!(
            error.contains("did you mean credential=azure_cli?"),
            "{error}"
        );
        let error = choose("hunter2").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(
            error.contains("credential=managed_identity or credential=azure_cli"),
            "{error}"
        );
    }

    #[test]
    fn says_which_option_is_wrong_and_not_what_it_holds() {
        for (text, told) in [
            ("kafka://a/t?hunter2", "the first option has no ="),
            (
                "kafka://a/t?sasl.password=x&hunter2",
                "what follows the option 'sasl.password'",
            ),
            (
                "kafka://a/t?sasl.password=hunter2%",
                "the option 'sasl.password' has a %",
            ),
            (
                "kafka://a/t?a=1&b=hunter2&a=hunter2",
                "the option 'a' is given twice",
            ),
            ("kafka://a/hunter%zz", "the topic has a %"),
        ] {
            let refused = parse(text).unwrap_err();
            let printed = format!("{refused} {refused:?}");
            assert!(printed.contains(told), "{text}: {printed}");
            assert!(!printed.contains("hunter"), "{text}: {printed}");
        }
    }

    #[test]
    fn refuses_what_is_no_url() {
        for text in [
            "",
            "tweets",
            ":/x",
            "kafka://a/t?x",
            "kafka://a/%zz",
            "a b:/",
        ] {
            assert_eq!(parse(text).unwrap_err().kind(), ErrorKind::Config, "{text}");
        }
    }
}
