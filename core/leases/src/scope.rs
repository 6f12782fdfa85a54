use anyhub_core::{Error, ErrorKind};
use std::{fmt, str::FromStr, sync::Arc};

/// Whose leases: one consumer group on one topic of one hub. As text, `hub/topic/group`, what is
/// not a letter, a digit, `-` or `_` written as `=` and two hexadecimal digits.
///
/// ```
/// use anyhub_leases::Scope;
/// let scope = Scope::new("kinesis", "tweets", "score.v2");
/// assert_eq!(scope.as_str(), "kinesis/tweets/score=2Ev2");
/// assert_eq!(scope.group(), "score.v2");
/// assert_eq!(scope.as_str().parse::<Scope>()?, scope);
/// # Ok::<(), anyhub_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Arc<str>);

impl Scope {
    /// The leases of `group` on `topic`. `hub` names the hub and all that tells two of them apart,
    /// such as a region or a namespace.
    pub fn new(hub: &str, topic: &str, group: &str) -> Self {
        Self(format!("{}/{}/{}", escape(hub), escape(topic), escape(group)).into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hub.
    pub fn hub(&self) -> String {
        self.part(0)
    }

    /// The topic.
    pub fn topic(&self) -> String {
        self.part(1)
    }

    /// The group.
    pub fn group(&self) -> String {
        self.part(2)
    }

    fn part(&self, index: usize) -> String {
        let part = self.0.split('/').nth(index);
        part.and_then(unescape).unwrap_or_default()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Option<Vec<_>> = text.split('/').map(unescape).collect();
        match parts.as_deref() {
            Some([hub, topic, group]) => Ok(Self::new(hub, topic, group)),
            _ => Err(Error::new(
                ErrorKind::Invalid,
                "leases",
                "scope",
                format!("'{text}' is not hub/topic/group as a scope displays itself"),
            )),
        }
    }
}

/// Text that is safe in a path of any object store, and that [`unescape`] gives back.
pub(crate) fn escape(text: &str) -> String {
    use fmt::Write;
    // An empty part would be none.
    if text.is_empty() {
        return "=".into();
    }
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            out.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(out, "={byte:02X}");
        }
    }
    out
}

/// What [`escape`] was given; None for anything that it did not write.
pub(crate) fn unescape(text: &str) -> Option<String> {
    if text == "=" {
        return Some(String::new());
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'=' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push((high * 16 + low) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_come_back(hub: String, topic: String, group: String) {
            let scope = Scope::new(&hub, &topic, &group);
            prop_assert_eq!(scope.as_str().parse::<Scope>().unwrap(), scope.clone());
            prop_assert_eq!((scope.hub(), scope.topic(), scope.group()), (hub, topic, group));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text: String) {
            let _ = text.parse::<Scope>();
        }
    }
}
