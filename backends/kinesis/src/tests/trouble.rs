//! Stores, servers and connections that fail at a bad moment.

use super::*;
use crate::usage::Counters;
use anyhub_core::{ErrorKind, Partition, Position};
use anyhub_leases::{
    Checkpoint, Key, Lease, LeaseStore, MemoryLeases, Row, Scope, Stored, Version, Written,
};
use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// A store that answers late, as long as it is told to.
#[derive(Debug, Default)]
struct Late {
    rows: MemoryLeases,
    by: Mutex<Duration>,
    refuses: AtomicBool,
    lists_at_once: AtomicBool,
}

impl Late {
    fn answer_after(&self, time: Duration) {
        *self.by.lock().unwrap() = time;
    }

    async fn wait(&self) {
        let time = *self.by.lock().unwrap();
        if !time.is_zero() {
            sleep(time).await;
        }
    }
}

#[async_trait::async_trait]
impl LeaseStore for Late {
    async fn list(&self, scope: &Scope) -> anyhub_core::Result<Vec<Stored>> {
        if !self.lists_at_once.load(Ordering::Relaxed) {
            self.wait().await;
        }
        if self.refuses.swap(false, Ordering::Relaxed) {
            let message = "not today";
            return Err(anyhub_core::Error::new(
                ErrorKind::Denied,
                "test",
                "list",
                message,
            ));
        }
        self.rows.list(scope).await
    }

    async fn write(
        &self,
        scope: &Scope,
        row: &Row,
        expected: Option<&Version>,
    ) -> anyhub_core::Result<Written> {
        self.wait().await;
        self.rows.write(scope, row, expected).await
    }

    async fn remove(
        &self,
        scope: &Scope,
        key: &Key,
        expected: Option<&Version>,
    ) -> anyhub_core::Result<bool> {
        self.wait().await;
        self.rows.remove(scope, key, expected).await
    }

    async fn scopes(&self) -> anyhub_core::Result<Vec<Scope>> {
        self.rows.scopes().await
    }
}

impl Bench {
    async fn stored(shards: i32) -> (Self, Arc<Late>) {
        let store = Arc::new(Late::default());
        let own = store.clone();
        let bench = Self::with(shards, Kinesis::builder(), |config| config.store(own)).await;
        (bench, store)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kinesis_that_gives_nothing_is_told_of_and_so_is_its_return() {
    let told = anyhub_conformance::Told::listen();
    let bench = Bench::new(1).await;
    let mut consumer = bench.consumer(ConsumerOptions::new()).await;
    let failing = Faults::none().server_errors("GetRecords", Rate::share(1.0));
    bench.kinesis.set_faults(failing).unwrap();
    let reading = tokio::spawn(async move { while consumer.receive(1).await.is_ok() {} });
    let line = async |parts: [&str; 2]| {
        let heard = async {
            while told.with(&parts).is_empty() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, heard).await.unwrap();
    };
    line(["WARN", "nothing can be read"]).await;
    bench.kinesis.set_faults(Faults::none()).unwrap();
    line(["INFO", "events are read again"]).await;
    reading.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_mends_a_damaged_checkpoint_as_the_error_says() {
    let (bench, store) = Bench::stored(1).await;
    bench.put(numbered(5, 20)).await;
    let mut consumer = bench.consumer(member()).await;
    take(&mut consumer, 20, true).await;
    consumer.close().await.unwrap();
    let scope = store.scopes().await.unwrap().remove(0);
    for Stored { row, version, .. } in store.list(&scope).await.unwrap() {
        if let Row::Lease(lease) = row {
            let mut lease = Lease::clone(&lease);
            lease.checkpoint = Checkpoint::new(0, Some("TRIM_HORIZON".into()));
            let row = Row::Lease(lease.into());
            store.write(&scope, &row, Some(&version)).await.unwrap();
        }
    }
    let (link, counters) = (bench.link.clone(), Arc::default());
    let opening = consumer::open(link, &bench.leasing, STREAM, member(), counters);
    let mut consumer = timeout(PATIENCE, opening).await.unwrap().unwrap();
    let error = loop {
        match timeout(PATIENCE, consumer.receive(10)).await.unwrap() {
            Ok(batch) => assert!(batch.deliveries.is_empty()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unexpected, "{error}");
    assert!(error.advice().unwrap().contains("seek"), "{error}");
    consumer.seek(Point::Start).await.unwrap();
    until(&mut consumer, "after the seek", |came| came.len() == 20).await;
    consumer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_is_dropped_and_called_again_keeps_its_word() {
    let (bench, store) = Bench::stored(1).await;
    bench.put(numbered(5, 20)).await;
    let hour = Duration::from_secs(3_600);
    let mut consumer = bench.consumer(member().commit_interval(hour)).await;
    let came = take(&mut consumer, 20, false).await;
    let tokens: Vec<_> = came.iter().map(|it| it.token).collect();
    let acks = consumer.acks();
    acks.ack(&tokens[..10]);
    let delay = Duration::from_millis(60);
    store.answer_after(delay);
    // The first commit is under way when the rest is acknowledged.
    let closing = async { timeout(delay * 3 / 2, consumer.close()).await.is_ok() };
    let acking = async {
        sleep(delay / 2).await;
        acks.ack(&tokens[10..])
    };
    let (closed, acked) = tokio::join!(closing, acking);
    println!("closed at once: {closed}; acknowledged: {acked}");
    let closed = timeout(PATIENCE, consumer.close()).await.unwrap();
    store.answer_after(Duration::ZERO);
    closed.unwrap();
    let mut next = bench.consumer(member()).await;
    bench.put([("k".into(), "later".into())]).await;
    let came = until(&mut next, "later", |came| {
        came.iter().any(|it| text(it) == "later")
    })
    .await;
    // What was acknowledged in time does not come again; on a busy machine all may be too late.
    assert_eq!(
        came.len(),
        1 + 10 - acked,
        "{:?}",
        came.iter().map(text).collect::<Vec<_>>()
    );
    next.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_a_seek_of_one_shard_reads_the_others_on() {
    let bench = Bench::new(2).await;
    let mut consumer = bench.consumer(ConsumerOptions::new()).await;
    let client = bench.client().await;
    client
        .delete_stream()
        .stream_name(STREAM)
        .send()
        .await
        .unwrap();
    loop {
        if timeout(PATIENCE, consumer.receive(1))
            .await
            .unwrap()
            .is_err()
        {
            break;
        }
    }
    // Both readers have seen it.
    sleep(Duration::from_millis(1_500)).await;
    let creating = client.create_stream().stream_name(STREAM);
    creating.shard_count(2).send().await.unwrap();
    bench.put(numbered(20, 20)).await;
    let mut other = bench.consumer(ConsumerOptions::new()).await;
    let all = take(&mut other, 20, true).await;
    let first = all
        .iter()
        .find(|it| it.partition.to_string().ends_with('0'))
        .unwrap();
    let to: Vec<(Partition, Position)> = vec![(first.partition.clone(), first.position.clone())];
    consumer.seek(Point::Positions(to)).await.unwrap();
    until(&mut consumer, "both shards", |came| came.len() == 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_a_seek_of_one_shard_keeps_what_was_read_of_the_others() {
    let (bench, store) = Bench::stored(2).await;
    bench.put(numbered(20, 100)).await;
    let mut consumer = bench.consumer(member()).await;
    // As many as come at once.
    let mut came = take(&mut consumer, 1, true).await;
    let first = came[0].clone();
    store.refuses.store(true, Ordering::Relaxed);
    let error = loop {
        // One at a time: most of what was read waits.
        match timeout(PATIENCE, consumer.receive(1)).await.unwrap() {
            Ok(batch) => {
                consumer.acks().ack(&batch.tokens());
                came.extend(batch.deliveries);
                sleep(Duration::from_millis(20)).await;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let to = vec![(first.partition.clone(), first.position.clone())];
    consumer.seek(Point::Positions(to)).await.unwrap();
    let seen: HashSet<String> = came.iter().map(text).collect();
    until(&mut consumer, "all", |came| {
        let new = came.iter().map(text).filter(|text| !seen.contains(text));
        new.collect::<HashSet<_>>().len() + seen.len() == 100
    })
    .await;
    consumer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_read_ahead_than_there_is_room_for() {
    let bench = Bench::new(4).await;
    let large = "x".repeat(100_000);
    for _ in 0..8 {
        let some = (0..20).map(|nth| (format!("k{nth}"), large.clone()));
        bench.put(some).await;
    }
    let counters: Arc<Counters> = Arc::default();
    let options = ConsumerOptions::new().prefetch_bytes(400_000);
    let (link, counted) = (bench.link.clone(), counters.clone());
    let opening = consumer::open(link, &bench.leasing, STREAM, options, counted);
    let mut consumer = opening.await.unwrap();
    let read = |unit: &str| counters.usage().get(unit);
    let reading = async {
        while read("get_records_calls") < 4 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, reading).await.unwrap();
    // A record a shard more than fits.
    assert!(read("bytes_out") < 900_000, "{}", read("bytes_out"));
    take(&mut consumer, 160, true).await;
}

/// Passes connections on, until told to let those that are there die in silence.
struct Proxy {
    port: u16,
    frozen: Arc<AtomicUsize>,
}

impl Proxy {
    async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let frozen = Arc::new(AtomicUsize::new(0));
        let until = frozen.clone();
        tokio::spawn(async move {
            for number in 1.. {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(&target).await.unwrap();
                let (from_near, to_near) = near.into_split();
                let (from_far, to_far) = far.into_split();
                for (mut from, mut to) in [(from_near, to_far), (from_far, to_near)] {
                    let until = until.clone();
                    tokio::spawn(async move {
                        let mut bytes = vec![0; 1 << 16];
                        while let Ok(some @ 1..) = from.read(&mut bytes).await {
                            if until.load(Ordering::Relaxed) >= number {
                                std::future::pending::<()>().await;
                            }
                            if to.write_all(&bytes[..some]).await.is_err() {
                                return;
                            }
                        }
                    });
                }
            }
        });
        Self { port, frozen }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_falls_silent_is_taken_up_again() {
    let bench = Bench::pushing(1, Duration::from_secs(300)).await;
    let proxy = Proxy::to(bench.kinesis.endpoint().replace("http://", "")).await;
    let mut config = bench.link.config().clone();
    config.endpoint = Some(format!("http://127.0.0.1:{}", proxy.port));
    let link = Link::new(config);
    let opening = consumer::open(
        link,
        &bench.leasing,
        STREAM,
        ConsumerOptions::new(),
        Arc::default(),
    );
    let mut consumer = opening.await.unwrap();
    bench.put([("k".into(), "first".into())]).await;
    take(&mut consumer, 1, true).await;
    // All connections so far, and perhaps the next few.
    proxy.frozen.store(100, Ordering::Relaxed);
    bench.put([("k".into(), "later".into())]).await;
    let none = timeout(Duration::from_millis(500), consumer.receive(1)).await;
    assert!(none.is_err(), "{none:?}");
    proxy.frozen.store(0, Ordering::Relaxed);
    assert_eq!(text(&take(&mut consumer, 1, true).await[0]), "later");
}

/// C7: what opens has made its beginning durable before it says that it is open.
#[tokio::test(flavor = "multi_thread")]
async fn a_beginning_is_stored_before_its_member_is_open() {
    let (bench, store) = Bench::stored(2).await;
    store.answer_after(Duration::from_millis(50));
    store.lists_at_once.store(true, Ordering::Relaxed);
    let mut consumer = bench.consumer(member().start(Point::End)).await;
    let scopes = store.scopes().await.unwrap();
    let mut rows = Vec::new();
    for scope in &scopes {
        rows.extend(store.list(scope).await.unwrap());
    }
    let begun =
        |it: &&Stored| matches!(&it.row, Row::Lease(row) if row.checkpoint.position.is_some());
    assert_eq!(rows.iter().filter(begun).count(), 2, "{rows:?}");
    consumer.close().await.unwrap();
}

/// C8: what is sought is what the group begins, also where it was deleted while its member was away.
#[tokio::test(flavor = "multi_thread")]
async fn a_seek_waits_for_a_group_that_has_to_be_begun_again() {
    let (bench, store) = Bench::stored(2).await;
    bench.put(numbered(5, 20)).await;
    let options = member().max_processing(Duration::from_millis(200));
    let mut consumer = bench.consumer(options).await;
    let scope = store.scopes().await.unwrap().remove(0);
    let gone = async {
        loop {
            let rows = store.list(&scope).await.unwrap();
            let free = |it: &Stored| matches!(&it.row, Row::Lease(row) if row.owner.is_none());
            if rows.iter().filter(|it| free(it)).count() == 2 {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    for stored in store.list(&scope).await.unwrap() {
        store.remove(&scope, &stored.row.key(), None).await.unwrap();
    }
    store.answer_after(Duration::from_millis(50));
    store.lists_at_once.store(true, Ordering::Relaxed);
    consumer.seek(Point::End).await.unwrap();
    bench.put([("k".into(), "later".into())]).await;
    let came = take(&mut consumer, 1, true).await;
    assert_eq!(came.iter().map(text).collect::<Vec<_>>(), ["later"]);
    consumer.close().await.unwrap();
}
