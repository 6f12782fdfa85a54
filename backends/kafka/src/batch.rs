//! Handing events to librdkafka by the batch: the topic is looked up once, not for every event.

use crate::{headers, reports::Reports};
use anyhub_core::Event;
use rdkafka::{
    bindings::{self as sys, rd_kafka_resp_err_t as Code},
    producer::{BaseRecord, Producer, ThreadedProducer},
    types::RDKafkaErrorCode,
};
use std::{
    ffi::{CString, c_int, c_void},
    ptr::{self, NonNull},
};

/// A topic of one client, which must outlive it.
pub(crate) struct Topic {
    handle: NonNull<sys::rd_kafka_topic_t>,
    name: String,
}

// SAFETY: librdkafka's handles may be used from any thread, at the same time (rdkafka.h,
// "Thread-safe").
#[allow(unsafe_code)]
unsafe impl Send for Topic {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Topic {}

/// Events handed over at once, at most: as many as are described on the stack, since a table from
/// the heap would tear holes between librdkafka's copies, which are then far apart.
const MOST: usize = 128;

const NONE: sys::rd_kafka_message_t = sys::rd_kafka_message_t {
    err: Code::RD_KAFKA_RESP_ERR_NO_ERROR,
    rkt: ptr::null_mut(),
    partition: 0,
    payload: ptr::null_mut(),
    len: 0,
    key: ptr::null_mut(),
    key_len: 0,
    offset: 0,
    _private: ptr::null_mut(),
};

/// `RD_KAFKA_PARTITION_UA`: the partitioner chooses.
const ANY: i32 = -1;

impl Topic {
    /// The topic as this client sees it; None if its name can't be one.
    pub(crate) fn of(client: &ThreadedProducer<Reports>, name: &str) -> Option<Self> {
        let text = CString::new(name).ok()?;
        // SAFETY: the client is alive, the name ends in NUL and is copied; without settings of its
        // own it has the client's. The reference is ours, given back when dropped.
        #[allow(unsafe_code)]
        let handle = unsafe {
            sys::rd_kafka_topic_new(client.client().native_ptr(), text.as_ptr(), ptr::null_mut())
        };
        Some(Self {
            handle: NonNull::new(handle)?,
            name: name.to_owned(),
        })
    }

    /// Hands a batch over in its order. librdkafka reports on the events from number `first` on, and
    /// until it has, they must stay where they are. Calls `refused` for those that it did not take, of which no report comes.
    pub(crate) fn send(
        &self,
        client: &ThreadedProducer<Reports>,
        batch: &[Event],
        first: usize,
        mut refused: impl FnMut(usize, RDKafkaErrorCode),
    ) {
        let mut next = 0;
        while let Some(event) = batch.get(next) {
            if !event.headers.is_empty() {
                self.send_one(client, event, first + next, &mut refused);
                next += 1;
                continue;
            }
            let rest = batch[next..].iter().take(MOST);
            let plain = rest.take_while(|event| event.headers.is_empty()).count();
            self.send_plain(&batch[next..next + plain], first + next, &mut refused);
            next += plain;
        }
    }

    /// librdkafka takes headers only with single events.
    fn send_one(
        &self,
        client: &ThreadedProducer<Reports>,
        event: &Event,
        number: usize,
        refused: &mut impl FnMut(usize, RDKafkaErrorCode),
    ) {
        let record = BaseRecord {
            topic: self.name.as_str(),
            partition: None,
            payload: (!event.is_tombstone()).then(|| &event.payload[..]),
            key: event.key.as_ref().map(|key| key.as_bytes()),
            timestamp: None,
            headers: headers::outgoing(event),
            delivery_opaque: number,
        };
        if let Err((error, _)) = client.send(record) {
            refused(
                number,
                error
                    .rdkafka_error_code()
                    .unwrap_or(RDKafkaErrorCode::Unknown),
            );
        }
    }

    /// No more than [`MOST`].
    fn send_plain(
        &self,
        events: &[Event],
        first: usize,
        refused: &mut impl FnMut(usize, RDKafkaErrorCode),
    ) {
        let mut table = [NONE; MOST];
        let messages = &mut table[..events.len()];
        for (nth, (message, event)) in messages.iter_mut().zip(events).enumerate() {
            (message.key, message.key_len) = start(event.key.as_ref().map(|key| key.as_bytes()));
            (message.payload, message.len) =
                start((!event.is_tombstone()).then_some(&event.payload[..]));
            // As rdkafka passes a number that a report is to come with.
            message._private = ptr::without_provenance_mut(first + nth);
        }
        let count = c_int::try_from(messages.len()).unwrap_or(c_int::MAX);
        // Keys are copied, payloads are not (rdkafka.h, rd_kafka_produce).
        let flags = 0;
        // SAFETY: the topic is alive, and there are as many messages as is said. Each points into an
        // event that Flights keeps until librdkafka has reported on all of its batch or is gone, and
        // the bytes of an event neither change nor move.
        #[allow(unsafe_code)]
        let taken = unsafe {
            sys::rd_kafka_produce_batch(
                self.handle.as_ptr(),
                ANY,
                flags,
                messages.as_mut_ptr(),
                count,
            )
        };
        if taken == count {
            return;
        }
        for (nth, message) in messages.iter().enumerate() {
            if message.err != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                refused(first + nth, message.err.into());
            }
        }
    }
}

/// Where bytes are, for librdkafka: null is not the same as empty.
fn start(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    match bytes {
        Some(bytes) => (bytes.as_ptr().cast_mut().cast(), bytes.len()),
        None => (ptr::null_mut(), 0),
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: it is ours, used no more, and its client is still there.
        #[allow(unsafe_code)]
        unsafe {
            sys::rd_kafka_topic_destroy(self.handle.as_ptr());
        }
    }
}
