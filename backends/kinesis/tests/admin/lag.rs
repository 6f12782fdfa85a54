use crate::world::{HOUR, Shard, World, refused};
use anyhub_core::{Error, ErrorKind, PartitionLag, Position, driver::Sequence};
use anyhub_kinesis::aggregate::Aggregator;
use anyhub_leases::Lease;
use std::time::{SystemTime, UNIX_EPOCH};

impl World {
    /// The lag of the group `g` whose checkpoint in the shard is this.
    async fn lag_at(&self, shard: &Shard, position: Option<&str>) -> PartitionLag {
        let lag = self.lags_at(shard, position).await.unwrap();
        let of = |lag: &PartitionLag| lag.partition == shard.partition();
        lag.into_iter().find(of).unwrap()
    }

    async fn lags_at(
        &self,
        shard: &Shard,
        position: Option<&str>,
    ) -> Result<Vec<PartitionLag>, Error> {
        let scope = self.scope("s", "g");
        self.commit(&scope, &shard.id, position).await;
        let lag = self.admin().lag("s", "g").await;
        self.admin().delete_group("g").await.unwrap();
        lag
    }
}

fn is_behind(lag: &PartitionLag) -> bool {
    assert_eq!(lag.events, None);
    !lag.behind.unwrap().is_zero()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_behind_while_an_event_is_left_to_it() {
    let world = World::with_stream(2).await;
    let shards = world.shards().await;
    let shard = &shards[0];
    let places = [
        world.put(shard, "one").await,
        world.put(shard, "two").await,
        world.put(shard, "three").await,
    ];
    let cases = [
        (None, None, true),
        (Some("time:0".to_owned()), None, true),
        (Some(shard.start.to_string()), Some(shard.start), true),
        (Some(places[0].to_string()), Some(places[0]), true),
        (
            Some(places[1].after().to_string()),
            Some(places[1].after()),
            true,
        ),
        (Some(places[2].to_string()), Some(places[2]), true),
        (
            Some(places[2].after().to_string()),
            Some(places[2].after()),
            false,
        ),
    ];
    for (position, committed, behind) in cases {
        let lag = world.lag_at(shard, position.as_deref()).await;
        assert_eq!(lag.committed, committed.map(Position::from), "{position:?}");
        assert_eq!(is_behind(&lag), behind, "{position:?}");
    }
    let later = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + HOUR;
    let later = format!("time:{}", later.as_millis());
    assert!(!is_behind(&world.lag_at(shard, Some(&later)).await));
    // A shard that nobody has a row of yet.
    let scope = world.scope("s", "g");
    world.commit(&scope, &shard.id, None).await;
    world.put(&shards[1], "four").await;
    let lag = world.admin().lag("s", "g").await.unwrap();
    assert_eq!(lag.len(), 2);
    assert_eq!((is_behind(&lag[1]), &lag[1].committed), (true, &None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_an_aggregate_is_left() {
    let world = World::with_stream(1).await;
    let shard = &world.shards().await[0];
    let mut aggregate = Aggregator::new();
    for key in ["a", "b", "c"] {
        assert!(aggregate.try_push(1 << 20, key, None, &"event".into()));
    }
    let record = world.put(shard, aggregate.finish().unwrap().data).await;
    let behind = async |at: Sequence| {
        let lag = world.lag_at(shard, Some(&at.to_string())).await;
        is_behind(&lag)
    };
    assert!(behind(record).await);
    assert!(behind(record.with_index(2)).await);
    assert!(behind(record.with_index(1).after()).await);
    assert!(!behind(record.with_index(2).after()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_was_split_is_told_until_it_is_finished() {
    let world = World::with_stream(1).await;
    let parent = &world.shards().await[0];
    let last = world.put(parent, "one").await;
    let split = world.streams().split_shard("s", &parent.id, None).await;
    let children = split.unwrap();
    let scope = world.scope("s", "g");
    let told = async || {
        let lag = world.admin().lag("s", "g").await.unwrap();
        lag.iter()
            .map(|lag| (lag.partition.clone(), is_behind(lag)))
            .collect::<Vec<_>>()
    };
    let due_children = children.iter().map(|child| (child.clone(), false));
    let mut due = vec![(parent.partition(), true)];
    due.extend(due_children.clone());
    world.commit(&scope, &parent.id, None).await;
    assert_eq!(told().await, due);

    world.admin().delete_group("g").await.unwrap();
    let done = last.after().to_string();
    world.commit(&scope, &parent.id, Some(&done)).await;
    due[0].1 = false;
    assert_eq!(told().await, due);

    world.admin().delete_group("g").await.unwrap();
    let mut finished = Lease::new(&*parent.id, 1);
    finished.checkpoint.finished = true;
    world.write(&scope, finished).await;
    assert_eq!(told().await, due_children.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_is_none_says_whose_it_is() {
    let world = World::with_stream(1).await;
    let shard = &world.shards().await[0];
    let lag = world.lags_at(shard, Some("LATEST")).await;
    let error = refused(lag, ErrorKind::Unexpected, "'LATEST'");
    assert!(error.message().contains(&*shard.id), "{error}");
    // Of a stream of another day.
    let other = Sequence::at(&shard.start.number().replacen("49", "48", 1), 0).unwrap();
    let lag = world.lags_at(shard, Some(&other.to_string())).await;
    refused(lag, ErrorKind::OutOfRange, "of another stream");
    let lag = world.admin().lag("s", "nobody").await;
    refused(lag, ErrorKind::NotFound, "no group 'nobody'");
}
