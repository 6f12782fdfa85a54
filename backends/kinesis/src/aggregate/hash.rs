use md5::{Digest, Md5};
use std::ops::RangeInclusive;

/// The hash key of a partition key: its MD5 as a 128-bit integer, which decides on the shard.
///
/// Source: Amazon Kinesis API reference, PutRecord, "PartitionKey" (read 2026-11-25).
pub fn hash_key(partition_key: &[u8]) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key).into())
}

/// The hash keys of one shard, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashRange {
    start: u128,
    end: u128,
}

impl HashRange {
    /// All hash keys: a stream of one shard.
    pub const FULL: Self = Self {
        start: 0,
        end: u128::MAX,
    };

    /// From `start` to `end`, which belongs to it.
    pub const fn new(range: RangeInclusive<u128>) -> Self {
        Self {
            start: *range.start(),
            end: *range.end(),
        }
    }

    /// As Kinesis tells it, in decimal; None if that is no range of 128-bit integers.
    pub fn parse(start: &str, end: &str) -> Option<Self> {
        let range = Self::new(start.parse().ok()?..=end.parse().ok()?);
        (range.start <= range.end).then_some(range)
    }

    /// The lowest hash key.
    pub const fn start(&self) -> u128 {
        self.start
    }

    /// The highest hash key.
    pub const fn end(&self) -> u128 {
        self.end
    }

    /// Whether a record of this hash key goes to the shard.
    pub const fn contains(&self, hash_key: u128) -> bool {
        self.start <= hash_key && hash_key <= self.end
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Computed by md5sum; the shard is one of four even ones.
    #[test]
    fn hashes_as_kinesis_does() {
        let quarter = 1_u128 << 126;
        for (key, md5, shard) in [
            ("", 0xd41d8cd98f00b204e9800998ecf8427e, 3),
            ("a", 0x0cc175b9c0f1b6a831c399e269772661, 0),
            ("user-1", 0xd6d7705392bc7af633328bea8c4c6904, 3),
            ("user-42", 0x7631bc07a1cc8fcd56e70fc6b2fb4a43, 1),
            ("tweet", 0xae8d18f3b54f1d925974c618a4528a37, 2),
            ("@alice", 0x021094abcfd18417a702d41f3435ddf1, 0),
            ("ключ", 0xc3657b66c60a307292aae11f07b04ae7, 3),
            ("💡", 0x7d39a180dadb5b2e49da05489f499e47, 1),
        ] {
            let hash = hash_key(key.as_bytes());
            assert_eq!(hash, md5, "{key}");
            for candidate in 0..4 {
                let start = candidate * quarter;
                let range = HashRange::new(start..=start + (quarter - 1));
                assert_eq!(range.contains(hash), candidate == shard, "{key}");
            }
        }
    }

    #[test]
    fn ranges_are_read_as_kinesis_writes_them() {
        let all = HashRange::parse("0", "340282366920938463463374607431768211455").unwrap();
        assert_eq!(all, HashRange::FULL);
        let upper = HashRange::parse(
            "170141183460469231731687303715884105728",
            "340282366920938463463374607431768211455",
        )
        .unwrap();
        assert!(upper.contains(1 << 127) && upper.contains(u128::MAX));
        assert!(!upper.contains((1 << 127) - 1));
        for (start, end) in [
            ("1", "0"),
            ("", "5"),
            ("-1", "5"),
            ("0", "340282366920938463463374607431768211456"),
        ] {
            assert_eq!(HashRange::parse(start, end), None, "{start} to {end}");
        }
    }
}
