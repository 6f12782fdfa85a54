use crate::reference::{Event, message, seal};
use anyhub_kinesis::aggregate::{Aggregate, HashRange, hash_key};
use prost::Message;

const HALF: u128 = 1 << 127;
const LOWER: HashRange = HashRange::new(0..=HALF - 1);
const UPPER: HashRange = HashRange::new(HALF..=u128::MAX);

/// `a` and `@alice` hash into the lower half, `tweet` and `user-1` into the upper.
fn aggregate(events: &[(&str, Option<u128>)]) -> Aggregate {
    let events: Vec<_> = events
        .iter()
        .map(|(key, hash)| Event::new(key, *hash, b""))
        .collect();
    Aggregate::parse(&seal(&message(&events).encode_to_vec())).unwrap()
}

#[test]
fn one_event_outside_drops_the_whole_record() {
    let mixed = aggregate(&[("a", None), ("@alice", None), ("tweet", None)]);
    assert!(!mixed.lies_within(&LOWER));
    assert!(!mixed.lies_within(&UPPER));
    assert!(mixed.lies_within(&HashRange::FULL));

    let lower = aggregate(&[("a", None), ("@alice", None), ("a", None)]);
    assert!(lower.lies_within(&LOWER));
    assert!(!lower.lies_within(&UPPER));
}

#[test]
fn an_explicit_hash_key_stands_in_the_keys_place() {
    let moved = aggregate(&[("a", Some(HALF)), ("tweet", None)]);
    assert!(moved.lies_within(&UPPER));
    // The same key with and without one.
    let both = aggregate(&[("a", Some(HALF)), ("a", None)]);
    assert!(!both.lies_within(&UPPER));
    assert!(!both.lies_within(&LOWER));
}

#[test]
fn the_ends_belong_to_the_range() {
    let hash = hash_key(b"tweet");
    let tweet = aggregate(&[("tweet", None)]);
    assert!(tweet.lies_within(&HashRange::new(hash..=hash)));
    assert!(!tweet.lies_within(&HashRange::new(0..=hash - 1)));
    assert!(!tweet.lies_within(&HashRange::new(hash + 1..=u128::MAX)));
}

#[test]
fn keys_that_no_event_has_do_not_matter() {
    let mut message = message(&[Event::new("a", None, b"")]);
    message.partition_key_table.push("tweet".into());
    message.explicit_hash_key_table.push(HALF.to_string());
    let aggregate = Aggregate::parse(&seal(&message.encode_to_vec())).unwrap();
    assert!(aggregate.lies_within(&LOWER));
}
