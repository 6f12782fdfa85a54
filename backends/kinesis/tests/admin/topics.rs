use crate::world::{ARN, World, keeps, refused};
use anyhub_core::{ErrorKind, Hub, Retention, TopicConfig};
use anyhub_local::kinesis::{Faults, Kinesis, Rate};
use std::time::SystemTime;

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_described_listed_and_deleted() {
    let world = World::new().await;
    world.create("zebra", 1).await;
    let topic = TopicConfig::new("s").partitions(3).retention(keeps(48));
    world.admin().create_topic(&topic).await.unwrap();
    assert_eq!(world.admin().list_topics().await.unwrap(), ["s", "zebra"]);

    let shards = world.shards().await;
    let first = world.put(&shards[1], "one").await;
    world.put(&shards[1], "two").await;
    let info = world.admin().describe_topic("s").await.unwrap();
    assert_eq!((&*info.name, info.retention), ("s", keeps(48)));
    let told: Vec<_> = info
        .partitions
        .into_iter()
        .map(|info| (info.partition, info.first, info.next))
        .collect();
    let due = [
        (shards[0].partition(), None, None),
        (shards[1].partition(), Some(first.into()), None),
        (shards[2].partition(), None, None),
    ];
    assert_eq!(told, due);

    let again = world.admin().create_topic(&topic).await;
    refused(again, ErrorKind::AlreadyExists, "a stream 's' already");
    world.admin().delete_topic("s").await.unwrap();
    assert_eq!(world.admin().list_topics().await.unwrap(), ["zebra"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let world = World::new().await;
    let (admin, text) = (world.admin(), "there is no stream 's'");
    let kind = ErrorKind::NotFound;
    refused(admin.delete_topic("s").await, kind, text);
    refused(admin.describe_topic("s").await, kind, text);
    refused(admin.set_partitions("s", 2).await, kind, text);
    refused(admin.set_retention("s", &keeps(48)).await, kind, text);
    refused(
        admin.set_retention("s", &Retention::new()).await,
        kind,
        text,
    );
    let now = SystemTime::now();
    refused(admin.positions_at("s", now).await, kind, text);
    refused(admin.list_groups("s").await, kind, text);
    refused(admin.lag("s", "g").await, kind, text);
    refused(admin.delete_group("g").await, kind, "no group 'g'");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_before_anything_is_made() {
    let world = World::new().await;
    let cases = [
        (TopicConfig::new("s").partitions(0), ErrorKind::Invalid),
        (TopicConfig::new("a/b"), ErrorKind::Invalid),
        (TopicConfig::new("s").replication(2), ErrorKind::Unsupported),
        (
            TopicConfig::new("s").retention(Retention::new().bytes(1)),
            ErrorKind::Unsupported,
        ),
        (
            TopicConfig::new("s").property("shards", "2"),
            ErrorKind::Invalid,
        ),
    ];
    for (topic, kind) in cases {
        refused(world.admin().create_topic(&topic).await, kind, "");
    }
    assert_eq!(world.requests("CreateStream"), 0);
    assert!(world.admin().list_topics().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_of_several_pages_are_all_listed() {
    let world = World::new().await;
    // The stand-in lists ten at a time.
    let names: Vec<_> = (0..23).map(|n| format!("stream-{n:02}")).collect();
    for name in names.iter().rev() {
        world.create_as_others(name).await;
    }
    assert_eq!(world.admin().list_topics().await.unwrap(), names);
    assert_eq!(world.requests("ListStreams"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_on_demand_topic_has_what_kinesis_gives_it() {
    let world = World::new().await;
    let topic = TopicConfig::new("s").property("mode", "on-demand");
    let topic = topic.property("max_record_size", "2048");
    world.admin().create_topic(&topic).await.unwrap();
    assert_eq!(world.partitions("s").await.len(), 4);
    let resized = world.admin().set_partitions("s", 8).await;
    refused(resized, ErrorKind::Invalid, "is on demand");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_grows_in_steps_of_twice_as_many() {
    let world = World::with_stream(1).await;
    let resized = world.admin().set_partitions("s", 7).await.unwrap();
    assert!(resized.key_order_kept);
    assert_eq!(world.partitions("s").await.len(), 7);
    assert_eq!(world.requests("UpdateShardCount"), 3);
    for not_more in [0, 6, 7] {
        let resized = world.admin().set_partitions("s", not_more).await;
        refused(resized, ErrorKind::Invalid, "has 7 shards");
    }
    assert_eq!(world.requests("UpdateShardCount"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_goes_up_and_down() {
    let world = World::with_stream(1).await;
    let told = async || world.admin().describe_topic("s").await.unwrap().retention;
    assert_eq!(told().await, keeps(24));
    // The stand-in keeps a week at most.
    for hours in [168, 24, 48, 48] {
        let set = world.admin().set_retention("s", &keeps(hours)).await;
        set.unwrap();
        assert_eq!(told().await, keeps(hours));
    }
    let nothing = Retention::new();
    world.admin().set_retention("s", &nothing).await.unwrap();
    assert_eq!(told().await, keeps(48));
    assert_eq!(world.requests("IncreaseStreamRetentionPeriod"), 2);
    assert_eq!(world.requests("DecreaseStreamRetentionPeriod"), 1);

    let bytes = keeps(24).bytes(1 << 20);
    let set = world.admin().set_retention("s", &bytes).await;
    refused(set, ErrorKind::Unsupported, "keep it by time");
    let set = world.admin().set_retention("s", &keeps(12)).await;
    refused(set, ErrorKind::Invalid, "86400s is near");
    assert_eq!(told().await, keeps(48));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_by_its_arn_too() {
    let world = World::with_stream(1).await;
    let info = world.admin().describe_topic(ARN).await.unwrap();
    assert_eq!((&*info.name, info.partitions.len()), (ARN, 1));
    world.admin().set_partitions(ARN, 2).await.unwrap();
    world.admin().set_retention(ARN, &keeps(48)).await.unwrap();
    let now = SystemTime::now();
    assert_eq!(world.admin().positions_at(ARN, now).await.unwrap().len(), 2);
    let others = ARN.replace("000000000000", "111111111111");
    let denied = world.admin().describe_topic(&others).await;
    refused(denied, ErrorKind::Denied, "administrator has to allow it");
    world.admin().delete_topic(ARN).await.unwrap();
    assert!(world.admin().list_topics().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_quota_is_told() {
    let builder = Kinesis::builder().shard_limit(2);
    let world = World::of(builder).await;
    let topic = TopicConfig::new("s").partitions(3);
    let created = world.admin().create_topic(&topic).await;
    let error = refused(created, ErrorKind::Throttled, "account's quota");
    assert!(error.is_retryable());
    world.create("s", 1).await;
    let resized = world.admin().set_partitions("s", 3).await;
    refused(resized, ErrorKind::Throttled, "account's quota");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_done_twice_is_tried_once() {
    let world = World::new().await;
    let fail = |operation: &str| {
        let faults = Faults::none().server_errors(operation, Rate::next(1));
        world.kinesis.set_faults(faults).unwrap();
    };
    fail("CreateStream");
    let topic = TopicConfig::new("s");
    let created = world.admin().create_topic(&topic).await;
    refused(created, ErrorKind::Unavailable, "InternalFailure");
    world.admin().create_topic(&topic).await.unwrap();
    fail("UpdateShardCount");
    let resized = world.admin().set_partitions("s", 2).await;
    refused(resized, ErrorKind::Unavailable, "InternalFailure");
    // What changes nothing is.
    fail("DescribeStreamSummary");
    assert_eq!(world.partitions("s").await.len(), 1);
    fail("ListShards");
    assert_eq!(world.partitions("s").await.len(), 1);
    fail("ListStreams");
    assert_eq!(world.admin().list_topics().await.unwrap(), ["s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_of_a_hub_that_is_closed() {
    let world = World::with_stream(1).await;
    world.hub.close().await.unwrap();
    let kind = ErrorKind::Closed;
    refused(world.admin().list_topics().await, kind, "closed");
    refused(world.admin().describe_topic("s").await, kind, "closed");
    let topic = TopicConfig::new("t");
    refused(world.admin().create_topic(&topic).await, kind, "closed");
    refused(world.streams().mode("s").await, kind, "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_cannot_be_reached() {
    let world = World::with_stream(1).await;
    world.kinesis.stop();
    let gone = world.admin().describe_topic("s").await;
    refused(gone, ErrorKind::Unavailable, "can't be reached");
}
