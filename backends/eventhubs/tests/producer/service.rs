use crate::log::{config, numbered, occurrences, producer, publish, read, server, struck};
use anyhub_eventhubs::{EventHubsHub, Partitioning};
use anyhub_local::eventhubs::{Fault, Faults, Rate};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_hubs_chooses_and_a_key_keeps_its_order() {
    let server = server(4);
    let hub = EventHubsHub::new(config(&server).partitioning(Partitioning::Service)).unwrap();
    let producer = producer(&hub).await;
    let faults = Faults::none()
        .lost_answers(Rate::next(3))
        .released(Rate::next(10));
    server.set_faults(faults).unwrap();
    for from in (0..600).step_by(200) {
        let receipts = publish(&*producer, numbered(7, from, 200)).await;
        assert!(receipts.iter().all(|receipt| receipt.partition.is_none()));
    }
    let log = read(&server, "t").await;
    let seen = occurrences(&log, 7);
    assert_eq!(seen.len(), 600);
    let twice = log.len() - 600;
    assert!(
        twice as u64 <= server.counts().events_unanswered(),
        "{twice}"
    );
    assert_eq!(struck(&server, Fault::Released), 10);
}
