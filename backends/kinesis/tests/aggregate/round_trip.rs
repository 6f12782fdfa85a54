use crate::reference::{Event, message, seal};
use anyhub_kinesis::aggregate::{Aggregate, Aggregator, MAGIC, Record};
use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};
use prost::Message;

const NO_LIMIT: usize = usize::MAX;

fn record(events: &[Event]) -> Record {
    let mut aggregator = Aggregator::new();
    for event in events {
        assert!(push(&mut aggregator, NO_LIMIT, event));
    }
    aggregator.finish().unwrap()
}

fn push(aggregator: &mut Aggregator, limit: usize, event: &Event) -> bool {
    aggregator.try_push(limit, &event.key, event.hash, &event.payload)
}

fn billed(record: &Record) -> usize {
    record.data.len() + record.partition_key.len()
}

fn read(record: Record) -> Vec<Event> {
    let partition_key = record.partition_key;
    let data = Bytes::from(record.data);
    match Aggregate::parse(&data) {
        None => vec![Event {
            key: partition_key,
            hash: record.hash_key,
            payload: data,
        }],
        Some(aggregate) => {
            let len = aggregate.len();
            let records = aggregate.into_iter();
            assert_eq!(records.len(), len);
            let numbered = records.enumerate().map(|(nth, record)| {
                assert_eq!(record.index as usize, nth);
                record.into()
            });
            numbered.collect()
        }
    }
}

/// Lengths on both sides of where a length takes another byte, and payloads like aggregates.
fn payload() -> impl Strategy<Value = Bytes> {
    let short = vec(any::<u8>(), 0..200);
    let long = prop_oneof![126..130_usize, 16_380..16_390_usize].prop_map(|len| vec![7; len]);
    let nested = vec(any::<u8>(), 0..20).prop_map(|tail| [&MAGIC[..], &tail].concat());
    let whole = vec(any::<u8>(), 1..20).prop_map(|tail| seal(&tail).to_vec());
    prop_oneof![6 => short, 2 => long, 1 => nested, 1 => whole].prop_map(Bytes::from)
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-c]", 1 => "\\PC{1,40}", 1 => "x{120,140}"]
}

fn event() -> impl Strategy<Value = Event> {
    let hash = prop_oneof![3 => 0..4_u128, 1 => any::<u128>()];
    (key(), option::weighted(0.3, hash), payload()).prop_map(|(key, hash, payload)| Event {
        key,
        hash,
        payload,
    })
}

proptest! {
    #[test]
    fn events_come_back_as_they_went(events in vec(event(), 1..40)) {
        let record = record(&events);
        prop_assert_eq!(&record.partition_key, &events[0].key);
        prop_assert_eq!(record.hash_key, events[0].hash);
        prop_assert_eq!(record.events, events.len());
        if events.len() > 1 {
            prop_assert_eq!(&record.data, &seal(&message(&events).encode_to_vec()));
        }
        prop_assert_eq!(read(record), events);
    }

    #[test]
    fn the_size_is_known_beforehand(events in vec(event(), 1..12)) {
        let mut growing = Aggregator::new();
        prop_assert_eq!(growing.size(), 0);
        for to in 1..=events.len() {
            prop_assert!(push(&mut growing, NO_LIMIT, &events[to - 1]));
            prop_assert_eq!(growing.size(), billed(&record(&events[..to])));
        }
        let first = &events[0];
        let alone = Aggregator::size_of_one(&first.key, first.hash, &first.payload);
        prop_assert_eq!(alone, billed(&record(&events[..1])));
    }

    /// Refused is what would be too long, and nothing else; what is refused changes nothing; and
    /// what was used before does as well as what is new.
    #[test]
    fn the_limit_is_kept(events in vec(event(), 1..60), limit in 100..1_000_usize) {
        let mut aggregator = Aggregator::new();
        let mut packed: Vec<Event> = Vec::new();
        let mut came_back = Vec::new();
        let mut expected = Vec::new();
        for event in &events {
            let with: Vec<_> = packed.iter().chain([event]).cloned().collect();
            let fits = billed(&record(&with)) <= limit;
            prop_assert_eq!(push(&mut aggregator, limit, event), fits);
            if fits {
                expected.push(event.clone());
                packed.push(event.clone());
                continue;
            }
            if let Some(full) = aggregator.finish() {
                prop_assert_eq!(&full, &record(&packed));
                came_back.extend(read(full));
            }
            packed.clear();
            if push(&mut aggregator, limit, event) {
                expected.push(event.clone());
                packed.push(event.clone());
            } else {
                prop_assert!(aggregator.is_empty());
            }
        }
        came_back.extend(aggregator.finish().into_iter().flat_map(read));
        prop_assert_eq!(came_back, expected);
    }
}

#[test]
fn an_event_alone_goes_as_it_is() {
    let plain = record(&[Event::new("k", Some(9), b"hello")]);
    assert_eq!(plain.data, b"hello");
    assert_eq!(plain.hash_key, Some(9));
    let empty = record(&[Event::new("k", None, b"")]);
    assert!(empty.data.is_empty());
    assert_eq!(Aggregator::new().finish(), None);
}

#[test]
fn an_event_that_looks_like_an_aggregate_is_wrapped() {
    let looks = Event {
        payload: seal(b"no message"),
        ..Event::new("k", None, b"")
    };
    let sound = Event {
        payload: record(&[Event::new("a", None, b"1"), Event::new("b", None, b"2")])
            .data
            .into(),
        ..looks.clone()
    };
    for event in [looks, sound, Event::new("k", None, &MAGIC)] {
        let record = record(std::slice::from_ref(&event));
        assert!(Aggregate::parse(&record.data.clone().into()).is_some());
        assert_eq!(read(record), [event]);
    }
    // One byte less, and it is nothing in particular.
    let short = record(&[Event::new("k", None, &[0xf3, 0x89, 0x9a])]);
    assert_eq!(short.data, [0xf3, 0x89, 0x9a]);
}

#[test]
fn tables_grow_past_one_byte_indexes() {
    let events: Vec<_> = (0..40_000)
        .map(|nth| Event::new(&format!("key-{}", nth % 20_000), Some(nth % 300), b"x"))
        .collect();
    let record = record(&events);
    assert_eq!(record.data, seal(&message(&events).encode_to_vec()));
    assert_eq!(read(record), events);
}

/// A payload may fill a record to the last byte, and Kinesis' own limit holds whatever is asked.
#[test]
fn a_record_can_be_filled_to_the_last_byte() {
    let most = 1 << 20;
    let mut aggregator = Aggregator::new();
    let fill = Bytes::from(vec![1; most - 1]);
    assert!(aggregator.try_push(most, "k", None, &fill));
    assert!(!aggregator.try_push(most, "k", None, &Bytes::new()));
    assert_eq!(billed(&aggregator.finish().unwrap()), most);
    let fill = Bytes::from(vec![1; most]);
    assert!(!aggregator.try_push(most, "k", None, &fill));

    let past = Bytes::from(vec![1; 10 << 20]);
    assert!(!aggregator.try_push(NO_LIMIT, "k", None, &past));
    assert!(aggregator.is_empty());
}

#[test]
fn payloads_are_slices_of_the_record() {
    let events = [Event::new("a", None, b"one"), Event::new("b", None, b"two")];
    let data = Bytes::from(record(&events).data);
    let within = data.as_ptr_range();
    for record in Aggregate::parse(&data).unwrap() {
        for slice in [record.payload, record.partition_key] {
            assert!(within.contains(&slice.as_ptr()));
        }
    }
}
