//! Secrets typed where none is due: whatever is told of them must not show them.

use anyhub_core::{HubUrl, Result};
use std::fmt;

/// Stands in each of [`slips`].
const SECRET: &str = "hunter2";

/// What people paste: a password in a URL, connection strings, a signature, a key, a token, a login of Java's.
const PASTED: [&str; 8] = [
    "amqps://me:hunter2@h.example.com:5671/t",
    "me:hunter2@h.example.com",
    "Endpoint=sb://h.example.com/;SharedAccessKeyName=a;SharedAccessKey=hunter2",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hunter2",
    "https://h.example.com/?sv=1&sig=hunter2",
    "hunter2KmVq1x8Zb0Rk3hunter2Yt5Wc7Pq9Ls2Df4=",
    "eyJhbGciOiJIUzI1NiJ9.hunter2KmVq1x8Zb0Rk3Yt5Wc7Pq9Ls2Df4.x",
    "org.example.LoginModule required username=\"a\" password=\"hunter2\";",
];

/// Opens a hub by URLs with a secret in every place. It refuses one or takes it; panics where its error, or the
/// Debug of what is opened, shows the secret.
pub fn assert_no_secret_is_printed<T: fmt::Debug>(
    scheme: &str,
    authority: &str,
    options: &[&str],
    open: impl Fn(&HubUrl) -> Result<T>,
) {
    for url in slips(scheme, authority, options) {
        let printed = match url.parse().and_then(|url| open(&url)) {
            Ok(opened) => format!("{opened:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!printed.contains(SECRET), "{url}: {printed}");
    }
}

/// In each option, in each part before them, in the name of an option, in a name that is a little wrong, in an
/// option given twice.
fn slips(scheme: &str, authority: &str, options: &[&str]) -> Vec<String> {
    let base = format!("{scheme}://{authority}/t");
    let mut urls = Vec::new();
    for pasted in PASTED {
        urls.push(pasted.to_owned());
        for text in [pasted.to_owned(), encoded(pasted)] {
            urls.push(format!("{scheme}:{text}"));
            urls.push(format!("{scheme}://{text}"));
            urls.push(format!("{scheme}://{text}/t"));
            urls.push(format!("{scheme}://{authority}/{text}"));
            urls.push(format!("{base}?{text}"));
            urls.push(format!("{base}?{text}=x"));
            urls.push(format!("{base}?password={text}"));
            for option in options {
                urls.push(format!("{base}?{option}={text}"));
                urls.push(format!("{base}?{option}={text}&{option}={text}"));
                urls.push(format!("{base}?{option}=x&{text}"));
                urls.push(format!("{base}?{option}s={text}"));
            }
        }
    }
    urls
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhub_core::memory::MemoryHub;
    use std::panic::catch_unwind;

    const OPTIONS: [&str; 6] = [
        "partitions",
        "capacity_bytes",
        "event_bytes",
        "retention",
        "retention_ms",
        "retention_bytes",
    ];

    #[test]
    fn the_memory_hub_prints_none() {
        assert_no_secret_is_printed("memory", "", &OPTIONS, MemoryHub::from_url);
    }

    #[test]
    fn a_hub_that_prints_one_is_found() {
        let printing =
            |url: &HubUrl| Ok(url.options().map(|(_, value)| value.to_owned()).collect());
        let tried = catch_unwind(|| {
            assert_no_secret_is_printed::<Vec<String>>("memory", "", &OPTIONS, printing);
        });
        assert!(tried.is_err());
    }
}
