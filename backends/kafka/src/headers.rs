//! Headers between events and librdkafka.

use anyhub_core::Event;
use rdkafka::{
    bindings,
    message::{BorrowedMessage, Header, OwnedHeaders},
    types::RDKafkaRespErr,
};
use std::{ffi::CStr, ptr, slice};

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

/// Calls `each` with the name and value of every header of a message, in order. A null value is
/// read as the empty one.
///
/// rdkafka's own iterator panics on a name that is no UTF-8, which any producer may send.
pub(crate) fn incoming(message: &BorrowedMessage<'_>, mut each: impl FnMut(&[u8], &[u8])) {
    let mut headers = ptr::null_mut();
    // SAFETY: the message is alive while it is borrowed, and `headers` is a valid place to write
    // to. librdkafka keeps ownership of what it writes there and frees it with the message.
    #[allow(unsafe_code)]
    let found = unsafe { bindings::rd_kafka_message_headers(message.ptr(), &mut headers) };
    if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return;
    }
    for nth in 0.. {
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        // SAFETY: `headers` belongs to the message, which outlives this loop; the three are valid
        // places to write to. Past the last header it answers an error and writes nothing.
        #[allow(unsafe_code)]
        let found = unsafe {
            bindings::rd_kafka_header_get_all(headers, nth, &mut name, &mut value, &mut length)
        };
        if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        // SAFETY: on success `name` is a string that ends in NUL, and `value` is null or points to
        // `length` bytes; both live as long as the message and nobody writes to them.
        #[allow(unsafe_code)]
        let (name, value) = unsafe {
            let value = if value.is_null() {
                &[]
            } else {
                slice::from_raw_parts(value.cast::<u8>(), length)
            };
            (CStr::from_ptr(name).to_bytes(), value)
        };
        each(name, value);
    }
}
