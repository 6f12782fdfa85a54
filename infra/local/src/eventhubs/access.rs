//! Who may do what: shared access signatures, tokens of an identity, and the key itself by SASL PLAIN.
//!
//! Source: Event Hubs documentation, "Generate SAS token" and "AMQP 1.0 protocol guide", claims-based authorization (2026-11).

use std::sync::{Mutex, PoisonError};
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
    /// Milliseconds since 1970.
    until: u64,
}

/// The tokens of Microsoft Entra ID that are taken, and until when, in milliseconds since 1970. What stands in one is for Entra
/// ID and the service alone, so that any text will do.
#[derive(Debug, Default)]
pub(super) struct Bearers(Mutex<Vec<(String, u64)>>);

impl Bearers {
    pub(super) fn accept(&self, token: &str, valid: Duration) {
        let valid = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|(other, _)| other != token);
        taken.push((token.to_owned(), now().saturating_add(valid)));
    }

    fn until(&self, token: &str) -> Option<u64> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = taken.iter().find(|(other, _)| other == token);
        found.map(|(_, until)| *until)
    }
}

/// What a connection may do.
#[derive(Debug)]
pub(super) struct Grants {
    all: Vec<Grant>,
    /// When the next one ends, in milliseconds since 1970; the largest number where none does.
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

    /// Takes a shared access signature; says why not.
    pub(super) fn put(&mut self, token: &str) -> Result<(), &'static str> {
        self.take(read(token)?)
    }

    /// Takes an identity's token for a resource, which it doesn't name itself; says why not.
    pub(super) fn put_bearer(
        &mut self,
        bearers: &Bearers,
        resource: &str,
        token: &str,
    ) -> Result<(), &'static str> {
        let until = bearers.until(token);
        let until =
            until.ok_or("InvalidToken: The token is none that was issued for this namespace.")?;
        let path = address::path(resource).to_ascii_lowercase();
        self.take(Grant { path, until })
    }

    fn take(&mut self, grant: Grant) -> Result<(), &'static str> {
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
        if self.next_end == u64::MAX {
            return None;
        }
        let end = UNIX_EPOCH.checked_add(Duration::from_millis(self.next_end))?;
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

/// A shared access signature for a hub, or what is within, as clients make them; until then, in seconds since 1970.
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

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
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
    let until: u64 = until.parse().map_err(|_| MALFORMED)?;
    Ok(Grant {
        path: address::path(&resource).to_ascii_lowercase(),
        until: until.saturating_mul(1_000),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Seconds since 1970.
    fn now() -> u64 {
        super::now() / 1_000
    }

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

    #[test]
    fn an_identitys_token_is_for_what_it_is_put_for_and_as_long_as_was_said() {
        let bearers = Bearers::default();
        bearers.accept("good", Duration::from_secs(60));
        bearers.accept("old", Duration::ZERO);
        let mut grants = Grants::default();
        for (token, why) in [("another", "InvalidToken"), ("old", "ExpiredToken")] {
            let refused = grants
                .put_bearer(&bearers, "amqps://h/t", token)
                .unwrap_err();
            assert!(refused.starts_with(why), "{refused}");
        }
        assert_eq!(grants.end_in(), None);
        grants
            .put_bearer(&bearers, "amqps://h/Tweets", "good")
            .unwrap();
        assert!(grants.cover("tweets/Partitions/0") && !grants.cover("other"));
        assert!(grants.end_in().unwrap() > Duration::from_secs(50));
        assert!(!grants.expire());
        assert_eq!(Grants::all().end_in(), None);
    }
}
