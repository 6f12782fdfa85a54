#![allow(clippy::unwrap_used)]

use super::{
    end::{newest, search},
    scan::{LOOK, Reader},
    *,
};
use crate::{
    aggregate::{Aggregator, hash_key},
    config::KinesisConfig,
    shards,
};
use anyhub_groups::Resume;
use anyhub_local::kinesis::{Faults, Kinesis, KinesisBuilder, Rate};
use aws_sdk_kinesis::{Client, primitives::Blob, types::PutRecordsRequestEntry};
use std::time::Duration;
use std::time::UNIX_EPOCH;

/// A stream `s`, and the means to write it.
struct World {
    kinesis: Kinesis,
    link: Link,
    stream: Stream,
}

impl World {
    async fn new(shards: i32) -> Self {
        Self::start(Kinesis::builder(), shards).await
    }

    async fn start(builder: KinesisBuilder, shards: i32) -> Self {
        let kinesis = builder.start().unwrap();
        let config = KinesisConfig::new().region("us-east-1");
        let link = Link::new(config.endpoint(kinesis.endpoint()));
        let this = Self {
            kinesis,
            link,
            stream: Stream::new("test", "s").unwrap(),
        };
        let create = this.client().await.create_stream();
        let create = create.stream_name("s").shard_count(shards);
        create.send().await.unwrap();
        this
    }

    async fn client(&self) -> &Client {
        self.link.patient("test").await.unwrap()
    }

    async fn shards(&self) -> Vec<Shard> {
        shards::list(&self.link, "test", &self.stream)
            .await
            .unwrap()
    }

    /// Puts a record into the shard and tells where it stands.
    async fn put(&self, shard: &Shard, data: impl Into<Vec<u8>>) -> Sequence {
        let put = self.client().await.put_record().stream_name("s");
        let put = put.partition_key("k").data(Blob::new(data.into()));
        let put = put.explicit_hash_key(shard.range.start().to_string());
        let put = put.send().await.unwrap();
        assert_eq!(put.shard_id(), &*shard.id);
        Sequence::at(put.sequence_number(), 0).unwrap()
    }

    /// Puts so many records and tells where the last one stands.
    async fn put_many(&self, shard: &Shard, count: usize) -> Sequence {
        let entry = |n: usize| {
            let entry = PutRecordsRequestEntry::builder().partition_key("k");
            let entry = entry.explicit_hash_key(shard.range.start().to_string());
            entry.data(Blob::new(n.to_string())).build().unwrap()
        };
        let put = self.client().await.put_records().stream_name("s");
        let put = put.set_records(Some((0..count).map(entry).collect()));
        let put = put.send().await.unwrap();
        assert_eq!(put.failed_record_count(), Some(0));
        let last = put.records().last().unwrap().sequence_number().unwrap();
        Sequence::at(last, 0).unwrap()
    }

    async fn first(&self, shard: &Shard) -> Option<Sequence> {
        first(&self.link, "test", &self.stream, shard)
            .await
            .unwrap()
    }

    async fn at(&self, shard: &Shard, time: SystemTime) -> Option<Sequence> {
        at(&self.link, "test", &self.stream, shard, time)
            .await
            .unwrap()
    }

    async fn end(&self, shard: &Shard) -> Sequence {
        end(&self.link, "test", &self.stream, shard).await.unwrap()
    }

    async fn kept(&self, shard: &Shard, at: Sequence) -> Result<()> {
        kept(&self.link, "test", &self.stream, shard, at).await
    }

    fn reader<'a>(&'a self, shard: &'a Shard) -> Reader<'a> {
        Reader::new(&self.link, "test", &self.stream, shard)
    }
}

/// An aggregate of so many events, all of the shard or all of another.
fn aggregate(shard: &Shard, within: bool, events: usize) -> Vec<u8> {
    let mut aggregate = Aggregator::new();
    let keys = (0..).map(|n| format!("key-{n}"));
    let fits = |key: &String| shard.range.contains(hash_key(key.as_bytes())) == within;
    for key in keys.filter(fits).take(events) {
        assert!(aggregate.try_push(1 << 20, &key, None, &"event".into()));
    }
    aggregate.finish().unwrap().data
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_shard_ends_where_it_starts() {
    let world = World::new(2).await;
    for shard in &world.shards().await {
        assert_eq!(world.first(shard).await, None);
        assert_eq!(world.end(shard).await, shard.start);
        assert_eq!(world.at(shard, UNIX_EPOCH).await, None);
        assert_eq!(world.at(shard, SystemTime::now()).await, None);
        world.kept(shard, shard.start).await.unwrap();
        let error = world.kept(shard, shard.start.after()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfRange);
        assert!(error.message().contains("holds no events"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_shard_is_known_from_its_first_event_to_its_last() {
    let world = World::new(2).await;
    let shard = &world.shards().await[1];
    let places = [
        world.put(shard, "one").await,
        world.put(shard, "two").await,
        world.put(shard, "three").await,
    ];
    assert_eq!(world.first(shard).await, Some(places[0]));
    assert_eq!(world.end(shard).await, places[2].after());
    assert!(shard.start < places[0]);
    for place in places {
        world.kept(shard, place).await.unwrap();
        world.kept(shard, place.after()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_are_counted_by_their_events() {
    let world = World::new(2).await;
    let shard = &world.shards().await[0];
    let first = world.put(shard, aggregate(shard, true, 4)).await;
    let last = world.put(shard, aggregate(shard, true, 3)).await;
    assert_eq!(world.first(shard).await, Some(first));
    assert_eq!(world.end(shard).await, last.with_index(2).after());
    for index in 0..3 {
        let event = last.with_index(index);
        world.kept(shard, event).await.unwrap();
        world.kept(shard, event.after()).await.unwrap();
    }
    let past = last.with_index(3);
    for place in [past, past.after()] {
        let error = world.kept(shard, place).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfRange);
        assert!(error.message().contains(&first.to_string()), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_readers_drop_is_no_event() {
    let world = World::new(2).await;
    let shard = &world.shards().await[0];
    let strange = aggregate(shard, false, 2);
    let dropped = world.put(shard, strange.clone()).await;
    assert_eq!(world.first(shard).await, None);
    assert_eq!(world.end(shard).await, shard.start);
    let kept = world.put(shard, "event").await;
    world.put(shard, strange).await;
    assert_eq!(world.first(shard).await, Some(kept));
    assert_eq!(world.at(shard, UNIX_EPOCH).await, Some(kept));
    assert_eq!(world.end(shard).await, kept.after());
    let error = world.kept(shard, dropped).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_no_record_is_out_of_range() {
    let world = World::new(2).await;
    let shards = world.shards().await;
    let here = world.put(&shards[0], "here").await;
    let there = world.put(&shards[1], "there").await;
    let number = |text: &str| Sequence::at(text, 0).unwrap();
    let digits: String = here.number();
    // The stand-in orders numbers as text, so this is of the same length.
    let to_come = number(&digits.replacen("49", "52", 1));
    for place in [
        there,
        number("0"),
        number("5"),
        number("6277101735386680763835789423207666416102355444464034512895"),
        to_come,
    ] {
        let error = world.kept(&shards[0], place).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfRange, "{place}");
        assert!(error.message().contains(&here.to_string()), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_expired_iterators_change_nothing() {
    let faults = Faults::none().expired_iterators(Rate::share(0.3).at_most(20));
    let builder = Kinesis::builder().limits(true).faults(faults).seed(7);
    let world = World::start(builder, 1).await;
    let shard = &world.shards().await[0];
    let first = world.put(shard, "first").await;
    let last = world.put_many(shard, 3 * LOOK as usize).await;
    for _ in 0..3 {
        assert_eq!(world.first(shard).await, Some(first), "seed 7");
        assert_eq!(world.end(shard).await, last.after(), "seed 7");
        world.kept(shard, last).await.unwrap();
    }
    let counts = world.kinesis.counts();
    assert!(counts.expired_iterators > 0 && counts.throttled_reads > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_iterator_that_expires_neither_repeats_nor_skips() {
    let faults = Faults::none().expired_iterators(Rate::share(0.5));
    let world = World::start(Kinesis::builder().faults(faults).seed(7), 1).await;
    let shard = &world.shards().await[0];
    let count = 5 * LOOK as usize;
    world.put_many(shard, count).await;
    let mut scan = world.reader(shard).scan(Origin::Horizon);
    let mut read = Vec::new();
    let all = |found: &scan::Events| {
        read.push(found.first);
        false
    };
    assert!(scan.find(all).await.unwrap().is_none());
    assert!(world.kinesis.counts().expired_iterators > 0);
    assert_eq!(read.len(), count, "seed 7");
    assert!(read.windows(2).all(|pair| pair[0] < pair[1]), "seed 7");
}

/// The stand-in stamps records with its own clock, so that none can be old; a search that believes
/// in another time goes the same way.
#[tokio::test(flavor = "multi_thread")]
async fn the_newest_is_found_whatever_the_clock_says() {
    let world = World::new(1).await;
    let shard = &world.shards().await[0];
    // More than a look sees, so that windows have to be halved.
    world.put_many(shard, 2 * LOOK as usize).await;
    let last = world.put_many(shard, 2 * LOOK as usize).await;
    let day = Duration::from_secs(86_400);
    for off in [0, 1, 9, 600, 80_000].map(Duration::from_secs) {
        for now in [SystemTime::now() + off, SystemTime::now() - off] {
            let found = search(world.reader(shard), now, day).await.unwrap();
            assert_eq!(found, Some(last), "{off:?}");
        }
    }
    // A clock so far ahead that nothing seems to be as young as it is.
    let ahead = SystemTime::now() + day;
    let found = search(world.reader(shard), ahead, SKEW).await.unwrap();
    assert_eq!(found, None);
    for now in [ahead, SystemTime::now() - day, UNIX_EPOCH] {
        let found = newest(world.reader(shard), now).await.unwrap();
        assert_eq!(found, Some(last), "{now:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_shard_has_an_end() {
    let world = World::new(1).await;
    let shard = &world.shards().await[0];
    world.put_many(shard, 500).await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let writing = async {
        let mut last = None;
        while stopped.try_recv().is_err() {
            last = Some(world.put_many(shard, 500).await);
        }
        last.unwrap()
    };
    let reading = async {
        let mut told = Vec::new();
        for _ in 0..5 {
            // Nothing that was there before is beyond the end.
            told.push(world.put(shard, "before").await);
            told.push(world.end(shard).await);
        }
        stop.send(()).unwrap();
        told
    };
    let (last, told) = tokio::join!(writing, reading);
    assert!(told.is_sorted(), "{told:?}");
    let newest = last.max(told[8]).after();
    assert!(told[9] <= newest, "{told:?} {newest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_reaches_the_tip_stops_at_what_came_later() {
    let world = World::new(1).await;
    let shard = &world.shards().await[0];
    let there = world.put_many(shard, 5).await;
    let mut scan = world.reader(shard).scan(Origin::Horizon);
    let (mut read, mut done) = (None, false);
    // Two come for each that is read, until one has certainly come later.
    for _ in 0..1_000_000 {
        world.put_many(shard, 2).await;
        let step = scan.look(1).await.unwrap();
        assert!(!step.behind.is_zero(), "more is there");
        read = step.ends.map(|(_, last)| last.last);
        done = step.done;
        if done {
            break;
        }
    }
    assert!(done && read >= Some(there), "{read:?} is before {there}");
    let more = scan.look(1).await.unwrap();
    assert!(more.ends.is_some(), "it stopped before the tip");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_finds_the_first_event_from_then_on() {
    let world = World::new(1).await;
    let shard = &world.shards().await[0];
    let early = world.put(shard, "early").await;
    let hour = Duration::from_secs(3_600);
    let now = SystemTime::now();
    assert_eq!(world.at(shard, UNIX_EPOCH).await, Some(early));
    assert_eq!(world.at(shard, now - hour).await, Some(early));
    // What this machine takes for the future may be Kinesis' past, and here is not.
    assert_eq!(world.at(shard, now + Duration::from_secs(5)).await, None);
    assert_eq!(world.at(shard, now + hour).await, None);

    let first = arrived(&world, shard).await[0];
    assert_eq!(world.at(shard, first).await, Some(early));
    // Into the next of the stand-in's seconds.
    let (late, time) = loop {
        let late = world.put(shard, "late").await;
        let last = arrived(&world, shard).await.pop().unwrap();
        if last > first {
            break (late, last);
        }
    };
    assert_eq!(world.at(shard, time).await, Some(late));
}

/// When each record of the shard arrived.
async fn arrived(world: &World, shard: &Shard) -> Vec<SystemTime> {
    let mut scan = world.reader(shard).scan(Origin::Horizon);
    let mut times = Vec::new();
    let all = |found: &scan::Events| {
        times.push(found.arrived.unwrap());
        false
    };
    assert!(scan.find(all).await.unwrap().is_none());
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_was_split_keeps_its_places() {
    let world = World::new(1).await;
    let parent = &world.shards().await[0];
    let first = world.put(parent, "first").await;
    let last = world.put(parent, aggregate(parent, true, 2)).await;
    let split = world.client().await.split_shard().stream_name("s");
    let split = split.shard_to_split(&*parent.id);
    let split = split.new_starting_hash_key((1u128 << 127).to_string());
    split.send().await.unwrap();
    let shards = world.shards().await;
    assert_eq!(shards.len(), 3);
    let ends = shards
        .iter()
        .map(|shard| end(&world.link, "test", &world.stream, shard));
    let ends = side_by_side(ends);
    let due = [last.with_index(1).after(), shards[1].start, shards[2].start];
    assert_eq!(ends.await.unwrap(), due);
    assert_eq!(world.first(&shards[0]).await, Some(first));
    assert_eq!(world.at(&shards[0], UNIX_EPOCH).await, Some(first));
    let later = SystemTime::now() - Duration::from_millis(1);
    world.at(&shards[0], later).await;
    world.kept(&shards[0], last).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_removed_is_no_more() {
    let world = World::new(1).await;
    let shard = &world.shards().await[0];
    let old = world.put(shard, "old").await;
    world.kinesis.keep("s", Duration::from_secs(1));
    while world.first(shard).await.is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.end(shard).await, shard.start);
    let error = world.kept(shard, old).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
    assert!(error.message().contains("holds no events"), "{error}");
    world.kinesis.keep("s", Duration::from_secs(3_600));
    let new = world.put(shard, "new").await;
    assert_eq!(world.first(shard).await, Some(new));
    assert_eq!(world.at(shard, UNIX_EPOCH).await, Some(new));
    for gone in [old, old.after()] {
        let error = world.kept(shard, gone).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfRange);
        assert!(error.message().contains(&new.to_string()), "{error}");
    }
    world.kept(shard, new).await.unwrap();
    let from = |place| behind(&world.link, "test", &world.stream, shard, place);
    assert!(!from(Resume::At(old.after())).await.unwrap().is_zero());
    assert!(from(Resume::At(new.after())).await.unwrap().is_zero());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_gone_is_not_found() {
    let world = World::new(1).await;
    let shard = &world.shards().await[0];
    let delete = world.client().await.delete_stream().stream_name("s");
    delete.send().await.unwrap();
    let error = end(&world.link, "lag", &world.stream, shard).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.operation(), "lag");
}
