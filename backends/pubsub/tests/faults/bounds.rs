//! What a consumer holds at most.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_end_do_not_add_up() {
    const EVENTS: usize = 400;
    const AHEAD: usize = 10;
    let server = PubSub::builder()
        .stream(Duration::from_millis(100))
        .start()
        .unwrap();
    let hub = hub(&server, false).await;
    publish(hub.clone(), EVENTS).await;
    let options = ConsumerOptions::new().group("score").prefetch_events(AHEAD);
    let mut consumer = within(hub.consumer(TOPIC, options)).await.unwrap();
    // Three times as much as one gives ahead is held by then: none more is opened.
    within(async {
        while server.counts().ended_streams < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let quiet = Duration::from_secs(2);
    let more = tokio::time::timeout(quiet, async {
        while server.counts().ended_streams < 12 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(more.await.is_err(), "{:?}", server.counts());
    let held = within(consumer.receive(EVENTS)).await.unwrap();
    let came = held.deliveries.len();
    assert!(came <= 4 * AHEAD, "{came} are held");
    // And it goes on.
    let acks = consumer.acks();
    acks.ack(&held.tokens());
    let mut book = Book::default();
    held.deliveries.iter().for_each(|it| book.note(it));
    while book.first_times() < EVENTS {
        let batch = within(consumer.receive(50)).await.unwrap();
        batch.deliveries.iter().for_each(|it| book.note(it));
        acks.ack(&batch.tokens());
    }
    within(hub.close()).await.unwrap();
}
