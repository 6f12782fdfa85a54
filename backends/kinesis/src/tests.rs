//! The consumer against the stand-in, with records put by the SDK itself: what the trials of the
//! contract can't bring about.

use crate::{
    client::Link,
    config::KinesisConfig,
    consumer::{self, KinesisConsumer},
};
use anyhub_core::{Batch, Change, Consumer, ConsumerOptions, Delivery, Point};
use anyhub_groups::{LeasesIn, Leasing};
use anyhub_local::kinesis::{Faults, Kinesis, KinesisBuilder, Rate};
use aws_sdk_kinesis::{
    primitives::Blob,
    types::{PutRecordsRequestEntry, ScalingType},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::timeout;

mod chaos;
mod endpoints;
mod handover;
mod membership;
mod resharding;
mod retention;
mod trouble;

const STREAM: &str = "tweets";
const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    kinesis: Kinesis,
    link: Link,
    leasing: Leasing,
}

impl Bench {
    async fn new(shards: i32) -> Self {
        Self::with(shards, Kinesis::builder(), |config| config).await
    }

    /// One whose consumers subscribe, for `subscription` at a time.
    async fn pushing(shards: i32, subscription: Duration) -> Self {
        let kinesis = Kinesis::builder().subscription(subscription);
        Self::with(shards, kinesis, |config| config.fanout("pushed")).await
    }

    async fn with(
        shards: i32,
        kinesis: KinesisBuilder,
        change: impl FnOnce(KinesisConfig) -> KinesisConfig,
    ) -> Self {
        let kinesis = kinesis.start().unwrap();
        let config = KinesisConfig::new()
            .region("us-east-1")
            .endpoint(kinesis.endpoint())
            .leases(LeasesIn::Memory)
            .read_share(None)
            .lease_time(Duration::from_millis(500));
        let config = change(config);
        let leasing = consumer::leasing(&config);
        let link = Link::new(config);
        let this = Self {
            kinesis,
            link,
            leasing,
        };
        let client = this.client().await;
        let creating = client.create_stream().stream_name(STREAM);
        creating.shard_count(shards).send().await.unwrap();
        this
    }

    async fn client(&self) -> &aws_sdk_kinesis::Client {
        self.link.patient("test").await.unwrap()
    }

    async fn put(&self, events: impl IntoIterator<Item = (String, String)>) {
        let entries: Vec<_> = events
            .into_iter()
            .map(|(key, data)| {
                let entry = PutRecordsRequestEntry::builder().partition_key(key);
                entry.data(Blob::new(data)).build().unwrap()
            })
            .collect();
        for some in entries.chunks(500) {
            let put = self.client().await.put_records().stream_name(STREAM);
            let answer = put.set_records(Some(some.to_vec())).send().await.unwrap();
            assert_eq!(answer.failed_record_count, Some(0));
        }
    }

    async fn resize(&self, shards: i32) {
        let resize = self.client().await.update_shard_count();
        let resize = resize.stream_name(STREAM).target_shard_count(shards);
        let resize = resize.scaling_type(ScalingType::UniformScaling);
        resize.send().await.unwrap();
    }

    async fn consumer(&self, options: ConsumerOptions) -> KinesisConsumer {
        let (link, counters) = (self.link.clone(), Arc::default());
        let opening = consumer::open(link, &self.leasing, STREAM, options, counters);
        timeout(PATIENCE, opening).await.unwrap().unwrap()
    }
}

fn numbered(keys: usize, events: usize) -> impl Iterator<Item = (String, String)> {
    (0..events).map(move |nth| (format!("k{}", nth % keys), nth.to_string()))
}

fn member() -> ConsumerOptions {
    let tick = Duration::from_millis(5);
    ConsumerOptions::new()
        .group("g")
        .commit_interval(tick)
        .nack_delay(tick, tick)
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.event.payload).into_owned()
}

async fn receive(consumer: &mut KinesisConsumer) -> Batch {
    let batch = timeout(PATIENCE, consumer.receive(1_000)).await;
    batch.expect("a batch in time").unwrap()
}

/// The next `count` deliveries, each acknowledged at once if `ack` says so.
async fn take(consumer: &mut KinesisConsumer, count: usize, ack: bool) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        let batch = receive(consumer).await;
        let told = |change: &Change| matches!(change, Change::Overtaken { .. });
        assert!(!batch.changes.iter().any(told), "{:?}", batch.changes);
        if ack {
            consumer.acks().ack(&batch.tokens());
        }
        all.extend(batch.deliveries);
    }
    all
}

/// Receives, acknowledging all, until `done`; what came.
async fn until(
    consumer: &mut KinesisConsumer,
    what: &str,
    mut done: impl FnMut(&[Delivery]) -> bool,
) -> Vec<Delivery> {
    let mut all = Vec::new();
    let receiving = async {
        while !done(&all) {
            let batch = consumer.receive(1_000).await.unwrap();
            consumer.acks().ack(&batch.tokens());
            all.extend(batch.deliveries);
        }
    };
    let done = timeout(Duration::from_secs(10), receiving).await;
    assert!(
        done.is_ok(),
        "{what}: got {:?}",
        all.iter().map(text).collect::<Vec<_>>()
    );
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_reads_all_and_goes_on_where_it_was() {
    let bench = Bench::new(3).await;
    bench.put(numbered(20, 1_000)).await;
    let mut first = bench.consumer(member()).await;
    let came = take(&mut first, 1_000, true).await;
    let mut by_key: HashMap<_, Vec<usize>> = HashMap::new();
    for delivery in &came {
        let of_key = by_key.entry(delivery.event.key.clone()).or_default();
        of_key.push(text(delivery).parse().unwrap());
    }
    assert_eq!(by_key.len(), 20);
    assert!(by_key.values().all(|numbers| numbers.is_sorted()));
    first.close().await.unwrap();
    bench.put([("k".into(), "later".into())]).await;
    let mut second = bench.consumer(member()).await;
    assert_eq!(text(&take(&mut second, 1, true).await[0]), "later");
    second.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn children_come_after_their_parents() {
    lineage(Bench::new(1).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_come_after_their_parents_where_they_are_pushed() {
    lineage(Bench::pushing(1, Duration::from_secs(300)).await).await;
}

async fn lineage(bench: Bench) {
    bench.put(numbered(20, 200)).await;
    bench.resize(2).await;
    let later = numbered(20, 200).map(|(key, data)| (key, format!("{data} later")));
    bench.put(later).await;
    let is_later = |delivery: &Delivery| text(delivery).ends_with("later");
    for options in [member(), ConsumerOptions::new()] {
        let mut consumer = bench.consumer(options).await;
        let came = take(&mut consumer, 200, false).await;
        assert!(!came.iter().any(is_later));
        let none = timeout(Duration::from_millis(300), consumer.receive(10)).await;
        assert!(none.is_err(), "{none:?}");
        let tokens: Vec<_> = came.iter().map(|delivery| delivery.token).collect();
        assert_eq!(consumer.acks().ack(&tokens), 200);
        let came = take(&mut consumer, 200, true).await;
        assert!(came.iter().all(is_later));
        consumer.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_that_end_are_taken_up_where_they_were() {
    let bench = Bench::pushing(2, Duration::from_secs(1)).await;
    let mut consumer = bench.consumer(member()).await;
    let mut due = 0;
    let subscriptions = || {
        let requests = bench.kinesis.counts().requests;
        requests.get("SubscribeToShard").copied().unwrap_or(0)
    };
    while subscriptions() < 6 {
        bench.put(numbered(20, 100)).await;
        let came = take(&mut consumer, 100, true).await;
        due += came.len();
    }
    assert!(due % 100 == 0, "each once");
    consumer.close().await.unwrap();
    let mut reader = bench
        .consumer(ConsumerOptions::new().start(Point::End))
        .await;
    bench.put([("k".into(), "later".into())]).await;
    assert_eq!(text(&take(&mut reader, 1, true).await[0]), "later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nack_reaches_back_to_what_is_no_longer_kept_here() {
    let bench = Bench::new(1).await;
    bench.put(numbered(10, 100)).await;
    // Room for a few events: the rest has to be read again.
    let mut consumer = bench.consumer(member().prefetch_bytes(1_000)).await;
    let came = take(&mut consumer, 100, false).await;
    assert_eq!(consumer.acks().nack(&[came[3].token]), 1);
    let again = take(&mut consumer, 10, true).await;
    let again: Vec<_> = again.iter().map(text).collect();
    let due: Vec<_> = (0..10).map(|nth| (nth * 10 + 3).to_string()).collect();
    assert_eq!(again, due);
    consumer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn iterators_that_expire_and_reads_that_fail_lose_nothing() {
    let bench = Bench::new(2).await;
    bench.put(numbered(50, 1_000)).await;
    let faults = Faults::none()
        .expired_iterators(Rate::share(0.3))
        .server_errors("GetRecords", Rate::share(0.2));
    bench.kinesis.set_faults(faults).unwrap();
    let mut consumer = bench.consumer(member().prefetch_events(50)).await;
    let came = take(&mut consumer, 1_000, true).await;
    let mut numbers: Vec<usize> = came.iter().map(|it| text(it).parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..1_000), "once each");
    assert!(bench.kinesis.counts().expired_iterators > 0);
    consumer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_is_told() {
    let bench = Bench::new(1).await;
    bench.put(numbered(1, 1)).await;
    let mut consumer = bench.consumer(member()).await;
    take(&mut consumer, 1, true).await;
    let deleting = bench.client().await.delete_stream().stream_name(STREAM);
    deleting.send().await.unwrap();
    let told = loop {
        match timeout(PATIENCE, consumer.receive(1)).await.unwrap() {
            Ok(batch) => assert!(batch.deliveries.is_empty()),
            Err(error) => break error,
        }
    };
    assert_eq!(told.kind(), anyhub_core::ErrorKind::NotFound, "{told}");
    assert!(consumer.seek(Point::Start).await.is_err());
    consumer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_and_one_takes_over_from_a_crash() {
    let bench = Bench::new(4).await;
    let mut first = bench.consumer(member()).await;
    let mut second = bench.consumer(member()).await;
    while first.assignment().len() != 2 || second.assignment().len() != 2 {
        let _ = timeout(Duration::from_millis(20), first.receive(1)).await;
        let _ = timeout(Duration::from_millis(20), second.receive(1)).await;
    }
    drop(first);
    let mut gained = Vec::new();
    while second.assignment().len() != 4 {
        for change in receive(&mut second).await.changes {
            if let Change::Assigned(new) = change {
                gained.extend(new);
            }
        }
    }
    bench.put(numbered(50, 100)).await;
    take(&mut second, 100, true).await;
    second.close().await.unwrap();
}
