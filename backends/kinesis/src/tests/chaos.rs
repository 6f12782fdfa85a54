//! Everything at once: faults of Kinesis and of the lease store, splits and merges, members that
//! come, nack, seek, close and crash. What came is judged by the contract.

use super::*;
use anyhub_core::{AckToken, ErrorKind, Partition, Position};
use anyhub_leases::{Key, LeaseStore, MemoryLeases, Row, Scope, Stored, Version, Written};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::time::{Instant, sleep};

/// A store that fails, loses answers and is late.
#[derive(Debug)]
struct Poor {
    rows: MemoryLeases,
    rng: Mutex<StdRng>,
    calm: AtomicBool,
}

impl Poor {
    fn new(seed: u64) -> Self {
        Self {
            rows: MemoryLeases::new(),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            calm: AtomicBool::new(false),
        }
    }

    fn chance(&self, share: f64) -> bool {
        !self.calm.load(Ordering::Relaxed) && self.rng.lock().unwrap().random_bool(share)
    }

    async fn around<T>(
        &self,
        call: impl Future<Output = anyhub_core::Result<T>>,
    ) -> anyhub_core::Result<T> {
        let failed = |message: &str| {
            anyhub_core::Error::new(ErrorKind::Unavailable, "test", "store", message)
        };
        if self.chance(0.03) {
            return Err(failed("refused"));
        }
        if self.chance(0.02) {
            sleep(Duration::from_millis(300)).await;
        }
        let answer = call.await;
        if self.chance(0.03) {
            return Err(failed("the answer is lost"));
        }
        answer
    }
}

#[async_trait::async_trait]
impl LeaseStore for Poor {
    async fn list(&self, scope: &Scope) -> anyhub_core::Result<Vec<Stored>> {
        self.around(self.rows.list(scope)).await
    }

    async fn write(
        &self,
        scope: &Scope,
        row: &Row,
        expected: Option<&Version>,
    ) -> anyhub_core::Result<Written> {
        self.around(self.rows.write(scope, row, expected)).await
    }

    async fn remove(
        &self,
        scope: &Scope,
        key: &Key,
        expected: Option<&Version>,
    ) -> anyhub_core::Result<bool> {
        self.around(self.rows.remove(scope, key, expected)).await
    }

    async fn scopes(&self) -> anyhub_core::Result<Vec<Scope>> {
        self.rows.scopes().await
    }
}

/// What the contract says of all that was seen.
#[derive(Debug, Default)]
struct Judge {
    /// Of each key: how many first occurrences came, and where the last one was.
    come: HashMap<String, (usize, Partition)>,
    acked: HashSet<(String, usize)>,
    durable: HashSet<(String, usize)>,
    wrong: Vec<String>,
    again: usize,
}

impl Judge {
    fn delivered(&mut self, member: usize, key: &str, nth: usize, at: &Partition) {
        let due = self.come.get(key).map_or(0, |come| come.0);
        if nth > due {
            self.wrong
                .push(format!("{member}: {key} {nth} on {at}, due was {due}"));
        } else if nth == due {
            if let Some((_, before)) = self.come.get(key)
                && before != at
                && let Some(open) =
                    (0..nth).find(|nth| !self.acked.contains(&(key.to_owned(), *nth)))
            {
                self.wrong.push(format!(
                    "{member}: {key} {nth} on {at}, before {open} of {before} was acknowledged"
                ));
            }
            self.come.insert(key.to_owned(), (due + 1, at.clone()));
        } else {
            self.again += 1;
            if self.durable.contains(&(key.to_owned(), nth)) {
                self.wrong
                    .push(format!("{member}: {key} {nth} on {at} was committed"));
            }
        }
    }

    fn total(&self) -> usize {
        self.come.values().map(|come| come.0).sum()
    }
}

fn parts(delivery: &Delivery) -> (String, usize) {
    let key = delivery
        .event
        .key
        .as_ref()
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned();
    (key, text(delivery).parse().unwrap())
}

struct Held {
    token: AckToken,
    id: (String, usize),
    at: Partition,
}

struct Run {
    bench: Bench,
    judge: Mutex<Judge>,
    calm: AtomicBool,
    over: AtomicBool,
}

impl Run {
    async fn open(&self, options: ConsumerOptions) -> KinesisConsumer {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let (link, counters) = (self.bench.link.clone(), Arc::default());
            let opening =
                consumer::open(link, &self.bench.leasing, STREAM, options.clone(), counters);
            match timeout(Duration::from_secs(60), opening)
                .await
                .expect("opens")
            {
                Ok(consumer) => return consumer,
                Err(error) if error.is_retryable() && Instant::now() < until => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn member(&self, number: usize, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        while !self.over.load(Ordering::Relaxed) {
            let options = member()
                .commit_interval(Duration::from_millis(rng.random_range(5..200)))
                .prefetch_events(rng.random_range(1..200))
                .prefetch_bytes(rng.random_range(1..20_000))
                .max_unfinished(rng.random_range(1..100))
                .max_processing(Duration::from_millis(rng.random_range(300..3_000)));
            let mut consumer = self.open(options).await;
            self.live(number, &mut consumer, &mut rng).await;
            if rng.random_bool(0.5) || self.over.load(Ordering::Relaxed) {
                let closed = timeout(Duration::from_secs(60), consumer.close()).await;
                if let Err(error) = closed.expect("closes") {
                    println!("{number}: close: {error}");
                }
            }
        }
    }

    async fn live(&self, number: usize, consumer: &mut KinesisConsumer, rng: &mut StdRng) {
        let mut held: Vec<Held> = Vec::new();
        // What came of each shard since it was assigned.
        let mut since: HashMap<Partition, HashSet<(String, usize)>> = HashMap::new();
        let mut last: HashMap<(Partition, String), usize> = HashMap::new();
        loop {
            let calm = self.calm.load(Ordering::Relaxed);
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let max = rng.random_range(1..50);
            let wait = Duration::from_millis(rng.random_range(0..60));
            match timeout(wait, consumer.receive(max)).await {
                Err(_) => {}
                Ok(Err(error)) => {
                    self.judge
                        .lock()
                        .unwrap()
                        .wrong
                        .push(format!("{number}: receive: {error:?}"));
                    return;
                }
                Ok(Ok(batch)) => {
                    let judge = &mut *self.judge.lock().unwrap();
                    for change in &batch.changes {
                        match change {
                            Change::Assigned(new) | Change::Lost(new) | Change::Revoked(new) => {
                                for at in new {
                                    since.remove(at);
                                    last.retain(|(of, _), _| of != at);
                                }
                            }
                            other => judge.wrong.push(format!("{number}: {other:?}")),
                        }
                    }
                    for delivery in batch.deliveries {
                        let id = parts(&delivery);
                        let at = delivery.partition.clone();
                        judge.delivered(number, &id.0, id.1, &at);
                        if let Some(last) = last.insert((at.clone(), id.0.clone()), id.1)
                            && id.1 > last + 1
                        {
                            judge
                                .wrong
                                .push(format!("{number}: {id:?} after {last} on {at}"));
                        }
                        since.entry(at.clone()).or_default().insert(id.clone());
                        held.push(Held {
                            token: delivery.token,
                            id,
                            at,
                        });
                    }
                }
            }
            let acks = consumer.acks();
            let share = if calm { 1.0 } else { 0.4 };
            let answered: Vec<Held> = held.extract_if(.., |_| rng.random_bool(share)).collect();
            for one in answered {
                if !calm && rng.random_bool(0.03) {
                    acks.nack(&[one.token]);
                    continue;
                }
                // Under one lock with the ack: a child may come at once.
                let judge = &mut *self.judge.lock().unwrap();
                if acks.ack(&[one.token]) == 1 {
                    judge.acked.insert(one.id);
                }
            }
            if calm {
                continue;
            }
            match rng.random_range(0..100) {
                0..5 => {
                    let done: Vec<_> = consumer.assignment();
                    let done = done.iter().filter(|owned| owned.unfinished == 0);
                    let done: Vec<_> = done
                        .filter_map(|owned| since.get(&owned.partition).cloned())
                        .flatten()
                        .collect();
                    match timeout(Duration::from_secs(60), consumer.commit())
                        .await
                        .expect("commits")
                    {
                        Ok(()) => self.judge.lock().unwrap().durable.extend(done),
                        Err(error) => println!("{number}: commit: {error}"),
                    }
                }
                5..8 => {
                    let owned = consumer.assignment();
                    let to: Vec<(Partition, Position)> = owned
                        .into_iter()
                        .filter_map(|owned| Some((owned.partition, owned.oldest_unacked?)))
                        .take(1)
                        .collect();
                    if !to.is_empty() {
                        let seek = consumer.seek(Point::Positions(to.clone()));
                        match timeout(Duration::from_secs(100), seek)
                            .await
                            .expect("seeks")
                        {
                            Ok(()) => {
                                last.retain(|(at, _), _| *at != to[0].0);
                                since.remove(&to[0].0);
                                for one in held.extract_if(.., |one| one.at == to[0].0) {
                                    if acks.ack(&[one.token]) == 1 {
                                        let wrong = format!(
                                            "{number}: {:?} was valid after a seek",
                                            one.id
                                        );
                                        self.judge.lock().unwrap().wrong.push(wrong);
                                    }
                                }
                            }
                            Err(error) => println!("{number}: seek: {error}"),
                        }
                    }
                }
                8..10 => sleep(Duration::from_millis(rng.random_range(0..1_500))).await,
                10 => return,
                _ => {}
            }
        }
    }

    async fn reshard(&self, rng: &mut StdRng) {
        let client = self.bench.client().await;
        let Ok(listed) = client.list_shards().stream_name(STREAM).send().await else {
            return;
        };
        let mut open: Vec<(u128, u128, String)> = listed
            .shards()
            .iter()
            .filter(|it| {
                it.sequence_number_range()
                    .unwrap()
                    .ending_sequence_number()
                    .is_none()
            })
            .map(|it| {
                let range = it.hash_key_range().unwrap();
                let number = |text: &str| text.parse::<u128>().unwrap();
                (
                    number(range.starting_hash_key()),
                    number(range.ending_hash_key()),
                    it.shard_id().to_owned(),
                )
            })
            .collect();
        open.sort();
        if open.len() > 2 && rng.random_bool(0.5) {
            let at = rng.random_range(0..open.len() - 1);
            let merge = client.merge_shards().stream_name(STREAM);
            let merge = merge
                .shard_to_merge(&open[at].2)
                .adjacent_shard_to_merge(&open[at + 1].2);
            let _ = merge.send().await;
        } else {
            let (from, to, id) = &open[rng.random_range(0..open.len())];
            let middle = from + (to - from) / 2 + 1;
            let split = client.split_shard().stream_name(STREAM).shard_to_split(id);
            let _ = split.new_starting_hash_key(middle.to_string()).send().await;
        }
    }
}

async fn chaos(seed: u64, fanout: bool) {
    println!("the seed is {seed}");
    let store = Arc::new(Poor::new(seed));
    let own = store.clone();
    let builder = Kinesis::builder()
        .seed(seed)
        .subscription(Duration::from_secs(1));
    let bench = Bench::with(3, builder, |config| {
        let config = config.store(own);
        if fanout {
            config.fanout("pushed")
        } else {
            config
        }
    })
    .await;
    if fanout {
        drop(bench.consumer(ConsumerOptions::new()).await);
    }
    let slow = Duration::from_millis(700);
    let faults = Faults::none()
        .expired_iterators(Rate::share(0.05))
        .server_errors("GetRecords", Rate::share(0.05))
        .server_errors("GetShardIterator", Rate::share(0.1))
        .server_errors("ListShards", Rate::share(0.3))
        .server_errors("DescribeStreamSummary", Rate::share(0.2))
        .server_errors("SubscribeToShard", Rate::share(0.1))
        .slow_answers("GetRecords", Rate::share(0.02), slow)
        .slow_answers("ListShards", Rate::share(0.1), slow);
    bench.kinesis.set_faults(faults).unwrap();
    let run = Arc::new(Run {
        bench,
        judge: Mutex::default(),
        calm: AtomicBool::new(false),
        over: AtomicBool::new(false),
    });
    let members: Vec<_> = (0..3)
        .map(|number| {
            let run = run.clone();
            tokio::spawn(async move { run.member(number, seed * 10 + number as u64).await })
        })
        .collect();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut next: HashMap<String, usize> = HashMap::new();
    let mut put = 0;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(12) {
        let mut some = Vec::new();
        for _ in 0..rng.random_range(1..60) {
            let key = format!("k{}", rng.random_range(0..40));
            let nth = next.entry(key.clone()).or_default();
            // One record of a key in a request.
            if some
                .iter()
                .all(|(other, _): &(String, String)| *other != key)
            {
                some.push((key, nth.to_string()));
                *nth += 1;
            }
        }
        put += some.len();
        run.bench.put(some).await;
        if rng.random_bool(0.04) {
            run.reshard(&mut rng).await;
        }
        sleep(Duration::from_millis(20)).await;
    }
    run.bench.kinesis.set_faults(Faults::none()).unwrap();
    store.calm.store(true, Ordering::Relaxed);
    run.calm.store(true, Ordering::Relaxed);
    let began = Instant::now();
    loop {
        let (come, acked) = {
            let judge = run.judge.lock().unwrap();
            (judge.total(), judge.acked.len())
        };
        if come == put && acked == put {
            break;
        }
        if began.elapsed() > Duration::from_secs(60) {
            run.judge
                .lock()
                .unwrap()
                .wrong
                .push(format!("{come} came, {acked} acked of {put}"));
            for (key, due) in &next {
                let come = run.judge.lock().unwrap().come.get(key).cloned();
                if come.as_ref().map_or(0, |come| come.0) != *due {
                    println!("{key}: {come:?} of {due}");
                }
            }
            let scope = store.scopes().await.unwrap().remove(0);
            for row in store.list(&scope).await.unwrap() {
                println!("{:?}", row.row);
            }
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    run.over.store(true, Ordering::Relaxed);
    for member in members {
        timeout(Duration::from_secs(90), member)
            .await
            .expect("a member ends")
            .unwrap();
    }
    let mut next = run.open(member()).await;
    run.bench
        .put([("the end".to_owned(), "0".to_owned())])
        .await;
    let came = take(&mut next, 1, true).await;
    let judge = run.judge.lock().unwrap();
    println!(
        "{put} events, {} came again, wrong: {:#?}",
        judge.again,
        &judge.wrong[..judge.wrong.len().min(20)]
    );
    assert!(judge.wrong.is_empty());
    assert_eq!(parts(&came[0]).0, "the end");
}

fn seeds() -> Vec<u64> {
    match std::env::var("CHAOS") {
        Ok(seeds) => seeds.split(',').map(|seed| seed.parse().unwrap()).collect(),
        Err(_) => vec![1],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_the_contract_holds() {
    for seed in seeds() {
        chaos(seed, false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_the_contract_holds_where_they_are_pushed() {
    for seed in seeds() {
        chaos(seed, true).await;
    }
}
