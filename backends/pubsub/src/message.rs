//! An event as Pub/Sub carries it, and back.
//!
//! The key is the ordering key, headers are attributes. Attributes have no order; where headers don't stand in that of
//! their names, one attribute more tells it. What has neither payload nor headers has an attribute, too, since Pub/Sub
//! takes no message without anything. Readers of other kinds see both; ours doesn't.

use crate::error::invalid;
use anyhub_core::{Event, Header, Key, Result, driver::Sequence};
use bytes::Bytes;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use rustc_hash::FxHasher;
use std::{
    hash::Hasher,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The order of the headers: for each, in the order of their names, its place.
pub(crate) const ORDER: &str = "anyhub-order";
/// There is nothing else in the message.
pub(crate) const EMPTY: &str = "anyhub-empty";
pub(crate) const EMPTY_VALUE: &str = "1";

/// The largest publish request, in bytes; a MB is a million here (Pub/Sub documentation, "Quotas and limits", 2026-11).
pub(crate) const REQUEST_BYTES: usize = 10_000_000;
/// The most messages of a publish request (the same).
pub(crate) const REQUEST_MESSAGES: usize = 1_000;
/// The most attributes of a message (the same).
const ATTRIBUTES: usize = 100;
/// What a request, its topic's name and the frames of a message with as many attributes as there may be add at most.
const ADDED: usize = 2_000;

/// The most bytes of an event.
pub(crate) const EVENT_BYTES: usize = REQUEST_BYTES - ADDED;

/// Refuses what Pub/Sub can't carry beyond what every hub can't: more attributes than there may be, or one of ours.
pub(crate) fn check(event: &Event) -> Result<()> {
    if event.headers.is_empty() {
        return Ok(());
    }
    let own = |header: &&Header| matches!(header.name(), ORDER | EMPTY);
    if let Some(own) = event.headers.iter().find(own) {
        let message = format!(
            "a header can't be called {}: that is anyhub's own",
            own.name()
        );
        return Err(invalid("submit", message).with_advice("give it another name"));
    }
    let attributes = event.headers.len() + usize::from(!in_order(event));
    if attributes > ATTRIBUTES {
        let message = format!(
            "{attributes} attributes are more than the {ATTRIBUTES} that Pub/Sub takes; headers whose names are not in \
             order take one more"
        );
        return Err(
            invalid("submit", message).with_advice("send fewer headers, or put several into one")
        );
    }
    Ok(())
}

/// Whether the headers stand in the order of their names.
pub(crate) fn in_order(event: &Event) -> bool {
    event.headers.is_sorted_by(|a, b| a.name() < b.name())
}

/// What [`ORDER`] says.
pub(crate) fn order(event: &Event) -> String {
    let mut by_name: Vec<usize> = (0..event.headers.len()).collect();
    by_name.sort_by_key(|nth| event.headers[*nth].name());
    let places: Vec<_> = by_name.iter().map(usize::to_string).collect();
    places.join(",")
}

/// What it takes of a request, in bytes; a little more than it does.
pub(crate) fn bytes(event: &Event) -> usize {
    24 + event.size() + event.headers.len() * 12
}

/// What came from Pub/Sub.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) event: Event,
    pub(crate) published: SystemTime,
}

/// Which message it is: its number in this process, where it stands, and what it says.
pub(crate) fn decode(message: PubsubMessage) -> (u64, Sequence, Arrived) {
    let time = message.publish_time.unwrap_or_default();
    let since = Duration::new(
        u64::try_from(time.seconds).unwrap_or_default(),
        u32::try_from(time.nanos).unwrap_or_default(),
    )
    .min(LATEST);
    let id = number(&message.message_id);
    let mut event = Event::new(message.data);
    if !message.ordering_key.is_empty() {
        event = event.with_key(Key::from(message.ordering_key));
    }
    let mut attributes = message.attributes;
    if !attributes.is_empty() {
        if event.payload.is_empty() && attributes.len() == 1 {
            attributes.remove(EMPTY);
        }
        let order = attributes.remove(ORDER);
        let mut headers: Vec<_> = attributes
            .into_iter()
            .map(|(name, value)| Header::new(name, Bytes::from(value)))
            .collect();
        headers.sort_by(|a, b| a.name().cmp(b.name()));
        if let Some(order) = order {
            headers = ordered(headers, &order);
        }
        event.headers = headers;
    }
    let published = UNIX_EPOCH + since;
    let at = place(since, id);
    (id, at, Arrived { event, published })
}

/// Headers in the order that the marker tells; as they are, where it makes no sense.
fn ordered(headers: Vec<Header>, order: &str) -> Vec<Header> {
    let places: Vec<usize> = order
        .split(',')
        .filter_map(|nth| nth.parse().ok())
        .collect();
    let mut sorted = places.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..headers.len()) {
        return headers;
    }
    let mut placed: Vec<_> = places.into_iter().zip(headers).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, header)| header).collect()
}

/// A message's id as a number: Pub/Sub's ids are that; others are taken apart by their hash.
fn number(id: &str) -> u64 {
    id.parse().unwrap_or_else(|_| {
        let mut hasher = FxHasher::default();
        hasher.write(id.as_bytes());
        hasher.finish()
    })
}

/// No message was published later: what a place has room for, in the year 2554.
const LATEST: Duration = Duration::from_nanos(u64::MAX);

/// Above every id.
const IDS: u128 = 1 << 64;

/// Where a message stands: when it was published, then its id.
fn place(since_epoch: Duration, id: u64) -> Sequence {
    Sequence::of(since_epoch.as_nanos() * IDS + u128::from(id), 0)
}

/// When a message at this place was published; None for a place of another hub.
pub(crate) fn published_at(at: Sequence) -> Option<SystemTime> {
    let nanos = u64::try_from(at.as_u128()? / IDS).ok()?;
    Some(UNIX_EPOCH + Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_time_and_an_id() {
        let time = Duration::new(1_800_000_000, 123_456_789);
        let at = place(time, 42);
        assert_eq!(published_at(at), Some(UNIX_EPOCH + time));
        assert!(
            at < place(time, 43)
                && place(time, u64::MAX) < place(time + Duration::from_nanos(1), 0)
        );
        let text = at.to_string();
        assert_eq!(text.parse(), Ok(at), "{text}");
    }

    #[test]
    fn times_that_can_t_be_are_taken_as_well() {
        for (seconds, nanos) in [
            (i64::MAX, 1_000_000_000),
            (i64::MIN, -1),
            (i64::MAX, i32::MAX),
        ] {
            let message = PubsubMessage {
                publish_time: Some(prost_types::Timestamp { seconds, nanos }),
                message_id: u64::MAX.to_string(),
                ..PubsubMessage::default()
            };
            let (_, at, arrived) = decode(message);
            assert_eq!(published_at(at), Some(arrived.published));
        }
    }

    #[test]
    fn what_is_not_of_ours_is_read_as_it_is() {
        let message = PubsubMessage {
            attributes: [("b", "2"), ("a", "1"), (ORDER, "7,1")]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            message_id: "m7".to_owned(),
            ..PubsubMessage::default()
        };
        let (_, _, arrived) = decode(message);
        let names: Vec<_> = arrived.event.headers.iter().map(Header::name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn headers_keep_their_order() {
        let event = Event::new("x")
            .with_header("zebra", "1")
            .with_header("apple", "2")
            .with_header("mango", "3");
        assert_eq!(order(&event), "1,2,0");
        let mut by_name = event.headers.clone();
        by_name.sort_by(|a, b| a.name().cmp(b.name()));
        assert_eq!(ordered(by_name, &order(&event)), event.headers);
    }
}
