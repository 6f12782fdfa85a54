use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// A setting as it was typed, for errors and Debug: the text while it is plain, as names, numbers, hosts and
/// paths are; else `***`, since a secret may stand where none is due.
///
/// Plain are letters, digits, spaces and `. , - _ : / \ ~ ( ) [ ] $ !`, in words of 32 letters and digits
/// at most: keys and tokens are longer, or have an `=`, a URL with a password has an `@`.
///
/// ```
/// use anyhub_core::shown;
/// assert_eq!(shown("amqps://10.0.0.1:5671"), "amqps://10.0.0.1:5671");
/// assert_eq!(shown("amqps://me:hunter2@10.0.0.1"), "***");
/// ```
pub fn shown(text: &str) -> &str {
    let is_plain = |c: char| c.is_alphanumeric() || " .,-_:/\\~()[]$!".contains(c);
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    let plain = text.chars().all(is_plain) && words.all(|word| word.chars().count() <= LONGEST);
    if plain { text } else { "***" }
}

/// The longest word that is printed: the hexadecimal digits of a UUID.
const LONGEST: usize = 32;

/// Text that must not be seen: prints and serialises as `***`.
///
/// ```
/// let password = anyhub_core::Secret::new("hunter2");
/// assert_eq!(format!("{password:?} {password}"), "*** ***");
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for handing to an SDK.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for plain in [
            "",
            "-1",
            "a:99999",
            "no host",
            "[::1]:9092",
            "sqlite:~/leases.db",
            "C:\\hubs\\orders.txt",
            "/var/run/secrets/azure/event-hubs/connection-string",
            "5f750a97-50d9-4e36-8081-c9ee4c0210d4",
        ] {
            assert_eq!(shown(plain), plain);
        }
        for secret in [
            "amqp://user:hunter2@host",
            "Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=hunter2",
            "SharedAccessSignature sr=h&sig=hunter2&se=1&skn=a",
            "AccountKey=hunter2",
            "hunter2+/",
            "hunter2==",
            "h?sig=hunter2",
            "u:hunter2%40h",
            "hunter2\n",
            "hunter2hunter2hunter2hunter2hunter2",
            "eyJhbGciOiJIUzI1NiJ9.hunter2hunter2hunter2hunter2hunter2.x",
        ] {
            assert_eq!(shown(secret), "***", "{secret}");
        }
    }
}
