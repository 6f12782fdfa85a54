use crate::reference::seal;
use allocation_counter::measure;
use anyhub_kinesis::aggregate::{Aggregate, HashRange};
use bytes::Bytes;
use std::hint::black_box;

/// The most that reading `data` holds at once, its filter included.
fn held(data: &Bytes) -> usize {
    let range = HashRange::new(0..=u128::MAX - 1);
    let allocations = measure(|| {
        if let Some(aggregate) = Aggregate::parse(data) {
            black_box(aggregate.lies_within(&range));
            black_box(aggregate.into_iter().count());
        }
    });
    allocations.bytes_max as usize
}

#[test]
fn hostile_tables_cost_in_proportion() {
    let empty_keys = [0x0a, 0].repeat(500_000);
    let short_hashes = [0x12, 1, b'7'].repeat(300_000);
    let both = [0x0a, 0, 0x12, 1, b'7'].repeat(200_000);
    let records = [&[0x0a, 0][..], &[0x1a, 4, 8, 0, 0x1a, 0].repeat(150_000)].concat();
    for message in [empty_keys, short_hashes, both, records] {
        let data = seal(&message);
        assert!(Aggregate::parse(&data).is_some());
        assert!(
            held(&data) <= 16 * data.len(),
            "{} of {}",
            held(&data),
            data.len()
        );
    }
}

#[test]
fn what_is_claimed_costs_nothing() {
    for claim in [1_u64 << 31, 1 << 32, 1 << 63, u64::MAX] {
        for tag in [0x0a, 0x12, 0x1a] {
            let mut message = vec![0x0a, 1, b'k', tag];
            prost::encoding::encode_varint(claim, &mut message);
            let data = seal(&message);
            assert!(Aggregate::parse(&data).is_none());
            assert!(held(&data) <= 64, "{claim}: {}", held(&data));
        }
    }
}

#[test]
fn what_is_plain_costs_nothing() {
    let data = Bytes::from(vec![b'x'; 1 << 20]);
    assert_eq!(held(&data), 0);
}
