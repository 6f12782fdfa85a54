//! Members of a group that come, go and crash: nothing is lost, keys stay in order, and what a commit has confirmed with
//! exactly-once delivery does not come again.
#![allow(missing_docs, clippy::unwrap_used)]

use anyhub_core::{
    Consumer, ConsumerOptions, ErrorKind, Event, Hub, Point, ProducerOptions, TopicConfig,
};
use anyhub_local::pubsub::{Faults, PubSub, Rate};
use anyhub_pubsub::{NativeHub, PubSubConfig, PubSubHub};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

const KEYS: usize = 40;
const TOPIC: &str = "tweets";

async fn within<T>(step: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(60), step).await;
    ended.expect("it hangs")
}

/// What the group as a whole has seen.
#[derive(Default)]
struct Book {
    /// Of each key: how many have come, without a gap.
    came: HashMap<usize, usize>,
    confirmed: HashSet<usize>,
    again: u64,
}

impl Book {
    /// Event `nth` came to one of the members.
    fn note(&mut self, nth: usize, seed: u64) {
        let (key, place) = (nth % KEYS, nth / KEYS);
        let came = self.came.entry(key).or_default();
        assert!(
            place <= *came,
            "seed {seed}: key {key}: {place} came, and {came} was due"
        );
        assert!(
            !self.confirmed.contains(&nth),
            "seed {seed}: {nth} came again, though its ack was confirmed"
        );
        self.again += u64::from(place < *came);
        *came = (*came).max(place + 1);
    }
}

async fn churn(seed: u64, exactly_once: bool) {
    const EVENTS: usize = 4_000;
    let mut rng = StdRng::seed_from_u64(seed);
    let server = PubSub::builder().seed(seed).start().unwrap();
    let config = PubSubConfig::new("local")
        .endpoint(server.endpoint())
        .ack_deadline(Duration::from_secs(10))
        .exactly_once(exactly_once);
    let hub = Arc::new(PubSubHub::new(config).unwrap());
    let topic = TopicConfig::new(TOPIC);
    within(hub.admin().create_topic(&topic)).await.unwrap();
    let publishing = {
        let hub = hub.clone();
        tokio::spawn(async move {
            let producer = within(hub.producer(TOPIC, ProducerOptions::new()))
                .await
                .unwrap();
            for first in (0..EVENTS).step_by(KEYS) {
                let event =
                    |nth: usize| Event::new(nth.to_string()).with_key(format!("k{}", nth % KEYS));
                let batch = (first..first + KEYS).map(event).collect();
                for outcome in within(within(producer.submit(batch)).await.unwrap()).await {
                    outcome.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    // Acks whose requests fail are sent again; nothing else than a crash loses any.
    server
        .set_faults(Faults::none().unavailable("Acknowledge", Rate::share(0.2)))
        .unwrap();
    let hour = Duration::from_secs(3_600);
    let options = || ConsumerOptions::new().group("score").commit_interval(hour);
    let mut members: Vec<Box<dyn Consumer>> = Vec::new();
    let mut book = Book::default();
    let (mut joined, mut crashed) = (0, 0);
    let churning = async {
        while book.confirmed.len() < EVENTS {
            if members.is_empty() || (members.len() < 3 && rng.random_ratio(1, 10)) {
                members.push(within(hub.consumer(TOPIC, options())).await.unwrap());
                joined += 1;
            }
            let nth = rng.random_range(0..members.len());
            let member = &mut members[nth];
            let quiet = Duration::from_millis(20);
            let most = rng.random_range(1..60);
            let mut came = Vec::new();
            if let Ok(batch) = tokio::time::timeout(quiet, member.receive(most)).await {
                for delivery in batch.unwrap().deliveries {
                    let text = std::str::from_utf8(&delivery.event.payload).unwrap();
                    came.push((text.parse().unwrap(), delivery.token));
                }
            }
            came.iter().for_each(|(nth, _)| book.note(*nth, seed));
            if rng.random_ratio(1, 12) {
                // With what it was just given, acknowledged or not.
                let acked: Vec<_> = came
                    .iter()
                    .take(rng.random_range(0..5))
                    .map(|(_, token)| *token)
                    .collect();
                member.acks().ack(&acked);
                drop(members.swap_remove(nth));
                crashed += 1;
                continue;
            }
            let tokens: Vec<_> = came.iter().map(|(_, token)| *token).collect();
            assert_eq!(member.acks().ack(&tokens), tokens.len(), "seed {seed}");
            match within(member.commit()).await {
                Ok(()) => book.confirmed.extend(came.iter().map(|(nth, _)| *nth)),
                Err(error) => assert_ne!(error.kind(), ErrorKind::Fenced, "seed {seed}: {error}"),
            }
            if members.len() > 1 && rng.random_ratio(1, 15) {
                within(members.swap_remove(0).close()).await.unwrap();
            }
        }
    };
    let churned = tokio::time::timeout(Duration::from_secs(300), churning).await;
    churned.unwrap_or_else(|_| panic!("seed {seed}: events are missing: {:?}", server.counts()));
    within(publishing).await.unwrap();
    assert!(
        joined > 5 && crashed > 5,
        "{joined} joined, {crashed} crashed"
    );
    let counts = server.counts();
    assert!(
        book.again <= counts.messages_again,
        "{} again: {counts:?}",
        book.again
    );
    assert_eq!(counts.unordered_acks, 0);
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_crash() {
    churn(seed(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_crash_with_exactly_once_delivery() {
    churn(seed(), true).await;
}

/// A hub of its own on this server.
fn another(server: &PubSub, exactly_once: bool) -> Arc<PubSubHub> {
    let config = PubSubConfig::new("local")
        .endpoint(server.endpoint())
        .exactly_once(exactly_once);
    Arc::new(PubSubHub::new(config).unwrap())
}

/// A topic with so many events.
async fn filled(hub: &PubSubHub, events: usize) {
    within(hub.admin().create_topic(&TopicConfig::new(TOPIC)))
        .await
        .unwrap();
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()))
        .await
        .unwrap();
    let event = |nth: usize| Event::new(nth.to_string()).with_key(format!("k{}", nth % KEYS));
    let batch = (0..events).map(event).collect();
    for outcome in within(within(producer.submit(batch)).await.unwrap()).await {
        outcome.unwrap();
    }
}

/// Receives so many, and commits them.
async fn take(consumer: &mut dyn Consumer, events: usize) {
    let mut came = 0;
    while came < events {
        let tokens = within(consumer.receive(events)).await.unwrap().tokens();
        came += consumer.acks().ack(&tokens);
    }
    within(consumer.commit()).await.unwrap();
}

/// How many come until it is quiet, and are acknowledged.
async fn more(consumer: &mut dyn Consumer) -> usize {
    let quiet = Duration::from_millis(200);
    let mut came = 0;
    while let Ok(batch) = tokio::time::timeout(quiet, consumer.receive(100)).await {
        came += consumer.acks().ack(&batch.unwrap().tokens());
    }
    came
}

/// C7: another member sees that the group is not at its start yet; when it could seek, its creator has committed.
async fn opened_by_two(exactly_once: bool) {
    const EVENTS: usize = 20;
    let server = PubSub::builder().start().unwrap();
    let (one, two) = (
        another(&server, exactly_once),
        another(&server, exactly_once),
    );
    filled(&one, EVENTS).await;
    let late = Duration::from_millis(300);
    server
        .set_faults(Faults::none().slow_answers("Seek", Rate::next(1), late))
        .unwrap();
    let options = ConsumerOptions::new().group("score").start(Point::Start);
    let opening = {
        let options = options.clone();
        tokio::spawn(async move { within(one.consumer(TOPIC, options)).await.unwrap() })
    };
    within(async {
        while server.counts().requests("Seek") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    server
        .set_faults(Faults::none().unavailable("Seek", Rate::next(6)))
        .unwrap();
    let mut joining =
        tokio::spawn(async move { within(two.consumer(TOPIC, options)).await.unwrap() });
    let mut first = opening.await.unwrap();
    let (mut came, mut joined) = (more(&mut *first).await, None);
    within(first.commit()).await.unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while came < EVENTS {
        assert!(Instant::now() < until, "{came} of {EVENTS} have come");
        // Some went to the other member, which was there as soon as they could be had.
        if joined.is_none() {
            joined = Some((&mut joining).await.unwrap());
        }
        for member in [&mut first, joined.as_mut().unwrap()] {
            came += more(&mut **member).await;
            within(member.commit()).await.unwrap();
        }
    }
    let mut second = match joined {
        Some(joined) => joined,
        None => joining.await.unwrap(),
    };
    let again = more(&mut *first).await + more(&mut *second).await;
    assert_eq!(again, 0, "what was committed came again");
    assert_eq!(server.counts().requests("Seek"), 1, "its creator's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_a_group_does_not_move_it() {
    opened_by_two(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_a_group_does_not_move_it_with_exactly_once_delivery() {
    opened_by_two(true).await;
}

/// Its creator died: of those that wait, one brings it to its start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_creator_is_gone_begins_at_its_start() {
    const EVENTS: usize = 20;
    let server = PubSub::builder().start().unwrap();
    let (one, two) = (another(&server, false), another(&server, false));
    filled(&one, EVENTS).await;
    let native: &NativeHub = one.native().downcast_ref().unwrap();
    let admin = within(native.subscription_admin()).await.unwrap();
    let name = "projects/local/subscriptions/score";
    let made = admin
        .create_subscription()
        .set_name(name)
        .set_topic(format!("projects/local/topics/{TOPIC}"))
        .set_enable_message_ordering(true)
        .set_labels([
            ("anyhub-start", "beginning"),
            ("anyhub-opener", "0123456789abcdef0123456789abcdef"),
            ("team", "blue"),
        ]);
    within(made.send()).await.unwrap();
    let options = ConsumerOptions::new().group("score");
    let (first, second) = tokio::join!(
        within(one.consumer(TOPIC, options.clone())),
        within(two.consumer(TOPIC, options))
    );
    let (mut first, second) = (first.unwrap(), second.unwrap());
    drop(second);
    take(&mut *first, EVENTS).await;
    assert_eq!(server.counts().requests("Seek"), 1);
    let found = within(admin.get_subscription().set_subscription(name).send());
    let labels = found.await.unwrap().labels;
    let kept = HashMap::from([("team".to_owned(), "blue".to_owned())]);
    assert_eq!(labels, kept);
}

/// `ANYHUB_SEED`, or 1.
fn seed() -> u64 {
    let seed = std::env::var("ANYHUB_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("ANYHUB_SEED={seed}");
    seed
}
