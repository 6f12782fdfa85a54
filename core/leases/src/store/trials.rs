//! What every store must do; each runs all of it.

use crate::{Checkpoint, Key, Lease, LeaseStore, MemberRow, Row, Scope, Stored, Version, Written};
use std::{sync::Arc, time::Duration};

/// Runs every trial on a store without rows.
pub(super) async fn run(store: Arc<dyn LeaseStore>) {
    a_row_comes_back_as_it_was(&*store).await;
    only_one_creates(&*store).await;
    only_the_version_read_is_replaced(&*store).await;
    a_version_is_not_used_twice(&*store).await;
    only_the_version_read_is_removed(&*store).await;
    scopes_are_apart(&*store).await;
    names_of_any_kind(&*store).await;
    of_many_at_once_one_wins(store.clone()).await;
}

fn scope(name: &str) -> Scope {
    Scope::new("trial", "topic", name)
}

fn lease(partition: &str) -> Lease {
    let mut lease = Lease::new(partition, 1_764_000_000);
    lease.owner = Some("member-1".into());
    lease.counter = u64::MAX >> 1;
    lease.term = Duration::from_millis(10_000);
    lease.checkpoint = Checkpoint::new(3, Some("49590338:7".into()));
    lease.parents = vec!["shard-a".into(), "shard-b".into()];
    lease.asked_by = Some("member-2".into());
    lease
}

async fn create(store: &dyn LeaseStore, scope: &Scope, row: impl Into<Row>) -> Version {
    match store.write(scope, &row.into(), None).await.unwrap() {
        Written::At(version) => version,
        Written::Conflict(found) => panic!("it stands already: {found:?}"),
    }
}

async fn a_row_comes_back_as_it_was(store: &dyn LeaseStore) {
    let scope = scope("row");
    let mut finished = lease("shard-1");
    finished.checkpoint.finished = true;
    let rows = [
        Row::from(lease("shard-0")),
        finished.into(),
        Lease::new("shard-2", 0).into(),
        MemberRow::new("member-1", 7, Duration::from_secs(10)).into(),
    ];
    let mut expected = Vec::new();
    for row in rows {
        let version = create(store, &scope, row.clone()).await;
        expected.push(Stored::new(row, version));
    }
    let mut listed = store.list(&scope).await.unwrap();
    listed.sort_by_key(|stored| stored.row.key());
    assert_eq!(listed, expected);
    assert_eq!(store.list(&scope).await.unwrap().len(), 4, "and again");
}

async fn only_one_creates(store: &dyn LeaseStore) {
    let scope = scope("create");
    let version = create(store, &scope, lease("p")).await;
    let mut other = lease("p");
    other.owner = Some("member-3".into());
    let refused = store.write(&scope, &other.into(), None).await.unwrap();
    let found = Stored::new(lease("p").into(), version);
    assert_eq!(refused, Written::Conflict(Some(found)));
}

async fn only_the_version_read_is_replaced(store: &dyn LeaseStore) {
    let scope = scope("replace");
    let first = create(store, &scope, lease("p")).await;
    let mut next = lease("p");
    next.counter += 1;
    let row = Row::from(next);
    let Written::At(second) = store.write(&scope, &row, Some(&first)).await.unwrap() else {
        panic!("it stood at the version that was expected");
    };
    let mut late = lease("p");
    late.owner = None;
    let late = store
        .write(&scope, &late.into(), Some(&first))
        .await
        .unwrap();
    assert_eq!(
        late,
        Written::Conflict(Some(Stored::new(row.clone(), second.clone())))
    );
    assert_eq!(
        store.list(&scope).await.unwrap(),
        [Stored::new(row, second.clone())]
    );

    let absent = store
        .write(&scope, &lease("absent").into(), Some(&second))
        .await;
    assert_eq!(absent.unwrap(), Written::Conflict(None));
}

async fn a_version_is_not_used_twice(store: &dyn LeaseStore) {
    let scope = scope("version");
    let first = create(store, &scope, lease("p")).await;
    let key = Key::Lease("p".into());
    assert!(store.remove(&scope, &key, Some(&first)).await.unwrap());
    let mut again = lease("p");
    again.counter = 1;
    let second = create(store, &scope, again).await;
    assert_ne!(first, second);
    let late = store
        .write(&scope, &lease("p").into(), Some(&first))
        .await
        .unwrap();
    assert!(matches!(late, Written::Conflict(Some(_))), "{late:?}");
}

async fn only_the_version_read_is_removed(store: &dyn LeaseStore) {
    let scope = scope("remove");
    let key = Key::Lease("p".into());
    let first = create(store, &scope, lease("p")).await;
    let mut next = lease("p");
    next.counter += 1;
    store
        .write(&scope, &next.into(), Some(&first))
        .await
        .unwrap();
    assert!(!store.remove(&scope, &key, Some(&first)).await.unwrap());
    assert_eq!(store.list(&scope).await.unwrap().len(), 1);
    assert!(
        store.remove(&scope, &key, None).await.unwrap(),
        "however it stands"
    );
    assert!(store.list(&scope).await.unwrap().is_empty());
    assert!(
        store.remove(&scope, &key, None).await.unwrap(),
        "it is gone"
    );
    assert!(
        store.remove(&scope, &key, Some(&first)).await.unwrap(),
        "it is gone"
    );
}

async fn scopes_are_apart(store: &dyn LeaseStore) {
    let groups = ["one", "one.two", "one/two"];
    for group in groups {
        let mut row = lease("p");
        row.owner = Some(group.into());
        create(store, &scope(group), row).await;
        create(store, &scope(group), MemberRow::new("p", 1, Duration::ZERO)).await;
    }
    for group in groups {
        let rows = store.list(&scope(group)).await.unwrap();
        assert_eq!(rows.len(), 2);
        let own = |stored: &Stored| match &stored.row {
            Row::Lease(lease) => lease.owner.as_deref() == Some(group),
            Row::Member(_) => true,
        };
        assert!(rows.iter().all(own), "{rows:?}");
    }
    let scopes = store.scopes().await.unwrap();
    assert!(scopes.is_sorted());
    let there = |group: &&str| scopes.contains(&scope(group));
    assert!(groups.iter().all(there), "{scopes:?}");

    for stored in store.list(&scope("one")).await.unwrap() {
        store
            .remove(&scope("one"), &stored.row.key(), None)
            .await
            .unwrap();
    }
    assert!(!store.scopes().await.unwrap().contains(&scope("one")));
    assert!(store.list(&scope("nowhere")).await.unwrap().is_empty());
}

async fn names_of_any_kind(store: &dyn LeaseStore) {
    let scope = Scope::new("kinesis:eu-west-1", "a/b%2F", "Grüße 😀 ..");
    let names = [
        "", ".", "..", "a/b", "a%2Fb", "=2F", "ß", "A", "a", "\u{0}", "*?",
    ];
    for name in names {
        create(store, &scope, Lease::new(name, 1)).await;
    }
    let listed = store.list(&scope).await.unwrap();
    let mut found: Vec<_> = listed
        .iter()
        .map(|stored| match &stored.row {
            Row::Lease(lease) => &*lease.partition,
            Row::Member(member) => panic!("{member:?} was never written"),
        })
        .collect();
    found.sort_unstable();
    let mut names = names;
    names.sort_unstable();
    assert_eq!(found, names);
    assert!(store.scopes().await.unwrap().contains(&scope));
}

async fn of_many_at_once_one_wins(store: Arc<dyn LeaseStore>) {
    let scope = scope("race");
    let mut version = create(&*store, &scope, lease("p")).await;
    for round in 0..20u64 {
        let tries = (0..4u64).map(|member| {
            let (store, scope, version) = (store.clone(), scope.clone(), version.clone());
            tokio::spawn(async move {
                let mut row = lease("p");
                row.counter = round * 4 + member;
                store
                    .write(&scope, &row.into(), Some(&version))
                    .await
                    .unwrap()
            })
        });
        let mut winners = Vec::new();
        for tried in tries.collect::<Vec<_>>() {
            if let Written::At(version) = tried.await.unwrap() {
                winners.push(version);
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        version = winners.remove(0);
    }
}

#[tokio::test]
async fn memory() {
    run(Arc::new(crate::MemoryLeases::new())).await;
}
