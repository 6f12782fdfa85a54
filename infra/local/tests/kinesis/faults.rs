//! Every fault strikes as it is told, and the counts say how often.

use std::time::Duration;

use anyhub_local::Kinesis;
use anyhub_local::kinesis::{Faults, Rate};
use aws_sdk_kinesis::error::SdkError;

use super::client::{Shards, client, numbered};
use super::subscribe::raw;

const SHARD: &str = "shardId-000000000000";

#[tokio::test]
async fn failing_records_are_not_written_and_the_others_are() {
    let faults = Faults::none().failing_records(Rate::share(0.5));
    let kinesis = Kinesis::builder().faults(faults).seed(3).start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let (mut written, mut failed) = (Vec::new(), [0, 0]);
    for batch in 0..10 {
        let numbers = batch * 100..batch * 100 + 100;
        let answer = stream.put("k", numbers.clone()).await.unwrap();
        assert_eq!(answer.records().len(), 100);
        let mut of_batch = 0;
        for (n, record) in numbers.zip(answer.records()) {
            match record.error_code() {
                None => written.push(n.to_string()),
                Some("ProvisionedThroughputExceededException") => failed[0] += 1,
                Some("InternalFailure") => failed[1] += 1,
                Some(other) => panic!("{other}"),
            }
            assert_eq!(
                record.error_code().is_some(),
                record.sequence_number().is_none()
            );
            of_batch += i32::from(record.error_code().is_some());
        }
        assert_eq!(answer.failed_record_count(), Some(of_batch));
    }
    assert_eq!(stream.data(SHARD).await, written);
    // Seed 3: within five standard deviations of the half.
    assert!(
        failed.iter().all(|failed| (150..=350).contains(failed)),
        "{failed:?}"
    );
    let counts = kinesis.counts();
    assert_eq!(counts.records_failed, failed[0] + failed[1]);
    assert_eq!(counts.records_put, written.len() as u64);

    // All of them, and then a count of them.
    kinesis
        .set_faults(Faults::none().failing_records(Rate::share(1.0)))
        .unwrap();
    let put = |numbers| stream.put("k", numbers);
    assert_eq!(put(0..3).await.unwrap().failed_record_count(), Some(3));
    let missing = client
        .put_records()
        .stream_name("none")
        .set_records(Some(numbered("k", 0..3)));
    assert!(
        missing
            .send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_resource_not_found_exception()
    );
    kinesis
        .set_faults(Faults::none().failing_records(Rate::next(4)))
        .unwrap();
    assert_eq!(put(0..3).await.unwrap().failed_record_count(), Some(3));
    assert_eq!(put(0..3).await.unwrap().failed_record_count(), Some(1));
    assert_eq!(put(0..3).await.unwrap().failed_record_count(), Some(0));
    assert_eq!(
        kinesis.faults(),
        Faults::none().failing_records(Rate::next(0))
    );
    assert_eq!(kinesis.counts().records_failed, counts.records_failed + 7);
    assert_eq!(stream.data(SHARD).await.len(), written.len() + 5);
}

#[tokio::test]
async fn lost_answers_are_of_records_that_are_written() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let put = |numbers| stream.put("k", numbers);
    // Half of the records of the second fail beside it.
    kinesis
        .set_faults(Faults::none().lost_answers(Rate::next(2)))
        .unwrap();
    let lost = put(0..50).await.unwrap_err();
    assert!(
        matches!(
            lost,
            SdkError::DispatchFailure(_) | SdkError::ResponseError(_)
        ),
        "{lost:?}"
    );
    kinesis
        .set_faults(
            Faults::none()
                .lost_answers(Rate::next(1))
                .failing_records(Rate::next(10)),
        )
        .unwrap();
    put(50..70).await.unwrap_err();
    put(70..75).await.unwrap();
    let expected: Vec<_> = (0..50).chain(60..75).map(|n| n.to_string()).collect();
    assert_eq!(stream.data(SHARD).await, expected);
    let counts = kinesis.counts();
    assert_eq!(counts.lost_answers, [50, 10]);
    assert_eq!(counts.records_in_lost_answers(), 60);
    assert_eq!((counts.records_put, counts.records_failed), (65, 10));
    // Each lost answer has cost a connection.
    assert!(
        counts.connections >= 3 && counts.open_connections < counts.connections,
        "{counts:?}"
    );
}

#[tokio::test]
async fn server_errors_leave_nothing_behind() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    kinesis
        .set_faults(Faults::none().server_errors("PutRecords", Rate::next(2)))
        .unwrap();
    let put = |numbers| stream.put("k", numbers);
    for _ in 0..2 {
        let error = put(0..3).await.unwrap_err();
        assert_eq!(error.raw_response().unwrap().status().as_u16(), 500);
        let error = error.into_service_error();
        assert_eq!(error.meta().code(), Some("InternalFailure"));
    }
    put(3..6).await.unwrap();
    assert_eq!(stream.data(SHARD).await, ["3", "4", "5"]);
    let counts = kinesis.counts();
    assert_eq!((counts.server_errors, counts.records_put), (2, 3));
    assert_eq!(counts.requests("PutRecords"), 3);
}

#[tokio::test]
async fn slow_answers_come_after_the_work() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let hour = Duration::from_secs(3600);
    kinesis
        .set_faults(Faults::none().slow_answers("PutRecords", Rate::next(1), hour))
        .unwrap();
    let put = client
        .put_records()
        .stream_name("s")
        .set_records(Some(numbered("k", 0..3)))
        .send();
    // The answer doesn't come, but what was put is read.
    let mut put = tokio::spawn(put);
    while stream.data(SHARD).await.is_empty() {
        assert!(!put.is_finished());
    }
    assert_eq!(stream.data(SHARD).await.len(), 3);
    assert!(futures_pending(&mut put).await);
    put.abort();
    let counts = kinesis.counts();
    assert_eq!((counts.slow_answers, counts.records_put), (1, 3));

    let moment = Duration::from_millis(1);
    kinesis
        .set_faults(Faults::none().slow_answers("GetRecords", Rate::share(1.0), moment))
        .unwrap();
    assert_eq!(stream.data(SHARD).await.len(), 3);
    assert_eq!(kinesis.counts().slow_answers, 3);
}

/// True if a task isn't done, looked at once.
async fn futures_pending<T>(task: &mut tokio::task::JoinHandle<T>) -> bool {
    tokio::select! {
        biased;
        _ = task => false,
        () = std::future::ready(()) => true,
    }
}

#[tokio::test]
async fn iterators_expire_on_request() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    kinesis
        .set_faults(Faults::none().expired_iterators(Rate::next(1)))
        .unwrap();
    let iterator = stream.iterator(SHARD).await;
    let error = stream.read(&iterator).await.unwrap_err();
    assert!(error.into_service_error().is_expired_iterator_exception());
    stream.read(&iterator).await.unwrap();
    assert_eq!(kinesis.counts().expired_iterators, 1);
}

/// `{"StreamName": "s", "Records": [{"Data": h'6869', "PartitionKey": "k"}]}`, as RFC 8949 has it.
const PUT_IN_CBOR: &[u8] =
    b"\xa2\x6aStreamName\x61s\x67Records\x81\xa2\x64Data\x42hi\x6cPartitionKey\x61k";

#[tokio::test]
async fn cbor_is_carried_and_refused_where_it_would_have_to_be_read() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let put = || {
        raw(
            &kinesis,
            "PutRecords",
            "application/x-amz-cbor-1.1",
            PUT_IN_CBOR,
        )
    };
    assert_eq!(put().await.0, 200);
    assert_eq!(stream.data(SHARD).await, ["hi"]);
    assert_eq!(kinesis.counts().records_put, 1);
    kinesis
        .set_faults(Faults::none().failing_records(Rate::share(0.5)))
        .unwrap();
    let (status, body) = put().await;
    assert!(
        status == 400 && body.contains("AWS_CBOR_DISABLE"),
        "{status} {body}"
    );
    assert_eq!(kinesis.counts().records_put, 1);
}
