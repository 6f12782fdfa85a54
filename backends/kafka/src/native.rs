//! librdkafka's consumer, called directly: rdkafka's takes one event at a time from the queue, at
//! about the cost of all that a trait does with it; this takes them by the hundred.

use crate::{control::Ask, events::Events, message::Fetched};
use anyhub_core::Result;
use rdkafka::{
    ClientConfig, TopicPartitionList,
    bindings::{self as sys, rd_kafka_resp_err_t as Code},
    client::{Client, NativeClient},
    error::{KafkaError, KafkaResult},
    metadata::Metadata,
    types::{RDKafkaErrorCode, RDKafkaType},
};
use std::{
    ffi::{CStr, c_char, c_int, c_void},
    fmt,
    ptr::{self, NonNull},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;

/// librdkafka's consumer, as a member of a group or, without one, on partitions of its own choice.
pub struct NativeMember {
    /// Before the client, to which it belongs.
    queue: Queue,
    client: Client<Events>,
    /// What is called when the queue is no longer empty; the queue has its address.
    _wake: Arc<Notify>,
}

/// The queue of a consumer: events, and what its callbacks are called for.
struct Queue(NonNull<sys::rd_kafka_queue_t>);

// SAFETY: librdkafka's handles may be used from any thread, at the same time (rdkafka.h,
// "Thread-safe").
#[allow(unsafe_code)]
unsafe impl Send for Queue {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Queue {}

impl NativeMember {
    /// Opens a client, which joins nothing yet; `wake` is notified when there is something to
    /// fetch. Blocks for a moment.
    pub(crate) fn open(
        config: &ClientConfig,
        wake: Arc<Notify>,
        events: Events,
    ) -> KafkaResult<Self> {
        let native = config.create_native_config()?;
        // SAFETY: the settings are alive, and the callbacks have the types that these ask for.
        #[allow(unsafe_code)]
        unsafe {
            sys::rd_kafka_conf_set_rebalance_cb(native.ptr(), Some(on_rebalance));
            sys::rd_kafka_conf_set_error_cb(native.ptr(), Some(on_error));
            sys::rd_kafka_conf_set_log_cb(native.ptr(), Some(on_log));
        }
        let client = Client::new(config, native, RDKafkaType::RD_KAFKA_CONSUMER, events)?;
        // SAFETY: the client is alive. The queue is a reference of ours, given back when dropped.
        #[allow(unsafe_code)]
        let queue = unsafe {
            sys::rd_kafka_poll_set_consumer(client.native_ptr());
            NonNull::new(sys::rd_kafka_queue_get_consumer(client.native_ptr()))
        };
        let queue = queue.map(Queue).ok_or_else(|| {
            KafkaError::ClientCreation("the client has no queue to consume from".to_owned())
        })?;
        // SAFETY: the address stays good while the Arc is held, and the callback is taken out of
        // the queue before it is let go.
        #[allow(unsafe_code)]
        unsafe {
            let opaque = Arc::as_ptr(&wake).cast_mut().cast::<c_void>();
            sys::rd_kafka_queue_cb_event_enable(queue.0.as_ptr(), Some(on_nonempty), opaque);
        }
        Ok(Self {
            queue,
            client,
            _wake: wake,
        })
    }

    /// rdkafka's client, for metadata and watermarks.
    pub fn client(&self) -> &Client<Events> {
        &self.client
    }

    /// librdkafka's handle. Valid while this lives.
    pub fn native_ptr(&self) -> *mut sys::rd_kafka_t {
        self.client.native_ptr()
    }

    pub(crate) fn events(&self) -> &Events {
        self.client.context()
    }

    /// Fetches up to `max` events without waiting, and serves the callbacks that are due.
    pub(crate) fn fetch(&self, max: usize) -> Fetched<'_> {
        let mut messages: Vec<*mut sys::rd_kafka_message_t> = Vec::with_capacity(max);
        // SAFETY: there is room for `max` pointers; as many as it answers were written, each to a
        // message that is ours to destroy.
        #[allow(unsafe_code)]
        unsafe {
            let queue = self.queue.0.as_ptr();
            let came = sys::rd_kafka_consume_batch_queue(queue, 0, messages.as_mut_ptr(), max);
            messages.set_len(usize::try_from(came).unwrap_or(0).min(max));
            let drained = messages.len() < max;
            Fetched::new(self, messages, drained)
        }
    }

    pub(crate) fn subscribe(&self, topic: &str) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_topic_unassigned(topic);
        // SAFETY: both are alive; the list is copied.
        #[allow(unsafe_code)]
        let code = unsafe { sys::rd_kafka_subscribe(self.native_ptr(), list.ptr()) };
        told(code, KafkaError::MetadataFetch)
    }

    /// Wants to be a member no more; amid a rebalance only after it.
    pub(crate) fn unsubscribe(&self) {
        // SAFETY: the client is alive. It fails only where there is no group.
        #[allow(unsafe_code)]
        unsafe {
            sys::rd_kafka_unsubscribe(self.native_ptr());
        }
    }

    /// Whether it is, or wants to be, a member of its group.
    pub(crate) fn is_subscribed(&self) -> bool {
        let mut list = ptr::null_mut();
        // SAFETY: the client is alive and `list` a place to write to; the list is ours to free.
        #[allow(unsafe_code)]
        unsafe {
            let code = sys::rd_kafka_subscription(self.native_ptr(), &mut list);
            if list.is_null() {
                return false;
            }
            let any = code == Code::RD_KAFKA_RESP_ERR_NO_ERROR && (*list).cnt > 0;
            sys::rd_kafka_topic_partition_list_destroy(list);
            any
        }
    }

    /// Whether the group knows it: from the answer to its first join until it says that it leaves.
    pub(crate) fn is_known(&self) -> bool {
        // SAFETY: the client is alive; the id is null or ends in NUL, and is ours to free.
        #[allow(unsafe_code)]
        unsafe {
            let id = sys::rd_kafka_memberid(self.native_ptr());
            let any = !id.is_null() && *id != 0;
            sys::rd_kafka_mem_free(self.native_ptr(), id.cast());
            any
        }
    }

    /// Whether it was ever part of a generation of its group.
    pub(crate) fn has_joined(&self) -> bool {
        // SAFETY: the client is alive; the answer is null or a constant that ends in NUL.
        #[allow(unsafe_code)]
        unsafe {
            let protocol = sys::rd_kafka_rebalance_protocol(self.native_ptr());
            !protocol.is_null() && CStr::from_ptr(protocol).to_bytes() != b"NONE"
        }
    }

    /// Takes partitions up, in the way of the group's protocol.
    pub(crate) fn take_up(&self, list: &TopicPartitionList) -> KafkaResult<()> {
        self.events().answered();
        take_up(self.native_ptr(), list.ptr())
    }

    /// Gives partitions up, in the way of the group's protocol: with the eager one, all.
    pub(crate) fn give_up(&self, list: &TopicPartitionList) -> KafkaResult<()> {
        self.events().answered();
        give_up(self.native_ptr(), list.ptr())
    }

    /// Gives up whatever it reads.
    pub(crate) fn give_up_all(&self) -> KafkaResult<()> {
        self.events().answered();
        give_up_all(self.native_ptr())
    }

    /// Whether the group assigns all partitions anew at each rebalance.
    pub(crate) fn is_eager(&self) -> bool {
        is_eager(self.native_ptr())
    }

    /// Whether the group has taken the assignment away, told or not.
    pub(crate) fn assignment_lost(&self) -> bool {
        // SAFETY: the client is alive.
        #[allow(unsafe_code)]
        unsafe {
            sys::rd_kafka_assignment_lost(self.native_ptr()) == 1
        }
    }

    /// Commits these offsets and waits for the answer.
    pub(crate) fn commit(&self, list: &TopicPartitionList) -> KafkaResult<()> {
        // SAFETY: both are alive.
        #[allow(unsafe_code)]
        let code = unsafe { sys::rd_kafka_commit(self.native_ptr(), list.ptr(), 0) };
        told(code, KafkaError::ConsumerCommit)
    }

    /// Reads on at these offsets; each element of the list has its outcome then.
    pub(crate) fn seek(&self, list: &TopicPartitionList, timeout: Duration) -> KafkaResult<()> {
        // SAFETY: both are alive; the error is ours.
        #[allow(unsafe_code)]
        let error = unsafe {
            sys::rd_kafka_seek_partitions(self.native_ptr(), list.ptr(), millis(timeout))
        };
        taken(error)
    }

    pub(crate) fn pause(&self, list: &TopicPartitionList) -> KafkaResult<()> {
        // SAFETY: both are alive.
        #[allow(unsafe_code)]
        let code = unsafe { sys::rd_kafka_pause_partitions(self.native_ptr(), list.ptr()) };
        told(code, KafkaError::MetadataFetch)
    }

    pub(crate) fn resume(&self, list: &TopicPartitionList) -> KafkaResult<()> {
        // SAFETY: both are alive.
        #[allow(unsafe_code)]
        let code = unsafe { sys::rd_kafka_resume_partitions(self.native_ptr(), list.ptr()) };
        told(code, KafkaError::MetadataFetch)
    }

    /// Begins to leave the group; it is done when [`closed`](Self::closed), while fetching goes on.
    pub(crate) fn close(&self) -> KafkaResult<()> {
        // SAFETY: client and queue are alive; the error is ours.
        #[allow(unsafe_code)]
        let error =
            unsafe { sys::rd_kafka_consumer_close_queue(self.native_ptr(), self.queue.0.as_ptr()) };
        taken(error)
    }

    pub(crate) fn closed(&self) -> bool {
        // SAFETY: the client is alive.
        #[allow(unsafe_code)]
        unsafe {
            sys::rd_kafka_consumer_closed(self.native_ptr()) == 1
        }
    }
}

impl Ask for NativeMember {
    fn metadata(&self, topic: Option<&str>, timeout: Duration) -> KafkaResult<Metadata> {
        self.client.fetch_metadata(topic, timeout)
    }

    fn offsets_for_times(
        &self,
        list: TopicPartitionList,
        timeout: Duration,
    ) -> KafkaResult<TopicPartitionList> {
        // SAFETY: both are alive; the answer is written into the list.
        #[allow(unsafe_code)]
        let code = unsafe {
            sys::rd_kafka_offsets_for_times(self.native_ptr(), list.ptr(), millis(timeout))
        };
        told(code, KafkaError::MetadataFetch).map(|()| list)
    }

    fn committed(
        &self,
        list: TopicPartitionList,
        timeout: Duration,
    ) -> KafkaResult<TopicPartitionList> {
        // SAFETY: both are alive; the answer is written into the list.
        #[allow(unsafe_code)]
        let code =
            unsafe { sys::rd_kafka_committed(self.native_ptr(), list.ptr(), millis(timeout)) };
        told(code, KafkaError::MetadataFetch).map(|()| list)
    }

    fn native(&self) -> &NativeClient {
        self.client.native_client()
    }

    fn serve(&self) {
        // What it would fetch is somebody's.
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: it is ours, and used no more; without its callback nobody calls the Notify.
        #[allow(unsafe_code)]
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.0.as_ptr(), None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.0.as_ptr());
        }
    }
}

impl fmt::Debug for NativeMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("librdkafka")
    }
}

/// The group asks for something; called from within a fetch.
#[allow(unsafe_code)]
unsafe extern "C" fn on_rebalance(
    client: *mut sys::rd_kafka_t,
    what: Code,
    list: *mut sys::rd_kafka_topic_partition_list_t,
    events: *mut c_void,
) {
    // SAFETY: the opaque is the client's context, which outlives it; the list is alive meanwhile.
    let (events, partitions) = unsafe { (&*events.cast::<Events>(), partitions(list)) };
    let assigned = what == Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    // SAFETY: the client calls us, so it is alive.
    let lost = unsafe { sys::rd_kafka_assignment_lost(client) == 1 };
    if events.rebalance(assigned, lost, partitions) {
        return;
    }
    // Nobody listens: nothing is taken up, and all that was is given up. What is asked back may not
    // have been taken up at all, which librdkafka does not take for an answer.
    let given = if assigned {
        take_up(client, TopicPartitionList::new().ptr())
    } else {
        give_up_all(client)
    };
    if let Err(error) = given {
        tracing::debug!(%error, "a rebalance at the close");
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn on_error(
    _: *mut sys::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    events: *mut c_void,
) {
    // SAFETY: the opaque is the client's context, which outlives it; the reason ends in NUL.
    let (events, reason) = unsafe { (&*events.cast::<Events>(), CStr::from_ptr(reason)) };
    let code = Code::try_from(code).unwrap_or(Code::RD_KAFKA_RESP_ERR_UNKNOWN);
    events
        .trouble
        .note(&KafkaError::Global(code.into()), &reason.to_string_lossy());
}

#[allow(unsafe_code)]
unsafe extern "C" fn on_log(
    _: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    // SAFETY: both end in NUL.
    let (facility, line) = unsafe { (CStr::from_ptr(facility), CStr::from_ptr(line)) };
    crate::trouble::log_at(level, &facility.to_string_lossy(), &line.to_string_lossy());
}

#[allow(unsafe_code)]
unsafe extern "C" fn on_nonempty(_: *mut sys::rd_kafka_t, wake: *mut c_void) {
    // SAFETY: the opaque is a Notify that lives until the queue has no callback any more.
    unsafe { (*wake.cast::<Notify>()).notify_one() };
}

fn is_eager(client: *mut sys::rd_kafka_t) -> bool {
    // SAFETY: the caller's client is alive; the answer is null or a constant that ends in NUL.
    #[allow(unsafe_code)]
    unsafe {
        let protocol = sys::rd_kafka_rebalance_protocol(client);
        !protocol.is_null() && CStr::from_ptr(protocol).to_bytes() == b"EAGER"
    }
}

fn take_up(
    client: *mut sys::rd_kafka_t,
    list: *const sys::rd_kafka_topic_partition_list_t,
) -> KafkaResult<()> {
    // SAFETY: the caller's client and list are alive; the list is copied, and the error is ours.
    #[allow(unsafe_code)]
    unsafe {
        if is_eager(client) {
            told(
                sys::rd_kafka_assign(client, list),
                KafkaError::MetadataFetch,
            )
        } else {
            taken(sys::rd_kafka_incremental_assign(client, list))
        }
    }
}

fn give_up(
    client: *mut sys::rd_kafka_t,
    list: *const sys::rd_kafka_topic_partition_list_t,
) -> KafkaResult<()> {
    // SAFETY: as above; no list is none at all.
    #[allow(unsafe_code)]
    unsafe {
        if is_eager(client) {
            told(
                sys::rd_kafka_assign(client, ptr::null()),
                KafkaError::MetadataFetch,
            )
        } else {
            taken(sys::rd_kafka_incremental_unassign(client, list))
        }
    }
}

fn give_up_all(client: *mut sys::rd_kafka_t) -> KafkaResult<()> {
    let mut list = ptr::null_mut();
    // SAFETY: the caller's client is alive and `list` a place to write to; the list is ours to free.
    #[allow(unsafe_code)]
    unsafe {
        told(
            sys::rd_kafka_assignment(client, &mut list),
            KafkaError::MetadataFetch,
        )?;
        let given = give_up(client, list);
        sys::rd_kafka_topic_partition_list_destroy(list);
        given
    }
}

/// # Safety
/// The list is alive, or null.
#[allow(unsafe_code)]
unsafe fn partitions(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<u32> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: as the caller promises; it has so many elements as it says.
    unsafe {
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        (0..count)
            .map(|nth| (*(*list).elems.add(nth)).partition as u32)
            .collect()
    }
}

fn told(code: Code, error: fn(RDKafkaErrorCode) -> KafkaError) -> KafkaResult<()> {
    match code {
        Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(error(code.into())),
    }
}

/// Takes over an error of librdkafka; null is none.
fn taken(error: *mut sys::rd_kafka_error_t) -> KafkaResult<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: it is ours, read once and then freed.
    #[allow(unsafe_code)]
    let code = unsafe {
        let code = sys::rd_kafka_error_code(error);
        sys::rd_kafka_error_destroy(error);
        code
    };
    told(code, KafkaError::MetadataFetch)
}

fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}

/// The error of the first element that has one.
pub(crate) fn each_ok(list: &TopicPartitionList) -> Result<(), KafkaError> {
    list.elements()
        .iter()
        .try_for_each(|element| element.error())
}
