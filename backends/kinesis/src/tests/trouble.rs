//! What goes wrong at a bad moment.

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
    task::JoinHandle,
    time::sleep,
};

/// A store that answers late, as long as it is told to.
#[derive(Debug, Default)]
struct Late {
    rows: MemoryLeases,
    by: Mutex<Duration>,
    refuses: AtomicBool,
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
        self.wait().await;
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

    async fn resize(&self, shards: i32) {
        let resize = self.client().await.update_shard_count();
        let resize = resize.stream_name(STREAM).target_shard_count(shards);
        let resize = resize.scaling_type(ScalingType::UniformScaling);
        resize.send().await.unwrap();
    }
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
async fn a_private_reader_that_is_pushed_begins_at_the_end_of_closed_shards_too() {
    let bench = Bench::pushing(1, Duration::from_secs(300)).await;
    bench.put(numbered(20, 50)).await;
    bench.resize(2).await;
    let options = ConsumerOptions::new().start(Point::End);
    let mut reader = bench.consumer(options).await;
    bench.put([("k".into(), "later".into())]).await;
    let came = until(&mut reader, "later", |came| !came.is_empty()).await;
    assert_eq!(came.iter().map(text).collect::<Vec<_>>(), ["later"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_whose_end_fails_is_tried_again_soon() {
    let bench = Bench::new(1).await;
    bench.put(numbered(20, 20)).await;
    let hour = Duration::from_secs(3_600);
    let mut consumer = bench.consumer(member().commit_interval(hour)).await;
    take(&mut consumer, 20, true).await;
    // More than the SDK tries.
    let faults = Faults::none().server_errors("ListShards", Rate::next(4));
    bench.kinesis.set_faults(faults).unwrap();
    bench.resize(2).await;
    bench.put([("k".into(), "later".into())]).await;
    until(&mut consumer, "of a child", |came| !came.is_empty()).await;
    consumer.close().await.unwrap();
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
    let opening = KinesisConsumer::open(link, &bench.leasing, STREAM, member(), counters);
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

/// Opens a second member, and returns once it has asked the first for a shard.
async fn ask(bench: &Bench, first: &KinesisConsumer) -> JoinHandle<KinesisConsumer> {
    let (link, leasing) = (bench.link.clone(), bench.leasing.clone());
    let opening = tokio::spawn(async move {
        let open = KinesisConsumer::open(link, &leasing, STREAM, member(), Arc::default());
        open.await.unwrap()
    });
    let asking = async {
        while !first.shared().asked.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, asking).await.expect("it asks");
    opening
}

/// Both go on until the second owns so many.
async fn share(first: &mut KinesisConsumer, second: JoinHandle<KinesisConsumer>, shards: usize) {
    let mut second = timeout(PATIENCE, second).await.unwrap().unwrap();
    let sharing = async {
        while second.assignment().len() != shards {
            let _ = timeout(Duration::from_millis(20), first.receive(1)).await;
            let _ = timeout(Duration::from_millis(20), second.receive(1)).await;
        }
    };
    // Far below what a member that asked waits for one that says nothing.
    timeout(Duration::from_secs(10), sharing)
        .await
        .expect("as many each");
    first.close().await.unwrap();
    second.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_does_not_hold_up_who_asked_for_a_shard() {
    let bench = Bench::new(4).await;
    bench.put(numbered(40, 200)).await;
    let mut first = bench.consumer(member()).await;
    take(&mut first, 200, false).await;
    let second = ask(&bench, &first).await;
    first.seek(Point::Start).await.unwrap();
    share(&mut first, second, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nack_does_not_hold_up_who_asked_for_a_shard() {
    let bench = Bench::new(2).await;
    bench.put(numbered(40, 200)).await;
    // What comes again has to be read again.
    let mut first = bench.consumer(member().prefetch_bytes(100)).await;
    let came = take(&mut first, 200, false).await;
    let _ = timeout(Duration::from_millis(20), first.receive(1)).await;
    let second = ask(&bench, &first).await;
    let of_both: Vec<_> = came.iter().step_by(9).map(|it| it.token).collect();
    first.acks().nack(&of_both);
    share(&mut first, second, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_takes_from_a_closed_shard_does_not_hold_up_its_children() {
    let bench = Bench::new(1).await;
    bench.put(numbered(10, 100)).await;
    let options = member().prefetch_bytes(100);
    let mut consumer = bench.consumer(options).await;
    let came = take(&mut consumer, 100, false).await;
    bench.resize(2).await;
    bench.put([("k".into(), "later".into())]).await;
    let tokens: Vec<_> = came.iter().map(|it| it.token).collect();
    consumer.acks().ack(&tokens[..99]);
    bench.kinesis.keep(STREAM, Duration::from_secs(2));
    let gone = async {
        // Gone from the log, whether or not the shard is.
        loop {
            let client = bench.client().await;
            let list = client
                .list_shards()
                .stream_name(STREAM)
                .send()
                .await
                .unwrap();
            if !list
                .shards()
                .iter()
                .any(|it| it.shard_id() == "shardId-000000000000")
            {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    bench.put([("k".into(), "latest".into())]).await;
    assert_eq!(consumer.acks().nack(&tokens[99..]), 1);
    until(&mut consumer, "of a child", |came| {
        came.iter().any(|it| text(it) == "latest")
    })
    .await;
    consumer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_slept_through_two_reshards_reads_what_came_since() {
    let (bench, store) = Bench::stored(1).await;
    let late = member().start(Point::End);
    let mut consumer = bench.consumer(late.clone()).await;
    consumer.close().await.unwrap();
    bench.kinesis.keep(STREAM, Duration::from_secs(2));
    bench.resize(2).await;
    bench.resize(4).await;
    let closed = async {
        loop {
            let listed = bench.client().await.list_shards().stream_name(STREAM);
            if listed.send().await.unwrap().shards().len() == 4 {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, closed).await.unwrap();
    let mut consumer = bench.consumer(late).await;
    let scope = store.scopes().await.unwrap().remove(0);
    let mut open = 0;
    for Stored { row, .. } in store.list(&scope).await.unwrap() {
        if let Row::Lease(lease) = row
            && &*lease.partition > "shardId-000000000002"
        {
            open += 1;
            assert_eq!(lease.checkpoint.position, None, "from its beginning");
        }
    }
    assert_eq!(open, 4);
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
    let opening = KinesisConsumer::open(link, &bench.leasing, STREAM, options, counted);
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
    let opening = KinesisConsumer::open(
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
