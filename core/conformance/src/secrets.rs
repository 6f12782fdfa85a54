//! Secrets typed where none is due: whatever is told of them must not show them.

/// Stands in each of [`slips`].
pub const SECRET: &str = "hunter2";

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

/// URLs of a hub with a secret in every place: each option, each part before them, the name of an option,
/// a name that is a little wrong, an option given twice. The hub refuses one or takes it; neither its error
/// nor its Debug may contain [`SECRET`].
pub fn slips(scheme: &str, authority: &str, options: &[&str]) -> Vec<String> {
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

    #[test]
    fn the_memory_hub_prints_none() {
        let options = ["partitions", "capacity_bytes", "event_bytes", "retention"];
        for url in slips(
            "memory",
            "",
            &[&options[..], &["retention_ms", "retention_bytes"]].concat(),
        ) {
            let printed = match url.parse().and_then(|url| MemoryHub::from_url(&url)) {
                Ok(hub) => format!("{hub:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!printed.contains(SECRET), "{url}: {printed}");
        }
    }
}
