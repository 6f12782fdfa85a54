use crate::world::{World, keeps, refused};
use anyhub_core::{ErrorKind, TopicConfig};
use anyhub_local::Kinesis;
use std::time::{Duration, SystemTime};

async fn slow(millis: u64) -> World {
    let transition = Duration::from_millis(millis);
    World::of(Kinesis::builder().transition(transition)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_created_can_be_used_and_one_that_was_deleted_is_gone() {
    let world = slow(700).await;
    let topic = TopicConfig::new("s").retention(keeps(48));
    for _ in 0..2 {
        world.admin().create_topic(&topic).await.unwrap();
        // Neither waits for anything.
        let shards = world.shards().await;
        world.put(&shards[0], "one").await;
        let told = world.admin().describe_topic("s").await.unwrap().retention;
        assert_eq!(told, keeps(48));
        world.admin().delete_topic("s").await.unwrap();
        assert!(world.admin().list_topics().await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_to_use_a_topic_waits_while_others_create_it() {
    let world = slow(700).await;
    world.create_as_others("one").await;
    assert_eq!(world.partitions("one").await.len(), 1);
    world.create_as_others("two").await;
    let now = SystemTime::now();
    let places = world.admin().positions_at("two", now).await.unwrap();
    assert_eq!(places.len(), 1);
    world.create_as_others("three").await;
    let set = world.admin().set_retention("three", &keeps(48)).await;
    set.unwrap();
    world.create_as_others("four").await;
    world.admin().set_partitions("four", 2).await.unwrap();
    world.create_as_others("five").await;
    world.admin().delete_topic("five").await.unwrap();
    world.create_as_others("six").await;
    let register = world.streams().register_fanout("six", "app").await;
    register.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_others_delete_is_no_more_to_be_had() {
    let world = slow(1_500).await;
    world.create("s", 1).await;
    world.delete_as_others("s").await;
    let kind = ErrorKind::NotFound;
    let text = "is being deleted";
    refused(world.admin().describe_topic("s").await, kind, text);
    refused(world.admin().set_partitions("s", 2).await, kind, text);
    let set = world.admin().set_retention("s", &keeps(48)).await;
    refused(set, kind, text);
    refused(
        world.streams().split_shard("s", "x", None).await,
        kind,
        text,
    );
    let again = world.admin().create_topic(&TopicConfig::new("s")).await;
    refused(again, ErrorKind::AlreadyExists, "");
    // Both wanted it gone.
    world.admin().delete_topic("s").await.unwrap();
    let gone = world.admin().describe_topic("s").await;
    refused(gone, ErrorKind::NotFound, "");
}
