//! The local Kinesis as an SDK sees it: what it does, what it limits, what it makes go wrong, and what it counts.
#![allow(clippy::unwrap_used, missing_docs)]

mod client;
mod faults;
mod limits;
mod order;
mod parity;
mod retention;
mod subscribe;

use std::time::Duration;

use anyhub_local::{Error, Kinesis};
use aws_sdk_kinesis::primitives::Blob;

use client::{Shards, client, entry};

#[tokio::test]
async fn what_is_put_is_read_and_counted() {
    let kinesis = Kinesis::builder().start().unwrap();
    assert_eq!(
        kinesis.url(),
        format!(
            "kinesis://us-east-1?endpoint={}&max_batch_bytes=5242880&leases=memory",
            kinesis.endpoint()
        )
    );
    let client = client(&kinesis);
    let stream = Shards::create(&client, "tweets", 2).await;

    let put = client.put_records().stream_name("tweets");
    // 2^127 is the first hash key of the second shard.
    let upper = entry("c", "three").explicit_hash_key((1_u128 << 127).to_string());
    let put = put
        .records(entry("a", "one").build().unwrap())
        .records(entry("a", "two").build().unwrap());
    let answer = put.records(upper.build().unwrap()).send().await.unwrap();
    assert_eq!(answer.failed_record_count(), Some(0));
    assert_eq!(answer.records()[2].shard_id(), Some("shardId-000000000001"));
    let one = client.put_record().stream_name("tweets").partition_key("a");
    one.data(Blob::new("four")).send().await.unwrap();

    assert_eq!(
        stream.data("shardId-000000000000").await,
        ["one", "two", "four"]
    );
    assert_eq!(stream.data("shardId-000000000001").await, ["three"]);
    let counts = kinesis.counts();
    assert_eq!(counts.records_put, 4);
    assert_eq!(
        (counts.requests("PutRecords"), counts.requests("PutRecord")),
        (1, 1)
    );
    assert_eq!(counts.requests("CreateStream"), 1);
    assert!(counts.requests("GetRecords") >= 2);
    assert!((1..=10).contains(&counts.connections), "{counts:?}");
    assert_eq!(
        (
            counts.records_failed,
            counts.server_errors,
            counts.throttled_reads
        ),
        (0, 0, 0)
    );
    assert!(counts.lost_answers.is_empty());
    if cfg!(target_os = "linux") {
        let other = Kinesis::builder().start().unwrap();
        assert!(
            kinesis.cpu().unwrap() > other.cpu().unwrap(),
            "one has served, the other only started"
        );
    }
    // Dropped in async code.
}

#[tokio::test]
async fn a_request_may_be_as_large_as_ferrokinesis_takes() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "large", 1).await;
    let put = |sizes: Vec<usize>| {
        let records = sizes.into_iter().map(|size| {
            let data = Blob::new(vec![b'x'; size]);
            entry("k", "").data(data).build().unwrap()
        });
        client
            .put_records()
            .stream_name("large")
            .set_records(Some(records.collect()))
            .send()
    };
    const MIB: usize = 1 << 20;
    // 5 MiB with the five keys.
    let answer = put(vec![MIB, MIB, MIB, MIB, MIB - 5]).await.unwrap();
    assert_eq!(answer.failed_record_count(), Some(0));
    let error = put(vec![MIB, MIB, MIB, MIB, MIB - 4]).await.unwrap_err();
    assert!(error.into_service_error().is_invalid_argument_exception());
    assert!(put(vec![MIB + 1]).await.is_err());

    // 10 MiB fit into an answer with their keys if the last record is smaller.
    put(vec![MIB, MIB, MIB, MIB, MIB - 5]).await.unwrap();
    put(vec![MIB, MIB]).await.unwrap();
    let iterator = stream.iterator("shardId-000000000000").await;
    let answer = client
        .get_records()
        .shard_iterator(iterator)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.records().len(), 10);
    assert!(answer.millis_behind_latest().unwrap() > 0);
    let rest = client
        .get_records()
        .set_shard_iterator(answer.next_shard_iterator)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (rest.records().len(), rest.millis_behind_latest()),
        (2, Some(0))
    );
}

#[tokio::test]
async fn a_stopped_server_is_gone() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    drop(stream);
    let port: u16 = kinesis
        .endpoint()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let taken = Kinesis::builder().port(port).start().unwrap_err();
    assert!(
        matches!(taken, Error::PortInUse { port: p, .. } if p == port),
        "{taken}"
    );
    kinesis.stop();
    assert!(client.list_streams().send().await.is_err());
    kinesis.stop();
    // The port is free again, and nothing of the streams is left.
    let again = Kinesis::builder().port(port).start().unwrap();
    let streams = client::client(&again).list_streams().send().await.unwrap();
    assert!(streams.stream_names().is_empty());
}

#[test]
fn it_starts_in_sync_code_and_refuses_what_it_cannot_do() {
    use anyhub_local::kinesis::{Faults, Rate};
    let kinesis = Kinesis::builder().seed(9).start().unwrap();
    assert_eq!(kinesis.seed(), 9);
    let wrong = Faults::none().failing_records(Rate::share(2.0));
    assert!(matches!(
        kinesis.set_faults(wrong.clone()),
        Err(Error::Invalid(_))
    ));
    assert_eq!(kinesis.faults(), Faults::none());
    assert!(matches!(
        Kinesis::builder().faults(wrong).start(),
        Err(Error::Invalid(_))
    ));
    let too_long = Duration::from_millis(3_600_001);
    for wrong in [
        Kinesis::builder().port(0),
        Kinesis::builder().hour(Duration::ZERO),
        Kinesis::builder().hour(too_long),
    ] {
        assert!(matches!(wrong.start(), Err(Error::Invalid(_))));
    }
}
