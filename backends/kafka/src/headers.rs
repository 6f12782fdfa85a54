//! Headers on their way to librdkafka.

use anyhub_core::Event;
use rdkafka::message::{Header, OwnedHeaders};

/// The headers of an event for librdkafka; None where it has none.
pub(crate) fn outgoing(event: &Event) -> Option<OwnedHeaders> {
    if event.headers.is_empty() {
        return None;
    }
    let mut headers = OwnedHeaders::new_with_capacity(event.headers.len());
    for header in &event.headers {
        headers = headers.insert(Header {
            key: header.name(),
            value: Some(&header.value()[..]),
        });
    }
    Some(headers)
}

/// Whether librdkafka would read this name back as another one: it ends names at a NUL.
pub(crate) fn is_cut_short(name: &str) -> bool {
    name.contains('\0')
}
