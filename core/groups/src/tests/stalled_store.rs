//! A store of leases that does not answer for a while, and seeks that it leaves waiting.

use super::{Numbers, PATIENCE, all_of, group, options, take, until};
use anyhub_core::{Change, Consumer, ErrorKind, Partition, Point, Result};
use anyhub_leases::{
    Checkpoint, Key, Lease, LeaseStore, MemoryLeases, Row, Scope, Stored, Version, Written,
};
use async_trait::async_trait;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, time::timeout};

#[derive(Debug, Default)]
pub(super) struct Stalls {
    store: MemoryLeases,
    stalled: watch::Sender<Stalled>,
    /// The last checkpoint that was to be written.
    wanted: Mutex<Checkpoint>,
}

/// What is not answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stalled {
    #[default]
    Nothing,
    All,
    /// Writes of the row of partition 0.
    First,
}

impl Stalls {
    pub(super) fn stall(&self, stalled: Stalled) {
        self.stalled.send_replace(stalled);
    }

    pub(super) fn answer(&self) {
        self.stall(Stalled::Nothing);
    }

    /// The last checkpoint that was to be written.
    pub(super) fn wanted(&self) -> Checkpoint {
        self.wanted.lock().unwrap().clone()
    }

    async fn gate(&self, lease: Option<&Lease>) {
        let is_first = lease.is_some_and(|lease| *lease.partition == *"0");
        let passes = |stalled: &Stalled| match stalled {
            Stalled::Nothing => true,
            Stalled::All => false,
            Stalled::First => !is_first,
        };
        // Whoever changes it is this store.
        let _ = self.stalled.subscribe().wait_for(passes).await;
    }
}

#[async_trait]
impl LeaseStore for Stalls {
    async fn list(&self, scope: &Scope) -> Result<Vec<Stored>> {
        self.gate(None).await;
        self.store.list(scope).await
    }

    async fn write(&self, scope: &Scope, row: &Row, expected: Option<&Version>) -> Result<Written> {
        let lease = match row {
            Row::Lease(lease) => Some(&**lease),
            _ => None,
        };
        if let Some(lease) = lease {
            *self.wanted.lock().unwrap() = lease.checkpoint.clone();
        }
        self.gate(lease).await;
        self.store.write(scope, row, expected).await
    }

    async fn remove(&self, scope: &Scope, key: &Key, expected: Option<&Version>) -> Result<bool> {
        self.gate(None).await;
        self.store.remove(scope, key, expected).await
    }

    async fn scopes(&self) -> Result<Vec<Scope>> {
        self.store.scopes().await
    }
}

/// Shorter than a lease: what is not answered by then is taken to be lost.
const SHORT: Duration = Duration::from_millis(200);

async fn a_seek_is_not_answered(acked: bool) {
    let store = Arc::new(Stalls::default());
    let numbers = Numbers::new(1);
    let mut group = group(&store);
    group.deadline = SHORT;
    let mut member = numbers.open(group, options().start(Point::Start)).await;
    let (_, came, _) = take(&mut member, 10).await;
    store.stall(Stalled::All);
    if acked {
        assert_eq!(member.acks().ack(&[came[0].token]), 1);
    }
    let late = member.seek(Point::Start).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout, "{late}");
    assert!(late.is_indeterminate(), "{late}");
    assert_eq!(member.acks().ack(&[came[1].token]), 0, "it is stale");
    store.answer();
    let (places, _, changes) = take(&mut member, 10).await;
    assert!(places.into_iter().eq(all_of(0)));
    let partition = || vec![Partition::number(0)];
    let due = [Change::Lost(partition()), Change::Assigned(partition())];
    assert_eq!(changes, due);
    let committed = member.commit().await.map_err(|error| error.kind());
    let fenced = acked.then_some(ErrorKind::Fenced);
    assert_eq!(committed.err(), fenced);
    member.seek(Point::Start).await.unwrap();
    let (places, ..) = take(&mut member, 10).await;
    assert!(places.into_iter().eq(all_of(0)));
    member.close().await.unwrap();
}

#[tokio::test]
async fn a_partition_whose_seek_is_not_answered_comes_again() {
    a_seek_is_not_answered(false).await;
}

#[tokio::test]
async fn so_does_one_that_had_something_to_commit() {
    a_seek_is_not_answered(true).await;
}

#[tokio::test]
async fn a_partition_that_is_taken_while_its_seek_waits_comes_again_where_it_went() {
    let store = Arc::new(Stalls::default());
    let numbers = Numbers::new(1);
    let mut member = numbers.member(&store, Point::Start).await;
    let (_, came, _) = take(&mut member, 10).await;
    let tokens: Vec<_> = came.iter().map(|delivery| delivery.token).collect();
    assert_eq!(member.acks().ack(&tokens), 10);
    member.commit().await.unwrap();
    store.stall(Stalled::All);
    let taking = async {
        until(|| store.wanted().generation == 1).await;
        numbers.take(0);
        store.answer();
    };
    let (sought, ()) = tokio::join!(member.seek(Point::Start), taking);
    sought.unwrap();
    let (places, ..) = take(&mut member, 10).await;
    assert!(places.into_iter().eq(all_of(0)));
    member.close().await.unwrap();
}

#[tokio::test]
async fn a_partition_whose_end_is_not_answered_goes() {
    let store = Arc::new(Stalls::default());
    let mut group = group(&store);
    group.deadline = SHORT;
    let numbers = Numbers::new(1);
    numbers.0.lock().unwrap().ends = true;
    let mut member = numbers.open(group, options().start(Point::Start)).await;
    let (_, came, _) = take(&mut member, 10).await;
    let tokens: Vec<_> = came.iter().map(|delivery| delivery.token).collect();
    assert_eq!(member.acks().ack(&tokens), 10);
    member.commit().await.unwrap();
    store.stall(Stalled::All);
    // It is no longer listed, so that its end may be noted.
    numbers.grow(0);
    let batch = timeout(PATIENCE, member.receive(1)).await;
    let changes = batch.expect("it stays for ever").unwrap().changes;
    assert_eq!(changes, [Change::Lost(vec![Partition::number(0)])]);
    store.answer();
    member.close().await.unwrap();
}
