//! Keys by Zipf: few users write most of the tweets.

use std::{cmp::Reverse, collections::BinaryHeap};

use rand_pcg::{
    Pcg64,
    rand_core::{Rng, SeedableRng},
};

/// The keys of a run: their names, how often each is used, and which producer owns it.
///
/// The key of rank r (from 1) gets a share of the events in proportion to `1 / r^skew`. Ranks are
/// dealt to key numbers by a seeded shuffle, so that a key's number says nothing of its weight.
#[derive(Debug)]
pub struct KeySpace {
    names: Names,
    /// Key number at each rank, the heaviest first.
    by_rank: Vec<u32>,
    /// Weight at each rank; they sum to 1.
    weights: Vec<f64>,
}

impl KeySpace {
    /// `keys` keys with the Zipf exponent `skew`; 0 makes them all alike.
    pub fn new(keys: u32, skew: f64, seed: u64) -> Self {
        let mut by_rank: Vec<u32> = (0..keys).collect();
        let mut random = Pcg64::seed_from_u64(seed ^ 0x6b65_7973);
        for last in (1..by_rank.len()).rev() {
            by_rank.swap(last, below(&mut random, last as u64 + 1) as usize);
        }
        let mut weights: Vec<f64> = (1..=keys).map(|rank| f64::from(rank).powf(-skew)).collect();
        let sum: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= sum;
        }
        Self {
            names: Names::new(keys),
            by_rank,
            weights,
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> u32 {
        self.by_rank.len() as u32
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_rank.is_empty()
    }

    /// What a key is called in an event: `user-42`. None for a number that is no key.
    pub fn name(&self, key: u32) -> Option<&[u8]> {
        self.names.at(key)
    }

    /// Deals the keys to `producers`, each key to one, so that all have about the same part of the
    /// events: the heaviest first, always to whoever has least so far.
    pub fn shares(&self, producers: u32) -> Vec<KeyShare> {
        let mut owned = vec![(0.0f64, Vec::new(), Vec::new()); producers.max(1) as usize];
        // Whoever has least comes out first; the load as a whole number, since that has an order.
        let mut least: BinaryHeap<_> = (0..owned.len()).map(|owner| Reverse((0, owner))).collect();
        for (&key, &weight) in self.by_rank.iter().zip(&self.weights) {
            let Some(Reverse((load, owner))) = least.pop() else {
                break;
            };
            let (total, keys, weights) = &mut owned[owner];
            *total += weight;
            keys.push(key);
            weights.push(weight);
            least.push(Reverse((load + (weight * 1e18) as u64, owner)));
        }
        owned
            .into_iter()
            .filter(|(_, keys, _)| !keys.is_empty())
            .map(|(weight, keys, weights)| KeyShare::new(weight, keys, &weights))
            .collect()
    }
}

/// The keys of one producer, to be drawn from.
#[derive(Debug, Clone)]
pub struct KeyShare {
    weight: f64,
    keys: Vec<u32>,
    columns: Vec<Column>,
}

/// A column of the alias table: below `keep` it gives its own key, else that of `alias`.
#[derive(Debug, Clone, Copy)]
struct Column {
    keep: u32,
    alias: u32,
}

impl KeyShare {
    /// Walker's alias table as built by Vose (IEEE Trans. Softw. Eng. 17(9), 1991): one random
    /// number and one look-up a draw, whatever the number of keys.
    fn new(weight: f64, keys: Vec<u32>, weights: &[f64]) -> Self {
        let scale = keys.len() as f64 / weights.iter().sum::<f64>();
        let mut scaled: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
        let mut columns: Vec<Column> = (0..keys.len() as u32)
            .map(|own| Column {
                keep: u32::MAX,
                alias: own,
            })
            .collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..keys.len()).partition(|&column| scaled[column] < 1.0);
        while let (Some(less), Some(&more)) = (small.pop(), large.last()) {
            columns[less] = Column {
                keep: (scaled[less] * f64::from(u32::MAX)) as u32,
                alias: more as u32,
            };
            scaled[more] -= 1.0 - scaled[less];
            if scaled[more] < 1.0 {
                large.pop();
                small.push(more);
            }
        }
        Self {
            weight,
            keys,
            columns,
        }
    }

    /// The part of all events that falls on these keys.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// The keys, the heaviest first.
    pub fn keys(&self) -> &[u32] {
        &self.keys
    }

    /// One key, by weight.
    #[inline]
    pub fn draw(&self, random: &mut Pcg64) -> u32 {
        let bits = random.next_u64();
        let own = ((bits >> 32) * self.columns.len() as u64) >> 32;
        let column = self.columns[own as usize];
        let place = if (bits as u32) <= column.keep {
            own as u32
        } else {
            column.alias
        };
        self.keys[place as usize]
    }
}

/// Divides `events` by the weights of `shares`: whole numbers that sum to `events`, by largest
/// remainder.
pub fn divide(events: u64, shares: &[KeyShare]) -> Vec<u64> {
    let total: f64 = shares.iter().map(KeyShare::weight).sum();
    let exact: Vec<f64> = shares
        .iter()
        .map(|share| events as f64 * share.weight() / total)
        .collect();
    let mut parts: Vec<u64> = exact.iter().map(|part| part.floor() as u64).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|&a, &b| {
        exact[b]
            .fract()
            .total_cmp(&exact[a].fract())
            .then(a.cmp(&b))
    });
    let missing = events.saturating_sub(parts.iter().sum());
    for &part in order.iter().cycle().take(missing as usize) {
        parts[part] += 1;
    }
    parts
}

/// A number below `bound`, by multiplication; the bias is below 2^-32 for the sizes used here.
pub(crate) fn below(random: &mut Pcg64, bound: u64) -> u64 {
    ((u128::from(random.next_u64()) * u128::from(bound)) >> 64) as u64
}

/// All names in one allocation.
#[derive(Debug)]
struct Names {
    text: Vec<u8>,
    ends: Vec<u32>,
}

impl Names {
    fn new(keys: u32) -> Self {
        let (mut text, mut ends) = (Vec::new(), Vec::with_capacity(keys as usize));
        for key in 0..keys {
            text.extend_from_slice(format!("user-{key}").as_bytes());
            ends.push(text.len() as u32);
        }
        text.shrink_to_fit();
        Self { text, ends }
    }

    #[inline]
    fn at(&self, key: u32) -> Option<&[u8]> {
        let end = *self.ends.get(key as usize)? as usize;
        let start = (key as usize)
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        self.text.get(start..end)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_exponent_sets_the_weight_of_the_heaviest() {
        let shares = KeySpace::new(10_000, 1.05, 7).shares(1);
        let mut random = Pcg64::seed_from_u64(1);
        let mut counts = vec![0u32; 10_000];
        for _ in 0..1_000_000 {
            counts[shares[0].draw(&mut random) as usize] += 1;
        }
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let exact: f64 = (1..=10_000).map(|rank| f64::from(rank).powf(-1.05)).sum();
        for (rank, count) in [(1, counts[0]), (2, counts[1]), (10, counts[9])] {
            let expected = 1e6 * f64::from(rank).powf(-1.05) / exact;
            let off = (f64::from(count) - expected).abs() / expected;
            assert!(
                off < 0.05,
                "rank {rank}: {count} drawn, {expected:.0} expected"
            );
        }
    }

    #[test]
    fn no_skew_makes_all_alike() {
        let shares = KeySpace::new(100, 0.0, 7).shares(1);
        let mut random = Pcg64::seed_from_u64(1);
        let mut counts = [0i64; 100];
        for _ in 0..1_000_000 {
            counts[shares[0].draw(&mut random) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (count - 10_000).abs() < 600),
            "{counts:?}"
        );
    }

    #[test]
    fn each_key_has_one_owner_and_the_parts_are_even() {
        let space = KeySpace::new(10_000, 1.05, 7);
        let shares = space.shares(4);
        let mut seen = HashSet::new();
        for share in &shares {
            assert!((share.weight() - 0.25).abs() < 0.01, "{}", share.weight());
            assert!(share.keys().iter().all(|key| seen.insert(*key)));
        }
        assert_eq!(seen.len(), 10_000);
    }

    #[test]
    fn fewer_keys_than_producers_leave_some_without_work() {
        assert_eq!(KeySpace::new(2, 1.05, 7).shares(5).len(), 2);
    }

    #[test]
    fn parts_sum_to_the_whole() {
        let shares = KeySpace::new(1_000, 1.05, 7).shares(3);
        for events in [0, 1, 2, 7, 1_000_003] {
            assert_eq!(divide(events, &shares).iter().sum::<u64>(), events);
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_keys() {
        let draw = |seed| {
            let shares = KeySpace::new(1_000, 1.05, seed).shares(1);
            let mut random = Pcg64::seed_from_u64(seed);
            (0..100)
                .map(|_| shares[0].draw(&mut random))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        // Pinned: a seed from an old report gives the same keys in later versions.
        assert_eq!(draw(3)[..4], [0, 65, 115, 416]);
    }

    #[test]
    fn names_are_in_place() {
        let space = KeySpace::new(1_001, 1.05, 7);
        assert_eq!(space.name(0).unwrap(), b"user-0");
        assert_eq!(space.name(1_000).unwrap(), b"user-1000");
        assert_eq!(space.name(1_001), None);
    }
}
