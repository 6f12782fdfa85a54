//! Where a receiver asks to begin: the filter of its link's source.

use super::amqp::performative::Fields;
use super::amqp::read::{self, Malformed, Value};
use super::log::Start;

/// The filter's name, and the descriptor of its value where that is a symbol.
const SELECTOR: &str = "apache.org:selector-filter:string";
/// The descriptor as a number: JavaScript's.
const SELECTOR_CODE: u64 = 0x0000_468c_0000_0004;
/// Where a source has its filters (part 3, 3.5.3).
const FILTER: usize = 7;

/// What a source asks for; without a filter everything, as an offset of -1 does.
///
/// # Errors
/// The text that is to be told, if it can't be understood.
pub(super) fn of_source(source: &[u8]) -> Result<Start, String> {
    match selector(source) {
        Ok(None) => Ok(Start::Earliest),
        Ok(Some(selector)) => parse(selector)
            .ok_or_else(|| format!("The selector \"{selector}\" can't be understood.")),
        Err(Malformed(why)) => Err(format!("The filter can't be read: {why}.")),
    }
}

fn selector(source: &[u8]) -> Result<Option<&str>, Malformed> {
    let source = Fields::of(source)?;
    for (name, filter) in read::entries(source.raw(FILTER))? {
        if read::value(name)?.text() != Some(SELECTOR) {
            continue;
        }
        let text = match read::described(filter) {
            Ok((Value::Symbol(SELECTOR) | Value::Unsigned(SELECTOR_CODE), text)) => text,
            Ok(_) => continue,
            Err(_) => filter,
        };
        return Ok(read::value(text)?.text());
    }
    Ok(None)
}

/// `amqp.annotation.x-opt-offset > '12'`, and the like.
fn parse(selector: &str) -> Option<Start> {
    let (name, rest) = selector.split_once('>')?;
    let (inclusive, rest) = match rest.strip_prefix('=') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let value = rest.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    let number = || value.parse().ok();
    Some(match name.trim() {
        "amqp.annotation.x-opt-offset" => match value {
            "-1" => Start::Earliest,
            "@latest" => Start::Latest,
            _ => Start::Offset {
                number: number()?,
                inclusive,
            },
        },
        "amqp.annotation.x-opt-sequence-number" => Start::Sequence {
            number: number()?,
            inclusive,
        },
        "amqp.annotation.x-opt-enqueued-time" => Start::Time {
            millis: number()?,
            inclusive,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::amqp::write::Compound;
    use super::*;
    use bytes::{BufMut, BytesMut};

    fn source(filter: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
        let mut out = BytesMut::new();
        let list = Compound::list(&mut out, 0x28).string("h").nulls(6);
        list.field(filter).nulls(3).end();
        out.to_vec()
    }

    fn filtered(descriptor: &[u8], text: &str) -> Vec<u8> {
        source(|out| {
            let map = Compound::map(out).symbol(SELECTOR);
            let map = map.field(|out| {
                out.put_slice(descriptor);
                out.put_slice(&[0xa1, u8::try_from(text.len()).unwrap()]);
                out.put_slice(text.as_bytes());
            });
            map.end();
        })
    }

    #[test]
    fn each_client_s_filter_is_understood() {
        let mut symbol = vec![0x00, 0xa3, u8::try_from(SELECTOR.len()).unwrap()];
        symbol.extend(SELECTOR.as_bytes());
        let mut number = vec![0x00, 0x80];
        number.extend(SELECTOR_CODE.to_be_bytes());
        let text = "amqp.annotation.x-opt-sequence-number >= '3'";
        for descriptor in [&symbol[..], &number, &[]] {
            let start = Start::Sequence {
                number: 3,
                inclusive: true,
            };
            assert_eq!(of_source(&filtered(descriptor, text)), Ok(start));
        }
        let none = source(|out| out.put_u8(0x40));
        assert_eq!(of_source(&none), Ok(Start::Earliest));
        assert!(of_source(&filtered(&symbol, "x > '1'")).is_err());
        assert!(of_source(&[0x00, 0x53]).is_err());
    }

    #[test]
    fn every_place_to_begin() {
        for (selector, start) in [
            ("amqp.annotation.x-opt-offset > '-1'", Start::Earliest),
            ("amqp.annotation.x-opt-offset > '@latest'", Start::Latest),
            (
                "amqp.annotation.x-opt-offset >= '640'",
                Start::Offset {
                    number: 640,
                    inclusive: true,
                },
            ),
            (
                "amqp.annotation.x-opt-enqueued-time > '1700000000000'",
                Start::Time {
                    millis: 1_700_000_000_000,
                    inclusive: false,
                },
            ),
        ] {
            assert_eq!(parse(selector), Some(start), "{selector}");
        }
        for nonsense in [
            "",
            "x",
            "amqp.annotation.x-opt-offset > 5",
            "amqp.annotation.x-opt-offset > 'x'",
        ] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }
}
