use crate::log::{
    Logged, hub, numbered, occurrences, producer, publish, read, server, struck, with, within,
};
use anyhub_core::{ErrorKind, Event, Producer, ProducerExt, ProducerOptions};
use anyhub_local::eventhubs::{EventHubs, Fault, Faults, On, Rate};
use futures_util::future::join_all;
use std::time::{Duration, Instant};

const KEYS: usize = 11;

/// Publishes events, batch after batch, while faults strike; all arrive, in order.
async fn through(server: &EventHubs, producer: &dyn Producer, faults: Faults) -> Vec<Logged> {
    println!("seed {}", server.seed());
    server.set_faults(faults).unwrap();
    let mut pending = Vec::new();
    for from in (0..2_000).step_by(50) {
        let batch = producer.submit(numbered(KEYS, from, 50));
        pending.push(within(batch).await.unwrap());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for outcomes in within(join_all(pending)).await {
        for outcome in outcomes {
            outcome.unwrap();
        }
    }
    server.set_faults(Faults::none()).unwrap();
    let log = read(server, "t").await;
    let seen = occurrences(&log, KEYS);
    assert_eq!(seen.len(), 2_000, "all are there");
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn released_modified_and_rejected_are_sent_again_in_order() {
    let server = server(2);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    let faults = Faults::none()
        .released(Rate::next(5))
        .modified(Rate::next(5))
        .rejected(Rate::next(5));
    let log = through(&server, &*producer, faults).await;
    assert_eq!(log.len(), 2_000, "none is there twice");
    for fault in [Fault::Released, Fault::Modified, Fault::Rejected] {
        assert_eq!(struck(&server, fault), 5, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_and_lost_answers_lose_nothing() {
    let server = server(2);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    let faults = Faults::none()
        .lost_answers(Rate::next(5))
        .cut(On::Send, Rate::next(5))
        .closed(On::Send, Rate::next(5));
    let log = through(&server, &*producer, faults).await;
    let twice = (log.len() - 2_000) as u64;
    assert!(
        twice > 0 && twice <= server.counts().events_unanswered(),
        "{twice}"
    );
    for fault in [Fault::LostAnswer, Fault::Cut, Fault::Closed] {
        assert_eq!(struck(&server, fault), 5, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_closed_under_a_batch_is_attached_anew() {
    let server = server(2);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    let faults = Faults::none().detached(On::Send, Rate::next(1));
    let log = through(&server, &*producer, faults).await;
    assert_eq!(log.len(), 2_000, "none is there twice");
    let readers = 3;
    assert_eq!(
        server.counts().connections,
        1 + readers,
        "the connection stays"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_half_open_is_found_out() {
    let server = server(2);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    let hour = Duration::from_secs(3_600);
    let faults = Faults::none().half_open(On::Send, Rate::next(1), hour);
    let log = through(&server, &*producer, faults).await;
    assert_eq!(log.len(), 2_000, "none is there twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_server_is_left_alone_for_a_while() {
    let server = server(1);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    server
        .set_faults(Faults::none().server_busy(Rate::next(1)))
        .unwrap();
    let began = Instant::now();
    publish(&*producer, numbered(KEYS, 0, 50)).await;
    assert!(began.elapsed() >= Duration::from_secs(4));
    assert_eq!(struck(&server, Fault::ServerBusy), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_outcome_is_told_by_the_deadline_and_told_truly() {
    let server = server(1);
    let hub = hub(&server);
    let deadline = Duration::from_secs(1);
    let producer = with(&hub, ProducerOptions::new().deadline(deadline)).await;
    // Written, and answered far too late: what is behind it is not sent.
    let hour = Duration::from_secs(3_600);
    server
        .set_faults(Faults::none().slow_acks(Rate::share(1.0), hour))
        .unwrap();
    let first = within(producer.submit(numbered(KEYS, 0, 10)))
        .await
        .unwrap();
    within(async {
        while server.counts().events_in < 10 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let second = within(producer.submit(vec![Event::new("later").with_key("k")]))
        .await
        .unwrap();
    for outcome in within(first).await {
        let error = outcome.unwrap_err();
        assert!(
            error.kind() == ErrorKind::Timeout && error.is_indeterminate(),
            "{error}"
        );
    }
    let error = within(second).await.remove(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let written = server.counts().events_in == 11;
    assert!(error.is_indeterminate() || !written, "{error}");
    // And it goes on when the server does.
    server.set_faults(Faults::none()).unwrap();
    publish(&*producer, numbered(KEYS, 100, 10)).await;
}

/// Whoever breaks off by an error of its own may have written before; who hands back has not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_handed_back_is_surely_not_written() {
    let server = server(1);
    let hub = hub(&server);
    let options = ProducerOptions::new().deadline(Duration::from_secs(1));
    let producer = with(&hub, options).await;
    for (faults, indeterminate) in [
        (Faults::none().rejected(Rate::share(1.0)), true),
        (Faults::none().released(Rate::share(1.0)), false),
    ] {
        server.set_faults(faults).unwrap();
        let error = within(producer.send(Event::new("x"))).await.unwrap_err();
        assert_eq!(error.is_indeterminate(), indeterminate, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_deleted_is_told() {
    let server = server(1);
    let hub = hub(&server);
    let producer = producer(&hub).await;
    publish(&*producer, numbered(KEYS, 0, 10)).await;
    server.delete_hub("t").unwrap();
    let options = numbered(KEYS, 10, 10);
    let pending = within(producer.submit(options)).await.unwrap();
    for outcome in within(pending).await {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
