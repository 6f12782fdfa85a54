//! An ack that counted is committed, or the commit says Fenced, whatever goes on meanwhile (C3).

use super::*;
use anyhub_core::{AckToken, Acks};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

const SLOW: Duration = Duration::from_millis(100);

/// So many events, handed on.
async fn held(consumer: &mut dyn Consumer, events: usize) -> Vec<AckToken> {
    let mut tokens = Vec::new();
    while tokens.len() < events {
        tokens.extend(within(consumer.receive(events)).await.unwrap().tokens());
    }
    tokens
}

/// Acknowledges one after the other, several in the time of an answer, in a task of its own.
struct Acking {
    left: Arc<Mutex<Vec<AckToken>>>,
    valid: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Acking {
    fn begin(acks: Acks, mut tokens: Vec<AckToken>) -> Self {
        tokens.reverse();
        let left = Arc::new(Mutex::new(tokens));
        let valid = Arc::new(AtomicUsize::new(0));
        let (of, count) = (left.clone(), valid.clone());
        let task = tokio::spawn(async move {
            loop {
                let Some(token) = of.lock().unwrap().pop() else {
                    return;
                };
                count.fetch_add(acks.ack(&[token]), Ordering::Relaxed);
                tokio::time::sleep(SLOW / 20).await;
            }
        });
        Self { left, valid, task }
    }

    /// Once the first one has counted.
    async fn begun(&self) {
        within(async {
            while self.valid.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(SLOW / 100).await;
            }
        })
        .await;
    }

    fn left(&self) -> usize {
        self.left.lock().unwrap().len()
    }

    /// How many tokens were valid, of all.
    async fn end(self) -> usize {
        within(self.task).await.unwrap();
        self.valid.load(Ordering::Relaxed)
    }
}

fn slow() -> Faults {
    Faults::none().slow_answers("Acknowledge", Rate::share(1.0), SLOW)
}

fn never_by_itself() -> ConsumerOptions {
    let hour = Duration::from_secs(3_600);
    ConsumerOptions::new().group("score").commit_interval(hour)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_ends_though_others_go_on_acknowledging() {
    const EVENTS: usize = 600;
    let server = PubSub::builder().faults(slow()).start().unwrap();
    let hub = hub(&server, false).await;
    publish(hub.clone(), EVENTS).await;
    let mut consumer = within(hub.consumer(TOPIC, never_by_itself()))
        .await
        .unwrap();
    let mut tokens = held(&mut *consumer, EVENTS).await;
    let later = tokens.split_off(EVENTS / 10);
    assert_eq!(consumer.acks().ack(&tokens), tokens.len());
    let acking = Acking::begin(consumer.acks(), later);
    within(consumer.commit()).await.unwrap();
    assert!(acking.left() > 0, "it ended with the acks");
    assert!(server.counts().acked >= tokens.len() as u64);
    acking.task.abort();
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_during_a_close_is_committed_or_does_not_count() {
    const EVENTS: usize = 200;
    let server = PubSub::builder().faults(slow()).start().unwrap();
    let hub = hub(&server, false).await;
    publish(hub.clone(), EVENTS).await;
    let mut consumer = within(hub.consumer(TOPIC, never_by_itself()))
        .await
        .unwrap();
    let tokens = held(&mut *consumer, EVENTS).await;
    let acking = Acking::begin(consumer.acks(), tokens);
    acking.begun().await;
    within(consumer.close()).await.unwrap();
    let valid = acking.end().await;
    assert!(valid > 0 && valid < EVENTS, "{valid} acks counted");
    assert_eq!(server.counts().acked, valid as u64);
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_as_everything_goes_is_committed_or_does_not_count() {
    const EVENTS: usize = 400;
    let server = PubSub::builder().faults(slow()).start().unwrap();
    let hub = hub(&server, false).await;
    publish(hub.clone(), EVENTS).await;
    let options = never_by_itself().max_processing(Duration::from_millis(500));
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    let tokens = held(&mut *consumer, EVENTS).await;
    // The application does not call, and what it holds goes while it acknowledges.
    let acking = Acking::begin(consumer.acks(), tokens);
    let valid = acking.end().await;
    assert!(valid > 0 && valid < EVENTS, "{valid} acks counted");
    match within(consumer.commit()).await {
        Ok(()) => assert_eq!(server.counts().acked, valid as u64),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Fenced, "{error}"),
    }
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seek_that_fails_loses_no_ack() {
    let server = PubSub::builder().start().unwrap();
    let hub = hub(&server, false).await;
    publish(hub.clone(), KEYS).await;
    let mut consumer = within(hub.consumer(TOPIC, never_by_itself()))
        .await
        .unwrap();
    let tokens = held(&mut *consumer, KEYS).await;
    assert_eq!(consumer.acks().ack(&tokens), KEYS);
    let away = Faults::none().unavailable("Seek", Rate::share(1.0));
    server.set_faults(away).unwrap();
    let error = within(consumer.seek(anyhub_core::Point::Start)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unavailable);
    within(consumer.commit()).await.unwrap();
    assert_eq!(server.counts().acked, KEYS as u64);
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acks_that_a_seek_could_not_commit_are_told() {
    let server = PubSub::builder().start().unwrap();
    let hub = hub(&server, false).await;
    publish(hub.clone(), KEYS).await;
    let mut consumer = within(hub.consumer(TOPIC, never_by_itself()))
        .await
        .unwrap();
    let tokens = held(&mut *consumer, KEYS).await;
    assert_eq!(consumer.acks().ack(&tokens), KEYS);
    let away = Faults::none().unavailable("Acknowledge", Rate::share(1.0));
    server.set_faults(away).unwrap();
    within(consumer.seek(anyhub_core::Point::Start))
        .await
        .unwrap();
    server.set_faults(Faults::none()).unwrap();
    let error = within(consumer.commit()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interval_without_end_stops_nothing() {
    let server = PubSub::builder().start().unwrap();
    let hub = hub(&server, false).await;
    publish(hub.clone(), KEYS).await;
    let options = ConsumerOptions::new()
        .group("score")
        .commit_interval(Duration::MAX);
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    // They come again by the keeper alone.
    let tokens = held(&mut *consumer, KEYS).await;
    assert_eq!(consumer.acks().nack(&tokens), KEYS);
    held(&mut *consumer, KEYS).await;
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_whose_bounds_are_small_goes_on_before_its_commit_is_due() {
    const EVENTS: usize = 100;
    let few = |options: ConsumerOptions| options.prefetch_events(5);
    let little = |options: ConsumerOptions| options.prefetch_bytes(1_000);
    for bound in [few, little] as [fn(ConsumerOptions) -> ConsumerOptions; 2] {
        let server = PubSub::builder().start().unwrap();
        let hub = hub(&server, false).await;
        publish(hub.clone(), EVENTS).await;
        let options = bound(never_by_itself());
        let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
        read(&mut *consumer, EVENTS).await;
        within(hub.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_tells_more_than_there_was_when_it_began_holds_nothing_up() {
    const AHEAD: usize = 8;
    let server = PubSub::builder().start().unwrap();
    let hub = hub(&server, false).await;
    // Without keys: all acks go the same way.
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()))
        .await
        .unwrap();
    for nth in 0..KEYS {
        within(producer.send(Event::new(nth.to_string())))
            .await
            .unwrap();
    }
    let options = never_by_itself().prefetch_events(AHEAD);
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    let mut tokens = held(&mut *consumer, AHEAD).await;
    let refused = Faults::none().unavailable("Acknowledge", Rate::next(3));
    server.set_faults(refused).unwrap();
    let acks = consumer.acks();
    acks.ack(&tokens.split_off(AHEAD - 1));
    within(async {
        while server.counts().faults.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    // The next try of that commit tells these, too.
    acks.ack(&tokens);
    let left = held(&mut *consumer, AHEAD).await;
    // By the task that commits.
    assert_eq!(acks.nack(&left), left.len());
    held(&mut *consumer, left.len()).await;
    within(hub.close()).await.unwrap();
}
