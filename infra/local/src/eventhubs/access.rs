//! Who may do what: shared access signatures, and the key itself by SASL PLAIN.
//!
//! Source: Event Hubs documentation, "Generate SAS token" and "AMQP 1.0 protocol guide", claims-based authorization (2026-11).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
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
#[derive(Debug)]
pub(super) struct Grants {
    all: Vec<Grant>,
    /// When the next one ends, in seconds since 1970.
    next_end: u64,
}

impl Default for Grants {
    fn default() -> Self {
        Grants {
            all: Vec::new(),
            next_end: u64::MAX,
        }
    }
}

impl Grants {
    /// Everything, as one who knows the key.
    pub(super) fn all() -> Self {
        Grants {
            all: vec![Grant {
                path: String::new(),
                until: u64::MAX,
            }],
            ..Grants::default()
        }
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
        self.all.retain(|old| old.path != grant.path);
        if self.all.len() >= limits::TOKENS {
            return Err("QuotaExceeded: There are too many tokens for one connection.");
        }
        self.next_end = self.next_end.min(grant.until);
        self.all.push(grant);
        Ok(())
    }

    /// How long until one ends, if one does.
    pub(super) fn end_in(&self) -> Option<Duration> {
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(self.next_end))?;
        Some(end.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Drops those that have ended; false if none has.
    pub(super) fn expire(&mut self) -> bool {
        let now = now();
        if self.next_end > now {
            return false;
        }
        let before = self.all.len();
        self.all.retain(|grant| grant.until > now);
        let ends = self.all.iter().map(|grant| grant.until);
        self.next_end = ends.min().unwrap_or(u64::MAX);
        self.all.len() < before
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
        self.all.iter().filter(move |grant| grant.until > now)
    }
}

/// A shared access signature for a hub, or what is within, as clients make them.
pub(super) fn sign(path: &str, key: &str, until: u64) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let resource = encode(&format!("sb://localhost/{path}"));
    // A key of any length is one.
    let signature = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map(|mut mac| {
        mac.update(format!("{resource}\n{until}").as_bytes());
        encode(&STANDARD.encode(mac.finalize().into_bytes()))
    });
    let signature = signature.unwrap_or_default();
    format!("SharedAccessSignature sr={resource}&sig={signature}&se={until}&skn={NAME}")
}

pub(super) fn now() -> u64 {
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

    #[test]
    fn a_token_covers_its_resource_and_what_is_within() {
        let mut grants = Grants::default();
        assert!(!grants.cover("tweets"));
        let good = sign("Tweets", KEY, now() + 60);
        grants.put(&good).unwrap();
        for covered in ["tweets", "amqps://h/tweets/Partitions/0", "TWEETS"] {
            assert!(grants.cover(covered), "{covered}");
        }
        for other in ["tweets2", "other", ""] {
            assert!(!grants.cover(other), "{other}");
        }
        assert!(grants.cover_properties("tweets") && !grants.cover_properties("other"));
        grants.put(&sign("", KEY, now() + 60)).unwrap();
        assert!(grants.cover("other"));
        for _ in 0..10 {
            grants.put(&good).unwrap();
        }
        assert_eq!(grants.all.len(), 2);
    }

    #[test]
    fn a_token_that_has_ended_is_dropped() {
        let mut grants = Grants::default();
        assert!(grants.end_in().is_none() && !grants.expire());
        grants.put(&sign("long", KEY, now() + 600)).unwrap();
        grants.put(&sign("short", KEY, now() + 2)).unwrap();
        let left = grants.end_in().unwrap();
        assert!(left <= Duration::from_secs(2), "{left:?}");
        while !grants.expire() {
            std::thread::yield_now();
        }
        assert!(!grants.cover("short") && grants.cover("long"));
        let left = grants.end_in().unwrap();
        assert!(left > Duration::from_secs(500), "{left:?}");
        assert!(Grants::all().end_in().is_none());
    }

    #[test]
    fn there_are_so_many_tokens_and_no_more() {
        let mut grants = Grants::default();
        for nth in 0..limits::TOKENS {
            let token = sign(&format!("t/{nth}"), KEY, now() + 600);
            grants.put(&token).unwrap();
        }
        let more = sign("other", KEY, now() + 600);
        assert!(grants.put(&more).unwrap_err().starts_with("QuotaExceeded"));
        // One of them again is no further one.
        let again = sign("t/7", KEY, now() + 600);
        grants.put(&again).unwrap();
        let long = "t".repeat(2_000);
        let refused = grants.put(&sign(&long, KEY, now() + 600)).unwrap_err();
        assert!(refused.starts_with("MalformedToken"));
    }

    #[test]
    fn a_wrong_key_an_old_token_and_nonsense_are_refused() {
        let refused = |token: &str| Grants::default().put(token).unwrap_err();
        let wrong = sign("t", "another", now() + 60);
        assert!(refused(&wrong).starts_with("InvalidSignature"));
        let longer = sign("t", KEY, now() + 60).replace("&se=", "&se=9");
        assert!(refused(&longer).starts_with("InvalidSignature"));
        let named = sign("t", KEY, now() + 60).replace(NAME, "Other");
        assert!(refused(&named).starts_with("InvalidSignature"));
        assert!(refused(&sign("t", KEY, now())).starts_with("ExpiredToken"));
        assert!(refused("eyJhbGciOi").starts_with("MalformedToken"));
        assert!(refused("SharedAccessSignature sr=x").starts_with("MalformedToken"));
    }
}
