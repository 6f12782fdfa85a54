//! Places in the log: fingerprints of them, and the check that no two events share one.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use anyhub_core::{Partition, Position};

/// What [`Positions`] takes for each event whose position is no offset.
pub const BYTES_PER_FINGERPRINT: usize = size_of::<u64>();

/// A fingerprint of a partition and a position, of 28 bits and never 0.
///
/// It only tells two places of *one* event apart: a second copy of an event passes for a
/// redelivery once in 268 million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u32);

impl Place {
    pub(super) const BITS: u32 = 28;
    pub(super) const MASK: u32 = (1 << Self::BITS) - 1;

    /// Where an event stands.
    #[inline]
    pub fn of(partition: &Partition, position: &Position) -> Self {
        let mixed = match (partition.as_number(), position.as_offset()) {
            (Some(partition), Some(offset)) => mix(u64::from(partition) << 40 ^ offset as u64),
            _ => fingerprint(partition, position),
        };
        Self(((mixed >> 32) as u32 & Self::MASK).max(1))
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }
}

/// 64 bits of a place that is no pair of numbers; the same on both sides, since
/// `DefaultHasher::new()` has fixed keys.
fn fingerprint(partition: &Partition, position: &Position) -> u64 {
    let mut hasher = DefaultHasher::new();
    (partition, position).hash(&mut hasher);
    hasher.finish()
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[inline]
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The positions at which one consumer first saw an event.
///
/// Offsets of numbered partitions take a bit each. Others are 192-bit numbers far apart, so of
/// each a fingerprint of 64 bits is kept: 8 bytes, up to 16 as the list grows. Of n positions two
/// have one by chance, which is a false alarm, in n²/2⁶⁵ of the phases: 1 in 37 million for a
/// million events, 1 in 3,700 for a hundred million.
#[derive(Debug, Default)]
pub struct Positions {
    partitions: Vec<(u32, Log)>,
    /// Offsets that this consumer saw twice.
    shared: u64,
    fingerprints: Vec<u64>,
}

#[derive(Debug, Default)]
struct Log {
    /// The chunk in use, kept outside of the map: positions come in order.
    number: i64,
    chunk: Box<Chunk>,
    rest: HashMap<i64, Box<Chunk>>,
}

const CHUNK: i64 = 4_096;

#[derive(Debug)]
struct Chunk([u64; CHUNK as usize / 64]);

impl Default for Chunk {
    fn default() -> Self {
        Self([0; CHUNK as usize / 64])
    }
}

impl Positions {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An event was seen for the first time, at this place.
    #[inline]
    pub fn first(&mut self, partition: &Partition, position: &Position) {
        let (Some(partition), Some(offset)) = (partition.as_number(), position.as_offset()) else {
            // Sorted once the phase is over: that costs the events on their way nothing.
            self.fingerprints.push(fingerprint(partition, position));
            return;
        };
        let log = match self
            .partitions
            .iter()
            .position(|(number, _)| *number == partition)
        {
            Some(known) => &mut self.partitions[known].1,
            None => {
                self.partitions.push((partition, Log::default()));
                let last = self.partitions.len() - 1;
                &mut self.partitions[last].1
            }
        };
        self.shared += u64::from(!log.mark(offset));
    }

    /// Positions that two events share, this consumer's and those of the others together.
    pub fn shared(consumers: &mut [Self]) -> u64 {
        let mut shared: u64 = consumers.iter().map(|consumer| consumer.shared).sum();
        let mut all: HashMap<(u32, i64), Box<Chunk>> = HashMap::new();
        for (partition, log) in consumers
            .iter_mut()
            .flat_map(|consumer| consumer.partitions.drain(..))
        {
            let last = (log.number, log.chunk);
            for (number, chunk) in log.rest.into_iter().chain([last]) {
                let union = all.entry((partition, number)).or_default();
                for (all, one) in union.0.iter_mut().zip(chunk.0) {
                    shared += u64::from((*all & one).count_ones());
                    *all |= one;
                }
            }
        }
        shared + shared_fingerprints(consumers)
    }
}

fn shared_fingerprints(consumers: &mut [Positions]) -> u64 {
    let mut all = Vec::new();
    for consumer in consumers {
        // The first list is taken as it is, which with one consumer is all of them.
        if all.is_empty() {
            all = std::mem::take(&mut consumer.fingerprints);
        } else {
            all.append(&mut consumer.fingerprints);
        }
    }
    all.sort_unstable();
    all.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64
}

impl Log {
    /// False if it was marked before.
    fn mark(&mut self, offset: i64) -> bool {
        let number = offset.div_euclid(CHUNK);
        if number != self.number {
            let next = self.rest.remove(&number).unwrap_or_default();
            let before = std::mem::replace(&mut self.chunk, next);
            self.rest.insert(self.number, before);
            self.number = number;
        }
        let bit = offset.rem_euclid(CHUNK) as usize;
        let word = &mut self.chunk.0[bit / 64];
        let mask = 1 << (bit % 64);
        let free = *word & mask == 0;
        *word |= mask;
        free
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use anyhub_core::driver::Sequence;

    fn at(partition: u32, offset: i64) -> (Partition, Position) {
        (Partition::number(partition), Position::offset(offset))
    }

    /// A record of a shard, as Kinesis numbers them, and an event in it.
    fn in_shard(shard: u32, record: u64, index: u32) -> (Partition, Position) {
        let number = format!("4959033827149025660{record:037}");
        let sequence = Sequence::at(&number, index).unwrap();
        (
            Partition::named(format!("shardId-{shard:012}")),
            Position::from(sequence),
        )
    }

    #[test]
    fn places_differ_by_partition_and_position() {
        let place = |(partition, position)| Place::of(&partition, &position);
        assert_eq!(place(at(1, 5)), place(at(1, 5)));
        assert_ne!(place(at(1, 5)), place(at(2, 5)));
        assert_ne!(place(at(1, 5)), place(at(1, 6)));
        assert_eq!(place(in_shard(1, 5, 0)), place(in_shard(1, 5, 0)));
        assert_ne!(place(in_shard(1, 5, 0)), place(in_shard(2, 5, 0)));
        assert_ne!(place(in_shard(1, 5, 0)), place(in_shard(1, 6, 0)));
        assert_ne!(place(in_shard(1, 5, 0)), place(in_shard(1, 5, 1)));
    }

    #[test]
    fn fingerprints_are_spread() {
        let spread = |place: fn(i64) -> (Partition, Position)| {
            let all = (0..10_000)
                .map(place)
                .map(|(a, b)| Place::of(&a, &b).bits());
            all.collect::<std::collections::HashSet<u32>>().len()
        };
        assert!(spread(|n| at(0, n)) > 9_990);
        assert!(spread(|n| in_shard(0, n as u64, 0)) > 9_990);
    }

    /// What two consumers share of 10,000 positions, when each has one of the other's places, or of
    /// its own, again.
    fn found_twice(place: impl Fn(u32, u64) -> (Partition, Position)) -> u64 {
        let mut consumers = [Positions::new(), Positions::new()];
        let mut first = |consumer: usize, partition: u32, number: u64| {
            let (partition, position) = place(partition, number);
            consumers[consumer].first(&partition, &position);
        };
        for number in 0..10_000 {
            first(usize::from(number >= 6_000), 3, number);
        }
        // Another partition: no harm.
        first(1, 4, 4_095);
        first(0, 3, 4_095);
        first(1, 3, 4_095);
        Positions::shared(&mut consumers)
    }

    #[test]
    fn a_position_used_twice_is_found_in_one_consumer_and_between_two() {
        assert_eq!(found_twice(|p, n| at(p, n as i64)), 2);
        assert_eq!(found_twice(|p, n| in_shard(p, n, 0)), 2);
        // Events of one record.
        assert_eq!(found_twice(|p, n| in_shard(p, n / 100, n as u32 % 100)), 2);
    }

    #[test]
    fn a_million_positions_apart_raise_no_alarm() {
        let mut positions = Positions::new();
        for record in 0..100_000 {
            for index in 0..10 {
                let (partition, position) = in_shard(record as u32 % 4, record, index);
                positions.first(&partition, &position);
            }
        }
        assert_eq!(positions.fingerprints.len(), 1_000_000);
        assert_eq!(Positions::shared(&mut [positions]), 0);
    }
}
