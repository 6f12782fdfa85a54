//! Which event comes next: the same ones for every hub, from the seed alone.

use std::sync::Arc;

use rand_pcg::{Pcg64, rand_core::SeedableRng};

use super::phase::Kind;
use crate::{
    keys::{KeyShare, KeySpace, divide},
    tweets::Tweets,
};

/// The events of one producer in one phase: keys by weight, each key numbered from 0, the texts in
/// turns.
#[derive(Debug, Clone)]
pub(super) struct Source {
    share: Arc<KeyShare>,
    random: Pcg64,
    next: Vec<u32>,
    text: usize,
    tweets: Tweets,
    left: u64,
    total: u64,
}

/// The next event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawn<'a> {
    pub(super) key: u32,
    pub(super) sequence: u64,
    pub(super) text: &'a str,
}

/// The sources of all producers, and how many events each key gets from them.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) sources: Vec<Source>,
    pub(super) counts: Vec<u32>,
}

impl Plan {
    pub(super) fn new(
        keys: &KeySpace,
        tweets: &Tweets,
        producers: u32,
        events: u64,
        seed: u64,
        kind: Kind,
    ) -> Self {
        let shares = keys.shares(producers);
        let parts = divide(events, &shares);
        let mut before = 0;
        let mut counts = vec![0; keys.len() as usize];
        let sources = shares
            .into_iter()
            .zip(parts)
            .zip(0u64..)
            .map(|((share, events), producer)| {
                let source = Source {
                    share: Arc::new(share),
                    random: Pcg64::new(u128::from(seed), u128::from(producer) << 8 | kind as u128),
                    next: vec![0; keys.len() as usize],
                    text: (before % tweets.len() as u64) as usize,
                    tweets: tweets.clone(),
                    left: events,
                    total: events,
                };
                before += events;
                source.count(&mut counts);
                source
            })
            .collect();
        Self { sources, counts }
    }
}

impl Source {
    /// Draws all keys once, ahead of the phase: 3 ns each.
    fn count(&self, counts: &mut [u32]) {
        let mut random = self.random.clone();
        for _ in 0..self.left {
            counts[self.share.draw(&mut random) as usize] += 1;
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    #[inline]
    pub(super) fn draw(&mut self) -> Option<Drawn<'_>> {
        self.left = self.left.checked_sub(1)?;
        let key = self.share.draw(&mut self.random);
        let next = &mut self.next[key as usize];
        let sequence = u64::from(*next);
        *next += 1;
        let text = self.text;
        self.text = if text + 1 == self.tweets.len() {
            0
        } else {
            text + 1
        };
        Some(Drawn {
            key,
            sequence,
            text: self.tweets.text(text),
        })
    }
}

/// What payloads are padded with: the same for the same seed, and not to be compressed away.
pub(super) fn padding(bytes: usize, seed: u64) -> Arc<[u8]> {
    use rand_pcg::rand_core::Rng;
    let mut random = Pcg64::seed_from_u64(seed);
    let mut padding = vec![0; bytes];
    random.fill_bytes(&mut padding);
    padding.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn plan(producers: u32, events: u64, seed: u64) -> Plan {
        let keys = KeySpace::new(100, 1.05, seed);
        Plan::new(
            &keys,
            &Tweets::generated(seed),
            producers,
            events,
            seed,
            Kind::Throughput,
        )
    }

    #[test]
    fn every_key_is_numbered_without_holes_and_as_planned() {
        let Plan { sources, counts } = plan(3, 5_000, 7);
        let mut next = vec![0u64; 100];
        let mut total = 0;
        for mut source in sources {
            while let Some(drawn) = source.draw() {
                assert_eq!(drawn.sequence, next[drawn.key as usize]);
                next[drawn.key as usize] += 1;
                total += 1;
            }
        }
        assert_eq!(total, 5_000);
        assert!(
            next.iter()
                .zip(&counts)
                .all(|(drawn, planned)| *drawn == u64::from(*planned))
        );
    }

    #[test]
    fn the_texts_go_round() {
        let mut source = plan(1, 25_000, 7).sources.remove(0);
        let tweets = source.tweets.clone();
        for index in 0..25_000 {
            assert_eq!(
                source.draw().unwrap().text,
                tweets.text(index % tweets.len())
            );
        }
        assert!(source.draw().is_none());
    }

    #[test]
    fn the_seed_gives_the_same_events() {
        let events = |seed| {
            let mut source = plan(2, 1_000, seed).sources.remove(1);
            std::iter::from_fn(|| {
                source
                    .draw()
                    .map(|drawn| (drawn.key, drawn.sequence, drawn.text.to_owned()))
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(events(7), events(7));
        assert_ne!(events(7), events(8));
    }
}
