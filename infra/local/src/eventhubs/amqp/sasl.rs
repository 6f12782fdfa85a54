//! SASL (part 5, 5.3): who a peer says it is before the connection opens.

use bytes::BytesMut;

use super::frame::{self, Kind};
use super::performative::{Fields, Performative};
use super::read::{Malformed, Value};
use super::write::Compound;

/// What a connection begins with.
pub(crate) const HEADER: [u8; 8] = *b"AMQP\x03\x01\x00\x00";
const INIT: u64 = 0x41;

/// A way to say who one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// By tokens later on: `$cbs`.
    Token,
    /// By the name of a key and the key.
    Plain {
        name: String,
        key: String,
    },
    Unknown,
}

/// Offers what the service offers, but for certificates.
pub(crate) fn offer(out: &mut BytesMut) {
    frame::put(out, Kind::Sasl, 0, |out| {
        Compound::list(out, 0x40)
            .array(0xb3, ["MSSBCBS", "PLAIN", "ANONYMOUS"].into_iter())
            .end();
    });
}

pub(crate) fn login(performative: &Performative) -> Result<Login, Malformed> {
    if performative.code != INIT {
        return Err(Malformed("something else came where SASL was due"));
    }
    let fields: Fields<'_> = performative.fields()?;
    Ok(match (fields.text(0)?, fields.value(1)?) {
        (Some("MSSBCBS" | "ANONYMOUS"), _) => Login::Token,
        (Some("PLAIN"), Value::Binary(said)) => plain(said).unwrap_or(Login::Unknown),
        _ => Login::Unknown,
    })
}

/// RFC 4616: who to act as, a name and a password, with a zero before each of the latter two.
fn plain(said: &[u8]) -> Option<Login> {
    let said = std::str::from_utf8(said).ok()?;
    let mut parts = said.split('\0').skip(1);
    let (name, key) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    Some(Login::Plain { name, key })
}

/// Tells whether a peer may go on.
pub(crate) fn outcome(out: &mut BytesMut, welcome: bool) {
    frame::put(out, Kind::Sasl, 0, |out| {
        // 1: it was about who they are.
        let list = Compound::list(out, 0x44).ubyte(u8::from(!welcome));
        list.nulls(1).end();
    });
}
