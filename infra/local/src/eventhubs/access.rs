//! Who may do what: shared access signatures, and the key itself by SASL PLAIN.
//!
//! Source: Event Hubs documentation, "Generate SAS token" and "AMQP 1.0 protocol guide", claims-based authorization (2026-11).

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use percent_encoding::percent_decode_str;
use sha2::Sha256;

use super::{address, limits};

/// What the emulator's documentation has.
pub(super) const NAME: &str = "RootManageSharedAccessKey";
pub(super) const KEY: &str = "SAS_KEY_VALUE";

/// What one token lets a connection do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    /// A hub's, or something's within; empty for the namespace.
    path: String,
    /// Seconds since 1970.
    until: u64,
}

/// What a connection may do.
#[derive(Debug, Default)]
pub(super) struct Grants(Vec<Grant>);

impl Grants {
    /// Everything, as one who knows the key.
    pub(super) fn all() -> Self {
        Grants(vec![Grant {
            path: String::new(),
            until: u64::MAX,
        }])
    }

    /// Takes a token; says why not.
    pub(super) fn put(&mut self, token: &str) -> Result<(), &'static str> {
        let grant = read(token)?;
        if grant.until <= now() {
            return Err("ExpiredToken: The token is expired.");
        }
        if grant.path.len() > limits::TEXT {
            return Err("MalformedToken: The token's resource is too long.");
        }
        // A newer one for the same replaces it: tokens are put again and again.
        let now = now();
        self.0
            .retain(|old| old.path != grant.path && old.until > now);
        if self.0.len() >= limits::TOKENS {
            return Err("QuotaExceeded: There are too many tokens for one connection.");
        }
        self.0.push(grant);
        Ok(())
    }

    /// True if this may be attached to.
    pub(super) fn cover(&self, address: &str) -> bool {
        let address = address::path(address).to_ascii_lowercase();
        self.valid().any(|grant| {
            let rest = address.strip_prefix(grant.path.as_str());
            grant.path.is_empty()
                || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// True if the hub's properties may be read: with any token for it or for something within.
    pub(super) fn cover_properties(&self, hub: &str) -> bool {
        self.valid().any(|grant| {
            let first = grant.path.split('/').next().unwrap_or_default();
            first.is_empty() || first.eq_ignore_ascii_case(hub)
        })
    }

    fn valid(&self) -> impl Iterator<Item = &Grant> {
        let now = now();
        self.0.iter().filter(move |grant| grant.until > now)
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

fn read(token: &str) -> Result<Grant, &'static str> {
    const MALFORMED: &str = "MalformedToken: The token is no shared access signature.";
    const INVALID: &str = "InvalidSignature: The token has an invalid signature.";
    let fields = token
        .strip_prefix("SharedAccessSignature ")
        .ok_or(MALFORMED)?;
    let field = |name: &str| {
        let mut fields = fields.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let (Some(resource), Some(signature), Some(until), Some(name)) =
        (field("sr"), field("sig"), field("se"), field("skn"))
    else {
        return Err(MALFORMED);
    };
    let decode = |text| percent_decode_str(text).decode_utf8_lossy();
    let signature = STANDARD.decode(&*decode(signature)).map_err(|_| INVALID)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).map_err(|_| INVALID)?;
    mac.update(resource.as_bytes());
    mac.update(b"\n");
    mac.update(until.as_bytes());
    mac.verify_slice(&signature).map_err(|_| INVALID)?;
    if decode(name) != NAME {
        return Err(INVALID);
    }
    let resource = decode(resource);
    Ok(Grant {
        path: address::path(&resource).to_ascii_lowercase(),
        until: until.parse().map_err(|_| MALFORMED)?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    /// A token as the clients make one.
    fn token(resource: &str, key: &str, until: u64) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let resource = encode(resource);
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(format!("{resource}\n{until}").as_bytes());
        let signature = encode(&STANDARD.encode(mac.finalize().into_bytes()));
        format!("SharedAccessSignature sr={resource}&sig={signature}&se={until}&skn={NAME}")
    }

    #[test]
    fn a_token_covers_its_resource_and_what_is_within() {
        let mut grants = Grants::default();
        assert!(!grants.cover("tweets"));
        let good = token("sb://localhost/Tweets", KEY, now() + 60);
        grants.put(&good).unwrap();
        for covered in ["tweets", "amqps://h/tweets/Partitions/0", "TWEETS"] {
            assert!(grants.cover(covered), "{covered}");
        }
        for other in ["tweets2", "other", ""] {
            assert!(!grants.cover(other), "{other}");
        }
        assert!(grants.cover_properties("tweets") && !grants.cover_properties("other"));
        grants
            .put(&token("sb://localhost/", KEY, now() + 60))
            .unwrap();
        assert!(grants.cover("other"));
        for _ in 0..10 {
            grants.put(&good).unwrap();
        }
        assert_eq!(grants.0.len(), 2);
    }

    #[test]
    fn there_are_so_many_tokens_and_no_more() {
        let mut grants = Grants::default();
        for nth in 0..limits::TOKENS {
            let token = token(&format!("sb://localhost/t/{nth}"), KEY, now() + 600);
            grants.put(&token).unwrap();
        }
        let more = token("sb://localhost/other", KEY, now() + 600);
        assert!(grants.put(&more).unwrap_err().starts_with("QuotaExceeded"));
        // One of them again is no further one.
        let again = token("sb://localhost/t/7", KEY, now() + 600);
        grants.put(&again).unwrap();
        let long = format!("sb://localhost/{}", "t".repeat(2_000));
        let refused = grants.put(&token(&long, KEY, now() + 600)).unwrap_err();
        assert!(refused.starts_with("MalformedToken"));
    }

    #[test]
    fn a_wrong_key_an_old_token_and_nonsense_are_refused() {
        let refused = |token: &str| Grants::default().put(token).unwrap_err();
        let wrong = token("sb://localhost/t", "another", now() + 60);
        assert!(refused(&wrong).starts_with("InvalidSignature"));
        let longer = token("sb://localhost/t", KEY, now() + 60).replace("&se=", "&se=9");
        assert!(refused(&longer).starts_with("InvalidSignature"));
        let named = token("sb://localhost/t", KEY, now() + 60).replace(NAME, "Other");
        assert!(refused(&named).starts_with("InvalidSignature"));
        assert!(refused(&token("sb://localhost/t", KEY, now())).starts_with("ExpiredToken"));
        assert!(refused("eyJhbGciOi").starts_with("MalformedToken"));
        assert!(refused("SharedAccessSignature sr=x").starts_with("MalformedToken"));
    }
}
