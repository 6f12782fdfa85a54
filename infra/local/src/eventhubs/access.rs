//! Who may do what: shared access signatures, tokens of an identity, and the key itself by SASL PLAIN.
//!
//! Source: Event Hubs documentation, "Generate SAS token" and "AMQP 1.0 protocol guide", claims-based authorization (2026-11).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use percent_encoding::percent_decode_str;
use sha2::Sha256;

use super::address;

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
        // A newer one for the same replaces it: tokens are put again and again.
        self.0.retain(|old| old.path != grant.path);
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

    /// How long until the next token expires; None where none does.
    pub(super) fn left(&self) -> Option<Duration> {
        let ends = self.0.iter().map(|grant| grant.until);
        let next = ends.filter(|until| *until < u64::MAX).min()?;
        Some(Duration::from_millis(next.saturating_sub(now())))
    }

    /// Drops what has expired. True if something has.
    pub(super) fn lapse(&mut self) -> bool {
        let (before, now) = (self.0.len(), now());
        self.0.retain(|grant| grant.until > now);
        self.0.len() < before
    }

    fn valid(&self) -> impl Iterator<Item = &Grant> {
        let now = now();
        self.0.iter().filter(move |grant| grant.until > now)
    }
}

fn now() -> u64 {
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
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    /// Seconds since 1970.
    fn now() -> u64 {
        super::now() / 1_000
    }

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
        assert_eq!(grants.left(), None);
        grants
            .put_bearer(&bearers, "amqps://h/Tweets", "good")
            .unwrap();
        assert!(grants.cover("tweets/Partitions/0") && !grants.cover("other"));
        assert!(grants.left().unwrap() > Duration::from_secs(50));
        assert!(!grants.lapse());
        grants.0[0].until = super::now();
        assert!(grants.lapse() && !grants.cover("tweets"));
        assert_eq!(Grants::all().left(), None);
    }
}
