//! What was fetched, borrowed from librdkafka.

use crate::native::NativeMember;
use rdkafka::{
    bindings::{self as sys, rd_kafka_resp_err_t as Code},
    types::RDKafkaErrorCode,
};
use std::{
    ffi::{CStr, c_void},
    marker::PhantomData,
    ptr::{self, NonNull},
    slice,
};

/// Events that were fetched, and errors among them.
pub(crate) struct Fetched<'a> {
    messages: Vec<*mut sys::rd_kafka_message_t>,
    /// Nothing was left to fetch.
    pub(crate) drained: bool,
    member: PhantomData<&'a NativeMember>,
}

impl<'a> Fetched<'a> {
    /// Messages that `member` has fetched.
    ///
    /// # Safety
    /// Each points to a message of its own, which is nobody else's to destroy.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn new(
        _: &'a NativeMember,
        messages: Vec<*mut sys::rd_kafka_message_t>,
        drained: bool,
    ) -> Self {
        Self {
            messages,
            drained,
            member: PhantomData,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn get(&self, nth: usize) -> Message<'_> {
        // SAFETY: each was written by librdkafka, and lives until this is dropped.
        #[allow(unsafe_code)]
        unsafe {
            Message(&*self.messages[nth])
        }
    }
}

impl Drop for Fetched<'_> {
    fn drop(&mut self) {
        for message in &self.messages {
            // SAFETY: each is ours, and the client that it came from is still borrowed.
            #[allow(unsafe_code)]
            unsafe {
                sys::rd_kafka_message_destroy(*message);
            }
        }
    }
}

/// An event of the log, or an error in its place.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a>(&'a sys::rd_kafka_message_t);

impl<'a> Message<'a> {
    pub(crate) fn error(self) -> Option<RDKafkaErrorCode> {
        (self.0.err != Code::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| self.0.err.into())
    }

    pub(crate) fn partition(self) -> u32 {
        self.0.partition as u32
    }

    pub(crate) fn offset(self) -> i64 {
        self.0.offset
    }

    pub(crate) fn key(self) -> Option<&'a [u8]> {
        // SAFETY: null, or so many bytes that live as long as the message.
        #[allow(unsafe_code)]
        unsafe {
            bytes(self.0.key, self.0.key_len)
        }
    }

    pub(crate) fn payload(self) -> Option<&'a [u8]> {
        // SAFETY: null, or so many bytes that live as long as the message.
        #[allow(unsafe_code)]
        unsafe {
            bytes(self.0.payload, self.0.len)
        }
    }

    /// Bytes of key and payload.
    pub(crate) fn size(self) -> usize {
        self.0.len + self.0.key_len
    }

    /// Milliseconds since 1970, where the log has them.
    pub(crate) fn timestamp(self) -> Option<i64> {
        // SAFETY: the message is alive; the kind of its time is not asked for.
        #[allow(unsafe_code)]
        let millis = unsafe { sys::rd_kafka_message_timestamp(self.0, ptr::null_mut()) };
        (millis != -1).then_some(millis)
    }

    /// Calls `each` with the name and value of every header, in order. A null value is read as the
    /// empty one.
    pub(crate) fn headers(self, mut each: impl FnMut(&[u8], &[u8])) {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive and `headers` a place to write to. librdkafka keeps what it
        // writes there, and frees it with the message.
        #[allow(unsafe_code)]
        let found = unsafe { sys::rd_kafka_message_headers(self.0, &mut headers) };
        if found != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for nth in 0.. {
            let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the headers belong to the message, which outlives this; the three are places
            // to write to. Past the last header it answers an error and writes nothing.
            #[allow(unsafe_code)]
            let found = unsafe {
                sys::rd_kafka_header_get_all(headers, nth, &mut name, &mut value, &mut length)
            };
            if found != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                return;
            }
            // SAFETY: on success the name ends in NUL, and the value is null or so many bytes; both
            // live as long as the message.
            #[allow(unsafe_code)]
            let (name, value) = unsafe {
                let value = bytes(value.cast_mut(), length).unwrap_or_default();
                (CStr::from_ptr(name).to_bytes(), value)
            };
            each(name, value);
        }
    }
}

/// # Safety
/// `start` is null, or points to `length` bytes that nobody writes to while they are borrowed.
#[allow(unsafe_code)]
unsafe fn bytes<'a>(start: *mut c_void, length: usize) -> Option<&'a [u8]> {
    let start = NonNull::new(start)?.cast::<u8>();
    // SAFETY: as the caller promises.
    Some(unsafe { slice::from_raw_parts(start.as_ptr(), length) })
}
