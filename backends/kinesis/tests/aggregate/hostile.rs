use crate::reference::{Event, Record, Tag, events, message, seal};
use anyhub_kinesis::aggregate::{Aggregate, MAGIC};
use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use prost::Message;
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_pcg::Pcg64Mcg;

/// Is it an aggregate, and if so: does prost find the same events in it?
fn aggregated(data: &Bytes) -> bool {
    let Some(aggregate) = Aggregate::parse(data) else {
        return false;
    };
    let len = aggregate.len();
    let ours: Vec<Event> = aggregate.into_iter().map(Event::from).collect();
    assert_eq!(ours.len(), len);
    let inner = data.slice(MAGIC.len()..data.len() - 16);
    let theirs = events(inner);
    assert_eq!(theirs.as_ref(), Some(&ours), "{data:?}");
    true
}

fn sound() -> Vec<Event> {
    vec![
        Event::new("a", None, b"one"),
        Event::new("b", Some(7), b"two"),
        Event::new("a", Some(u128::MAX), b""),
    ]
}

fn sealed(change: impl FnOnce(&mut crate::reference::AggregatedRecord)) -> Bytes {
    let mut message = message(&sound());
    change(&mut message);
    seal(&message.encode_to_vec())
}

#[test]
fn what_is_cut_off_or_damaged_is_plain() {
    let whole = sealed(|_| {});
    assert!(aggregated(&whole));
    for to in 0..whole.len() {
        assert!(!aggregated(&whole.slice(..to)), "cut off at {to}");
        for bit in 0..8 {
            let mut damaged = whole.to_vec();
            damaged[to] ^= 1 << bit;
            assert!(!aggregated(&damaged.into()), "bit {bit} of byte {to}");
        }
    }
    let longer = [&whole[..], b"\0"].concat();
    assert!(!aggregated(&longer.into()));
}

#[test]
fn what_makes_no_sense_is_plain() {
    for (why, change) in [
        (
            "a key past its table",
            &(|m: &mut _| key(m, 2)) as &dyn Fn(&mut _),
        ),
        ("a key that wraps to 0 in 32 bits", &|m| key(m, 1 << 32)),
        ("a key of 64 bits", &|m| key(m, u64::MAX)),
        ("a hash past its table", &|m| hash(m, 2)),
        ("a hash that wraps to 0 in 32 bits", &|m| hash(m, 1 << 32)),
        ("no keys", &|m| m.partition_key_table.clear()),
        ("no hashes", &|m| m.explicit_hash_key_table.clear()),
        ("a hash of 129 bits", &|m| {
            m.explicit_hash_key_table[0] = "340282366920938463463374607431768211456".into();
        }),
        ("a hash below 0", &|m| {
            m.explicit_hash_key_table[0] = "-1".into()
        }),
        ("a hash of no digits", &|m| {
            m.explicit_hash_key_table[0].clear()
        }),
        ("a hash that is no number", &|m| {
            m.explicit_hash_key_table[0] = "x7".into()
        }),
    ] {
        assert!(!aggregated(&sealed(change)), "{why}");
    }
}

fn key(message: &mut crate::reference::AggregatedRecord, index: u64) {
    message.records[1].partition_key_index = index;
}

fn hash(message: &mut crate::reference::AggregatedRecord, index: u64) {
    message.records[1].explicit_hash_key_index = Some(index);
}

#[test]
fn what_is_no_message_is_plain() {
    let sound = message(&sound()).encode_to_vec();
    assert!(aggregated(&seal(&sound)));
    for (why, more) in [
        ("a length past the end", &[0x1a, 0x7f][..]),
        (
            "2^31 bytes of records",
            &[0x1a, 0x80, 0x80, 0x80, 0x80, 0x08],
        ),
        (
            "a length of 64 bits",
            &[0x1a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
        ),
        (
            "a varint of 11 bytes",
            &[0x1a, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0],
        ),
        ("a varint that ends nowhere", &[0x80]),
        ("a group", &[0x1b, 0x1c]),
        ("an unknown group", &[0x7b, 0x7c]),
        ("the end of a group", &[0x1c]),
        ("wire type 6", &[0x1e, 0]),
        ("wire type 7", &[0x1f, 0]),
        ("field 0", &[0x02, 0]),
        ("a key as a number", &[0x08, 0]),
        ("a hash as 32 bits", &[0x15, 0, 0, 0, 0]),
        ("a record as 64 bits", &[0x19, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("a key that is no UTF-8", &[0x0a, 1, 0xff]),
        ("a record without a key", &[0x1a, 2, 0x1a, 0]),
        ("a record without data", &[0x1a, 2, 0x08, 0]),
        ("a record of nothing", &[0x1a, 0]),
        ("an index as bytes", &[0x1a, 5, 0x0a, 1, b'0', 0x1a, 0]),
        ("data as a number", &[0x1a, 4, 0x08, 0, 0x18, 0]),
        ("a tag as a number", &[0x1a, 6, 0x08, 0, 0x1a, 0, 0x20, 0]),
        ("a tag without a key", &[0x1a, 6, 0x08, 0, 0x1a, 0, 0x22, 0]),
        ("a record longer than it says", &[0x1a, 3, 0x08, 0, 0x1a, 0]),
        ("rubbish", b"\xff\xff\xff"),
    ] {
        assert!(!aggregated(&seal(&[&sound[..], more].concat())), "{why}");
    }
    assert!(!aggregated(&seal(b"")), "no message at all");
}

/// What others may write, and protobuf allows.
#[test]
fn what_is_unusual_and_sound_is_read() {
    let plain = message(&sound()).encode_to_vec();
    let same = |change: &dyn Fn(&mut crate::reference::AggregatedRecord)| {
        let data = sealed(|message| change(message));
        assert!(aggregated(&data));
        assert!(
            Aggregate::parse(&data)
                .unwrap()
                .into_iter()
                .map(Event::from)
                .eq(sound())
        );
    };
    same(&|_| {});
    same(&|message| {
        message.records[0].tags = vec![Tag {
            key: "k".into(),
            value: Some("v".into()),
        }];
    });
    same(&|message| message.partition_key_table.push("unused".into()));
    same(&|message| message.explicit_hash_key_table[0] = "0007".into());

    for (why, more) in [
        ("an unknown number", &[0x78, 1][..]),
        ("unknown bytes", &[0x7a, 1, 0]),
        ("unknown 32 bits", &[0x7d, 0, 0, 0, 0]),
        ("unknown 64 bits", &[0x79, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("a length with room", &[0x0a, 0x81, 0x80, 0x00, b'k']),
        (
            "an index that is there twice",
            &[0x1a, 6, 0x08, 9, 0x08, 0, 0x1a, 0],
        ),
    ] {
        assert!(aggregated(&seal(&[&plain[..], more].concat())), "{why}");
    }
    // The tables last.
    let record = Record {
        data: "x".into(),
        ..Record::default()
    };
    let record = record.encode_to_vec();
    let backwards = [&[0x1a, record.len() as u8][..], &record, &[0x0a, 1, b'k']].concat();
    assert!(aggregated(&seal(&backwards)));
    // Keys and no events: as KCL, nothing at all.
    let none = Aggregate::parse(&seal(&[0x0a, 1, b'k'])).unwrap();
    assert!(none.is_empty());
    assert_eq!(none.into_iter().next(), None);
}

const MUTATIONS: usize = 100_000;

/// Sound aggregates, changed in one to three places, and mostly given the right MD5 for it: what is
/// still called an aggregate is one for prost too, with the same events.
#[test]
fn mutations_of_sound_aggregates() {
    let seed = seed();
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let (mut read, mut plain) = (0, 0);
    for _ in 0..MUTATIONS {
        let events: Vec<_> = (0..random.random_range(1..6))
            .map(|_| event(&mut random))
            .collect();
        let mut bytes = message(&events).encode_to_vec();
        let resealed = random.random_bool(0.8);
        if !resealed {
            bytes = seal(&bytes).to_vec();
        }
        let before = bytes.clone();
        for _ in 0..random.random_range(1..4) {
            mutate(&mut random, &mut bytes);
        }
        let data = if resealed {
            seal(&bytes)
        } else {
            bytes.clone().into()
        };
        match aggregated(&data) {
            true => read += 1,
            false => plain += 1,
        }
        if !resealed && bytes != before {
            assert!(!aggregated(&data), "seed {seed}: the MD5 is not its own");
        }
    }
    println!("seed {seed}: {read} read, {plain} plain");
    assert!(
        read > MUTATIONS / 10 && plain > MUTATIONS / 10,
        "{read} read, {plain} plain"
    );
}

fn event(random: &mut Pcg64Mcg) -> Event {
    let mut payload = vec![0; random.random_range(0..200)];
    random.fill(&mut payload[..]);
    Event {
        key: format!("k{}", random.random_range(0..3)),
        hash: random.random_bool(0.3).then(|| random.random()),
        payload: payload.into(),
    }
}

fn mutate(random: &mut Pcg64Mcg, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = random.random_range(0..bytes.len());
    match random.random_range(0..10) {
        0..3 => bytes[at] ^= 1 << random.random_range(0..8),
        3..5 => bytes[at] = random.random(),
        5 => bytes.insert(at, random.random()),
        6 => drop(bytes.remove(at)),
        7 => bytes.truncate(at),
        8 => {
            let to = random.random_range(at..=bytes.len());
            let piece = bytes[at..to].to_vec();
            let at = random.random_range(0..=bytes.len());
            bytes.splice(at..at, piece);
        }
        _ => {
            let claim = [1 << 31, 1 << 32, u64::MAX, 127, 128]
                .choose(random)
                .unwrap();
            let mut varint = Vec::new();
            prost::encoding::encode_varint(*claim, &mut varint);
            bytes.splice(at..=at, varint);
        }
    }
}

/// `ANYHUB_SEED`, as everywhere, or 1; shown where a test fails.
fn seed() -> u64 {
    let given = std::env::var("ANYHUB_SEED");
    let seed = given.map_or(1, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    seed
}

#[test]
fn random_fields_behind_a_right_magic_and_md5() {
    let mut random = Pcg64Mcg::seed_from_u64(seed());
    let tags = [0x0a, 0x12, 0x1a, 0x08, 0x10, 0x22, 0x0b, 0x0d];
    let mut read = 0;
    for _ in 0..MUTATIONS {
        // Bytes that are fields more often than chance would have it.
        let mut bytes = Vec::new();
        for _ in 0..random.random_range(0..12) {
            let mut inner = vec![0; random.random_range(0..6)];
            random.fill(&mut inner[..]);
            if random.random() {
                inner = [&[8, 0, 0x1a, inner.len() as u8][..], &inner].concat();
            }
            bytes.extend([*tags.choose(&mut random).unwrap(), inner.len() as u8]);
            bytes.extend(inner);
        }
        read += usize::from(aggregated(&seal(&bytes)));
    }
    assert!(read > 100, "{read} read");
}

proptest! {
    #[test]
    fn arbitrary_bytes_behind_a_right_magic_and_md5(bytes in vec(any::<u8>(), 0..300)) {
        aggregated(&seal(&bytes));
    }

    #[test]
    fn arbitrary_bytes(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(!aggregated(&bytes.clone().into()));
        let magic = [&MAGIC[..], &bytes].concat();
        prop_assert!(!aggregated(&magic.into()));
    }
}
