use super::*;
use crate::{PubSubConfig, PubSubHub, client::Client, consumer::PubSubConsumer, error::HUB};
use anyhub_core::{
    Consumer as _, ConsumerOptions, Delivery, Error, ErrorKind, Event, Hub, Point, ProducerExt,
    ProducerOptions, TopicConfig,
};
use anyhub_local::pubsub::PubSub;

const TOPIC: &str = "tweets";

async fn within<T>(step: impl Future<Output = T>) -> T {
    let ended = timeout(Duration::from_secs(60), step).await;
    ended.expect("it hangs")
}

/// Opens members of a group of a topic that has one event.
async fn with_an_event(server: &PubSub) -> Client {
    let config = PubSubConfig::new("local")
        .endpoint(server.endpoint())
        .ack_deadline(Duration::from_secs(10));
    let hub = PubSubHub::new(config.clone()).unwrap();
    let topic = TopicConfig::new(TOPIC);
    within(hub.admin().create_topic(&topic)).await.unwrap();
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()))
        .await
        .unwrap();
    within(producer.send(Event::new("1").with_key("k")))
        .await
        .unwrap();
    Client::new(config).unwrap()
}

async fn member(client: &Client, options: ConsumerOptions) -> PubSubConsumer {
    within(PubSubConsumer::open(client, TOPIC, options.group("score")))
        .await
        .unwrap()
}

/// The next event, and what changed before it.
async fn next(consumer: &mut PubSubConsumer) -> (Delivery, Vec<Change>) {
    let mut changes = Vec::new();
    loop {
        let batch = within(consumer.receive(1)).await.unwrap();
        changes.extend(batch.changes);
        if let Some(delivery) = batch.deliveries.into_iter().next() {
            return (delivery, changes);
        }
    }
}

#[tokio::test]
async fn what_is_held_goes_to_others_when_reading_has_failed_and_the_application_is_away() {
    let server = PubSub::builder().start().unwrap();
    let client = with_an_event(&server).await;
    let short = ConsumerOptions::new().max_processing(Duration::from_millis(300));
    let mut first = member(&client, short).await;
    let (held, _) = next(&mut first).await;
    let denied = Error::new(ErrorKind::Denied, HUB, "receive", "by the test");
    first.shared().fail(denied);
    let mut second = member(&client, ConsumerOptions::new()).await;
    next(&mut second).await;
    assert_eq!(first.acks().ack(&[held.token]), 0);
    assert!(first.assignment().is_empty());
    // It has failed all the same, until a seek.
    let error = within(first.receive(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    drop(second);
    within(first.seek(Point::Start)).await.unwrap();
    let (_, changes) = next(&mut first).await;
    let (lost, assigned) = (
        Change::Lost(vec![PARTITION]),
        Change::Assigned(vec![PARTITION]),
    );
    assert_eq!(changes, [lost, assigned]);
}

/// Stopped, or suspended with the machine: one of the clocks has gone on.
#[tokio::test]
async fn what_a_process_that_stood_still_holds_is_not_its_own() {
    for (monotonic, date) in [(60, 60), (0, 60)] {
        let server = PubSub::builder().start().unwrap();
        let client = with_an_event(&server).await;
        let mut consumer = member(&client, ConsumerOptions::new()).await;
        let (held, _) = next(&mut consumer).await;
        let shared = consumer.shared().clone();
        let later = |seconds| Duration::from_secs(seconds);
        shared.pulse.beat_at(
            Instant::now() + later(monotonic),
            std::time::SystemTime::now() + later(date),
        );
        assert_eq!(consumer.acks().ack(&[held.token]), 0);
        let error = within(consumer.commit()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
        let (again, changes) = next(&mut consumer).await;
        let (lost, assigned) = (
            Change::Lost(vec![PARTITION]),
            Change::Assigned(vec![PARTITION]),
        );
        assert_eq!(changes, [lost, assigned]);
        assert_eq!(again.event, held.event);
        assert_eq!(consumer.acks().ack(&[again.token]), 1);
        within(consumer.close()).await.unwrap();
    }
}

#[tokio::test]
async fn a_task_that_panics_fails_the_consumer_until_a_seek() {
    let server = PubSub::builder().start().unwrap();
    let client = with_an_event(&server).await;
    let mut consumer = member(&client, ConsumerOptions::new()).await;
    let shared = consumer.shared().clone();
    assert!(!shared.fails_with("reader", async {}).await);
    next(&mut consumer).await;
    assert!(
        shared
            .fails_with("reader", async { panic!("by the test") })
            .await
    );
    let error = within(consumer.receive(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert!(error.message().contains("reader"), "{error}");
    within(consumer.seek(Point::Start)).await.unwrap();
    next(&mut consumer).await;
}
