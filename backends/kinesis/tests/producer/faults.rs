//! Records that fail, answers that are lost, servers that hang.

use crate::{
    read::{self, Verdict, judge},
    stream::{STREAM, Stream, event, publish},
};
use anyhub_core::{ErrorKind, ProducerExt, ProducerOptions};
use anyhub_kinesis::Aggregation;
use anyhub_local::kinesis::{Faults, Kinesis, Rate};
use std::time::{Duration, Instant};

const KEYS: usize = 10_000;
const EVENTS: usize = 100_000;

async fn half_of_the_records_fail(aggregate: Aggregation) {
    let half = Faults::none().failing_records(Rate::share(0.5));
    let stream = Stream::on(Kinesis::builder().seed(11).faults(half), 4).await;
    let config = stream.config().aggregate(aggregate);
    let producer = stream.producer_as(config, ProducerOptions::new()).await;
    let outcomes = publish(&*producer, KEYS, EVENTS, 40).await;
    producer.close().await.unwrap();
    let log = read::log(&stream).await;
    let failed = stream.kinesis.counts().records_failed;
    println!(
        "{aggregate:?}: {} records were written, {failed} failed",
        log.records
    );
    assert!(failed > 10_000);
    let all = Verdict {
        ok: EVENTS,
        ..Verdict::default()
    };
    assert_eq!(judge(&log, &outcomes), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_records_of_one_key_are_sent_again_in_order() {
    half_of_the_records_fail(Aggregation::Key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_records_of_one_event_are_sent_again_in_order() {
    half_of_the_records_fail(Aggregation::Off).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_records_of_many_keys_are_sent_again_in_order() {
    let half = Faults::none().failing_records(Rate::share(0.5));
    let stream = Stream::on(Kinesis::builder().seed(12).faults(half), 4).await;
    let config = stream.config().aggregate(Aggregation::Shard);
    let producer = stream.producer_as(config, ProducerOptions::new()).await;
    let outcomes = publish(&*producer, KEYS, EVENTS, 40).await;
    let log = read::log(&stream).await;
    println!("{} records were written", log.records);
    let verdict = judge(&log, &outcomes);
    assert_eq!((verdict.ok, verdict.lost), (EVENTS, 0));
    assert_eq!((verdict.out_of_order, verdict.doubled), (0, 0));
    assert!(log.records < EVENTS / 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_double_no_more_than_they_held() {
    let lost = Faults::none().lost_answers(Rate::share(0.1).at_most(25));
    let stream = Stream::on(Kinesis::builder().seed(13).faults(lost), 2).await;
    let config = stream.config().aggregate(Aggregation::Off);
    let producer = stream.producer_as(config, ProducerOptions::new()).await;
    let outcomes = publish(&*producer, 1_000, 40_000, 60).await;
    let log = read::log(&stream).await;
    let counts = stream.kinesis.counts();
    let verdict = judge(&log, &outcomes);
    println!(
        "{verdict:?}, {} records in lost answers",
        counts.records_in_lost_answers()
    );
    assert!(!counts.lost_answers.is_empty());
    assert_eq!(
        (verdict.ok, verdict.lost, verdict.out_of_order),
        (40_000, 0, 0)
    );
    assert!(verdict.doubled > 0);
    assert!(verdict.doubled as u64 <= counts.records_in_lost_answers());
}

#[tokio::test(flavor = "multi_thread")]
async fn server_errors_are_tried_again() {
    let errors = Faults::none().server_errors("PutRecords", Rate::next(3));
    let stream = Stream::on(Kinesis::builder().faults(errors), 1).await;
    let producer = stream.producer().await;
    let outcomes = publish(&*producer, 10, 1_000, 60).await;
    let verdict = judge(&read::log(&stream).await, &outcomes);
    assert_eq!(stream.kinesis.counts().server_errors, 3);
    assert_eq!((verdict.ok, verdict.lost, verdict.doubled), (1_000, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_keeps_nobody_past_the_deadline() {
    let stream = Stream::new(1).await;
    let deadline = Duration::from_millis(500);
    let options = ProducerOptions::new()
        .deadline(deadline)
        .linger(Duration::ZERO);
    let producer = stream.producer_as(stream.config(), options).await;
    producer.send(event(0, 0, 10)).await.unwrap();
    let hangs =
        Faults::none().slow_answers("PutRecords", Rate::share(1.0), Duration::from_secs(20));
    stream.kinesis.set_faults(hangs).unwrap();

    let start = Instant::now();
    // The first is in flight; the second, of its key, has to wait and is never sent.
    let first = producer.submit(vec![event(0, 1, 10)]).await.unwrap();
    while stream.kinesis.counts().requests("PutRecords") < 2 {
        tokio::task::yield_now().await;
    }
    let second = producer.submit(vec![event(0, 2, 10)]).await.unwrap();
    let first = first.await.remove(0).unwrap_err();
    let second = second.await.remove(0).unwrap_err();
    println!("told after {:?}: {first}; {second}", start.elapsed());
    assert_eq!(
        (first.kind(), first.is_indeterminate()),
        (ErrorKind::Timeout, true)
    );
    assert_eq!(
        (second.kind(), second.is_indeterminate()),
        (ErrorKind::Timeout, false)
    );
    // Nothing is left, although the server still hangs.
    producer.flush().await.unwrap();
    stream.kinesis.set_faults(Faults::none()).unwrap();
    producer.send(event(0, 3, 10)).await.unwrap();
    producer.close().await.unwrap();
    let log = read::log(&stream).await;
    let there: Vec<_> = log
        .events
        .iter()
        .map(|read| crate::stream::number(&read.payload).1)
        .collect();
    assert_eq!(there, [0, 1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_takes_nothing() {
    let stream = Stream::new(1).await;
    let options = ProducerOptions::new().deadline(Duration::from_millis(300));
    let producer = stream.producer_as(stream.config(), options).await;
    stream.kinesis.stop();
    let error = producer.send(event(0, 0, 10)).await.unwrap_err();
    println!("{error}; {:?}", std::error::Error::source(&error));
    assert_eq!(
        (error.kind(), error.is_indeterminate()),
        (ErrorKind::Timeout, false)
    );
    producer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_is_not_found() {
    let stream = Stream::new(2).await;
    let producer = stream.producer().await;
    stream
        .client
        .delete_stream()
        .stream_name(STREAM)
        .send()
        .await
        .unwrap();
    let error = producer.send(event(0, 0, 10)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_indeterminate()),
        (ErrorKind::NotFound, false)
    );
    producer.close().await.unwrap();
}
