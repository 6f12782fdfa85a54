//! Partitions that go while a seek asks where to take them.

use super::{
    Numbers, all_of,
    stalled_store::{Stalled, Stalls},
    take,
};
use anyhub_core::{Consumer, Error, ErrorKind, Point};
use std::sync::Arc;
use tokio::sync::Barrier;

/// Seeks to the end of all partitions while another reader takes partition 0.
async fn sought(partitions: u32) -> (Arc<Stalls>, super::GroupedConsumer<Numbers>, Error) {
    let store = Arc::new(Stalls::default());
    let numbers = Numbers::new(partitions);
    let mut member = numbers.member(&store, Point::Start).await;
    take(&mut member, partitions as usize * 10).await;
    let barrier = Arc::new(Barrier::new(2));
    numbers.0.lock().unwrap().resolving = Some(barrier.clone());
    let taking = async {
        barrier.wait().await;
        // It does not come back while the seek goes on.
        store.stall(Stalled::First);
        numbers.take(0);
        barrier.wait().await;
    };
    let (sought, ()) = tokio::join!(member.seek(Point::End), taking);
    let fenced = sought.unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced, "{fenced}");
    (store, member, fenced)
}

#[tokio::test]
async fn one_that_goes_is_not_moved_and_the_seek_says_so() {
    let (store, mut member, fenced) = sought(1).await;
    assert!(fenced.message().contains("nothing was moved"), "{fenced}");
    store.answer();
    let (places, ..) = take(&mut member, 10).await;
    assert!(places.into_iter().eq(all_of(0)), "it is where it was");
    member.close().await.unwrap();
}

#[tokio::test]
async fn the_others_are_moved_and_the_seek_says_which_was_not() {
    let (store, mut member, fenced) = sought(2).await;
    assert!(fenced.message().contains("all but 0"), "{fenced}");
    store.answer();
    let (places, ..) = take(&mut member, 10).await;
    assert!(places.into_iter().eq(all_of(0)), "1 stands at its end");
    member.seek(Point::End).await.unwrap();
    member.close().await.unwrap();
}
