//! A seek skips nothing, and is the whole group's (C8).

use super::*;
use anyhub_core::Point;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seek_behind_an_event_skips_none_that_was_published_with_it() {
    let server = PubSub::builder().start().unwrap();
    let hub = hub(&server, false).await;
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()))
        .await
        .unwrap();
    let three = (0..3).map(|nth| event(nth * KEYS)).collect();
    for outcome in within(within(producer.submit(three)).await.unwrap()).await {
        outcome.unwrap();
    }
    let options = ConsumerOptions::new().group("score");
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    let acks = consumer.acks();
    let (mut came, mut first) = (0, None);
    while came < 3 {
        let batch = within(consumer.receive(10)).await.unwrap();
        acks.ack(&batch.tokens());
        for delivery in batch.deliveries {
            came += 1;
            first.get_or_insert((delivery.partition, delivery.position));
        }
    }
    within(consumer.commit()).await.unwrap();
    let (partition, position) = first.unwrap();
    let after = Point::Positions(vec![(partition, position.after())]);
    within(consumer.seek(after)).await.unwrap();
    let mut again = HashSet::new();
    while !again.contains(&2) {
        let batch = within(consumer.receive(10)).await.unwrap();
        again.extend(batch.deliveries.iter().map(|it| place(it).1));
    }
    assert!(again.contains(&1), "{again:?}");
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seek_of_one_member_has_what_another_one_holds_come_again() {
    let server = PubSub::builder().start().unwrap();
    let hub = hub(&server, false).await;
    let options = ConsumerOptions::new().group("score");
    let mut holds = within(hub.consumer(TOPIC, options.clone())).await.unwrap();
    publish(hub.clone(), KEYS).await;
    let mut old = Vec::new();
    while old.len() < KEYS {
        old.extend(within(holds.receive(KEYS)).await.unwrap().tokens());
    }
    let mut seeks = within(hub.consumer(TOPIC, options)).await.unwrap();
    within(seeks.seek(Point::Start)).await.unwrap();
    let mut again = HashSet::new();
    while again.len() < KEYS {
        let batch = tokio::select! {
            batch = within(holds.receive(KEYS)) => batch.unwrap(),
            batch = within(seeks.receive(KEYS)) => batch.unwrap(),
        };
        again.extend(batch.deliveries.iter().map(place));
    }
    assert_eq!(holds.acks().ack(&old), 0, "they are stale");
    within(hub.close()).await.unwrap();
}
