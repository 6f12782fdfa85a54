//! A nack is told to the service, and until then its key does not go on (C5, C6).

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nack_that_the_service_has_not_taken_holds_its_key() {
    let server = PubSub::builder().start().unwrap();
    let hub = hub(&server, true).await;
    let faults = Faults::none().unconfirmed_nacks(Rate::next(1));
    server.set_faults(faults).unwrap();
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
    acks.ack(&tokens[..5]);
    assert_eq!(acks.nack(&tokens[5..6]), 1);
    while server.counts().strikes(Fault::UnconfirmedNack).times == 0 {
        tokio::time::sleep(tick).await;
    }
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
