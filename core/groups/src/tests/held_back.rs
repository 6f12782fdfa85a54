//! Grants whose leases the consumer does not have yet.

use super::{Numbered, Numbers, group, options, scope, until};
use crate::shared::Shared;
use anyhub_leases::{Change, LeaseStore, Leases, MemoryLeases, NewPartition, Options};
use std::sync::Arc;

#[tokio::test]
async fn a_partition_that_is_granted_before_its_member_is_known_is_held_back() {
    let store = Arc::new(MemoryLeases::new());
    let rows: Arc<dyn LeaseStore> = store.clone();
    let leases = Leases::join(rows, scope(), Options::new(), [NewPartition::new("0")]);
    let leases = leases.await.unwrap();
    let grant = match leases.changed().await.unwrap().pop() {
        Some(Change::Granted(grant)) => grant,
        other => panic!("{other:?}"),
    };
    let numbers = Numbers::new(1);
    let shared = Shared::new(numbers.clone(), options().group("g"), Some(group(&store)));
    let shared = Arc::new(shared);
    shared.own(&Numbered("0".into()), Some(grant), Ok(0));
    until(|| !numbers.0.lock().unwrap().readers.is_empty()).await;
    let polled = shared.poll(10).unwrap();
    assert!(polled.batch.deliveries.is_empty(), "{polled:?}");
    assert!(polled.held_back, "it is looked at again");
    leases.leave().await.unwrap();
}
