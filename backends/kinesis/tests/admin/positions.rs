use crate::world::{HOUR, Shard, World};
use anyhub_core::{Position, driver::Sequence};
use std::time::SystemTime;

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_a_position_in_every_shard_that_is_open_or_holds_events() {
    let world = World::with_stream(3).await;
    let shards = world.shards().await;
    let first = world.put(&shards[0], "one").await;
    let last = world.put(&shards[0], "two").await;
    let other = world.put(&shards[2], "three").await;

    let at = async |time| world.admin().positions_at("s", time).await.unwrap();
    let told = |places: [Sequence; 3]| -> Vec<_> {
        let partitions = shards.iter().map(Shard::partition);
        partitions.zip(places.map(Position::from)).collect()
    };
    let start = shards[1].start;
    let now = SystemTime::now();
    assert_eq!(at(now - HOUR).await, told([first, start, other]));
    let ends = told([last.after(), start, other.after()]);
    assert_eq!(at(now + HOUR).await, ends);

    // The first is split, and keeps its events; the second never had any.
    let mut due = vec![shards[0].partition(), shards[2].partition()];
    for shard in &shards[..2] {
        let split = world.streams().split_shard("s", &shard.id, None).await;
        due.extend(split.unwrap());
    }
    let open: Vec<_> = at(now - HOUR).await.into_iter().map(|at| at.0).collect();
    assert_eq!(open, due);
}
