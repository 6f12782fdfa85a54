//! Lease files that can't be used.

use crate::world::{World, lease, refused};
use anyhub_core::{ErrorKind, Hub};
use anyhub_kinesis::{KinesisConfig, KinesisHub, LeasesIn};
use anyhub_leases::{LeaseStore, Scope, SqliteLeases};
use anyhub_local::Kinesis;
use rusqlite::Connection;
use std::{fs, path::Path};
use tempfile::TempDir;

/// A Kinesis whose groups are in this file.
async fn with_file(file: &Path) -> World {
    let world = World::start(Kinesis::builder(), |config| {
        config.leases(LeasesIn::Sqlite(file.into()))
    });
    let world = world.await;
    world.create("s", 1).await;
    world
}

/// Both ways to the leases fail so, and the topic stays.
async fn all_refused(world: &World, kind: ErrorKind, text: &str) {
    refused(world.admin().list_groups("s").await, kind, text);
    refused(world.admin().lag("s", "g").await, kind, text);
    refused(world.admin().delete_group("g").await, kind, text);
    refused(world.admin().delete_topic("s").await, kind, text);
    assert_eq!(world.admin().list_topics().await.unwrap(), ["s"]);
}

fn folder() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leases.db");
    (folder, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_groups_for_the_next_hub() {
    let (_folder, file) = folder();
    let world = with_file(&file).await;
    let store = SqliteLeases::open(&file).await.unwrap();
    let row = lease("shardId-000000000000", None).into();
    let written = store.write(&world.scope("s", "g"), &row, None).await;
    written.unwrap();
    // The endpoint is part of the place, so the next hub is of the same stand-in.
    let config = KinesisConfig::new()
        .region("us-east-1")
        .endpoint(world.kinesis.endpoint())
        .leases(LeasesIn::Sqlite(file));
    let next = KinesisHub::new(config).unwrap();
    let groups = next.admin().list_groups("s").await.unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(world.admin().list_groups("s").await.unwrap(), groups);
    next.admin().delete_topic("s").await.unwrap();
    assert!(store.scopes().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_is_unavailable_until_it_is_free() {
    let (_folder, file) = folder();
    with_file(&file)
        .await
        .admin()
        .list_groups("s")
        .await
        .unwrap();
    let other = Connection::open(&file).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let fresh = with_file(&file).await;
    let error = refused(
        fresh.admin().list_groups("s").await,
        ErrorKind::Unavailable,
        "locked",
    );
    assert!(error.is_retryable());
    assert!(
        error.message().contains(&*file.to_string_lossy()),
        "{error}"
    );
    drop(other);
    assert!(fresh.admin().list_groups("s").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_to_write_is_denied() {
    let (folder, _) = folder();
    // Permissions do not bind a superuser, who may run this; a folder is no file for anybody.
    let world = with_file(folder.path()).await;
    all_refused(&world, ErrorKind::Denied, "can't be opened").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_kind_is_a_wrong_setting() {
    let (_folder, file) = folder();
    fs::write(&file, b"no leases are in here. ".repeat(100)).unwrap();
    let world = with_file(&file).await;
    all_refused(&world, ErrorKind::Config, "is no SQLite file").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_says_so() {
    let (_folder, file) = folder();
    let store = SqliteLeases::open(&file).await.unwrap();
    let scope = Scope::new("kinesis", "s", "g");
    for shard in 0..200 {
        let row = lease(&format!("shardId-{shard:012}"), None).into();
        store.write(&scope, &row, None).await.unwrap();
    }
    drop(store);
    let mut bytes = fs::read(&file).unwrap();
    // All but the first page, which holds the header and the schema.
    bytes[4096..].fill(0xab);
    fs::write(&file, bytes).unwrap();
    let world = with_file(&file).await;
    let kind = ErrorKind::Unexpected;
    refused(world.admin().list_groups("s").await, kind, "is damaged");
    refused(world.admin().lag("s", "g").await, kind, "is damaged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_file_is_unsupported() {
    let (_folder, file) = folder();
    with_file(&file)
        .await
        .admin()
        .list_groups("s")
        .await
        .unwrap();
    let connection = Connection::open(&file).unwrap();
    connection
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    let world = with_file(&file).await;
    all_refused(&world, ErrorKind::Unsupported, "schema 99").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_right_is_opened_later() {
    let (folder, _) = folder();
    let file = folder.path().join("later/leases.db");
    let world = with_file(&file).await;
    let groups = world.admin().list_groups("s").await;
    refused(groups, ErrorKind::NotFound, "later");
    fs::create_dir(folder.path().join("later")).unwrap();
    assert!(world.admin().list_groups("s").await.unwrap().is_empty());
}
