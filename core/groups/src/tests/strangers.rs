//! Partitions that go to readers that the group does not know, who may be its members in other processes.

use super::{Numbers, scope, take};
use anyhub_core::{Consumer, ErrorKind, Point, Result};
use anyhub_leases::{Key, LeaseStore, MemoryLeases, Row, Scope, Stored, Version, Written};
use async_trait::async_trait;
use std::{
    fmt,
    sync::{Arc, Mutex},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

const SHARED: &str = "leases=sqlite:FILE";

/// What is told when a partition with an acknowledged event is lost: the warnings, and the error.
async fn told(store: &Arc<impl LeaseStore>) -> (String, String) {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let numbers = Numbers::new(1);
    let mut member = numbers.member(store, Point::Start).await;
    let (_, came, _) = take(&mut member, 2).await;
    let tokens: Vec<_> = came.iter().map(|delivery| delivery.token).collect();
    // Behind one that is not, it can't be committed.
    assert_eq!(member.acks().ack(&tokens[1..]), 1);
    numbers.take(0);
    let fenced = member.commit().await.unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced);
    member.close().await.unwrap();
    let warned = warnings.0.lock().unwrap().clone();
    assert!(warned.contains("another reader has taken"), "{warned}");
    (warned, fenced.to_string())
}

#[tokio::test]
async fn where_leases_are_of_one_process_another_store_is_named() {
    let (warned, fenced) = told(&Arc::new(MemoryLeases::new())).await;
    assert!(warned.contains(SHARED), "{warned}");
    assert!(fenced.contains(SHARED), "{fenced}");
}

#[tokio::test]
async fn where_they_are_of_several_it_is_not() {
    let store = Arc::new(Elsewhere::default());
    let (warned, fenced) = told(&store).await;
    assert!(!warned.contains(SHARED), "{warned}");
    assert!(!fenced.contains(SHARED), "{fenced}");
    assert!(!store.list(&scope()).await.unwrap().is_empty());
}

/// A store of which other processes know, too.
#[derive(Debug, Default)]
struct Elsewhere(MemoryLeases);

#[async_trait]
impl LeaseStore for Elsewhere {
    async fn list(&self, scope: &Scope) -> Result<Vec<Stored>> {
        self.0.list(scope).await
    }

    async fn write(&self, scope: &Scope, row: &Row, expected: Option<&Version>) -> Result<Written> {
        self.0.write(scope, row, expected).await
    }

    async fn remove(&self, scope: &Scope, key: &Key, expected: Option<&Version>) -> Result<bool> {
        self.0.remove(scope, key, expected).await
    }

    async fn scopes(&self) -> Result<Vec<Scope>> {
        self.0.scopes().await
    }
}

/// What is warned of on this thread, field by field.
#[derive(Debug, Clone, Default)]
struct Warnings(Arc<Mutex<String>>);

impl Visit for Warnings {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = self.0.lock().unwrap();
        text.push_str(&format!("{field}={value:?} "));
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
