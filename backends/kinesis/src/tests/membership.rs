//! A member that comes, goes and is told at a bad moment.

use super::*;
use anyhub_leases::{Lease, LeaseStore, MemoryLeases, Row, Stored, Written};
use tokio::time::sleep;

/// C8: a seek by a member that was away for max_processing takes its shards back first.
#[tokio::test(flavor = "multi_thread")]
async fn a_seek_after_max_processing_moves_what_comes_back() {
    let bench = Bench::new(2).await;
    bench.put(numbered(5, 20)).await;
    let options = member().max_processing(Duration::from_millis(200));
    let mut consumer = bench.consumer(options).await;
    for _ in 0..3 {
        take(&mut consumer, 20, true).await;
        let gone = async {
            while !consumer.assignment().is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, gone).await.unwrap();
        let seeking = timeout(PATIENCE, consumer.seek(Point::Start)).await;
        seeking.unwrap().unwrap();
    }
    take(&mut consumer, 20, true).await;
    consumer.close().await.unwrap();
}

/// A shard that was granted can't be looked up; what is told of another one meanwhile does not wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_not_known_yet_holds_up_no_other() {
    let store = Arc::new(MemoryLeases::new());
    let own = store.clone();
    let bench = Bench::with(1, Kinesis::builder(), |config| config.store(own)).await;
    let mut consumer = bench.consumer(member()).await;
    let scope = store.scopes().await.unwrap().remove(0);
    let failing = Faults::none().server_errors("ListShards", Rate::share(1.0));
    bench.kinesis.set_faults(failing).unwrap();
    let strange = Lease::new("shardId-000000000007", 1);
    let made = store.write(&scope, &Row::from(strange), None).await;
    assert!(matches!(made.unwrap(), Written::At(_)));
    let rows = async || {
        let listed = store.list(&scope).await.unwrap().into_iter();
        let leases = listed.filter_map(|Stored { row, version, .. }| match row {
            Row::Lease(lease) => Some((lease, version)),
            _ => None,
        });
        leases.collect::<Vec<_>>()
    };
    let granted = async {
        while rows().await.iter().any(|(lease, _)| lease.owner.is_none()) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, granted).await.unwrap();
    // Another one takes the first shard.
    loop {
        let all = rows().await;
        let first = all.iter().find(|(it, _)| it.partition.ends_with('0'));
        let (lease, version) = first.unwrap();
        let mut taken = Lease::clone(lease);
        taken.owner = Some("another".into());
        taken.takes += 1;
        taken.counter += 1;
        taken.term = Duration::from_secs(60);
        let written = store.write(&scope, &Row::from(taken), Some(version)).await;
        if let Written::At(_) = written.unwrap() {
            break;
        }
    }
    let told = async {
        loop {
            let batch = consumer.receive(10).await.unwrap();
            let lost = |change: &Change| matches!(change, Change::Lost(_));
            if batch.changes.iter().any(lost) {
                return;
            }
        }
    };
    let told = timeout(Duration::from_secs(5), told).await;
    assert!(told.is_ok(), "the loss waits for a shard that is not known");
    bench.kinesis.set_faults(Faults::none()).unwrap();
    consumer.close().await.unwrap();
}

/// Its members don't go on beside those of a new file.
#[cfg(all(unix, feature = "sqlite"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_file_that_is_removed_ends_its_members() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leases.db");
    let leases = LeasesIn::Sqlite(file.clone());
    let bench = Bench::with(1, Kinesis::builder(), |config| config.leases(leases)).await;
    bench.put(numbered(1, 1)).await;
    let mut consumer = bench.consumer(member()).await;
    take(&mut consumer, 1, true).await;
    std::fs::remove_file(&file).unwrap();
    let told = timeout(PATIENCE, consumer.receive(1)).await.unwrap();
    let error = told.unwrap_err();
    assert_eq!(error.kind(), anyhub_core::ErrorKind::Unexpected, "{error}");
    assert!(error.message().contains("was removed"), "{error}");
}
