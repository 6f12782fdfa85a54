//! A nack is told to the service, and until then its key does not go on (C5, C6).

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nack_that_the_service_has_not_taken_holds_its_key() {
    let server = PubSub::builder().start().unwrap();
    let hub = hub(&server, true).await;
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()))
        .await
        .unwrap();
    let nth = |nth: usize| event(nth * KEYS);
    for outcome in within(
        within(producer.submit((0..9).map(nth).collect()))
            .await
            .unwrap(),
    )
    .await
    {
        outcome.unwrap();
    }
    let tick = Duration::from_millis(5);
    let options = ConsumerOptions::new().group("score").nack_delay(tick, tick);
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    let acks = consumer.acks();
    let (mut book, mut tokens) = (Book::default(), Vec::new());
    while tokens.len() < 9 {
        let batch = within(consumer.receive(10)).await.unwrap();
        batch.deliveries.iter().for_each(|it| book.note(it));
        tokens.extend(batch.tokens());
    }
    let faults = Faults::none().failing_deadlines(Rate::next(1));
    server.set_faults(faults).unwrap();
    acks.ack(&tokens[..5]);
    assert_eq!(acks.nack(&tokens[5..6]), 1);
    within(async {
        while server.counts().strikes(Fault::FailingDeadline).times == 0 {
            tokio::time::sleep(tick).await;
        }
    })
    .await;
    within(producer.send(nth(9))).await.unwrap();
    let mut came = Vec::new();
    while came.last() != Some(&9) {
        let batch = within(consumer.receive(10)).await.unwrap();
        came.extend(batch.deliveries.iter().map(|it| place(it).1));
        acks.ack(&batch.tokens());
    }
    assert_eq!(came, [5, 6, 7, 8, 9]);
    within(hub.close()).await.unwrap();
}

#[tokio::test]
async fn the_room_of_what_was_nacked_is_used_at_once() {
    let server = PubSub::builder().start().unwrap();
    let hub = hub(&server, false).await;
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()))
        .await
        .unwrap();
    let keyless = ["a", "b"].map(Event::new).to_vec();
    for outcome in within(within(producer.submit(keyless)).await.unwrap()).await {
        outcome.unwrap();
    }
    let hour = Duration::from_secs(3_600);
    let options = ConsumerOptions::new()
        .group("score")
        .max_unfinished(1)
        .nack_delay(hour, hour);
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    let mut first = within(consumer.receive(10)).await.unwrap();
    while first.deliveries.is_empty() {
        first = within(consumer.receive(10)).await.unwrap();
    }
    assert_eq!(first.deliveries.len(), 1);
    within(async {
        while server.counts().messages_out < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let acks = consumer.acks();
    // The one waits as the other frees the room.
    let (second, ()) = within(async {
        tokio::join!(consumer.receive(10), async {
            assert_eq!(acks.nack(&first.tokens()), 1);
        })
    })
    .await;
    let second = &second.unwrap().deliveries;
    assert_ne!(
        second[0].event.payload, first.deliveries[0].event.payload,
        "the other one"
    );
    within(hub.close()).await.unwrap();
}
