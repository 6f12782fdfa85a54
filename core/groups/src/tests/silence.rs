//! Limits that hold though the store of the leases does not answer.

use super::{
    Numbers, PATIENCE, all_of, group, options,
    stalled_store::{Stalled, Stalls},
    take, until,
};
use anyhub_core::{Consumer, ErrorKind, Point};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, pause};

/// As good as for ever.
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn partitions_go_after_max_processing_though_a_commit_waits() {
    let store = Arc::new(Stalls::default());
    let mut group = group(&store);
    group.deadline = HOUR;
    let options = options().start(Point::Start);
    let options = options.max_processing(Duration::from_millis(500));
    let numbers = Numbers::new(1);
    let mut member = numbers.open(group, options).await;
    let (_, came, _) = take(&mut member, 10).await;
    store.stall(Stalled::All);
    assert_eq!(member.acks().ack(&[came[0].token]), 1);
    until(|| store.wanted().position.is_some()).await;
    until(|| member.assignment().is_empty()).await;
    assert_eq!(member.acks().ack(&[came[1].token]), 0, "it is stale");
    store.answer();
    // It joins again, where its last commit was done after all.
    let (places, ..) = take(&mut member, 9).await;
    assert!(places.into_iter().eq(all_of(0).skip(1)));
    let fenced = member.commit().await.unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced, "that was not known");
    member.close().await.unwrap();
}

#[tokio::test]
async fn closing_waits_for_the_store_but_once() {
    let store = Arc::new(Stalls::default());
    let mut group = group(&store);
    group.deadline = PATIENCE;
    let numbers = Numbers::new(1);
    let mut member = numbers.open(group, options().start(Point::Start)).await;
    let (_, came, _) = take(&mut member, 10).await;
    store.stall(Stalled::All);
    assert_eq!(member.acks().ack(&[came[0].token]), 1);
    pause();
    let start = Instant::now();
    let late = member.close().await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout, "{late}");
    assert!(late.is_indeterminate(), "{late}");
    // In virtual time, which is no measure of this machine.
    assert!(start.elapsed() < PATIENCE + PATIENCE / 2);
    member.close().await.unwrap();
}
