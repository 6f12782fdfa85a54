use crate::{
    headers,
    member::NativeMember,
    slots::{Mode, Slots},
};
use anyhub_core::{
    AckToken, Delivery, Event, Header, Key, Partition, Position,
    driver::{Admission, Lanes, key_hash},
};
use bytes::{Bytes, BytesMut};
use rdkafka::{Message, consumer::Consumer, error::KafkaError, message::BorrowedMessage};
use std::{
    num::NonZeroU32,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// What polling brought.
pub(crate) struct Polled {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) errors: Vec<KafkaError>,
    /// Nothing is left to poll.
    pub(crate) drained: bool,
    /// Bytes of the events that came, delivered or not.
    pub(crate) bytes: usize,
    /// How many came.
    pub(crate) came: usize,
}

/// Polls up to `max` events and decides which of them to deliver.
pub(crate) fn poll(
    member: &NativeMember,
    lanes: &Lanes<i64>,
    slots: &mut Slots,
    max: usize,
) -> Polled {
    let (messages, errors, drained) = fetch(member, max);
    let mut bytes = 0;
    let mut admitted = Vec::with_capacity(messages.len());
    let mut reader = lanes.reader();
    for (nth, message) in messages.iter().enumerate() {
        bytes += message.payload_len() + message.key_len();
        let Some(slot) = slots.get(message.partition() as u32) else {
            continue;
        };
        let offset = message.offset();
        if slot.mode != Mode::Reading || offset < slot.next {
            continue;
        }
        if reader.is_full(slot.lane) {
            // Read again from here, once there is room.
            slot.mode = Mode::Full(Instant::now());
            slot.next = offset;
            continue;
        }
        slot.next = offset + 1;
        let key = message.key().map(key_hash);
        if let Some(Admission::Deliver(token, attempt)) = reader.read(slot.lane, offset, key) {
            admitted.push((nth, token, attempt));
        }
    }
    drop(reader);
    Polled {
        deliveries: copy(&messages, &admitted),
        errors,
        drained,
        bytes,
        came: messages.len(),
    }
}

fn fetch(member: &NativeMember, max: usize) -> (Vec<BorrowedMessage<'_>>, Vec<KafkaError>, bool) {
    let (mut messages, mut errors) = (Vec::new(), Vec::new());
    while messages.len() < max {
        let served = member.context().served();
        match member.poll(Duration::ZERO) {
            Some(Ok(message)) => messages.push(message),
            Some(Err(error)) => errors.push(error),
            // A poll that served something else says nothing of what comes behind it.
            None if member.context().served() != served => {
                if member.context().has_rebalance() {
                    return (messages, errors, false);
                }
            }
            None => return (messages, errors, true),
        }
    }
    (messages, errors, false)
}

/// Copies what is delivered into one buffer, of which keys, payloads and headers are slices: half
/// the cost of a buffer each.
fn copy(messages: &[BorrowedMessage<'_>], admitted: &[(usize, AckToken, u32)]) -> Vec<Delivery> {
    let size = |message: &BorrowedMessage<'_>| message.payload_len() + message.key_len();
    let total = admitted.iter().map(|(nth, ..)| size(&messages[*nth])).sum();
    let mut buffer = BytesMut::with_capacity(total);
    for (nth, ..) in admitted {
        let message = &messages[*nth];
        buffer.extend_from_slice(message.key().unwrap_or_default());
        buffer.extend_from_slice(message.payload().unwrap_or_default());
    }
    let mut buffer = buffer.freeze();
    let mut deliveries = Vec::with_capacity(admitted.len());
    for (nth, token, attempt) in admitted {
        let message = &messages[*nth];
        let key = buffer.split_to(message.key_len());
        let payload = buffer.split_to(message.payload_len());
        deliveries.push(delivery(message, key, payload, *token, *attempt));
    }
    deliveries
}

fn delivery(
    message: &BorrowedMessage<'_>,
    key: Bytes,
    payload: Bytes,
    token: AckToken,
    attempt: u32,
) -> Delivery {
    let mut event = match message.payload() {
        Some(_) => Event::new(payload),
        None => Event::tombstone(key.clone()),
    };
    event.key = message.key().map(|_| Key::from(key));
    headers::incoming(message, |name, value| {
        let name = String::from_utf8_lossy(name).into_owned();
        event
            .headers
            .push(Header::new(name, Bytes::copy_from_slice(value)));
    });
    let published = message.timestamp().to_millis().map(time);
    Delivery::new(
        event,
        Partition::number(message.partition() as u32),
        Position::offset(message.offset()),
        published,
        NonZeroU32::new(attempt).unwrap_or(NonZeroU32::MIN),
        token,
    )
}

fn time(millis: i64) -> SystemTime {
    match u64::try_from(millis) {
        Ok(millis) => UNIX_EPOCH + Duration::from_millis(millis),
        Err(_) => UNIX_EPOCH - Duration::from_millis(millis.unsigned_abs()),
    }
}
