//! A consumer on a log of numbers, for what its hubs can't be brought to do on their own.

mod held_back;
mod silence;
mod stalled_store;
mod strangers;
mod unmoved;

use crate::{Arrivals, Arrived, Group, GroupedConsumer, Log, Page, Part, Resume, Resumes, Task};
use anyhub_core::{
    Change, Consumer, ConsumerOptions, Delivery, Error, ErrorKind, Event, Partition, Point, Result,
};
use anyhub_leases::{Checkpoint, Grant, Lease, LeaseStore, MemoryLeases, Row, Scope};
use std::{
    any::Any,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::Barrier,
    time::{sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Each partition holds the numbers from 0 to 9.
#[derive(Debug, Clone, Default)]
struct Numbers(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    partitions: u32,
    readers: Vec<(u32, Arrivals<Numbers>)>,
    /// How long listing takes, and how often it was begun.
    listing: Duration,
    lists: u32,
    /// How long it takes to say where a reader without a group begins.
    beginning: Duration,
    /// Where a seek waits twice before it knows where it goes.
    resolving: Option<Arc<Barrier>>,
    /// Partitions end behind their events.
    ends: bool,
    /// The next reader panics once it has brought what there is.
    panics: bool,
}

#[derive(Debug, Clone)]
struct Numbered(Arc<str>);

/// These numbers.
#[derive(Debug)]
struct Run(std::ops::Range<i64>);

impl Part for Numbered {
    fn id(&self) -> &Arc<str> {
        &self.0
    }

    fn partition(&self) -> Partition {
        Partition::named(&self.0)
    }

    fn parents(&self) -> &[Arc<str>] {
        &[]
    }

    fn gone(id: Arc<str>) -> Self {
        Self(id)
    }
}

impl Page for Run {
    type At = i64;

    fn len(&self) -> usize {
        (self.0.end - self.0.start) as usize
    }

    fn size(&self) -> usize {
        self.len()
    }

    fn size_of(&self, _: usize) -> usize {
        1
    }

    fn at(&self, index: usize) -> Option<i64> {
        self.0.clone().nth(index)
    }

    fn index_of(&self, at: i64) -> usize {
        (at - self.0.start).clamp(0, self.len() as i64) as usize
    }

    fn event(&self, index: usize) -> Option<(Event, Option<SystemTime>)> {
        let number = self.at(index)?;
        Some((Event::new(number.to_string()), None))
    }
}

impl Log for Numbers {
    const HUB: &'static str = "numbers";
    const PART: &'static str = "partition";
    const GROWS: Option<Duration> = Some(Duration::from_millis(20));
    type At = i64;
    type Part = Numbered;
    type Page = Run;
    type Begin = i64;

    fn topic(&self) -> &str {
        "t"
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn is_closed(&self) -> bool {
        false
    }

    async fn list(&self, _: &'static str) -> Result<Vec<Numbered>> {
        let listing = {
            let mut world = self.0.lock().unwrap();
            world.lists += 1;
            world.listing
        };
        sleep(listing).await;
        let all = 0..self.0.lock().unwrap().partitions;
        Ok(all
            .map(|number| Numbered(number.to_string().into()))
            .collect())
    }

    async fn look(&self, _: &'static str) -> Result<()> {
        Ok(())
    }

    async fn begin(
        &self,
        _: &'static str,
        parts: &[Numbered],
        at: &Point,
    ) -> Result<Resumes<Self>> {
        self.resolve(parts, at).await
    }

    async fn begin_alone(&self, parts: &[Numbered], at: &Point) -> Result<Vec<(Numbered, i64)>> {
        let beginning = self.0.lock().unwrap().beginning;
        sleep(beginning).await;
        let resumes = self.resolve(parts, at).await?.into_iter();
        Ok(resumes
            .map(|(part, at)| (part, at.place().unwrap_or_default()))
            .collect())
    }

    async fn resolve(&self, parts: &[Numbered], point: &Point) -> Result<Resumes<Self>> {
        let resolving = self.0.lock().unwrap().resolving.take();
        if let Some(barrier) = resolving {
            barrier.wait().await;
            barrier.wait().await;
        }
        let at = match point {
            Point::Start => Resume::Start,
            Point::End => Resume::At(10),
            _ => {
                let kind = ErrorKind::Unsupported;
                return Err(Error::new(kind, Self::HUB, "seek", "not here"));
            }
        };
        Ok(parts.iter().map(|part| (part.clone(), at)).collect())
    }

    fn begin_at(_: &Numbered, resume: Resume<i64>) -> i64 {
        resume.place().unwrap_or_default()
    }

    fn start(
        self: &Arc<Self>,
        part: Numbered,
        begin: i64,
        _: Option<&Grant>,
        arrivals: Arrivals<Self>,
    ) -> Task {
        let this = self.clone();
        let reading = async move {
            let arrived = Arrived {
                gap: None,
                page: Run(begin..10),
            };
            let ends = this.0.lock().unwrap().ends;
            if arrivals.came(arrived, ends) {
                if std::mem::take(&mut this.0.lock().unwrap().panics) {
                    std::panic::panic_any("from outside");
                }
                let number = part.0.parse().unwrap();
                this.0.lock().unwrap().readers.push((number, arrivals));
            }
        };
        Task::new(tokio::spawn(reading).abort_handle())
    }

    async fn close(&self) {}
}

impl Numbers {
    fn new(partitions: u32) -> Self {
        let this = Self::default();
        this.grow(partitions);
        this
    }

    fn grow(&self, partitions: u32) {
        self.0.lock().unwrap().partitions = partitions;
    }

    /// The hub gives this partition to another reader.
    fn take(&self, partition: u32) {
        let mut world = self.0.lock().unwrap();
        let reader = world.readers.iter().rposition(|(of, _)| *of == partition);
        let (_, reader) = world.readers.swap_remove(reader.unwrap());
        drop(world);
        reader.lose();
    }

    async fn member(&self, store: &Arc<impl LeaseStore>, start: Point) -> GroupedConsumer<Self> {
        self.open(group(store), options().start(start)).await
    }

    async fn open(&self, group: Group, options: ConsumerOptions) -> GroupedConsumer<Self> {
        let options = options.group("g");
        let opening = GroupedConsumer::open(self.clone(), options, Some(group));
        timeout(PATIENCE, opening).await.unwrap().unwrap()
    }
}

fn options() -> ConsumerOptions {
    ConsumerOptions::new().commit_interval(Duration::from_millis(5))
}

fn group(store: &Arc<impl LeaseStore>) -> Group {
    Group::new(store.clone(), scope(), Duration::from_millis(500))
}

fn scope() -> Scope {
    Scope::new("numbers", "t", "g")
}

/// A row that was made at this second.
async fn row(store: &MemoryLeases, partition: &str, position: &str, made: u64) {
    let mut lease = Lease::new(partition, made);
    lease.checkpoint = Checkpoint::new(0, Some(position.into()));
    let written = store.write(&scope(), &Row::from(lease), None).await;
    written.unwrap();
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// The next deliveries, as partition and number, and the changes on the way.
async fn take(
    consumer: &mut GroupedConsumer<Numbers>,
    count: usize,
) -> (Vec<(u32, i64)>, Vec<Delivery>, Vec<Change>) {
    let (mut all, mut changes) = (Vec::new(), Vec::new());
    while all.len() < count {
        let receiving = consumer.receive(count - all.len());
        let batch = timeout(PATIENCE, receiving).await.unwrap().unwrap();
        changes.extend(batch.changes);
        all.extend(batch.deliveries);
    }
    let place = |it: &Delivery| {
        let at = it.position.as_offset().unwrap();
        (it.partition.as_number().unwrap(), at)
    };
    let mut places: Vec<_> = all.iter().map(place).collect();
    places.sort_unstable();
    (places, all, changes)
}

fn all_of(partition: u32) -> impl Iterator<Item = (u32, i64)> {
    (0..10).map(move |number| (partition, number))
}

#[tokio::test]
async fn partitions_that_are_added_are_read_from_their_beginning() {
    let store = Arc::new(MemoryLeases::new());
    row(&store, "0", "10", 1).await;
    let numbers = Numbers::new(1);
    let mut member = numbers.member(&store, Point::End).await;
    let private = GroupedConsumer::open(numbers.clone(), options().start(Point::End), None);
    let mut private = private.await.unwrap();
    numbers.grow(2);
    for consumer in [&mut member, &mut private] {
        let (places, ..) = take(consumer, 10).await;
        assert!(places.into_iter().eq(all_of(1)));
        consumer.close().await.unwrap();
    }
}

/// Several times as long as it is from one look for added partitions to the next.
const SLOW: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_private_reader_begins_where_it_should_though_opening_takes_long() {
    let numbers = Numbers::new(1);
    numbers.0.lock().unwrap().beginning = SLOW;
    let private = GroupedConsumer::open(numbers.clone(), options().start(Point::End), None);
    let mut private = private.await.unwrap();
    numbers.grow(2);
    let (places, ..) = take(&mut private, 10).await;
    assert!(places.iter().copied().eq(all_of(1)), "{places:?}");
    private.close().await.unwrap();
}

#[tokio::test]
async fn partitions_that_are_added_are_found_though_listing_takes_long() {
    let numbers = Numbers::new(1);
    let private = GroupedConsumer::open(numbers.clone(), options().start(Point::End), None);
    let mut private = private.await.unwrap();
    numbers.0.lock().unwrap().listing = SLOW;
    numbers.grow(2);
    let (places, ..) = take(&mut private, 10).await;
    assert!(places.into_iter().eq(all_of(1)));
    private.close().await.unwrap();
}

#[tokio::test]
async fn closed_it_looks_for_nothing_any_more() {
    let numbers = Numbers::new(1);
    let private = GroupedConsumer::open(numbers.clone(), options(), None);
    let mut private = private.await.unwrap();
    let lists = {
        let mut world = numbers.0.lock().unwrap();
        world.listing = Duration::from_secs(3_600);
        world.lists
    };
    until(|| numbers.0.lock().unwrap().lists > lists).await;
    private.close().await.unwrap();
    drop(private);
    until(|| Arc::strong_count(&numbers.0) == 1).await;
}

async fn until(so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test]
async fn so_are_those_that_are_added_to_a_group_that_was_just_made() {
    let store = Arc::new(MemoryLeases::new());
    let numbers = Numbers::new(1);
    let mut member = numbers.member(&store, Point::End).await;
    numbers.grow(2);
    let (places, ..) = take(&mut member, 10).await;
    assert!(places.into_iter().eq(all_of(1)));
    member.close().await.unwrap();
}

#[tokio::test]
async fn what_a_new_group_lacks_begins_where_the_group_does() {
    let store = Arc::new(MemoryLeases::new());
    // Another member is about to make the second one.
    row(&store, "0", "3", now()).await;
    let numbers = Numbers::new(2);
    let mut member = numbers.member(&store, Point::End).await;
    let (places, ..) = take(&mut member, 7).await;
    assert!(places.into_iter().eq(all_of(0).skip(3)));
    assert_eq!(member.assignment().len(), 2);
    let none = timeout(Duration::from_millis(100), member.receive(1)).await;
    assert!(none.is_err(), "{none:?}");
    member.close().await.unwrap();
}

#[tokio::test]
async fn what_the_hub_gives_to_another_is_lost_and_comes_back_from_its_checkpoint() {
    let store = Arc::new(MemoryLeases::new());
    let numbers = Numbers::new(1);
    let mut member = numbers.member(&store, Point::Start).await;
    let (_, came, _) = take(&mut member, 6).await;
    let tokens: Vec<_> = came.iter().map(|delivery| delivery.token).collect();
    assert_eq!(member.acks().ack(&tokens[..4]), 4);
    member.commit().await.unwrap();
    assert_eq!(member.acks().ack(&tokens[4..5]), 1);
    numbers.take(0);
    assert_eq!(member.acks().ack(&tokens[5..]), 0, "it is stale");
    // Four waited here, and are not told: what follows is read anew.
    let (places, _, changes) = take(&mut member, 6).await;
    assert!(places.into_iter().eq(all_of(0).skip(4)));
    let partition = || vec![Partition::number(0)];
    let due = [Change::Lost(partition()), Change::Assigned(partition())];
    assert_eq!(changes, due);
    let fenced = member.commit().await.unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced, "the fifth was lost");
    member.close().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_that_is_none_is_told_until_a_seek() {
    let store = Arc::new(MemoryLeases::new());
    row(&store, "0", "nonsense", now()).await;
    let numbers = Numbers::new(1);
    let mut member = numbers.member(&store, Point::Start).await;
    for _ in 0..2 {
        let told = timeout(PATIENCE, member.receive(1)).await.unwrap();
        let told = told.unwrap_err();
        assert_eq!(told.kind(), ErrorKind::Unexpected, "{told}");
    }
    member.seek(Point::Start).await.unwrap();
    let (places, ..) = take(&mut member, 10).await;
    assert!(places.into_iter().eq(all_of(0)));
    member.close().await.unwrap();
}

#[tokio::test]
async fn what_came_before_a_failure_is_delivered_before_it_is_told() {
    let numbers = Numbers::new(1);
    let private = GroupedConsumer::open(numbers.clone(), options(), None);
    let mut private = private.await.unwrap();
    let reader = async {
        loop {
            let reader = numbers.0.lock().unwrap().readers.pop();
            match reader {
                Some((_, reader)) => return reader,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let reader = timeout(PATIENCE, reader).await.unwrap();
    reader.fail(Error::new(
        ErrorKind::Unexpected,
        "numbers",
        "receive",
        "ten",
    ));
    let (places, ..) = take(&mut private, 10).await;
    assert!(places.into_iter().eq(all_of(0)));
    for _ in 0..2 {
        let told = timeout(PATIENCE, private.receive(1)).await.unwrap();
        assert_eq!(told.unwrap_err().message(), "ten");
    }
    private.seek(Point::Start).await.unwrap();
    let (places, ..) = take(&mut private, 10).await;
    assert!(places.into_iter().eq(all_of(0)), "it reads on");
    private.close().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_panics_is_told_and_a_seek_starts_another() {
    let numbers = Numbers::new(1);
    numbers.0.lock().unwrap().panics = true;
    let private = GroupedConsumer::open(numbers.clone(), options(), None);
    let mut private = private.await.unwrap();
    let (places, ..) = take(&mut private, 10).await;
    assert!(places.into_iter().eq(all_of(0)));
    let told = timeout(PATIENCE, private.receive(1)).await.unwrap();
    let told = told.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Unexpected, "{told}");
    assert!(told.message().contains("partition 0"), "{told}");
    private.seek(Point::Start).await.unwrap();
    let (places, ..) = take(&mut private, 10).await;
    assert!(places.into_iter().eq(all_of(0)));
    private.close().await.unwrap();
}
