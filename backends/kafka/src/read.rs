use crate::{
    message::{Fetched, Message},
    native::NativeMember,
    slots::{Mode, Slots},
};
use anyhub_core::{
    AckToken, Delivery, Event, Header, Key, Partition, Position,
    driver::{Admission, Lanes, key_hash},
};
use bytes::{Bytes, BytesMut};
use rdkafka::types::RDKafkaErrorCode;
use std::{
    num::NonZeroU32,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// What polling brought.
pub(crate) struct Polled {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) errors: Vec<RDKafkaErrorCode>,
    /// Nothing is left to fetch.
    pub(crate) drained: bool,
    /// Bytes of the events that came, delivered or not.
    pub(crate) bytes: usize,
    /// How many came.
    pub(crate) came: usize,
}

/// The most that is fetched at once, whatever a caller can take.
const MOST: usize = 10_000;

/// Fetches up to `max` events and decides which of them to deliver.
pub(crate) fn poll(
    member: &NativeMember,
    lanes: &Lanes<i64>,
    slots: &mut Slots,
    max: usize,
) -> Polled {
    let fetched = member.fetch(max.min(MOST));
    let (mut errors, mut bytes) = (Vec::new(), 0);
    let mut admitted = Vec::with_capacity(fetched.len());
    let mut reader = lanes.reader();
    for nth in 0..fetched.len() {
        let message = fetched.get(nth);
        if let Some(error) = message.error() {
            errors.push(error);
            continue;
        }
        bytes += message.size();
        let Some(slot) = slots.get(message.partition()) else {
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
        deliveries: copy(&fetched, &admitted),
        errors,
        drained: fetched.drained,
        bytes,
        came: fetched.len(),
    }
}

/// Copies what is delivered into one buffer, of which keys and payloads are slices: half the cost
/// of a buffer each.
fn copy(fetched: &Fetched<'_>, admitted: &[(usize, AckToken, u32)]) -> Vec<Delivery> {
    let total = admitted
        .iter()
        .map(|(nth, ..)| fetched.get(*nth).size())
        .sum();
    let mut buffer = BytesMut::with_capacity(total);
    for (nth, ..) in admitted {
        let message = fetched.get(*nth);
        buffer.extend_from_slice(message.key().unwrap_or_default());
        buffer.extend_from_slice(message.payload().unwrap_or_default());
    }
    let mut buffer = buffer.freeze();
    let mut deliveries = Vec::with_capacity(admitted.len());
    for (nth, token, attempt) in admitted {
        let message = fetched.get(*nth);
        let key = message
            .key()
            .map(|key| Key::from(buffer.split_to(key.len())));
        let payload = message
            .payload()
            .map(|payload| buffer.split_to(payload.len()));
        deliveries.push(delivery(message, key, payload, *token, *attempt));
    }
    deliveries
}

fn delivery(
    message: Message<'_>,
    key: Option<Key>,
    payload: Option<Bytes>,
    token: AckToken,
    attempt: u32,
) -> Delivery {
    let mut event = match payload {
        Some(payload) => Event::new(payload),
        None => Event::tombstone(Bytes::new()),
    };
    event.key = key;
    message.headers(|name, value| {
        let name = String::from_utf8_lossy(name).into_owned();
        event
            .headers
            .push(Header::new(name, Bytes::copy_from_slice(value)));
    });
    Delivery::new(
        event,
        Partition::number(message.partition()),
        Position::offset(message.offset()),
        message.timestamp().map(time),
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
