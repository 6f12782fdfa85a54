//! Places in the log: fingerprints of them, and the check that no two events share one.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use anyhub_core::{Partition, Position};

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
            _ => {
                // DefaultHasher::new() has fixed keys, so both sides get the same number.
                let mut hasher = DefaultHasher::new();
                (partition, position).hash(&mut hasher);
                hasher.finish()
            }
        };
        Self(((mixed >> 32) as u32 & Self::MASK).max(1))
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[inline]
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The positions at which one consumer first saw an event, a bit for each.
///
/// Positions that are no numbers can't be held so; they are counted in
/// [`unchecked`](Self::unchecked).
#[derive(Debug, Default)]
pub struct Positions {
    partitions: Vec<(u32, Log)>,
    shared: u64,
    unchecked: u64,
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

    /// An event was seen for the first time, at this place. False if another event stood there.
    #[inline]
    pub fn first(&mut self, partition: &Partition, position: &Position) -> bool {
        let (Some(partition), Some(offset)) = (partition.as_number(), position.as_offset()) else {
            self.unchecked += 1;
            return true;
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
        let free = log.mark(offset);
        self.shared += u64::from(!free);
        free
    }

    /// Positions that two events share, this consumer's and those of the others together.
    pub fn shared(consumers: &mut [Self]) -> u64 {
        let mut shared = consumers.iter().map(|consumer| consumer.shared).sum();
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
        shared
    }

    /// First deliveries whose position is no number, so that this check can't hold it.
    pub fn unchecked(&self) -> u64 {
        self.unchecked
    }
}

impl Log {
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
mod tests {
    use super::*;

    fn at(partition: u32, offset: i64) -> (Partition, Position) {
        (Partition::number(partition), Position::offset(offset))
    }

    #[test]
    fn places_differ_by_partition_and_position() {
        let place = |(partition, position)| Place::of(&partition, &position);
        assert_eq!(place(at(1, 5)), place(at(1, 5)));
        assert_ne!(place(at(1, 5)), place(at(2, 5)));
        assert_ne!(place(at(1, 5)), place(at(1, 6)));
    }

    #[test]
    fn fingerprints_are_spread() {
        let distinct: std::collections::HashSet<u32> = (0..10_000)
            .map(|offset| at(0, offset))
            .map(|(a, b)| Place::of(&a, &b).bits())
            .collect();
        assert!(distinct.len() > 9_990, "{}", distinct.len());
    }

    #[test]
    fn a_position_used_twice_is_found_in_one_consumer_and_between_two() {
        let mut one = Positions::new();
        let mut two = Positions::new();
        for offset in 0..10_000 {
            let (partition, position) = at(3, offset);
            assert!(if offset < 6_000 { &mut one } else { &mut two }.first(&partition, &position));
        }
        let (partition, position) = at(3, 4_095);
        assert!(!one.first(&partition, &position));
        assert!(
            two.first(&partition, &position),
            "the other consumer can't know yet"
        );
        let (partition, position) = at(4, 4_095);
        assert!(two.first(&partition, &position), "another partition");
        assert_eq!(Positions::shared(&mut [one, two]), 2);
    }
}
