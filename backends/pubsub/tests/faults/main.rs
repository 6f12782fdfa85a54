//! What befalls requests and streams: nothing is lost, no key is out of order, and nothing comes twice that the service has
//! not sent twice.
#![allow(missing_docs, clippy::unwrap_used)]

mod acks;
mod bounds;
mod burials;
mod nacks;
mod seek;

use anyhub_conformance::Told;
use anyhub_core::{
    Consumer, ConsumerOptions, Delivery, ErrorKind, Event, Hub, ProducerExt, ProducerOptions,
    TopicConfig,
};
use anyhub_local::pubsub::{Fault, Faults, PubSub, Rate};
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

const KEYS: usize = 20;
const TOPIC: &str = "tweets";

async fn within<T>(step: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(100), step).await;
    ended.expect("it hangs")
}

async fn hub(server: &PubSub, exactly_once: bool) -> Arc<PubSubHub> {
    let config = PubSubConfig::new("local")
        .endpoint(server.endpoint())
        .ack_deadline(Duration::from_secs(10))
        .exactly_once(exactly_once);
    let hub = PubSubHub::new(config).unwrap();
    within(hub.admin().create_topic(&TopicConfig::new(TOPIC)))
        .await
        .unwrap();
    Arc::new(hub)
}

/// Event `nth` of its key.
fn event(nth: usize) -> Event {
    Event::new((nth / KEYS).to_string()).with_key(format!("k{}", nth % KEYS))
}

fn place(delivery: &Delivery) -> (String, usize) {
    let key = delivery.event.key.as_ref().and_then(|key| key.as_str());
    let nth = std::str::from_utf8(&delivery.event.payload).unwrap();
    (key.unwrap().to_owned(), nth.parse().unwrap())
}

/// What came: each key in order, a rewind and a replay aside.
#[derive(Default)]
struct Book {
    /// Of each key: how many have come, without a gap; and the last one.
    came: HashMap<String, (usize, usize)>,
    again: usize,
}

impl Book {
    fn note(&mut self, delivery: &Delivery) {
        let (key, nth) = place(delivery);
        let (came, last) = self.came.entry(key.clone()).or_default();
        assert!(nth <= *came, "{key}: {nth} came, and {came} was due");
        let replays = *came > 0 && nth > *last + 1;
        assert!(!replays, "{key}: {nth} came after {last}");
        self.again += usize::from(nth < *came);
        *came = (*came).max(nth + 1);
        *last = nth;
    }

    fn first_times(&self) -> usize {
        self.came.values().map(|(came, _)| came).sum()
    }
}

/// Publishes `events` in batches, a little apart.
async fn publish(hub: Arc<PubSubHub>, events: usize) {
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()))
        .await
        .unwrap();
    let mut pendings = Vec::new();
    for first in (0..events).step_by(KEYS) {
        let batch = (first..first + KEYS).map(event).collect();
        pendings.push(within(producer.submit(batch)).await.unwrap());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for pending in pendings {
        for outcome in within(pending).await {
            outcome.unwrap();
        }
    }
    within(producer.close()).await.unwrap();
}

async fn read(consumer: &mut dyn Consumer, events: usize) -> Book {
    let acks = consumer.acks();
    let mut book = Book::default();
    while book.first_times() < events {
        let batch = within(consumer.receive(50)).await.unwrap();
        batch
            .deliveries
            .iter()
            .for_each(|delivery| book.note(delivery));
        acks.ack(&batch.tokens());
    }
    book
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_that_fail_and_answers_that_are_lost() {
    const EVENTS: usize = 4_000;
    let server = PubSub::builder().seed(7).start().unwrap();
    let faults = Faults::none()
        .unavailable("Publish", Rate::share(0.05))
        .resource_exhausted("Publish", Rate::share(0.05))
        .lost_answers(Rate::share(0.05));
    let hub = hub(&server, false).await;
    server.set_faults(faults).unwrap();
    let options = ConsumerOptions::new().group("score");
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    let publishing = tokio::spawn(publish(hub.clone(), EVENTS));
    // What was written twice comes at two places: the first time counts.
    let acks = consumer.acks();
    let (mut due, mut came): (HashMap<String, usize>, usize) = (HashMap::new(), 0);
    let mut seen = HashSet::new();
    while seen.len() < EVENTS {
        let batch = within(consumer.receive(50)).await.unwrap();
        for delivery in &batch.deliveries {
            let (key, nth) = place(delivery);
            came += 1;
            if seen.insert((key.clone(), nth)) {
                let due = due.entry(key.clone()).or_default();
                assert_eq!(nth, *due, "{key}, seed {}", server.seed());
                *due += 1;
            }
        }
        acks.ack(&batch.tokens());
    }
    publishing.await.unwrap();
    within(consumer.close()).await.unwrap();
    let counts = server.counts();
    for fault in [
        Fault::Unavailable,
        Fault::ResourceExhausted,
        Fault::LostAnswer,
    ] {
        assert!(
            counts.strikes(fault).times_in_flight > 0,
            "{fault:?} has hit nothing: {counts:?}"
        );
    }
    let most = counts.messages_again + counts.messages_unanswered();
    assert!(
        (came - EVENTS) as u64 <= most,
        "{came} came, {most} could twice"
    );
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_reset_and_messages_that_come_twice() {
    const EVENTS: usize = 4_000;
    let server = PubSub::builder().seed(8).start().unwrap();
    let hub = hub(&server, false).await;
    let faults = Faults::none()
        .stream_resets(Rate::next(3))
        .duplicates(Rate::share(0.01));
    server.set_faults(faults).unwrap();
    let options = ConsumerOptions::new().group("score");
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    let publishing = tokio::spawn(publish(hub.clone(), EVENTS));
    let book = read(&mut *consumer, EVENTS).await;
    publishing.await.unwrap();
    // Some may have come again behind the last one, and are not acknowledged again.
    if let Err(error) = within(consumer.close()).await {
        assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    }
    drop(consumer);
    let counts = server.counts();
    assert_eq!(counts.strikes(Fault::StreamReset).times, 3);
    assert!(counts.strikes(Fault::Duplicate).times > 0);
    assert!(
        book.again as u64 <= counts.messages_again,
        "{} of {counts:?}",
        book.again
    );
    assert_eq!(
        counts.unordered_acks, 0,
        "an ack went before that of an earlier one"
    );
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acks_that_come_too_late() {
    const EVENTS: usize = 1_000;
    let server = PubSub::builder().seed(9).start().unwrap();
    let hub = hub(&server, false).await;
    server
        .set_faults(Faults::none().expired_acks(Rate::share(0.02)))
        .unwrap();
    let interval = Duration::from_millis(20);
    let options = ConsumerOptions::new()
        .group("score")
        .commit_interval(interval);
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    publish(hub.clone(), EVENTS).await;
    let acks = consumer.acks();
    let mut book = Book::default();
    // Until the last one is taken: what came too late comes again.
    within(async {
        while server.counts().acked < EVENTS as u64 {
            let quiet = Duration::from_millis(50);
            let Ok(batch) = tokio::time::timeout(quiet, consumer.receive(20)).await else {
                continue;
            };
            let batch = batch.unwrap();
            batch
                .deliveries
                .iter()
                .for_each(|delivery| book.note(delivery));
            acks.ack(&batch.tokens());
            // Some may have come again meanwhile.
            if let Err(error) = consumer.commit().await {
                assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
            }
        }
    })
    .await;
    assert_eq!(book.first_times(), EVENTS);
    within(consumer.close()).await.unwrap();
    let counts = server.counts();
    assert!(counts.strikes(Fault::ExpiredAck).times > 0);
    assert!(
        book.again as u64 <= counts.messages_again,
        "{} of {counts:?}",
        book.again
    );
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_exactly_once_delivery_a_confirmed_ack_is_for_good() {
    const EVENTS: usize = 200;
    let server = PubSub::builder().seed(10).start().unwrap();
    let hub = hub(&server, true).await;
    let faults = Faults::none()
        .expired_acks(Rate::share(0.05))
        .unavailable("Acknowledge", Rate::share(0.1));
    server.set_faults(faults).unwrap();
    let hour = Duration::from_secs(3_600);
    let options = ConsumerOptions::new().group("score").commit_interval(hour);
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    publish(hub.clone(), EVENTS).await;
    let acks = consumer.acks();
    let (mut confirmed, mut fenced) = (HashSet::new(), 0);
    while confirmed.len() < EVENTS {
        let batch = within(consumer.receive(5)).await.unwrap();
        let places: Vec<_> = batch.deliveries.iter().map(place).collect();
        for place in &places {
            assert!(
                !confirmed.contains(place),
                "{place:?} came again, though its ack was confirmed"
            );
        }
        acks.ack(&batch.tokens());
        match within(consumer.commit()).await {
            Ok(()) => confirmed.extend(places),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
                fenced += 1;
                // Which of them it was is not told; the others of the batch don't come again.
                let lost = server.counts().strikes(Fault::ExpiredAck).times;
                assert!(
                    lost >= fenced,
                    "{fenced} commits fenced, {lost} acks expired"
                );
                confirmed.extend(drain(&mut *consumer, &places).await);
            }
        }
    }
    assert!(fenced > 0, "no ack was lost");
    within(consumer.close()).await.unwrap();
    within(hub.close()).await.unwrap();
}

/// Of these places, those that don't come again at once.
async fn drain(consumer: &mut dyn Consumer, places: &[(String, usize)]) -> Vec<(String, usize)> {
    let mut left: Vec<_> = places.to_vec();
    let quiet = Duration::from_millis(300);
    let mut tokens = Vec::new();
    while let Ok(batch) = tokio::time::timeout(quiet, consumer.receive(5)).await {
        for delivery in batch.unwrap().deliveries {
            left.retain(|other| *other != place(&delivery));
            tokens.push(delivery.token);
        }
    }
    // What came meanwhile comes again.
    consumer.acks().nack(&tokens);
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_cannot_be_had_is_told_of_and_so_is_the_next_one() {
    let told = Told::listen();
    let server = PubSub::builder().start().unwrap();
    let hub = hub(&server, false).await;
    let away = Faults::none().unavailable("StreamingPull", Rate::share(1.0));
    server.set_faults(away).unwrap();
    let options = ConsumerOptions::new().group("away");
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    let reading = tokio::spawn(async move { while consumer.receive(1).await.is_ok() {} });
    let line = |level| {
        let told = told.clone();
        within(async move {
            while told.with(&[level, "away"]).is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            told.with(&[level, "away"]).remove(0)
        })
    };
    let warned = line("WARN").await;
    assert!(warned.contains("nothing can be read"), "{warned}");
    assert!(
        warned.contains("UNAVAILABLE") || warned.contains("Unavailable"),
        "{warned}"
    );
    server.set_faults(Faults::none()).unwrap();
    let back = line("INFO").await;
    assert!(back.contains("events are read again"), "{back}");
    reading.abort();
}
