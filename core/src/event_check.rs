use crate::{Capabilities, Error, ErrorKind, Event, HeaderSupport, Result};

/// Refuses, before anything is sent, an event that a hub with these capabilities can't carry
/// (E1, E2, E3): Invalid or Unsupported, with the reason.
pub fn check(event: &Event, hub: &'static str, capabilities: &Capabilities) -> Result<()> {
    let invalid = |message: &str| Err(Error::new(ErrorKind::Invalid, hub, "submit", message));
    let unsupported =
        |message: &str| Err(Error::new(ErrorKind::Unsupported, hub, "submit", message));
    if let Some(key) = &event.key {
        if key.as_bytes().is_empty() {
            return invalid("the key is empty: leave it out, or give it at least one character");
        }
        // Up to 128 bytes it can't be more than 128 characters: no need to count them.
        if !capabilities.binary_keys {
            match key.as_str() {
                None => {
                    let refused =
                        invalid("the key is no UTF-8, which is all that this hub carries");
                    return refused
                        .map_err(|error| error.with_advice("write it as text, as in hex"));
                }
                Some(text) if text.len() > 128 && text.chars().count() > 128 => {
                    let refused = invalid("the key is longer than 128 characters");
                    return refused.map_err(|error| error.with_advice("shorten it, as by a hash"));
                }
                Some(_) => {}
            }
        }
    }
    if event.is_tombstone() && !capabilities.tombstones {
        return unsupported("this hub has no null payload");
    }
    if event.headers.is_empty() {
        return Ok(());
    }
    match capabilities.headers {
        HeaderSupport::None => unsupported("this hub carries no headers"),
        HeaderSupport::Any => Ok(()),
        HeaderSupport::Portable => {
            for (nth, header) in event.headers.iter().enumerate() {
                let name = header.name();
                if name.is_empty() || name.len() > 256 || name.starts_with("goog") {
                    return invalid(
                        "a header's name is 1 to 256 bytes and does not begin with \"goog\"",
                    );
                }
                if header.value().len() > 1024 || std::str::from_utf8(header.value()).is_err() {
                    return invalid("a header's value is UTF-8 of at most 1,024 bytes");
                }
                if event.headers[..nth]
                    .iter()
                    .any(|other| other.name() == name)
                {
                    return invalid("a header's name is used twice");
                }
            }
            Ok(())
        }
    }
}
