//! Which groups read a topic, and what they have committed, asked of the brokers for many groups
//! with one client; rdkafka has no call for it.

use crate::control::{Asker, Places, Quiet};
use anyhub_core::{GroupInfo, Result};
use rdkafka::{
    bindings::{self as sys, rd_kafka_resp_err_t as Code},
    client::NativeClient,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};
use std::{
    ffi::{CStr, CString, c_int},
    ptr::{self, NonNull},
    time::{Duration, Instant},
};

/// The groups that have members or checkpoints on a topic.
pub(crate) fn of(asker: &Asker<'_, BaseConsumer<Quiet>>, topic: &str) -> Result<Vec<GroupInfo>> {
    let list = asker.until_answered(|timeout| asker.client.fetch_group_list(None, timeout))?;
    let all: Vec<_> = list
        .groups()
        .iter()
        .filter(|group| group.protocol_type() != "connect")
        .collect();
    let names: Vec<&str> = all.iter().map(|group| group.name()).collect();
    let committed = asker.committed_by(&names)?;
    let mut found: Vec<GroupInfo> = Vec::new();
    for (group, committed) in all.into_iter().zip(committed) {
        let reads = |metadata: Option<&[u8]>| {
            metadata
                .and_then(subscribed)
                .is_some_and(|topics| topics.contains(&topic))
        };
        let members = group
            .members()
            .iter()
            .filter(|member| reads(member.metadata()))
            .count();
        if members > 0 || !on_topic(&committed, topic).is_empty() {
            found.push(GroupInfo::new(group.name(), members));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// What a group has committed on any topic: topic, partition, offset.
pub(crate) type Committed = Vec<(String, u32, i64)>;

/// What each of these groups has committed, in their order. Blocks up to `timeout`.
pub(crate) fn committed(
    client: &NativeClient,
    groups: &[&str],
    timeout: Duration,
) -> KafkaResult<Vec<Committed>> {
    let native = client.ptr();
    let mut all = Vec::with_capacity(groups.len());
    let deadline = Instant::now() + timeout;
    for group in groups {
        let left = deadline.saturating_duration_since(Instant::now());
        all.push(of_group(native, group, left)?);
    }
    Ok(all)
}

/// The offsets of one topic among them.
pub(crate) fn on_topic(committed: &Committed, topic: &str) -> Places {
    let of_topic = committed.iter().filter(|(name, ..)| name == topic);
    of_topic
        .map(|(_, partition, offset)| (*partition, *offset))
        .collect()
}

/// A queue of librdkafka, for the answer to one question.
struct Queue(NonNull<sys::rd_kafka_queue_t>);

/// The question.
struct Question(NonNull<sys::rd_kafka_ListConsumerGroupOffsets_t>);

/// How long the brokers may take.
struct Options(NonNull<sys::rd_kafka_AdminOptions_t>);

/// The answer.
struct Event(NonNull<sys::rd_kafka_event_t>);

fn of_group(
    client: *mut sys::rd_kafka_t,
    group: &str,
    timeout: Duration,
) -> KafkaResult<Committed> {
    let name = CString::new(group)?;
    let millis = c_int::try_from(timeout.as_millis())
        .unwrap_or(c_int::MAX)
        .max(1);
    // SAFETY: `client` is borrowed by the caller and lives through this function. The name ends in
    // NUL and is copied. No partitions means all of them. What these return is owned by us and
    // freed when the wrappers are dropped.
    #[allow(unsafe_code)]
    let (queue, question, options) = unsafe {
        let queue = NonNull::new(sys::rd_kafka_queue_new(client)).map(Queue);
        let question = sys::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), ptr::null());
        let question = NonNull::new(question).map(Question);
        let of = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
        let options = NonNull::new(sys::rd_kafka_AdminOptions_new(client, of)).map(Options);
        (queue, question, options)
    };
    let (Some(queue), Some(question), Some(options)) = (queue, question, options) else {
        return Err(KafkaError::AdminOpCreation("out of memory".to_owned()));
    };
    let mut one = question.0.as_ptr();
    // SAFETY: all four are alive; one question is passed and one is said; librdkafka copies what it
    // needs before it returns. An error of the option leaves its default, which is as good.
    #[allow(unsafe_code)]
    let event = unsafe {
        let options = options.0.as_ptr();
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        sys::rd_kafka_ListConsumerGroupOffsets(client, &mut one, 1, options, queue.0.as_ptr());
        sys::rd_kafka_queue_poll(queue.0.as_ptr(), millis.saturating_add(1_000))
    };
    let Some(event) = NonNull::new(event).map(Event) else {
        return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::OperationTimedOut));
    };
    event.read()
}

impl Event {
    fn read(&self) -> KafkaResult<Committed> {
        let failed = |code: Code| KafkaError::OffsetFetch(code.into());
        // SAFETY: the event is alive. What its accessors return belongs to it and is only read
        // while it is: results are null if it is of another type, and counts match their arrays.
        #[allow(unsafe_code)]
        unsafe {
            let event = self.0.as_ptr();
            let error = sys::rd_kafka_event_error(event);
            if error != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(failed(error));
            }
            let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event);
            if result.is_null() {
                return Err(failed(Code::RD_KAFKA_RESP_ERR__FAIL));
            }
            let mut count = 0;
            let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
            if count != 1 {
                return Err(failed(Code::RD_KAFKA_RESP_ERR__FAIL));
            }
            let error = sys::rd_kafka_group_result_error(*groups);
            if !error.is_null() {
                return Err(failed(sys::rd_kafka_error_code(error)));
            }
            let list = sys::rd_kafka_group_result_partitions(*groups);
            if list.is_null() {
                return Ok(Vec::new());
            }
            let count = usize::try_from((*list).cnt).unwrap_or(0);
            let elements = (0..count).map(|nth| &*(*list).elems.add(nth));
            Ok(elements
                .filter(|element| element.offset >= 0)
                .map(|element| {
                    let topic = CStr::from_ptr(element.topic).to_string_lossy().into_owned();
                    (topic, element.partition as u32, element.offset)
                })
                .collect())
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: it is ours, and used no more.
        #[allow(unsafe_code)]
        unsafe {
            sys::rd_kafka_queue_destroy(self.0.as_ptr());
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        // SAFETY: it is ours, and used no more.
        #[allow(unsafe_code)]
        unsafe {
            sys::rd_kafka_ListConsumerGroupOffsets_destroy(self.0.as_ptr());
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: it is ours, and used no more.
        #[allow(unsafe_code)]
        unsafe {
            sys::rd_kafka_AdminOptions_destroy(self.0.as_ptr());
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it is ours, and used no more.
        #[allow(unsafe_code)]
        unsafe {
            sys::rd_kafka_event_destroy(self.0.as_ptr());
        }
    }
}

/// The topics that a member of a group has subscribed to, from what it told when it joined
/// (Kafka's ConsumerProtocolSubscription: a version, then an array of names). None: it told
/// something else.
pub(crate) fn subscribed(metadata: &[u8]) -> Option<Vec<&str>> {
    fn number<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
        let (head, rest) = bytes.split_first_chunk::<N>()?;
        *bytes = rest;
        Some(*head)
    }
    let mut bytes = metadata;
    number::<2>(&mut bytes)?;
    let count = u32::from_be_bytes(number(&mut bytes)?);
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::from(u16::from_be_bytes(number(&mut bytes)?));
        let (name, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        topics.push(std::str::from_utf8(name).ok()?);
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::subscribed;

    #[test]
    fn reads_a_subscription() {
        let told = b"\0\x03\0\0\0\x02\0\x01a\0\x03bcd\xff\xff";
        assert_eq!(subscribed(told), Some(vec!["a", "bcd"]));
        assert_eq!(subscribed(b"\0\x03\0\0\0\x02\0\x01a\0\x09bcd"), None);
        assert_eq!(subscribed(b""), None);
    }
}
