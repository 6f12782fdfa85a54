//! What is nacked too often goes to another topic, and nothing else does.

use super::*;

const TRIES: usize = 5;

async fn burying(server: &PubSub) -> Arc<PubSubHub> {
    let config = PubSubConfig::new("local")
        .endpoint(server.endpoint())
        .dead_letter("dead");
    let hub = PubSubHub::new(config).unwrap();
    for topic in [TOPIC, "dead"] {
        within(hub.admin().create_topic(&TopicConfig::new(topic)))
            .await
            .unwrap();
    }
    Arc::new(hub)
}

/// So many events of one key.
async fn publish_one_key(hub: &PubSubHub, events: usize) {
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()))
        .await
        .unwrap();
    for nth in 0..events {
        within(producer.send(event(nth * KEYS))).await.unwrap();
    }
    within(producer.close()).await.unwrap();
}

fn group() -> ConsumerOptions {
    let tick = Duration::from_millis(5);
    ConsumerOptions::new().group("score").nack_delay(tick, tick)
}

/// What the dead-letter topic has, once it is so much, and for a while after.
async fn buried(hub: &PubSubHub, events: usize) -> Vec<usize> {
    let mut reader = within(hub.consumer("dead", ConsumerOptions::new()))
        .await
        .unwrap();
    let mut came = Vec::new();
    loop {
        let limit = match came.len() < events {
            true => Duration::from_secs(60),
            false => Duration::from_millis(300),
        };
        match tokio::time::timeout(limit, reader.receive(10)).await {
            Ok(batch) => came.extend(batch.unwrap().deliveries.iter().map(|it| place(it).1)),
            Err(_) => break,
        }
    }
    within(reader.close()).await.unwrap();
    came
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_works_is_buried_after_its_tries_and_what_is_behind_it_is_not() {
    const POISON: [usize; 5] = [1, 2, 3, 5, 9];
    const EVENTS: usize = 20;
    let server = PubSub::builder().start().unwrap();
    let hub = burying(&server).await;
    let mut consumer = within(hub.consumer(TOPIC, group())).await.unwrap();
    publish_one_key(&hub, EVENTS).await;
    let acks = consumer.acks();
    let (mut tries, mut done) = (HashMap::<usize, usize>::new(), Vec::new());
    while done.len() < EVENTS - POISON.len() {
        for delivery in within(consumer.receive(1)).await.unwrap().deliveries {
            let (_, nth) = place(&delivery);
            if POISON.contains(&nth) {
                *tries.entry(nth).or_default() += 1;
                acks.nack(&[delivery.token]);
            } else if acks.ack(&[delivery.token]) == 1 {
                done.push(nth);
            }
        }
    }
    let works = |nth: &usize| !POISON.contains(nth);
    assert_eq!(done, (0..EVENTS).filter(works).collect::<Vec<_>>());
    assert_eq!(tries, POISON.map(|nth| (nth, TRIES)).into());
    assert_eq!(buried(&hub, POISON.len()).await, POISON);
    within(consumer.close()).await.unwrap();
    within(hub.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_that_close_bury_nothing_that_was_not_handed_on() {
    const EVENTS: usize = 50;
    let server = PubSub::builder().start().unwrap();
    let hub = burying(&server).await;
    publish_one_key(&hub, EVENTS).await;
    let mut handed = HashSet::new();
    for _ in 0..2 * TRIES {
        let mut consumer = within(hub.consumer(TOPIC, group())).await.unwrap();
        let mut came = Vec::new();
        while came.is_empty() {
            came = within(consumer.receive(1)).await.unwrap().deliveries;
        }
        handed.extend(came.iter().map(|it| place(it).1));
        within(consumer.close()).await.unwrap();
    }
    assert_eq!(handed, HashSet::from([0, 1]));
    assert_eq!(buried(&hub, 2).await, [0, 1]);
    within(hub.close()).await.unwrap();
}
