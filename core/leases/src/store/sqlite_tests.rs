use super::*;
use crate::{Lease, store::trials};
use std::{error::Error as _, fs};
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leases.db");
    (folder, file)
}

fn scope() -> Scope {
    Scope::new("kinesis", "tweets", "score")
}

async fn refused(path: &Path) -> Error {
    let refused = SqliteLeases::open(path).await.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
    refused
}

#[tokio::test]
async fn what_may_be_secret_in_a_path_is_not_printed() {
    let (_folder, file) = folder();
    let pasted = file.with_file_name("postgres://me:hunter2@h/leases");
    let error = SqliteLeases::open(pasted).await.unwrap_err();
    let printed = format!("{error} {error:?}");
    assert!(!printed.contains("hunter2"), "{printed}");
    let store = SqliteLeases::open(file.with_file_name("AccountKey=hunter2")).await;
    let printed = format!("{store:?}");
    assert!(store.is_ok() && !printed.contains("hunter2"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_what_every_store_does() {
    let (_folder, file) = folder();
    trials::run(Arc::new(SqliteLeases::open(file).await.unwrap())).await;
}

#[tokio::test]
async fn two_connections_see_one_file_and_so_does_a_later_one() {
    let (_folder, file) = folder();
    let one = SqliteLeases::open(&file).await.unwrap();
    let two = SqliteLeases::open(&file).await.unwrap();
    let row = Row::from(Lease::new("shard-0", 1));
    let Written::At(first) = one.write(&scope(), &row, None).await.unwrap() else {
        panic!("nothing stood there");
    };
    let conflict = two.write(&scope(), &row, None).await.unwrap();
    assert!(matches!(conflict, Written::Conflict(Some(_))));
    let replaced = two.write(&scope(), &row, Some(&first)).await.unwrap();
    assert!(matches!(replaced, Written::At(_)));
    drop((one, two));
    let later = SqliteLeases::open(&file).await.unwrap();
    assert_eq!(later.list(&scope()).await.unwrap().len(), 1);
}

/// Where a file that is open can be removed at all.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_was_removed_or_replaced_is_told() {
    let (folder, file) = folder();
    let store = SqliteLeases::open(&file).await.unwrap();
    let row = Row::from(Lease::new("shard-0", 1));
    store.write(&scope(), &row, None).await.unwrap();
    let fails = async || {
        let listed = store.list(&scope()).await.unwrap_err();
        let written = store.write(&scope(), &row, None).await.unwrap_err();
        for error in [listed, written] {
            assert_eq!(error.kind(), ErrorKind::Unexpected, "{error}");
            assert!(!error.is_retryable() && error.advice().is_some());
            assert!(error.message().contains(&file.display().to_string()));
        }
    };
    let aside = folder.path().join("aside.db");
    fs::rename(&file, &aside).unwrap();
    fails().await;
    fs::rename(&aside, &file).unwrap();
    assert_eq!(store.list(&scope()).await.unwrap().len(), 1, "it is back");
    fs::remove_file(&file).unwrap();
    fails().await;
    let _new = SqliteLeases::open(&file).await.unwrap();
    fails().await;
}

#[tokio::test]
async fn a_locked_file_is_unavailable_and_well_again_afterwards() {
    let (_folder, file) = folder();
    let store = SqliteLeases::open(&file).await.unwrap();
    let other = Connection::open(&file).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let row = Row::from(Lease::new("shard-0", 1));
    let locked = store.write(&scope(), &row, None).await.unwrap_err();
    assert_eq!(locked.kind(), ErrorKind::Unavailable);
    assert!(locked.is_retryable() && locked.source().is_some());
    assert_eq!(refused(&file).await.kind(), ErrorKind::Unavailable);
    other.execute_batch("ROLLBACK").unwrap();
    assert!(matches!(
        store.write(&scope(), &row, None).await.unwrap(),
        Written::At(_)
    ));
}

#[tokio::test]
async fn a_file_that_can_only_be_read_is_denied() {
    let (_folder, file) = folder();
    drop(SqliteLeases::open(&file).await.unwrap());
    // Permissions do not bind a superuser, who may run this; a read-only connection does.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let denied = SqliteLeases::connect(&file, flags).unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::Denied);
    assert!(denied.to_string().contains("make it writable"));
}

#[tokio::test]
async fn what_is_no_lease_file_is_refused_and_left_as_it_is() {
    let (folder, file) = folder();
    fs::write(
        &file,
        b"a file of another kind, longer than SQLite's header of 100 bytes. ".repeat(40),
    )
    .unwrap();
    let before = fs::read(&file).unwrap();
    assert_eq!(refused(&file).await.kind(), ErrorKind::Config);
    assert_eq!(fs::read(&file).unwrap(), before);

    let other = folder.path().join("other.db");
    let connection = Connection::open(&other).unwrap();
    connection
        .execute_batch("CREATE TABLE songs (name TEXT)")
        .unwrap();
    assert_eq!(refused(&other).await.kind(), ErrorKind::Config);

    let nowhere = folder.path().join("nowhere/leases.db");
    assert_eq!(refused(&nowhere).await.kind(), ErrorKind::NotFound);
    assert_eq!(refused(folder.path()).await.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn a_damaged_file_says_so() {
    let (_folder, file) = folder();
    let store = SqliteLeases::open(&file).await.unwrap();
    for partition in 0..200 {
        let row = Row::from(Lease::new(format!("shard-{partition}"), 1));
        store.write(&scope(), &row, None).await.unwrap();
    }
    drop(store);
    let mut bytes = fs::read(&file).unwrap();
    // All but the first page, which holds the header and the schema.
    bytes[4096..].fill(0xab);
    fs::write(&file, bytes).unwrap();
    let damaged = match SqliteLeases::open(&file).await {
        Err(damaged) => damaged,
        Ok(store) => store.list(&scope()).await.unwrap_err(),
    };
    assert_eq!(damaged.kind(), ErrorKind::Unexpected);
    assert!(damaged.to_string().contains("is damaged"), "{damaged}");
}

#[tokio::test]
async fn a_newer_file_is_unsupported_and_left_as_it_is() {
    let (_folder, file) = folder();
    drop(SqliteLeases::open(&file).await.unwrap());
    let mut connection = Connection::open(&file).unwrap();
    connection.execute_batch("PRAGMA user_version = 2").unwrap();
    let newer = refused(&file).await;
    assert_eq!(newer.kind(), ErrorKind::Unsupported);
    assert!(newer.to_string().contains("schema 2"));
    assert_eq!(identity(&mut connection).unwrap().schema, 2);
}

#[tokio::test]
async fn a_row_of_a_newer_version_is_unsupported() {
    let (_folder, file) = folder();
    let store = SqliteLeases::open(&file).await.unwrap();
    let connection = Connection::open(&file).unwrap();
    let insert = "INSERT INTO leases VALUES (?, 0, 'shard-0', 1, ?)";
    let body = br#"{"format": 9}"#.as_slice();
    connection
        .execute(insert, params![scope().as_str(), body])
        .unwrap();
    let newer = store.list(&scope()).await.unwrap_err();
    assert_eq!(newer.kind(), ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_open_a_new_file_at_once() {
    let (_folder, file) = folder();
    let opening: Vec<_> = (0..4)
        .map(|_| tokio::spawn(SqliteLeases::open(file.clone())))
        .collect();
    for opened in opening {
        opened.await.unwrap().unwrap();
    }
}
