mod seeks;

use super::*;
use crate::{
    Checkpoint, Clock, Groups, Key, Lease, MemoryLeases, Row, SqliteLeases, Stored, Version,
    Written,
};
use async_trait::async_trait;
use std::collections::BTreeMap;
use tokio::time::{Instant, sleep};

/// Tokio's time, which a test may stop, so that it passes only while everyone waits.
#[derive(Debug)]
struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix_seconds(&self) -> u64 {
        1_764_000_000
    }
}

fn scope() -> Scope {
    Scope::new("kinesis", "tweets", "score")
}

fn options() -> Options {
    Options::new()
        .clock(Arc::new(Virtual(Instant::now())))
        .seed(7)
}

fn shards(count: usize) -> Vec<NewPartition> {
    let names = (0..count).map(|index| format!("shard-{index}"));
    names.map(NewPartition::new).collect()
}

/// A member whose application does what it is told, at once.
struct App {
    leases: Arc<Leases>,
    grants: BTreeMap<Arc<str>, Grant>,
}

impl App {
    async fn join(
        store: &Arc<dyn LeaseStore>,
        options: Options,
        shards: Vec<NewPartition>,
    ) -> Self {
        let leases = Leases::join(store.clone(), scope(), options, shards)
            .await
            .unwrap();
        Self {
            leases: Arc::new(leases),
            grants: BTreeMap::new(),
        }
    }

    async fn step(&mut self) {
        for change in self.leases.changed().await.unwrap() {
            match change {
                Change::Granted(grant) => {
                    assert!(self.grants.insert(grant.partition.clone(), grant).is_none());
                }
                Change::Asked(partition) => {
                    let grant = self.grants.remove(&partition).unwrap();
                    assert!(!self.leases.may_deliver(&grant));
                    self.leases.release(&grant, None).await.unwrap();
                }
                Change::Lost(partition) => {
                    self.grants.remove(&partition);
                }
            }
        }
    }

    async fn until_it_has(&mut self, count: usize) {
        while self.grants.len() != count {
            self.step().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn members_share_and_a_killed_one_is_replaced_from_its_checkpoints() {
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new());
    let mut one = App::join(&store, options(), shards(4)).await;
    one.until_it_has(4).await;
    let mut two = App::join(&store, options(), shards(4)).await;
    tokio::join!(one.until_it_has(2), two.until_it_has(2));
    for (index, grant) in two.grants.values().enumerate() {
        two.leases
            .checkpoint(grant, index.to_string())
            .await
            .unwrap();
    }
    let killed = two.grants.clone();
    drop(two);
    let start = Instant::now();
    one.until_it_has(4).await;
    // In virtual time, which is no measure of this machine.
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "within twice the lease"
    );
    for (index, (partition, grant)) in killed.iter().enumerate() {
        let taken = &one.grants[partition];
        assert_eq!(
            taken.checkpoint.position.as_deref(),
            Some(index.to_string().as_str())
        );
        assert_eq!(taken.takes, grant.takes + 1);
        assert!(one.leases.may_deliver(taken));
    }
}

#[tokio::test(start_paused = true)]
async fn it_renews_without_being_asked_anything() {
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new());
    let mut one = App::join(&store, options(), shards(1)).await;
    one.until_it_has(1).await;
    let grant = one.grants.values().next().unwrap();
    for _ in 0..60 {
        sleep(Duration::from_secs(60)).await;
        assert!(one.leases.may_deliver(grant));
    }
}

#[tokio::test(start_paused = true)]
async fn leaving_hands_over_at_once_and_closes() {
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new());
    let mut one = App::join(&store, options(), shards(2)).await;
    one.until_it_has(2).await;
    let grant = one.grants.values().next().unwrap().clone();
    let waiting = tokio::spawn({
        let leases = one.leases.clone();
        async move { leases.changed().await }
    });
    tokio::task::yield_now().await;
    one.leases.leave().await.unwrap();
    one.leases.leave().await.unwrap();
    assert_eq!(
        waiting.await.unwrap().unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert!(!one.leases.may_deliver(&grant));
    let late = one.leases.checkpoint(&grant, "1").await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Closed);
    let start = Instant::now();
    let mut two = App::join(&store, options(), shards(2)).await;
    two.until_it_has(2).await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "it waits for no lease"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stale_owner_is_fenced() {
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new());
    let mut one = App::join(&store, options(), shards(1)).await;
    one.until_it_has(1).await;
    let grant = one.grants.values().next().unwrap().clone();
    let stored = store.list(&scope()).await.unwrap().into_iter();
    let row = |stored: Stored| match stored.row {
        Row::Lease(lease) => Some(((*lease).clone(), stored.version)),
        Row::Member(_) => None,
    };
    let (mut taken, version) = stored.filter_map(row).next().unwrap();
    taken.owner = Some("other".into());
    taken.takes += 1;
    store
        .write(&scope(), &taken.into(), Some(&version))
        .await
        .unwrap();
    let fenced = one.leases.checkpoint(&grant, "9").await.unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced);
    one.until_it_has(0).await;
    let again = one.leases.release(&grant, None).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Fenced);
}

#[tokio::test(start_paused = true)]
async fn seek_and_finish_through_the_driver() {
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new());
    let mut one = App::join(&store, options(), shards(1)).await;
    one.until_it_has(1).await;
    let grant = one.grants.pop_first().unwrap().1;
    one.leases.checkpoint(&grant, "10").await.unwrap();
    let back = one.leases.seek(&grant, Some("4".into())).await.unwrap();
    assert_eq!(back.checkpoint, Checkpoint::new(1, Some("4".into())));
    let stale = one.leases.checkpoint(&grant, "11").await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Fenced);
    let child = NewPartition::new("child").parents(["shard-0"]);
    one.leases.finish(&back, [child]).await.unwrap();
    one.until_it_has(1).await;
    assert!(one.grants.contains_key("child"));
}

/// Wraps a store: counts, stalls, refuses.
#[derive(Debug)]
struct Odd {
    inner: MemoryLeases,
    mood: Mutex<Mood>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Well,
    /// It does not answer; what it is asked is done all the same.
    Mute,
    Busy,
    Denied,
}

impl Odd {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryLeases::new(),
            mood: Mutex::new(mood),
        })
    }

    fn turn(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn answer<T>(&self, answer: Result<T>) -> Result<T> {
        let mood = *self.mood.lock().unwrap();
        let error = |kind| Err(Error::new(kind, "leases", "odd", "not in the mood"));
        match mood {
            Mood::Well => answer,
            Mood::Mute => std::future::pending().await,
            Mood::Busy => error(ErrorKind::Unavailable),
            Mood::Denied => error(ErrorKind::Denied),
        }
    }
}

#[async_trait]
impl LeaseStore for Odd {
    async fn list(&self, scope: &Scope) -> Result<Vec<Stored>> {
        self.answer(self.inner.list(scope).await).await
    }

    async fn write(&self, scope: &Scope, row: &Row, expected: Option<&Version>) -> Result<Written> {
        self.answer(self.inner.write(scope, row, expected).await)
            .await
    }

    async fn remove(&self, scope: &Scope, key: &Key, expected: Option<&Version>) -> Result<bool> {
        self.answer(self.inner.remove(scope, key, expected).await)
            .await
    }

    async fn scopes(&self) -> Result<Vec<Scope>> {
        self.answer(self.inner.scopes().await).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_mute_for_a_while_costs_no_more_than_the_lease() {
    let odd = Odd::new(Mood::Well);
    let store: Arc<dyn LeaseStore> = odd.clone();
    let mut one = App::join(&store, options(), shards(2)).await;
    one.until_it_has(2).await;
    let grant = one.grants.values().next().unwrap().clone();
    odd.turn(Mood::Mute);
    let call = {
        let (leases, grant) = (one.leases.clone(), grant.clone());
        tokio::spawn(async move { leases.checkpoint(&grant, "5").await })
    };
    sleep(Duration::from_secs(12)).await;
    assert!(
        !one.leases.may_deliver(&grant),
        "it can't know that it still owns it"
    );
    odd.turn(Mood::Well);
    call.await.unwrap().unwrap();
    assert!(one.leases.may_deliver(&grant), "nobody took it");
    assert_eq!(one.grants.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_and_may_be_done_all_the_same() {
    let odd = Odd::new(Mood::Well);
    let store: Arc<dyn LeaseStore> = odd.clone();
    let mut one = App::join(
        &store,
        options().deadline(Duration::from_secs(3)),
        shards(1),
    )
    .await;
    one.until_it_has(1).await;
    let grant = one.grants.values().next().unwrap();
    odd.turn(Mood::Busy);
    let late = one.leases.checkpoint(grant, "5").await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout);
    assert!(late.is_indeterminate());
    assert_eq!(
        one.leases.leave().await.unwrap_err().kind(),
        ErrorKind::Timeout
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_is_done_all_the_same() {
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new());
    let mut one = App::join(&store, options(), shards(1)).await;
    one.until_it_has(1).await;
    let grant = one.grants.values().next().unwrap();
    let dropped = timeout(Duration::ZERO, one.leases.checkpoint(grant, "5")).await;
    assert!(dropped.is_err());
    one.leases.checkpoint(grant, "4").await.unwrap();
    let group = Groups::new(store).describe(&scope()).await.unwrap();
    assert_eq!(group.leases[0].checkpoint.position.as_deref(), Some("5"));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_does_not_pass_is_told_and_one_that_does_is_not() {
    let denied: Arc<dyn LeaseStore> = Odd::new(Mood::Denied);
    let join = Leases::join(denied, scope(), options(), shards(1)).await;
    assert_eq!(join.unwrap_err().kind(), ErrorKind::Denied);
    let busy: Arc<dyn LeaseStore> = Odd::new(Mood::Busy);
    let join = Leases::join(busy, scope(), options(), shards(1)).await;
    assert_eq!(join.unwrap_err().kind(), ErrorKind::Timeout);

    let odd = Odd::new(Mood::Busy);
    let store: Arc<dyn LeaseStore> = odd.clone();
    let joining = App::join(&store, options(), shards(1));
    let well = async {
        sleep(Duration::from_secs(5)).await;
        odd.turn(Mood::Well);
    };
    let (mut one, ()) = tokio::join!(joining, well);
    one.until_it_has(1).await;
    odd.turn(Mood::Denied);
    assert_eq!(
        one.leases.changed().await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    odd.turn(Mood::Well);
    let grant = one.grants.values().next().unwrap();
    one.leases.checkpoint(grant, "1").await.unwrap();
}

#[tokio::test]
async fn too_short_a_lease_is_refused() {
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new());
    let options = Options::new().lease(Duration::from_millis(99));
    let refused = Leases::join(store, scope(), options, []).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
}

/// Two stores on one file, as two processes have them, and the system's clock.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_a_sqlite_file_and_one_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leases.db");
    let options = || Options::new().lease(Duration::from_millis(1_500));
    let first: Arc<dyn LeaseStore> = Arc::new(SqliteLeases::open(&file).await.unwrap());
    let second: Arc<dyn LeaseStore> = Arc::new(SqliteLeases::open(&file).await.unwrap());
    let mut one = App::join(&first, options(), shards(4)).await;
    one.until_it_has(4).await;
    let mut two = App::join(&second, options(), shards(4)).await;
    tokio::join!(one.until_it_has(2), two.until_it_has(2));
    let killed = two.grants.clone();
    for grant in killed.values() {
        two.leases.checkpoint(grant, "77").await.unwrap();
    }
    drop((two, second));
    one.until_it_has(4).await;
    for (partition, grant) in &killed {
        let taken = &one.grants[partition];
        assert_eq!(taken.checkpoint.position.as_deref(), Some("77"));
        assert!(taken.takes > grant.takes);
    }
    one.leases.leave().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn groups_from_outside() {
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new());
    let groups = Groups::with_clock(store.clone(), Arc::new(Virtual(Instant::now())));
    assert_eq!(
        groups.delete(&scope()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        groups.describe(&scope()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );

    let mut one = App::join(&store, options(), shards(2)).await;
    one.until_it_has(2).await;
    let mut two = App::join(&store, options(), shards(2)).await;
    tokio::join!(one.until_it_has(1), two.until_it_has(1));
    assert_eq!(groups.list().await.unwrap(), [scope()]);
    let mut names = [one.leases.name(), two.leases.name()].map(Arc::<str>::from);
    names.sort();
    assert_eq!(groups.live_members(&scope()).await.unwrap(), names);
    let refused = groups.delete(&scope()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);

    // One is killed, and its row stays a while.
    let alive = Arc::<str>::from(two.leases.name());
    drop(one);
    assert_eq!(groups.describe(&scope()).await.unwrap().members.len(), 2);
    assert_eq!(groups.live_members(&scope()).await.unwrap(), [alive]);
    drop(two);
    groups.delete(&scope()).await.unwrap();
    assert_eq!(groups.list().await.unwrap(), []);
}

#[tokio::test]
async fn a_partition_is_forgotten_when_it_is_finished_and_no_other_waits_for_it() {
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new());
    let groups = Groups::new(store.clone());
    let mut parent = Lease::new("parent", 1);
    let mut child = Lease::new("child", 1);
    child.parents = vec!["parent".into()];
    let write = async |lease: &Lease, expected: Option<&Version>| {
        let row = Row::from(lease.clone());
        match store.write(&scope(), &row, expected).await.unwrap() {
            Written::At(version) => version,
            Written::Conflict(found) => panic!("{found:?}"),
        }
    };
    let first = write(&parent, None).await;
    let waiting = write(&child, None).await;
    assert!(
        !groups.forget(&scope(), "parent").await.unwrap(),
        "it is not finished"
    );
    parent.checkpoint.finished = true;
    write(&parent, Some(&first)).await;
    assert!(
        !groups.forget(&scope(), "parent").await.unwrap(),
        "its child waits"
    );
    child.parents.clear();
    write(&child, Some(&waiting)).await;
    assert!(groups.forget(&scope(), "parent").await.unwrap());
    assert!(!groups.forget(&scope(), "child").await.unwrap());
    assert!(!groups.forget(&scope(), "nobody").await.unwrap());
}
