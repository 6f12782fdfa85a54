use super::*;
use crate::{Lease, store::trials};
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, PutMultipartOptions,
    PutResult, memory::InMemory,
};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A store in memory that is less than it should be.
#[derive(Debug, Default)]
struct Poor {
    inner: InMemory,
    lack: Lack,
    gets: AtomicUsize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Lack {
    #[default]
    Nothing,
    /// As `LocalFileSystem` is.
    Updates,
    /// As some that speak like S3 are.
    Conditions,
    Permission,
}

impl fmt::Display for Poor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poor")
    }
}

#[async_trait]
impl ObjectStore for Poor {
    async fn put_opts(
        &self,
        place: &Path,
        body: PutPayload,
        mut options: PutOptions,
    ) -> object_store::Result<PutResult> {
        match (self.lack, &options.mode) {
            (Lack::Updates, PutMode::Update(_)) => {
                return Err(object_store::Error::NotImplemented {
                    operation: "put".into(),
                    implementer: "Poor".into(),
                });
            }
            (Lack::Conditions, PutMode::Update(_)) => options.mode = PutMode::Overwrite,
            (Lack::Permission, _) => {
                return Err(object_store::Error::PermissionDenied {
                    path: place.to_string(),
                    source: "no".into(),
                });
            }
            _ => {}
        }
        self.inner.put_opts(place, body, options).await
    }

    async fn put_multipart_opts(
        &self,
        place: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(place, options).await
    }

    async fn get_opts(&self, place: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.inner.get_opts(place, options).await
    }

    fn delete_stream(
        &self,
        places: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(places)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

async fn poor(lack: Lack) -> Result<ObjectLeases> {
    let store = Poor {
        lack,
        ..Poor::default()
    };
    ObjectLeases::open(Arc::new(store), Path::from("app/leases")).await
}

#[tokio::test]
async fn it_does_what_every_store_does() {
    for prefix in ["", "app/leases"] {
        let store = ObjectLeases::open(Arc::new(InMemory::new()), Path::from(prefix)).await;
        trials::run(Arc::new(store.unwrap())).await;
    }
}

#[tokio::test]
async fn a_store_without_conditional_puts_is_unsupported() {
    for lack in [Lack::Updates, Lack::Conditions] {
        let refused = poor(lack).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{lack:?}");
        assert!(refused.to_string().contains("a SQLite file"), "{refused}");
    }
}

#[tokio::test]
async fn local_files_are_unsupported() {
    let folder = tempfile::tempdir().unwrap();
    let files = object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let refused = ObjectLeases::open(Arc::new(files), Path::default())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(refused.to_string().contains("a SQLite file"), "{refused}");
}

#[tokio::test]
async fn a_refusal_is_denied() {
    assert_eq!(
        poor(Lack::Permission).await.unwrap_err().kind(),
        ErrorKind::Denied
    );
}

#[tokio::test]
async fn a_row_is_read_again_only_when_it_has_changed() {
    let objects = Arc::new(Poor::default());
    let open = || ObjectLeases::open(objects.clone(), Path::default());
    let (one, two) = (open().await.unwrap(), open().await.unwrap());
    let scope = Scope::new("kinesis", "tweets", "score");
    let mut versions = Vec::new();
    for partition in ["a", "b", "c"] {
        let written = one
            .write(&scope, &Lease::new(partition, 1).into(), None)
            .await;
        let Written::At(version) = written.unwrap() else {
            panic!("nothing stood there");
        };
        versions.push(version);
    }
    let gets = || objects.gets.swap(0, Ordering::Relaxed);
    gets();
    assert_eq!(one.list(&scope).await.unwrap().len(), 3);
    assert_eq!(gets(), 0, "it wrote them itself");
    assert_eq!(two.list(&scope).await.unwrap().len(), 3);
    assert_eq!(gets(), 3);
    let mut changed = Lease::new("b", 2);
    changed.counter = 1;
    one.write(&scope, &changed.into(), Some(&versions[1]))
        .await
        .unwrap();
    assert_eq!(two.list(&scope).await.unwrap().len(), 3);
    assert_eq!(gets(), 1);
}

#[tokio::test]
async fn what_is_no_row_is_told() {
    let objects = Arc::new(InMemory::new());
    let store = ObjectLeases::open(objects.clone(), Path::default())
        .await
        .unwrap();
    let scope = Scope::new("kinesis", "tweets", "score");
    let place = store.place(&scope, &Key::Lease("p".into())).unwrap();
    let put = |body: &'static str| objects.put(&place, body.into());
    put("nonsense").await.unwrap();
    let broken = store.list(&scope).await.unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::Unexpected);
    put(r#"{"format": 2}"#).await.unwrap();
    assert_eq!(
        store.list(&scope).await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}
