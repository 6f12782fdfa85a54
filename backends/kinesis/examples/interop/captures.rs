//! What we write for others: events of all sizes, and what a reader must find, known from how they
//! were made.

use crate::files::{Capture, Event};
use anyhub_kinesis::aggregate::{Aggregator, HashRange, MAGIC, hash_key};
use bytes::Bytes;
use md5::{Digest, Md5};
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_pcg::Pcg64Mcg;

const EVENTS: usize = 10_000;

/// A capture.
pub(crate) struct Written {
    pub name: &'static str,
    /// How many events are in it.
    pub made: usize,
    pub records: Vec<Capture>,
    /// Those that a reader must find.
    pub events: Vec<Event>,
}

/// The captures.
pub(crate) fn all(seed: u64) -> [Written; 3] {
    let of = |name, write: fn(&mut Writer)| {
        let mut writer = Writer::new(Pcg64Mcg::seed_from_u64(seed));
        write(&mut writer);
        Written {
            name,
            made: writer.made,
            records: writer.records,
            events: writer.events,
        }
    };
    [
        of("whole", Writer::whole_stream),
        of("reshard", Writer::reshard),
        of("unsound", Writer::unsound),
    ]
}

struct Made {
    key: String,
    hash: Option<u128>,
    payload: Bytes,
}

impl Made {
    fn hash(&self) -> u128 {
        self.hash.unwrap_or_else(|| hash_key(self.key.as_bytes()))
    }
}

struct Writer {
    random: Pcg64Mcg,
    aggregator: Aggregator,
    made: usize,
    records: Vec<Capture>,
    events: Vec<Event>,
}

impl Writer {
    fn new(random: Pcg64Mcg) -> Self {
        Self {
            random,
            aggregator: Aggregator::new(),
            made: 0,
            records: Vec::new(),
            events: Vec::new(),
        }
    }

    /// A stream of one shard: nothing is dropped.
    fn whole_stream(&mut self) {
        // One record that is full to its last byte.
        let most = 1 << 20;
        let mut fill = vec![Made {
            key: "full".into(),
            hash: None,
            payload: Bytes::from(vec![1; most / 2]),
        }];
        let rest = Made {
            // What is left, less magic, MD5, the key twice and the overhead of two entries.
            payload: Bytes::from(vec![2; most / 2 - 50]),
            key: "full".into(),
            ..fill[0]
        };
        fill.push(rest);
        self.put(fill, most, &[HashRange::FULL]);
        assert_eq!(self.records.len(), 1);
        assert_eq!(self.records[0].data.len() + self.records[0].key.len(), most);

        while self.made < EVENTS {
            // Some readers take a hash for every event of a record that has any.
            let hashes = if self.random.random_bool(0.2) {
                1.0
            } else {
                0.0
            };
            let batch = self.batch(hashes, HashRange::FULL);
            let limit = *[most, 50_000].choose(&mut self.random).unwrap();
            self.put(batch, limit, &[HashRange::FULL]);
        }
    }

    /// The writer knows the shards of one step before.
    fn reshard(&mut self) {
        let (quarter, half) = (1 << 126, 1 << 127);
        let halves = vec![
            HashRange::new(0..=half - 1),
            HashRange::new(half..=u128::MAX),
        ];
        let split = vec![
            HashRange::new(0..=quarter - 1),
            HashRange::new(quarter..=half - 1),
            halves[1],
        ];
        let merged = vec![split[0], HashRange::new(quarter..=u128::MAX)];
        let steps = [
            (&halves, &halves),
            (&halves, &split),
            (&split, &split),
            (&split, &merged),
        ];
        for (nth, (known, real)) in steps.into_iter().enumerate() {
            while self.made < EVENTS * (nth + 1) / steps.len() {
                let shard = *known.choose(&mut self.random).unwrap();
                let batch = self.batch(0.2, shard);
                self.put(batch, 1 << 20, real);
            }
        }
    }

    /// Records that look like aggregates and are none, in KCL's eyes too.
    fn unsound(&mut self) {
        for _ in 0..20 {
            let mut batch = self.batch(0.2, HashRange::FULL);
            batch.truncate(20);
            for made in &batch {
                let payload = made.payload.slice(..made.payload.len().min(300));
                let fits = self
                    .aggregator
                    .try_push(1 << 20, &made.key, made.hash, &payload);
                assert!(fits);
            }
            let Some(record) = self.aggregator.finish().filter(|record| record.events > 1) else {
                continue;
            };
            let data = record.data;
            let message = &data[MAGIC.len()..data.len() - 16];
            for end in [0, 3, 4, 19, 20, 21, data.len() / 2, data.len() - 1] {
                self.plain(&record.partition_key, data[..end].to_vec());
            }
            for at in [0, 3, 4, data.len() / 2, data.len() - 17, data.len() - 1] {
                let mut damaged = data.clone();
                damaged[at] ^= 0x10;
                self.plain(&record.partition_key, damaged);
            }
            self.plain(&record.partition_key, [&data[..], &[0]].concat());
            for more in [
                &[0x1a, 0x7f][..],
                &[0x1a, 0x80, 0x80, 0x80, 0x80, 0x08],
                &[0x1a, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0],
                &[0x1a],
                &[0x1c],
                &[0x1e, 0],
                &[0x1f, 0],
                &[0x02, 0],
                &[0x1a, 0],
                &[0x1a, 2, 0x1a, 0],
                &[0x1a, 2, 0x08, 0],
                &[0x1a, 6, 0x08, 0, 0x1a, 0, 0x22, 0],
                b"\xff\xff\xff",
            ] {
                self.plain(&record.partition_key, seal(&[message, more].concat()));
            }
            self.plain(&record.partition_key, seal(b""));
        }
    }

    /// Events of one key or several, all of one shard; or one alone.
    fn batch(&mut self, hashes: f64, shard: HashRange) -> Vec<Made> {
        let random = &mut self.random;
        let len = *[1, random.random_range(2..10), random.random_range(2..200)]
            .choose(random)
            .unwrap();
        let one_key = random.random_bool(0.4).then(|| key(random, shard));
        (0..len)
            .map(|_| Made {
                key: one_key.clone().unwrap_or_else(|| key(random, shard)),
                hash: random
                    .random_bool(hashes)
                    .then(|| random.random_range(shard.start()..=shard.end())),
                payload: payload(random),
            })
            .collect()
    }

    /// Writes events, in as many records as the limit asks for, to the shards that their first
    /// events belong to.
    fn put(&mut self, batch: Vec<Made>, limit: usize, shards: &[HashRange]) {
        self.made += batch.len();
        let mut from = 0;
        for (nth, made) in batch.iter().enumerate() {
            if !self.push(limit, made) {
                self.close(&batch[from..nth], shards);
                from = nth;
                assert!(self.push(1 << 20, made));
            }
        }
        self.close(&batch[from..], shards);
    }

    fn push(&mut self, limit: usize, made: &Made) -> bool {
        self.aggregator
            .try_push(limit, &made.key, made.hash, &made.payload)
    }

    fn close(&mut self, made: &[Made], shards: &[HashRange]) {
        let Some(record) = self.aggregator.finish() else {
            return;
        };
        let at = record
            .hash_key
            .unwrap_or_else(|| hash_key(record.partition_key.as_bytes()));
        let range = *shards.iter().find(|shard| shard.contains(at)).unwrap();
        let nth = self.records.len() as u32;
        let alone = made.len() == 1 && !made[0].payload.starts_with(&MAGIC);
        if alone || made.iter().all(|made| range.contains(made.hash())) {
            self.events
                .extend(made.iter().enumerate().map(|(sub, made)| Event {
                    record: nth,
                    sub: (!alone).then_some(sub as u32),
                    key: made.key.clone(),
                    hash: made.hash.filter(|_| !alone),
                    payload: made.payload.clone(),
                }));
        }
        self.records.push(Capture {
            key: record.partition_key,
            range,
            data: record.data.into(),
        });
    }

    fn plain(&mut self, key: &str, data: Vec<u8>) {
        self.made += 1;
        let data = Bytes::from(data);
        self.events.push(Event {
            record: self.records.len() as u32,
            sub: None,
            key: key.into(),
            hash: None,
            payload: data.clone(),
        });
        self.records.push(Capture {
            key: key.into(),
            range: HashRange::FULL,
            data,
        });
    }
}

/// A key of the shard: short or long, of one byte a character or of four.
fn key(random: &mut Pcg64Mcg, shard: HashRange) -> String {
    loop {
        let nth = random.random_range(0..2_000);
        let key = match nth % 4 {
            0 => format!("user-{nth}"),
            1 => format!("ключ-{nth}"),
            2 => format!("💡{}-{nth}", "x".repeat(nth % 250)),
            _ => "k".repeat(1 + nth % 256),
        };
        if shard.contains(hash_key(key.as_bytes())) {
            return key;
        }
    }
}

/// Mostly short, some of 200 KB, some like an aggregate.
fn payload(random: &mut Pcg64Mcg) -> Bytes {
    let most = *[200, 200, 200, 2_000].choose(random).unwrap();
    let most = match random.random_range(0..500) {
        0 => 200_000,
        1..20 => 20_000,
        _ => most,
    };
    let mut payload = vec![0; random.random_range(0..=most)];
    random.fill(&mut payload[..]);
    if random.random_bool(0.05) {
        payload = match random.random() {
            true => seal(&payload),
            false => [&MAGIC[..], &payload].concat(),
        };
    }
    payload.into()
}

fn seal(message: &[u8]) -> Vec<u8> {
    [&MAGIC[..], message, &Md5::digest(message)].concat()
}
